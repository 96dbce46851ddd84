"""Rows of scores as weights and statistics, in PyTorch's operators: what the kernel computes, any device, any order.

Branches that are not taken are kept finite, so that their derivatives are.
"""

from typing import Dict, List, NamedTuple, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor

from . import learned
from ._library import ArgumentError
from .family import Form
from .kernel import type_of
from .rows import DIFFERENTIABLE

Number = Union[float, Tensor]
_EXPONENTIAL = ("softmax", "softmax1", "sink", "softcap", "ssmax")
_WITH_SINK = ("softmax1", "sink")
_RANGES = {"transform_factor": ("softcap", "the soft cap must be positive", lambda x: x > 0),
           "sum_offset": ("", "the sum's offset must be at least 0", lambda x: x >= 0),
           "count_power": ("", "the power of the count must be at least 0", lambda x: x >= 0),
           "feature_offset": ("", "the feature map's offset must be at least 0", lambda x: x >= 0),
           "gamma": ("", "gamma must be at most 0", lambda x: x <= 0),
           "zeta": ("", "zeta must be at least 1", lambda x: x >= 1),
           "epsilon": ("", "epsilon must be positive", lambda x: x > 0),
           "alpha": ("", "alpha must be above 1 (softmax is the limit at 1)", lambda x: x > 1)}


def check(form: Form, parameters: Dict[str, Number], sink: Optional[Tensor]) -> None:
    """Numbers in their ranges; those that are learned are taken as they come."""
    if sink is not None and form.name not in _WITH_SINK:
        raise ArgumentError(f"attend: attention {form.name} has no sink: leave it out, or choose sink or softmax1")
    for name, x in parameters.items():
        of, words, holds = _RANGES[name]
        if of in ("", form.name) and not isinstance(x, Tensor) and not holds(float(x)):
            raise ArgumentError(f"attend: attention {form.name}: {words}, found {float(x)}")


class Row(NamedTuple):
    """[batch, heads, rows, keys], and of each row [..., 1] or [...]."""

    form: Form
    z: Tensor  # logits, 0 where hidden
    visible: Tensor
    count: Tensor  # n, at least 1, in the type of z
    p: Tensor
    size: Tensor  # |w| up to a factor of the row
    log_size: Tensor  # its logarithm where it is positive, else 0
    total: Tensor  # row_sum
    log_sum_exp: Optional[Tensor]


def _transformed(form: Form, s: Tensor, visible: Tensor, lengths: Tensor, parameters: Dict[str, Number]) -> Tensor:
    if form.name == "softcap":
        cap = parameters.get("transform_factor", 50.0)
        return cap * torch.tanh(s / cap)
    if form.name == "ssmax":
        count = visible.sum(-1, keepdim=True).clamp(min=1).to(s.dtype)
        return parameters.get("transform_factor", 1.0) * s * count.log()
    if form.name == "sigmoid_log":
        return s - lengths.clamp(min=1).to(s.dtype).log()
    return s


def _softmax(z: Tensor, visible: Tensor, sink: Optional[Tensor], with_sink: bool) -> Tuple[Tensor, Tensor, Tensor]:
    """e^(z - shift), the sums of them, and the shift: the largest score, which has no derivative."""
    top = torch.where(visible, z, torch.full_like(z, float("-inf")))
    shift = top.detach().amax(-1, keepdim=True)
    if with_sink:
        score = (z.new_zeros(z.shape[1]) if sink is None else sink)[:, None, None]
        shift = torch.maximum(shift, score.detach())
    shift = torch.where(shift == float("-inf"), torch.zeros_like(shift), shift)
    e = torch.where(visible, (z - shift).exp(), torch.zeros_like(z))
    total = e.sum(-1, keepdim=True)
    return e, total + (score - shift).exp() if with_sink else total, shift


def _or_one(x: Tensor) -> Tensor:
    return torch.where(x == 0, torch.ones_like(x), x)


