"""attend(): the one call, for arrays of every kind."""

from typing import Any, Optional, Sequence, Tuple, TypeVar, Union

from ._library import ArgumentError
from .rows import RowStatistics

Array = TypeVar("Array")


def attend(query: Array, key: Array, value: Array, reweighting: str = "softmax", *, scale: Any = None,
           causal: bool = False, window: Optional[int] = None, bias: Optional[Array] = None,
           slopes: Optional[Array] = None, sink: Optional[Array] = None, key_lengths: Optional[Array] = None,
           pages: Optional[Array] = None, statistics: Union[str, Sequence[str], None] = "all", columns: bool = False,
           implementation: Optional[str] = None, **parameters: Any) -> Tuple[Array, RowStatistics]:
    """Attention and what its rows are measured by, in one pass and in memory O(rows).

    query [batch, heads, queries, width], key [batch, key heads, keys, width], value [batch, key heads, keys,
    value width]: tensors of PyTorch, NumPy arrays, or arrays of a library that speaks DLPack; the results are of the
    same kind. All of one type: float32 or float64; bfloat16 and float16 are computed in float32.
    heads is a multiple of key heads. reweighting: a name of forms().

    Returns the output [batch, heads, queries, value width], of the query's type, and RowStatistics.

    scale       of the scores; default 1/sqrt(width), or 1 for forms that are not scaled
    causal      query i sees key j <= i + keys - queries
    window      a query sees keys less than this before its own (and, if not causal, after)
    bias        [batch or 1, heads or 1, queries or 1, keys or 1], added to the scores; -inf hides
    slopes      [heads], ALiBi: -slope * distance is added; no gradient
    sink        [heads], score of a sink, for "sink" and "softmax1"
    key_lengths [batch], whole numbers: how many of the keys a sequence has
    pages       [batch, pages of a sequence], int32: key and value are [pages, key heads, keys of a page, width], and
                the keys of a sequence are those of the pages that its row names, in this order, up to its length; on
                the CPU, without gradients
    statistics  names of RowStatistics' fields, "all", or None
    columns     compute column_means too, in a second pass
    implementation  "kernel": on the CPU; "triton": Triton's kernels, on CUDA devices; "pytorch": PyTorch's operators in
                blocks of rows, on any device, in forward mode and for second derivatives; None: the first that can
    parameters  of the form: alpha, gamma, zeta, epsilon, transform_factor, sum_offset,
                count_power, feature_offset

    With PyTorch, scale and parameters may be tensors of one number, or of [heads]; then they have gradients too.
    Gradients: of query, key, value, bias, sink and these tensors, through the output and the starred statistics. Under
    autocast query, key and value take its type, as those of scaled_dot_product_attention do. The kernel runs on
    torch.get_num_threads() threads. Other arrays have no gradients.

    Raises ArgumentError, of one sentence, for arguments that do not fit.
    """
    if hasattr(type(query), "__torch_function__"):
        from . import tensors
        implemented: Any = tensors
    elif hasattr(type(query), "__dlpack__") or hasattr(type(query), "__array_interface__"):
        from . import arrays
        implemented = arrays
    else:
        raise ArgumentError(f"attend: query is of type {type(query).__name__}: expected a tensor of PyTorch, a NumPy "
                            "array, or one that speaks DLPack")
    return implemented.attend(query, key, value, reweighting, scale=scale, causal=causal, window=window, bias=bias,
                              slopes=slopes, sink=sink, key_lengths=key_lengths, pages=pages, statistics=statistics,
                              columns=columns, implementation=implementation, **parameters)
