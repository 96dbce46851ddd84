"""Masks as models write them, read as a bias in which -inf hides."""

from typing import NamedTuple, Optional

import torch
from torch import Tensor
from torch.utils.weak import WeakIdKeyDictionary


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


class Pattern(NamedTuple):
    """A boolean mask in the words of attend(), exactly: no array of queries x keys need be read."""

    padding: Optional[Tensor]  # [batch, keys], True where a key is hidden from every query; None: none is
    causal: bool
    window: Optional[int]
    keys: int  # those after are hidden from every query

    def bias(self, dtype: torch.dtype) -> Optional[Tensor]:
        if self.padding is None:
            return None
        return additive(self.padding, dtype, hidden_where=True)[:, None, None]


_kept = WeakIdKeyDictionary()  # of a mask: its version, and what was found of it


def _facts(mask: Tensor) -> dict:
    version = 0 if mask.is_inference() else mask._version
    kept = _kept.get(mask)
    if kept is None or kept[0] != version:
        kept = _kept[mask] = (version, {})
    return kept[1]


def remembered(mask: Tensor, name: str, find):
    """What `find` made of this very mask, found once as long as the mask is not changed."""
    facts = _facts(mask)
    if name not in facts:
        facts[name] = find()
    return facts[name]


def pattern(mask: Tensor) -> Optional[Pattern]:
    """What mark() said of this mask."""
    return _facts(mask).get("pattern")


def mark(mask: Tensor, first: int, window: Optional[int]) -> None:
    """Finds out whether a boolean mask [batch, 1, queries, keys] hides columns, what comes after the query's own key
    (query i is at key first + i) or what is `window` or more before it, and nothing else. It then has a pattern()."""
    queries, keys = mask.shape[2:]
    seen = mask[:, 0].any(1)  # [batch, keys]
    last = min(first + queries, keys)
    shown = None if bool(seen[:, :last].all()) else ~seen
    if bool((mask == seen[:, None, None]).all()):
        _facts(mask)["pattern"] = Pattern(~seen, False, None, keys)
        return
    if first < 0 or last != first + queries or bool(seen[:, last:].any()):
        return
    at = torch.arange(keys, device=mask.device)
    own = at[first:last, None]
    for width in (None, window):
        lower = at <= own
        if width is not None:
            lower = lower & (at > own - width)
        if bool((mask[:, 0] == (lower & seen[:, None])).all()):
            _facts(mask)["pattern"] = Pattern(shown, True, width, last)
            return


def hidden_columns(mask: Tensor) -> Optional[Tensor]:
    """[batch, keys], True where a key is hidden from every query of every head; None where none is."""
    hidden = ~mask if mask.dtype == torch.bool else mask <= low_bound(mask.dtype)
    hidden = hidden.all(2).all(1)
    return hidden if bool(hidden.any()) else None
