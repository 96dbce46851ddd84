"""The backward pass of the kernel: what it needs of the rows, and what it gives."""

from typing import Dict, List, Sequence

import torch
from torch import Tensor

from . import _library, family, kernel, rows
from ._library import ArgumentError
from .kernel import Arguments

INPUTS = ("query", "key", "value", "bias", "sink", "learned")  # that have a gradient


def needed(reweighting: str, statistics: Sequence[str], parameters: str) -> List[str]:
    """The row arrays that the backward pass reads where these statistics, beside the output, have a gradient."""
    name = family.find(reweighting).name
    found = ["shift", "inverse"] + [one for one in statistics if one in rows.DIFFERENTIABLE]
    if name.endswith("/max1"):
        found.append("row_sum")
    if "entropy" in statistics:
        found.append("mass")
    if "maximum" in statistics:
        found.append("argmax")
    moments = "logit_mean" in statistics or "logit_variance" in statistics
    if moments and "logit_mean" not in found:
        found.append("logit_mean")
    if moments or "count_power" in parameters:
        found.append("visible")
    return found


def _check_rows(a: Arguments, names: Sequence[str], found: Sequence[Tensor], known: Sequence[str]) -> None:
    if len(names) != len(found):
        raise ArgumentError(f"attend_backward: {len(found)} arrays for {len(names)} names: expected as many")
    output = (*a.query.shape[:3], a.value.shape[3])
    for name, x in zip(names, found):
        expected = output if name == "output" else output[:3]
        if name not in known:
            raise ArgumentError(f"attend_backward: {name!r} is unknown: choose from {', '.join(known)}")
        if tuple(x.shape) != tuple(expected) or x.device != a.query.device:
            raise ArgumentError(f"attend_backward: {name} has shape {list(x.shape)} on {x.device}: expected "
                                f"{list(expected)} on {a.query.device}")


def check(a: Arguments, output: Tensor, incoming: Sequence[Tensor], incoming_names: Sequence[str],
          saved: Sequence[Tensor], saved_names: Sequence[str], wanted: Sequence[str]) -> None:
    kernel.check(a)
    kernel.check_names(a, ())
    _check_rows(a, ["output"], [output], ["output"])
    _check_rows(a, incoming_names, incoming, ("output", *rows.DIFFERENTIABLE))
    _check_rows(a, saved_names, saved, kernel.ROWS)
    for name in needed(a.reweighting, incoming_names, a.parameters if "learned" in wanted else ""):
        if name not in saved_names:
            raise ArgumentError(f"attend_backward: {name} is missing: attend must have been asked for it")
    for name in wanted:
        if name not in INPUTS or getattr(a, name) is None:
            raise ArgumentError(f"attend_backward: {name!r} has no gradient")


def backward(a: Arguments, output: Tensor, incoming: Sequence[Tensor], incoming_names: Sequence[str],
             saved: Sequence[Tensor], saved_names: Sequence[str], wanted: Sequence[str]) -> List[Tensor]:
    """Gradients in the order of `wanted`, shaped as the inputs are."""
    check(a, output, incoming, incoming_names, saved, saved_names, wanted)
    if not output.shape[:3].numel():
        return [torch.zeros_like(x) for x in shapes(a, wanted)]
    if kernel._is_by_head(a):
        return _by_head(a, output, incoming, incoming_names, saved, saved_names, wanted)
    found = _backward(a, output, dict(zip(incoming_names, incoming)), dict(zip(saved_names, saved)), wanted)
    return [x.to(getattr(a, name).dtype) for name, x in zip(wanted, found)]


def _backward(a: Arguments, output: Tensor, incoming: Dict[str, Tensor], saved: Dict[str, Tensor],
              wanted: Sequence[str]) -> List[Tensor]:
    call = kernel._Call(a)
    dtype, held = call.dtype, [kernel._readable(output, call.dtype)]

    def array(x: Tensor, name: str = "") -> int:
        held.append(x.to(kernel.type_of(name, dtype)).contiguous())
        return kernel._address(held[-1])

    forward = _library.Rows(kernel.heads_of(held[0]), **{name: array(x, name) for name, x in saved.items()})
    given = _library.RowsGradient()
    for name, x in incoming.items():
        if name == "output":
            held.append(kernel._readable(x, dtype))
            given.output = kernel.heads_of(held[-1])
        else:
            setattr(given, name, array(x))

    gradient, found = _library.Gradient(), []
    heads = a.query.shape[1]
    for name in wanted:
        if name == "bias":
            found.append(torch.empty((*a.query.shape[:3], a.key.shape[2]), dtype=dtype))
            gradient.bias = kernel.heads_of(found[-1])
        elif name == "sink":
            found.append(torch.empty((heads,), dtype=dtype))
            gradient.sink = kernel._address(found[-1])
        elif name == "learned":
            names = list(kernel.parameters_of(a.parameters))
            found.append(torch.zeros((len(names), heads), dtype=dtype))
            for parameter, row in zip(names, found[-1]):
                setattr(gradient, parameter, kernel._address(row))
        else:
            like = getattr(a, name)
            found.append(kernel.empty_heads_like(like, like.shape[3], dtype))
            setattr(gradient, name, kernel.heads_of(found[-1]))
    _library.check(_library.library().attend_backward(call.attention, forward, given, gradient))
    for i, name in enumerate(wanted):
        if name == "bias":
            found[i] = found[i].sum_to_size(getattr(a, name).shape)
        if name == "learned":
            found[i] = found[i].sum(1)
    return found


def _by_head(a: Arguments, output: Tensor, incoming: Sequence[Tensor], incoming_names: Sequence[str],
             saved: Sequence[Tensor], saved_names: Sequence[str], wanted: Sequence[str]) -> List[Tensor]:
    """As backward(), head by head, each with numbers of its own; added up where heads share what they read."""
    total = [torch.zeros_like(x) for x in shapes(a, wanted)]
    share = a.query.shape[1] // a.key.shape[1]
    for h, head in enumerate(kernel._each_head(a)):
        found = backward(head, output.narrow(1, h, 1), [x.narrow(1, h, 1) for x in incoming], incoming_names,
                         [x.narrow(1, h, 1) for x in saved], saved_names, wanted)
        for name, x, of_head in zip(wanted, total, found):
            if name == "learned":
                x[:, h] += of_head
            elif name == "sink":
                x[h] += of_head[0]
            elif name in ("key", "value"):
                x.narrow(1, h // share, 1).add_(of_head)
            elif x.shape[1] == 1:
                x.add_(of_head)
            else:
                x.narrow(1, h, 1).add_(of_head)
    return total


def shapes(a: Arguments, wanted: Sequence[str]) -> List[Tensor]:
    """What backward() returns, without its numbers."""
    found = []
    for name in wanted:
        like = getattr(a, name)
        if name in ("query", "key", "value"):
            found.append(kernel.empty_heads_like(like, like.shape[3], like.dtype))
        else:
            found.append(like.new_empty(like.shape))
    return found