def _entmax(z: Tensor, visible: Tensor, alpha: Number) -> Tensor:
    """max((alpha - 1) z - tau, 0)^(1/(alpha - 1)). The threshold is found by halving, then differentiated: two of
    Newton's steps from a root have its derivatives up to the third."""
    x = (alpha - 1) * z
    power = 1 / (alpha - 1)

    def raised(tau: Tensor, exponent: Number) -> Tensor:
        over = x - tau
        inside = visible & (over > 0)
        return torch.where(inside, torch.where(inside, over, torch.ones_like(over)) ** exponent, torch.zeros_like(over))

    with torch.no_grad():
        high = torch.where(visible, x, torch.full_like(x, float("-inf"))).amax(-1, keepdim=True)
        high = torch.where(high == float("-inf"), torch.zeros_like(high), high)
        low = high - 1
        for _ in range(56 if z.dtype == torch.float64 else 28):
            middle = (low + high) / 2
            enough = raised(middle, power).sum(-1, keepdim=True) >= 1
            low, high = torch.where(enough, middle, low), torch.where(enough, high, middle)
    tau = low.detach()
    for _ in range(2):
        slope = power * raised(tau, power - 1).sum(-1, keepdim=True)
        tau = tau + (raised(tau, power).sum(-1, keepdim=True) - 1) * (slope > 0) / _or_one(slope)
    return raised(tau, power)


def _lowering(function: str, z: Tensor) -> Tensor:
    """Of each row [..., 1], the power of two that its weights are taken by, lest their sum, or that of w log w,
    overflow: 1 but for rows of very large scores. z² is taken by it twice."""
    most = torch.finfo(z.dtype).max / (1024 * z.shape[-1])
    over = z.detach().abs().amax(-1, keepdim=True) / (most**0.5 if function == "square" else most)
    return torch.exp2(-over.clamp(min=1).log2().ceil())


def _elementwise(form: Form, z: Tensor, visible: Tensor,
                 parameters: Dict[str, Number]) -> Tuple[Tensor, Tensor, Union[float, Tensor]]:
    """w and p of weights that are no exponentials, and what a weight of 1 counts in w."""
    function, _, normaliser = form.name.partition("/")
    unit: Union[float, Tensor] = 1.0
    if normaliser in ("sum", "max1") and function != "sigmoid":
        by = _lowering(function, z)
        unit = by * by if function == "square" else by
        w = {"relu": torch.relu, "elu1": learned.elu1, "abs": torch.abs}.get(function, lambda x: x)(z) * by
        w = w * w if function == "square" else w
    else:
        w = {"sigmoid": torch.sigmoid, "sigmoid_log": torch.sigmoid, "relu": torch.relu, "elu1": learned.elu1,
             "abs": torch.abs, "square": torch.square, "uniform": torch.ones_like}.get(function, lambda x: x)(z)
    w = torch.where(visible, w, torch.zeros_like(w))
    if normaliser == "sum" or function == "uniform":
        return w, w / _or_one(w.sum(-1, keepdim=True) + parameters.get("sum_offset", 0.0) * unit), unit
    if normaliser == "max1":
        total = w.sum(-1, keepdim=True).abs()
        return w, w / torch.where(total > unit, total, torch.ones_like(total) * unit), unit
    if normaliser == "count":
        return w, w / visible.sum(-1, keepdim=True).clamp(min=1).to(w.dtype) ** parameters.get("count_power", 1.0), unit
    return w, w, unit


