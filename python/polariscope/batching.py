"""vmap over the operators: the mapped dimension becomes one of the batch's, or the samples are computed in turn."""

from typing import Any, List, Optional, Sequence, Tuple

import torch
from torch import Tensor

from .kernel import Arguments

_PER_SEQUENCE = ("query", "key", "value", "bias", "key_lengths")
_PER_HEAD = ("slopes", "sink", "learned")
_COUNT = len(Arguments._fields)


def _sample(x: Any, dimension: Any, i: int) -> Any:
    if isinstance(x, (list, tuple)) and isinstance(dimension, (list, tuple)):
        return [_sample(one, at, i) for one, at in zip(x, dimension)]
    return x if dimension is None else x.select(dimension, i)


def _in_turn(operator: Any, size: int, dimensions: Sequence[Any], args: Sequence[Any]) -> List[Tensor]:
    """Sample by sample. Any operator, any argument."""
    found = [operator(*(_sample(x, at, i) for x, at in zip(args, dimensions))) for i in range(size)]
    return [torch.stack(parts) for parts in zip(*found)]


def _folded(x: Tensor, dimension: Optional[int], size: int, broadcasts: bool = False) -> Tensor:
    """[batch, ...] of each sample as [samples · batch, ...]."""
    if dimension is None:
        if broadcasts and x.shape[0] == 1:
            return x
        x = x.expand(size, *x.shape)
    else:
        x = x.movedim(dimension, 0)
    return x.flatten(0, 1)


def _fold_arguments(a: Arguments, at: Sequence[Any], size: int) -> Arguments:
    folded = {}
    batch = (a.query if at[0] is None else a.query.select(at[0], 0)).shape[0]
    for name, x, dimension in zip(Arguments._fields, a, at):
        if name not in _PER_SEQUENCE or x is None:
            continue
        if name == "bias" and dimension is not None:
            x, dimension = x.movedim(dimension, 0), 0
            x = x.expand(size, batch, *x.shape[2:])  # one mask for a sample's whole batch
        folded[name] = _folded(x, dimension, size, broadcasts=name == "bias")
    return a._replace(**folded)


def _unfolded(found: Sequence[Tensor], size: int) -> Tuple[List[Tensor], List[int]]:
    return [x.unflatten(0, (size, x.shape[0] // size)) for x in found], [0] * len(found)


def _can_fold(a: Arguments, at: Sequence[Any], size: int) -> bool:
    by_name = dict(zip(Arguments._fields, at))
    return size > 0 and all(by_name[name] is None for name in _PER_HEAD)


def attend(info: Any, at: Sequence[Any], *args: Any) -> Tuple[List[Tensor], List[int]]:
    operator = torch.ops.polariscope.attend.default
    a, size = Arguments(*args[:_COUNT]), info.batch_size
    if _can_fold(a, at, size):
        return _unfolded(operator(*_fold_arguments(a, at, size), *args[_COUNT:]), size)
    found = _in_turn(operator, size, at, args)
    return found, [0] * len(found)


def attend_pages(info: Any, at: Sequence[Any], *args: Any) -> Tuple[List[Tensor], List[int]]:
    found = _in_turn(torch.ops.polariscope.attend_pages.default, info.batch_size, at, args)
    return found, [0] * len(found)


def attend_backward(info: Any, at: Sequence[Any], *args: Any) -> Tuple[List[Tensor], List[int]]:
    operator = torch.ops.polariscope.attend_backward.default
    a, size = Arguments(*args[:_COUNT]), info.batch_size
    output, incoming, incoming_names, saved, saved_names, wanted = args[_COUNT:]
    output_at, incoming_at, _, saved_at, _, _ = at[_COUNT:]
    if _can_fold(a, at, size) and all(name in ("query", "key", "value") for name in wanted.split(",")):
        found = operator(*_fold_arguments(a, at, size), _folded(output, output_at, size),
                         [_folded(x, d, size) for x, d in zip(incoming, incoming_at or [None] * len(incoming))],
                         incoming_names, [_folded(x, d, size) for x, d in zip(saved, saved_at or [None] * len(saved))],
                         saved_names, wanted)
        return _unfolded(found, size)
    found = _in_turn(operator, size, at, args)
    return found, [0] * len(found)
