"""The kernels under autograd: which row arrays the backward pass reads, and what it prepares of them for each row."""

import math
from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch
from torch import Tensor

from . import calls
from .calls import Call, RowNumbers

DIFFERENTIABLE = ("entropy", "sum_of_squares", "maximum", "first_key", "first_visible_key", "log_sum_exp",
                  "logit_mean", "logit_variance")
_LN2 = math.log(2.0)
# Beside itself, what a statistic's gradient reads.
_NEEDED = {"entropy": ("mass",), "maximum": ("argmax",), "first_visible_key": ("first_visible",),
           "logit_mean": ("visible",), "logit_variance": ("logit_mean", "visible")}


def _row_numbers(call: Call, output: Tensor, rows: Dict[str, Tensor], incoming: Dict[str, Tensor]
                 ) -> Tuple[RowNumbers, Optional[Tensor]]:
    """The rows' numbers and, with a sink, the gradient of its score in each row (docs/attention.md, section 5)."""
    inverse = rows["inverse"]
    d_output = incoming.get("output")
    total = calls.products(output, d_output) if d_output is not None else torch.zeros_like(inverse)
    squares, spikes = None, []
    if "sum_of_squares" in incoming:
        twice = 2.0 * incoming["sum_of_squares"]
        squares = twice * inverse * inverse
        total = total + twice * rows["sum_of_squares"]
    for name, place in (("maximum", "argmax"), ("first_key", None), ("first_visible_key", "first_visible")):
        if name in incoming:
            total = total + incoming[name] * rows[name]
            keys = rows[place] if place else torch.zeros_like(inverse, dtype=torch.int32)
            spikes.append((incoming[name] * inverse, keys))
    # What comes to each weight through the normaliser.
    through = total if call.form.summed else torch.zeros_like(total)
    if "log_sum_exp" in incoming:
        through = through - incoming["log_sum_exp"]
    constant = through * inverse
    entropy = None
    if "entropy" in incoming:
        mass = rows["mass"]
        each = torch.where(mass > 0, incoming["entropy"] / mass, 0.0)
        entropy = -_LN2 * each
        constant = constant + torch.where(mass > 0, each * (rows["entropy"] - mass.log()), 0.0)
    moments = None
    if "logit_mean" in incoming or "logit_variance" in incoming:
        count = rows["visible"].clamp(min=1)
        none = torch.zeros_like(inverse)
        of_mean = incoming["logit_mean"] / count if "logit_mean" in incoming else none
        of_variance = 2.0 * incoming["logit_variance"] / count if "logit_variance" in incoming else none
        moments = (rows["logit_mean"] if "logit_mean" in rows else none, of_mean, of_variance)
    of_sink = None
    if call.form.sink and call.sink is not None:
        natural = rows["log_sum_exp"]
        of_sink = -through * torch.exp(call.sink.float()[None, :, None] - natural)
    return RowNumbers(rows["shift"], inverse, constant, entropy, squares, moments, spikes), of_sink


def needed(call: Call, names: Sequence[str]) -> List[str]:
    """What the backward pass reads where the output and these statistics have a gradient."""
    found = ["shift", "inverse"]
    if call.form.sink and call.sink is not None:
        found.append("log_sum_exp")
    for name in names:
        if name in DIFFERENTIABLE:
            found += [name, *_NEEDED.get(name, ())]
    return found


class Attend(torch.autograd.Function):
    """apply(query, key, value, bias, slopes, sink, key_lengths, rest of a Call..., names): output, rows by names."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tuple[Tensor, ...]:
        *given, names = arguments
        call = Call(*given)
        ctx.wanted = [name for name, wants in zip(Call._fields, ctx.needs_input_grad) if wants]
        # A maximum's place costs a pass over each tile: it is found when a gradient asks for it.
        kept = [name for name in needed(call, names) if name != "argmax"] if ctx.wanted else []
        output, rows = calls.attend(call, [*names, *kept])
        if "non_finite" in rows:
            rows["non_finite"] = rows["non_finite"].bool()
        found = [rows[name] for name in names]
        ctx.rest, ctx.names = given[7:], names
        ctx.saved_names = [name for name in dict.fromkeys([*kept, *(["argmax"] if "argmax" in names else [])])]
        ctx.save_for_backward(*given[:7], output, *(rows[name] for name in ctx.saved_names))
        ctx.mark_non_differentiable(*(x for name, x in zip(names, found) if name not in DIFFERENTIABLE))
        ctx.set_materialize_grads(False)
        return (output, *found)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Any) -> Tuple[Any, ...]:
        tensors = ctx.saved_tensors
        call, output = Call(*tensors[:7], *ctx.rest), tensors[7]
        rows = dict(zip(ctx.saved_names, tensors[8:]))
        names = ("output", *(name if name in DIFFERENTIABLE else "" for name in ctx.names))
        incoming = {name: x for name, x in zip(names, gradients) if name and x is not None}
        found: Dict[str, Tensor] = {}
        if incoming and ctx.wanted:
            missing = [name for name in needed(call, list(incoming)) if name not in rows]
            if missing:
                rows.update(calls.attend(call, missing)[1])
            numbers, of_sink = _row_numbers(call, output, rows, incoming)
            d_output = incoming["output"] if "output" in incoming else torch.zeros_like(output)
            found = calls.gradients(call, numbers, d_output, ctx.wanted)
            if of_sink is not None:
                found["sink"] = of_sink.sum((0, 2)).to(tensors[5].dtype)
        return tuple(found.get(name) if name in ctx.wanted else None for name in Call._fields[:7]) + (None,) * (
            len(Call._fields) - 7 + 1)