def weigh(form: Form, s: Tensor, visible: Tensor, lengths: Tensor, sink: Optional[Tensor],
          parameters: Dict[str, Number]) -> Row:
    """s: scores, 0 where hidden."""
    z = _transformed(form, s, visible, lengths, parameters)
    z = torch.where(visible, z, torch.zeros_like(z))
    count = visible.sum(-1).clamp(min=1).to(z.dtype)
    zero = torch.zeros_like(z)
    unit: Union[float, Tensor] = 1.0
    if form.name in _EXPONENTIAL:
        with_sink = form.name in _WITH_SINK
        e, total, shift = _softmax(z, visible, sink, with_sink)
        p = e / _or_one(total)
        some = total > 0
        log_sum_exp = torch.where(some, shift + torch.where(some, total, torch.ones_like(total)).log(),
                                  torch.full_like(total, float("-inf")))
        return Row(form, z, visible, count, p, e, torch.where(e > 0, z - shift, zero), p.sum(-1),
                   log_sum_exp.squeeze(-1))
    if form.name == "clipped":
        e, total, _ = _softmax(z, visible, None, False)
        gamma, zeta = parameters.get("gamma", -0.03), parameters.get("zeta", 1.03)
        p = w = torch.where(visible, ((zeta - gamma) * (e / _or_one(total)) + gamma).clamp(0, 1), zero)
    elif form.name == "softpick":
        low = torch.where(visible, z, zero).detach().amax(-1, keepdim=True).clamp(min=0)  # divided by e^low
        e = torch.where(visible, (z - low).exp() - (-low).exp(), zero)
        p = w = e.relu() / (e.abs().sum(-1, keepdim=True) + parameters.get("epsilon", 1e-8) * (-low).exp())
    elif form.name in ("sparsemax", "entmax"):
        p = w = _entmax(z, visible, 2.0 if form.name == "sparsemax" else parameters.get("alpha", 1.5))
    else:
        w, p, unit = _elementwise(form, z, visible, parameters)
    size = w.abs()
    log_size = torch.where(size > 0, size, torch.ones_like(size)).log()
    return Row(form, z, visible, count, p, size, log_size, (w.sum(-1, keepdim=True) / unit).squeeze(-1), None)


def _entropy(row: Row) -> Tensor:
    mass = row.size.sum(-1)
    some = mass > 0
    safe = torch.where(some, mass, torch.ones_like(mass))
    return torch.where(some, safe.log() - (row.size * row.log_size).sum(-1) / safe, torch.zeros_like(mass))


def _skewness(row: Row) -> Tensor:
    p = row.p.detach()
    centred = torch.where(row.visible, p - (p.sum(-1) / row.count)[..., None], torch.zeros_like(p))
    second, third = (centred**2).sum(-1) / row.count, (centred**3).sum(-1) / row.count
    rounding = 4 * torch.finfo(p.dtype).eps * p.abs().amax(-1)
    varied = second > rounding**2
    return torch.where(varied, third / torch.where(varied, second, torch.ones_like(second)) ** 1.5,
                       torch.zeros_like(third))


def _statistic(row: Row, low: int, name: str) -> Tensor:
    some = row.visible.any(-1)
    nothing = torch.zeros_like(row.count)
    if name == "entropy":
        return _entropy(row)
    if name == "sum_of_squares":
        return (row.p * row.p).sum(-1)
    if name in ("maximum", "argmax"):
        magnitude = torch.where(row.visible, row.p.detach().abs(), -torch.ones_like(row.p))
        place = magnitude.argmax(-1)
        if name == "argmax":
            return torch.where(some, place + low, torch.full_like(place, -1))
        return torch.where(some, row.p.abs().gather(-1, place[..., None]).squeeze(-1), nothing)
    if name == "first_key":
        return row.p[..., 0] if low == 0 else row.p[..., 0] * 0.0
    if name == "first_visible_key":
        return row.p.gather(-1, row.visible.to(torch.uint8).argmax(-1, keepdim=True)).squeeze(-1)
    if name == "row_sum":
        return row.total
    if name == "log_sum_exp":
        return row.log_sum_exp
    if name == "logit_mean":
        return row.z.sum(-1) / row.count
    if name == "logit_variance":
        away = torch.where(row.visible, row.z - (row.z.sum(-1) / row.count)[..., None], torch.zeros_like(row.z))
        return (away * away).sum(-1) / row.count
    if name == "logit_maximum":
        top = torch.where(row.visible, row.z, torch.full_like(row.z, float("-inf"))).amax(-1)
        return torch.where(some, top, nothing)
    if name == "skewness":
        return _skewness(row)
    return row.visible.sum(-1)  # "visible"


def measure(row: Row, bad: Tensor, low: int, names: Sequence[str]) -> List[Tensor]:
    """The row arrays but column_means, of keys that begin with `low`. bad: rows with a score that is not finite."""
    found = []
    for name in names:
        if name == "column_means":
            continue
        if name == "non_finite":
            found.append(bad)
            continue
        x = _statistic(row, low, name)
        if name not in DIFFERENTIABLE:
            x = x.detach()
        if name not in ("argmax", "visible"):
            x = torch.where(bad, torch.full_like(x, float("nan")), x)
        found.append(x.to(type_of(name, row.z.dtype)))
    return found
