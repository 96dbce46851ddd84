"""What a row of attention is measured by."""

import difflib
import functools
from typing import Any, List, NamedTuple, Sequence, Tuple, Union

from . import family
from ._library import ArgumentError

DIFFERENTIABLE = ("entropy", "sum_of_squares", "maximum", "first_key", "first_visible_key", "log_sum_exp",
                  "logit_mean", "logit_variance")


class RowStatistics(NamedTuple):
    """One array [batch, heads, queries] each, of the kind of the query; None where not asked for.

    p are the numbers that multiply the values, w the weights before the normaliser, z the scores after bias and
    transform; sums run over the n keys that the row sees. Those with a star have gradients in PyTorch. A row that sees
    no key has zeros; one with a NaN or an infinity among its scores has NaN everywhere and its flag set. They are
    float32, float64 for float64.
    """

    entropy: Any = None  # * nats, of |w|/sum |w|
    sum_of_squares: Any = None  # * of p; summed over rows, the square of the Frobenius norm
    maximum: Any = None  # * of |p|
    argmax: Any = None  # int32, the first key that attains it; -1 if the row sees none
    first_key: Any = None  # * p of key 0, whether the row sees it or not
    first_visible_key: Any = None  # * p of the first key that the row sees, the usual sink
    row_sum: Any = None  # of p for exponential weights, else of w
    log_sum_exp: Any = None  # * of a softmax's denominator; exponential weights only
    logit_mean: Any = None  # * of z
    logit_variance: Any = None  # * of z
    logit_maximum: Any = None
    skewness: Any = None  # of p
    visible: Any = None  # int32, n
    non_finite: Any = None  # bool
    column_means: Any = None  # [batch, heads, keys]: mean p of a key over the queries that see it


def names(reweighting: str, statistics: Union[str, Sequence[str], None], columns: bool = False) -> List[str]:
    """Of the fields that `statistics` asks for."""
    if isinstance(statistics, str) and statistics == "all":
        return [*family.find(reweighting).statistics, "column_means"] if columns else list(
            family.find(reweighting).statistics)
    if statistics is None:
        found = []
    elif isinstance(statistics, str):
        found = [statistics]
    else:
        found = list(statistics)
    for name in found:
        if name not in RowStatistics._fields:
            raise ArgumentError(
                f"attend: unknown statistic {name!r}: choose from {', '.join(RowStatistics._fields)}")
        if found.count(name) > 1:
            raise ArgumentError(f"attend: statistic {name} is there twice")
    if columns and "column_means" not in found:
        found.append("column_means")
    return found


@functools.lru_cache(maxsize=256)
def check(reweighting: str, found: Tuple[str, ...], parameters: Tuple[str, ...]) -> None:
    """That the form has these statistics and parameters. What the backward pass reads of the rows, each form has."""
    form = family.find(reweighting)
    for name in found:
        if name in RowStatistics._fields and name not in form.statistics and name != "column_means":
            hint = ", only exponential weights have" if name == "log_sum_exp" else ""
            raise ArgumentError(f"attend: attention {form.name} has no {name}{hint}")
    for name in parameters:
        if name in form.parameters:
            continue
        known = sorted({name for form in family.forms() for name in form.parameters})
        if name in known:
            raise ArgumentError(f"attend: attention {form.name} has no parameter {name}")
        near = difflib.get_close_matches(name, known, 1)
        hint = f'did you mean "{near[0]}"?' if near else f"known are {', '.join(known)}"
        raise ArgumentError(f'attend: unknown parameter "{name}": {hint}')

