"""Polariscope's attention in transformers, and what a Trainer's steps show of it. Guide: docs/python.md.

Importing this module makes attn_implementation="polariscope" known: from_pretrained, _from_config and
set_attn_implementation take it.
"""

from . import refusals as _refusals
from .attention import NAME, attention, mask
from .callback import EntropyCallback
from .checks import check

__all__ = ["NAME", "EntropyCallback", "attention", "check", "mask"]


def _register():
    try:
        from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
        from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
    except ImportError as error:
        raise ImportError("polariscope.transformers needs transformers 5 or newer, which has an attention interface "
                          f"and a mask interface ({error})") from error
    ALL_ATTENTION_FUNCTIONS.register(NAME, attention)
    ALL_MASK_ATTENTION_FUNCTIONS.register(NAME, mask)
    _refusals.install()


_register()
