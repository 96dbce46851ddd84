"""attend(): the operator's face."""

from typing import List, NamedTuple, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor

from . import learned
from ._library import load

_ops = load()
_observers = []  # of watch(): told each call's re-weighting, its statistics, and how to compute others of them


class RowStatistics(NamedTuple):
    """One tensor [batch, heads, queries] each, None where not asked for.

    p are the numbers that multiply the values, w the weights before the normaliser, z the scores after bias and
    transform; sums run over the n keys that the row sees. Those with a star have gradients. A row that sees no key
    has zeros; one with a NaN or an infinity among its scores has NaN everywhere and its flag set.
    """

    entropy: Optional[Tensor] = None  # * nats, of |w|/sum |w|
    sum_of_squares: Optional[Tensor] = None  # * of p; summed over rows, the square of the Frobenius norm
    maximum: Optional[Tensor] = None  # * of |p|
    argmax: Optional[Tensor] = None  # int32, the first key that attains it; -1 if the row sees none
    first_key: Optional[Tensor] = None  # * p of key 0, the usual sink
    row_sum: Optional[Tensor] = None  # of p for exponential weights, else of w
    log_sum_exp: Optional[Tensor] = None  # * of a softmax's denominator; exponential weights only
    logit_mean: Optional[Tensor] = None  # * of z
    logit_variance: Optional[Tensor] = None  # * of z
    logit_maximum: Optional[Tensor] = None
    skewness: Optional[Tensor] = None  # of p
    visible: Optional[Tensor] = None  # int32, n
    non_finite: Optional[Tensor] = None  # bool
    column_means: Optional[Tensor] = None  # [batch, heads, keys]: mean p of a key over the queries that see it


class Form(NamedTuple):
    name: str
    alias: str
    formula: str


def forms() -> List[Form]:
    """The family of re-weighting functions."""
    flat = _ops.forms()
    return [Form(*flat[i:i + 3]) for i in range(0, len(flat), 3)]


_all_statistics = {}


def _names(reweighting: str, statistics: Union[str, Sequence[str], None], columns: bool) -> List[str]:
    if statistics is None:
        names = []
    elif isinstance(statistics, str) and statistics != "all":
        names = [statistics]
    elif isinstance(statistics, str):
        if reweighting not in _all_statistics:
            _all_statistics[reweighting] = list(_ops.statistics_of(reweighting))
        names = list(_all_statistics[reweighting])
    else:
        names = list(statistics)
    unknown = [name for name in names if name not in RowStatistics._fields]
    if unknown:
        raise ValueError(f"attend: unknown statistic {unknown[0]!r}: choose from {', '.join(RowStatistics._fields)}")
    if columns and "column_means" not in names:
        names.append("column_means")
    return names


def attend(query: Tensor, key: Tensor, value: Tensor, reweighting: str = "softmax", *,
           scale: Union[float, Tensor, None] = None, causal: bool = False, window: Optional[int] = None,
           bias: Optional[Tensor] = None, slopes: Optional[Tensor] = None, sink: Optional[Tensor] = None,
           key_lengths: Optional[Tensor] = None, statistics: Union[str, Sequence[str], None] = "all",
           columns: bool = False, **parameters: Union[float, Tensor]) -> Tuple[Tensor, RowStatistics]:
    """Attention and what its rows are measured by, in one pass and in memory O(rows).

    query [batch, heads, queries, width], key [batch, key heads, keys, width], value [batch, key heads, keys,
    value width] on the CPU, of one type: float32 or float64; bfloat16 and float16 are computed in float32, under
    autocast beside float32 too.
    heads is a multiple of key heads. reweighting: a name of forms().

    scale       of the scores; default 1/sqrt(width), or 1 for forms that are not scaled
    causal      query i sees key j <= i + keys - queries
    window      a query sees keys less than this before its own (and, if not causal, after)
    bias        [batch or 1, heads or 1, queries or 1, keys or 1], added to the scores; -inf hides
    slopes      [heads], ALiBi: -slope * distance is added; no gradient
    sink        [heads], score of a sink, for "sink" and "softmax1"
    key_lengths [batch] int64: how many of the keys a sequence has
    statistics  names of RowStatistics' fields, "all", or None
    columns     compute column_means too, in a second pass
    parameters  of the form: alpha, gamma, zeta, epsilon, transform_factor, sum_offset,
                count_power, feature_offset

    scale and parameters may be tensors of one number, or of [heads]; then they have gradients too.

    Gradients: of query, key, value, bias, sink and these tensors, through the output and the starred statistics; in
    reverse mode, once.
    """
    by_head = {"bias": (bias, 1), "slopes": (slopes, 0), "sink": (sink, 0)}

    def computed(value, names):
        def compute(query, key, value, form, scale, by_head, numbers, tensor):
            bias, slopes, sink = (by_head[name][0] for name in ("bias", "slopes", "sink"))
            return _ops.attend(query, key, value, form, scale, causal, window, bias, slopes, sink, key_lengths,
                               ",".join(numbers), [float(x) for x in numbers.values()], ",".join(names), tensor)

        if learned.is_given(scale, parameters):
            output, *rows = learned.call(compute, query, key, value, reweighting, scale, by_head, parameters)
        else:
            output, *rows = compute(query, key, value, reweighting, scale, by_head, parameters, None)
        return output, RowStatistics(**dict(zip(names, rows)))

    output, found = computed(value, _names(reweighting, statistics, columns))
    for see in _observers:
        see(reweighting, found, lambda names: computed(value[..., :0], names)[1])
    return output, found
