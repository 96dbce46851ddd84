"""Models that would take the name "polariscope" and never call it: refused when they are built or switched."""

import functools
import inspect
import re
import sys

from . import checks
from .attention import NAME

_OWN_ATTENTION = re.compile(r"^class \w*Attention\w*\(nn\.Module\):", re.MULTILINE)
_INTERFACE = re.compile(r"ALL_ATTENTION_FUNCTIONS(\.get_interface\(|\[|\.get\()")


@functools.lru_cache(maxsize=None)
def _computes_itself(model_class) -> bool:
    """Whether the file of a model has an attention module and nowhere asks for transformers' attention interface."""
    try:
        source = inspect.getsource(sys.modules[model_class.__module__])
    except (KeyError, OSError, TypeError):
        return False
    return bool(_OWN_ATTENTION.search(source)) and not _INTERFACE.search(source)


def refuse(model) -> None:
    """Raises ValueError for a model whose attention is written by hand."""
    if _computes_itself(type(model)):
        raise ValueError(
            f"{type(model).__name__} computes attention in its own code and would never call \"{NAME}\", nor get its "
            "masks right: load it with attn_implementation=\"eager\" (or \"sdpa\" where it has that); "
            "polariscope.watch(model) sees it where that code calls scaled_dot_product_attention")


def install() -> None:
    """Has transformers ask refuse() wherever an implementation is chosen, and check() at a model's first call."""
    from transformers import PreTrainedModel

    if hasattr(PreTrainedModel, "_asks_polariscope"):
        return
    correct = PreTrainedModel.get_correct_attn_implementation
    set_implementation = PreTrainedModel.set_attn_implementation

    @functools.wraps(correct)
    def get_correct_attn_implementation(self, requested_attention, *arguments, **keywords):
        if requested_attention == NAME:
            refuse(self)
            checks.at_first_call(self)
        return correct(self, requested_attention, *arguments, **keywords)

    @functools.wraps(set_implementation)
    def set_attn_implementation(self, attn_implementation, *arguments, **keywords):
        if attn_implementation == NAME:
            for module in self.modules():
                if isinstance(module, PreTrainedModel):
                    refuse(module)
        return set_implementation(self, attn_implementation, *arguments, **keywords)

    PreTrainedModel.get_correct_attn_implementation = get_correct_attn_implementation
    PreTrainedModel.set_attn_implementation = set_attn_implementation
    PreTrainedModel._asks_polariscope = True
