"""Attention with the statistics of its rows. Guide: docs/python.md.

Nothing here imports PyTorch or NumPy before they are needed.
"""

import importlib
from typing import TYPE_CHECKING, Any

from ._library import ArgumentError
from .attention import attend
from .family import Form, forms
from .rows import RowStatistics

if TYPE_CHECKING:
    from .audits import Audit
    from .record import Call, Record
    from .watching import watch

__all__ = ["ArgumentError", "Audit", "Call", "Form", "Record", "RowStatistics", "attend", "forms", "watch"]
_LATER = {"Audit": "audits", "Call": "record", "Record": "record", "watch": "watching"}  # what needs NumPy or PyTorch


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f".{_LATER[name]}", __name__), name)
