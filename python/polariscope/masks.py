"""Masks as models write them, read as a bias in which -inf hides."""

from typing import NamedTuple, Optional

import torch
from torch import Tensor


def low_bound(dtype: torch.dtype) -> float:
    """A common fill of this or less is meant to hide: -1e4, as the type has it (-9984 in bfloat16)."""
    return torch.tensor(-1e4, dtype=dtype, device="cpu").item()


class Bias(NamedTuple):
    bias: Tensor  # added to the scores
    uniform: Optional[Tensor] = None  # rows [..., 1] whose scores are lost beside what the mask adds to all their keys
    note: str = ""


def additive(mask: Tensor, dtype: torch.dtype, hidden_where: bool) -> Tensor:
    """The mask as a bias; a bool mask hides where it equals `hidden_where`."""
    if mask.dtype == torch.uint8:
        mask = mask.to(torch.bool)
    if mask.dtype == torch.bool:
        hidden = mask if hidden_where else ~mask
        return torch.zeros(mask.shape, dtype=dtype, device=mask.device).masked_fill(hidden, float("-inf"))
    return mask


def _common_fill(mask: Tensor, low: Tensor) -> Optional[float]:
    """The one number f that a mask holds where it is `low`, if all else is zero. The sum of two such masks holds 2 f
    too; with three keys a steep ALiBi slope does as well."""
    if mask.requires_grad or not low.any() or mask[mask > low_bound(mask.dtype)].any():
        return None
    values = mask[low]
    fill = values.max()
    fits = values == fill if mask.shape[-1] <= 3 else (values == fill) | (values == 2 * fill)
    return fill.item() if fits.all() else None


def read(mask: Tensor, precision: float) -> Bias:
    """What is meant by finite numbers that models write in place of -inf: the least of the type, or one common fill.

    They hide in rows that also have a visible key. A row with nothing else is what PyTorch makes of it: softmax does
    not feel a number added to all keys, but scores that are added to a number whose spacing is 1 or more are lost.
    precision: epsilon of the type that computes.
    """
    least = mask <= torch.finfo(mask.dtype).min / 2
    low = mask <= low_bound(mask.dtype)
    fill = _common_fill(mask, low & ~least)
    meant = least if fill is None else low
    if not meant.any():
        return Bias(mask)
    top = mask.amax(-1, keepdim=True)
    hidden = meant & (mask < top)
    alone = meant.all(-1, keepdim=True) & (top > float("-inf"))
    bias = mask.masked_fill(hidden, float("-inf")).masked_fill(alone & ~hidden, 0.0)
    uniform = alone & (top.double() * precision <= -1)
    return Bias(bias, uniform if uniform.any() else None,
                f"its mask's fill {fill:g} counts as hidden" if fill is not None and (hidden & ~least).any() else "")
