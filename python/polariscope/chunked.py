"""attend() in PyTorch's own operators, for any device and for derivatives of any order and mode.

Rows are taken in blocks, so that no matrix of queries x keys is ever whole. What a block computes is computed again in
the backward pass; within torch.func's transforms and in forward mode it is kept.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from . import arguments, chunked_rows, family, kernel, learned
from ._library import ArgumentError

_ELEMENTS = 2**23  # of the scores that a block may have
Number = Union[float, Tensor]


class _Masks(NamedTuple):
    causal: bool
    window: Optional[int]
    queries: int
    keys: int


def _by_head(name: str, x: Number, heads: int, dtype: torch.dtype) -> Number:
    """One number, or one a head as [heads, 1, 1]."""
    if not isinstance(x, Tensor):
        return float(x)
    each = learned.is_of_heads(name, x, heads)
    return x.to(dtype).reshape((heads, 1, 1) if each else ())


def _span(masks: _Masks, first: int, end: int, ragged: bool) -> Tuple[int, int]:
    """The keys that some of these queries may see."""
    low, high, beside = 0, masks.keys, masks.keys - masks.queries
    if masks.causal:
        high = min(high, end + beside)
    if masks.window is not None:
        if not ragged:
            low = max(low, first + beside - masks.window + 1)
        if not masks.causal:
            high = min(high, end + beside + masks.window - 1)
    high = max(high, 1)  # of nothing there is no maximum: one key, which is hidden
    return min(low, high - 1), high


def _products(query: Tensor, key: Tensor) -> Tensor:
    """[batch, heads, rows, keys]; groups of heads read one key head."""
    batch, heads, count, width = query.shape
    grouped = query.reshape(batch, key.shape[1], -1, width) if key.shape[1] != heads else query
    return (grouped @ key.transpose(-1, -2)).reshape(batch, heads, count, key.shape[2])


def _mixed(p: Tensor, value: Tensor) -> Tensor:
    batch, heads, count, keys = p.shape
    grouped = p.reshape(batch, value.shape[1], -1, keys) if value.shape[1] != heads else p
    return (grouped @ value).reshape(batch, heads, count, value.shape[3])


def _of_heads(x: Tensor, heads: int) -> Tensor:
    """What is known of each key head, [batch, key heads, keys], of each head's rows."""
    return x.repeat_interleave(heads // x.shape[1], 1)[:, :, None] if x.shape[1] != heads else x[:, :, None]


def _finite(x: Tensor) -> Tuple[Tensor, Tensor]:
    """What is not finite replaced by 0, lest 0 times it be NaN; and where it was, [batch, heads, rows]."""
    good = torch.isfinite(x)
    return torch.where(good, x, torch.zeros_like(x)), ~good.all(-1)


def _block(first: int, low: int, masks: _Masks, form: family.Form, names: Sequence[str], scale: Number,
           parameters: Dict[str, Number], query: Tensor, key: Tensor, value: Tensor, bias: Optional[Tensor],
           slopes: Optional[Tensor], sink: Optional[Tensor], lengths: Tensor) -> Tuple[Tensor, ...]:
    """Rows from `first` on over the keys from `low` on: their output, statistics, and what columns add up."""
    heads = query.shape[1]
    own = first + torch.arange(query.shape[2], device=query.device)[:, None] + lengths - masks.queries
    j = low + torch.arange(key.shape[2], device=query.device)
    visible = j < lengths  # [batch, 1, rows, keys]
    if masks.causal:
        visible = visible & (j <= own)
    if masks.window is not None:
        visible = visible & (own - j < masks.window)
        if not masks.causal:
            visible = visible & (j - own < masks.window)
    query, bad_query = _finite(query)
    key, bad_key = _finite(key)
    value, bad_value = _finite(value)
    z = _products(query, key) * scale
    if slopes is not None:
        z = z - slopes[:, None, None] * (own - j).abs()
    if bias is not None:
        hidden = bias == float("-inf")
        visible = visible & ~hidden
        z = z + torch.where(hidden, torch.zeros_like(bias), bias)
    visible = visible.expand(z.shape)
    good = torch.isfinite(z)
    z = torch.where(visible & good, z, torch.zeros_like(z))
    bad = (visible & (~good | _of_heads(bad_key, heads) | bad_query[..., None])).any(-1)
    row = chunked_rows.weigh(form, z, visible, lengths, sink, parameters)
    output = _mixed(row.p, value)
    spoilt = bad | (visible & _of_heads(bad_value, heads)).any(-1)
    output = torch.where(spoilt[..., None], torch.full_like(output, float("nan")), output)
    found = chunked_rows.measure(row, bad, low, names)
    columns = []
    if "column_means" in names:
        p = torch.where(bad[..., None] & visible, torch.full_like(row.p, float("nan")), row.p).detach()
        columns = [p.sum(2), visible.sum(2)]
    return (output, *found, *columns)


def _keeps_nothing(tensors: Sequence[Any]) -> bool:
    """Whether a block can be computed again: functions' transforms and forward mode have no hooks for it."""
    return (torch.is_grad_enabled() and any([isinstance(x, Tensor) and x.requires_grad for x in tensors]) and
            torch.autograd.forward_ad._current_level < 0 and
            (torch.compiler.is_compiling() or torch._C._functorch.peek_interpreter_stack() is None))


def _prepared(query: Tensor, key: Tensor, form: family.Form,
              parameters: Dict[str, Number]) -> Tuple[Tensor, Tensor, Dict[str, Number]]:
    """Queries and keys as the form's feature map leaves them."""
    if form.name.startswith("elu1_kernel"):
        return learned.elu1(query), learned.elu1(key), parameters
    if form.name.startswith("relu_kernel"):
        parameters = dict(parameters)
        offset = parameters.pop("feature_offset", learned.RELU_OFFSET)
        if isinstance(offset, Tensor) and offset.dim() == 3:
            key = key.repeat_interleave(query.shape[1] // key.shape[1], 1)
        return torch.relu(query) + offset, torch.relu(key) + offset, parameters
    return query, key, parameters


def _check_lengths(lengths: Tensor, keys: int) -> None:
    """As the kernel does: of plain tensors on the CPU, whose numbers can be looked at without waiting for a device."""
    watched = (torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack() or
               torch._C._functorch.peek_interpreter_stack() is not None or torch._C._get_tracing_state() is not None)
    if watched or type(lengths) is not Tensor or not lengths.is_cpu:
        return
    for sequence, length in enumerate(lengths.tolist()):
        if not 0 <= length <= keys:
            raise ArgumentError(f"attend: key length {length} of sequence {sequence}: expected 0 to {keys}, the number "
                                "of keys")


def attend(query: Tensor, key: Tensor, value: Tensor, reweighting: str, scale: Optional[Number], causal: bool,
           window: Optional[int], bias: Optional[Tensor], slopes: Optional[Tensor], sink: Optional[Tensor],
           key_lengths: Optional[Tensor], parameters: Dict[str, Number], names: Sequence[str]) -> List[Tensor]:
    """The output, then a row array for each name."""
    form = family.find(reweighting)
    a = kernel.Arguments(query, key, value, bias, slopes, sink, key_lengths, None, reweighting, None, causal, window,
                         ",".join([f"{name}=0" for name in parameters]))
    kernel.check(a)
    kernel.check_names(a, names)
    chunked_rows.check(form, parameters, sink)
    if slopes is not None and torch.is_grad_enabled() and slopes.requires_grad:
        raise ArgumentError("attend: slopes have no gradient: detach them, or give what they add as a bias")
    given, dtype, (batch, heads, queries, width), keys = query.dtype, kernel.computed_type(a), query.shape, key.shape[2]
    query, key, value = (x.to(dtype) for x in (query, key, value))
    bias, slopes, sink = (x if x is None else kernel.narrowed(x, dtype) for x in (bias, slopes, sink))
    if key_lengths is None:
        lengths = torch.full((batch,), keys, device=query.device)
    else:
        _check_lengths(key_lengths, keys)
        lengths = key_lengths.to(torch.int64)
    if keys == 0:
        key, value = functional.pad(key, (0, 0, 0, 1)), functional.pad(value, (0, 0, 0, 1))
        bias = None if bias is None else functional.pad(bias[..., :0], (0, 1))
    if scale is None:
        scale = width**-0.5 if form.scaled and width else 1.0
    arguments.check_scale(scale if not isinstance(scale, Tensor) else None)
    scale = _by_head("scale", scale, heads, dtype)
    parameters = {name: _by_head(name, x, heads, dtype) for name, x in parameters.items()}
    query, key, parameters = _prepared(query, key, form, parameters)
    masks = _Masks(causal, window, queries, keys)
    tensors = [query, key, value, bias, sink, scale, *parameters.values()]
    again = _keeps_nothing(tensors)

    count = max(1, min(queries, _ELEMENTS // max(1, batch * heads * max(keys, 1))))
    blocks: List[Sequence[Tensor]] = []
    sums: Any = None
    seen: Any = None
    for first in range(0, max(queries, 1), count):
        end = min(first + count, queries)
        low, high = _span(masks, first, end, key_lengths is not None)
        part = None
        if bias is not None:
            part = bias[:, :, first:end] if bias.shape[2] != 1 else bias
            part = part[..., low:high] if bias.shape[3] != 1 else part
        call = (first, low, masks, form, names, scale, parameters, query[:, :, first:end], key[:, :, low:high],
                value[:, :, low:high], part, slopes, sink, lengths[:, None, None, None])
        found = checkpoint(_block, *call, use_reentrant=False, preserve_rng_state=False) if again else _block(*call)
        if "column_means" in names:
            *found, p, visible = found
            if sums is None:
                sums = p.new_zeros((batch, heads, max(keys, 1)))
                seen = torch.zeros_like(sums)
            sums = sums + functional.pad(p, (low, max(keys, 1) - high))
            seen = seen + functional.pad(visible, (low, max(keys, 1) - high))
        blocks.append(found)
    output, *row_arrays = (torch.cat(parts, 2) for parts in zip(*blocks)) if len(blocks) > 1 else blocks[0]
    whole = dict(zip([name for name in names if name != "column_means"], row_arrays))
    if "column_means" in names:
        whole["column_means"] = (sums / seen.clamp(min=1))[..., :keys]
    return [output.to(given), *(whole[name] for name in names)]
