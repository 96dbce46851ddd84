"""Attention with statistics of its rows in Triton, for GPUs. Needs PyTorch and Triton 3.9.

The kernels keep nothing of size queries × keys. tests/python/test_triton.py holds them to plain PyTorch in float64,
under Triton's interpreter, and to the registers and the memory of an A100 and an H100.
"""

import functools
import math
from typing import Any, Optional, Sequence, Tuple

import torch
from torch import Tensor

_TYPES = (torch.float16, torch.bfloat16, torch.float32)
_WIDEST = 256
_OLDEST = (3, 9)  # Triton
_PARAMETERS = {"softcap": "transform_factor", "ssmax": "transform_factor", "sigmoid/sum": "sum_offset",
               "sigmoid_norm": "sum_offset"}
STATISTICS = ("entropy", "sum_of_squares", "maximum", "argmax", "first_key", "first_visible_key", "row_sum",
              "log_sum_exp", "logit_mean", "logit_variance", "logit_maximum", "skewness", "visible", "non_finite")


@functools.lru_cache(maxsize=None)
def is_installed() -> bool:
    """Whether there is a Triton that the kernels are tested with, or a newer one."""
    try:
        import triton
    except ImportError:
        return False
    return tuple(int(part) for part in triton.__version__.split(".")[:2]) >= _OLDEST


def _on_device(tensor: Tensor) -> bool:
    if tensor.device.type == "cuda":
        return torch.version.hip is None and torch.cuda.get_device_capability(tensor.device) >= (8, 0)
    from . import calls
    return tensor.device.type == "cpu" and calls.interpreted()


def supports(query: Tensor, key: Tensor, value: Tensor, reweighting: str = "softmax", *, scale: Any = None,
             causal: bool = False, window: Optional[int] = None, bias: Optional[Tensor] = None,
             slopes: Optional[Tensor] = None, sink: Optional[Tensor] = None, key_lengths: Optional[Tensor] = None,
             statistics: Sequence[str] = (), **parameters: Any) -> bool:
    """Whether attend() takes these arguments; shapes are taken to fit.

    Served are the forms of calls.FORMS on NVIDIA's devices of compute capability 8.0 or newer, in float16, bfloat16 and
    float32, widths up to 256, every statistic but column_means. A bias or slopes that
    require a gradient are not, nor is a bias beside ssmax (it decides how many keys are visible), nor are scales and
    parameters given as tensors.
    """
    if not is_installed() or not _on_device(query):
        return False
    from . import calls
    if reweighting not in calls.FORMS or not all(name in STATISTICS for name in statistics):
        return False
    form = calls.FORMS[reweighting]
    if "log_sum_exp" in statistics and form.sigmoid or sink is not None and not form.sink:
        return False
    if isinstance(scale, Tensor) or any(isinstance(x, Tensor) or name != _PARAMETERS.get(reweighting)
                                        for name, x in parameters.items()):
        return False
    if bias is not None and reweighting == "ssmax":
        return False
    if torch.is_grad_enabled() and any(x is not None and x.requires_grad for x in (bias, slopes)):
        return False
    if query.dtype not in _TYPES or key.dtype != query.dtype or value.dtype != query.dtype:
        return False
    others = (x for x in (bias, slopes, sink) if x is not None)
    if any(x.dtype not in _TYPES or x.device != query.device for x in others):
        return False
    if max(query.shape[3], value.shape[3]) > _WIDEST or max(query.shape[2], key.shape[2]) >= 2**30:
        return False
    return query.numel() > 0 and key.numel() > 0


def attend(query: Tensor, key: Tensor, value: Tensor, reweighting: str = "softmax", *, scale: Optional[float] = None,
           causal: bool = False, window: Optional[int] = None, bias: Optional[Tensor] = None,
           slopes: Optional[Tensor] = None, sink: Optional[Tensor] = None, key_lengths: Optional[Tensor] = None,
           statistics: Sequence[str] = (), **parameters: float) -> Tuple[Tensor, ...]:
    """The output, and a row array for each name: polariscope.attend() with its conventions, for arguments that
    supports() takes. Statistics are float32. Lengths beyond the keys are taken as their number. Gradients: of query,
    key, value and sink, in reverse mode, once.
    """
    from . import calls, function
    form = calls.FORMS[reweighting]
    if "transform_factor" in parameters:
        form = form._replace(parameter=float(parameters["transform_factor"]))
    if scale is None:
        scale = 1.0 / math.sqrt(query.shape[3])
    if slopes is not None:
        slopes = slopes.contiguous()
    if sink is not None:
        sink = sink.contiguous()
    if key_lengths is not None:
        key_lengths = key_lengths.contiguous()
    return function.Attend.apply(query, key, value, bias, slopes, sink, key_lengths, form, float(scale), bool(causal),
                                 window, float(parameters.get("sum_offset", 0.0)), tuple(statistics))
