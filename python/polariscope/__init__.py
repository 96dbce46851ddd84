"""Attention with the statistics of its rows, as a PyTorch operator. Guide: docs/pytorch.md."""

from .operator import Form, RowStatistics, attend, forms
from .record import Call, Record
from .watching import watch

__all__ = ["Call", "Form", "Record", "RowStatistics", "attend", "forms", "watch"]
