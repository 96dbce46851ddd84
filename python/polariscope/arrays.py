"""attend() for NumPy arrays, and for arrays of other libraries that speak DLPack. No gradients."""

import os
import sys
from typing import Any, Dict, List, Optional, Sequence, Tuple, Union

import numpy as np

from . import _library, arguments, rows
from ._library import ArgumentError
from .rows import RowStatistics

_COMPUTED = {"float32": np.float32, "float64": np.float64, "float16": np.float32, "bfloat16": np.float32}
_TYPES = {"argmax": np.int32, "visible": np.int32, "non_finite": np.bool_}


def _threads() -> int:
    """OMP_NUM_THREADS where it is set, as NumPy's own products take it; else one a processor."""
    given = os.environ.get("OMP_NUM_THREADS", "")
    return int(given) if given.isdecimal() else 0


def _numpy(name: str, x: Any) -> Optional[np.ndarray]:
    """The array as NumPy sees it: without a copy where its library lends its memory."""
    if x is None:
        return None
    if isinstance(x, np.ma.MaskedArray):
        raise ArgumentError(f"attend: {name} is a masked array: give its data, and its mask as a bias of -inf")
    if isinstance(x, np.ndarray):
        return x
    try:
        if hasattr(x, "__dlpack__"):
            return np.from_dlpack(x)
    except (BufferError, RuntimeError, TypeError, ValueError):
        pass  # of a type that DLPack has not, or a device that NumPy does not know
    try:
        found = np.asarray(x)
    except (BufferError, RuntimeError, TypeError, ValueError) as error:
        raise ArgumentError(f"attend: {name} of type {type(x).__name__} cannot be read on the CPU ({error}): move it "
                            "there, or to float32") from error
    if found.dtype == object:
        raise ArgumentError(f"attend: {name} is of type {type(x).__name__}: expected an array of numbers")
    return found


def _returned(like: Any, found: np.ndarray) -> Any:
    """The array as one of the library that `like` is of; as it is where that has no way in."""
    if isinstance(like, np.ndarray):
        return found
    namespace = like.__array_namespace__() if hasattr(like, "__array_namespace__") else sys.modules.get(
        type(like).__module__)
    for way in ("from_dlpack", "asarray", "array"):
        try:
            return getattr(namespace, way)(found)
        except (AttributeError, BufferError, RuntimeError, TypeError, ValueError):
            continue
    return found


def _in_type(name: str, x: np.ndarray, dtype: Any) -> np.ndarray:
    """Of that type, its numbers native and aligned."""
    if x.dtype.name not in _COMPUTED:
        raise ArgumentError(f"attend: {name} has type {x.dtype}: expected float32, float64, bfloat16 or float16")
    if x.dtype.name == "float64" and dtype == np.float32:  # what is finite stays so
        most = np.finfo(dtype).max
        x = np.where(np.isinf(x), x, np.clip(x, -most, most))
    return np.require(x, dtype, "A")


def _readable(x: np.ndarray) -> np.ndarray:
    """With a contiguous width, and strides of whole elements: itself, or a copy."""
    size = x.itemsize
    contiguous = x.shape[3] <= 1 or x.strides[3] == size
    return x if contiguous and not any(stride % size for stride in x.strides[:3]) else np.ascontiguousarray(x)


def _address(x: np.ndarray) -> int:
    return x.__array_interface__["data"][0] if x.size else arguments.NOWHERE


def _heads(x: np.ndarray) -> _library.Heads:
    if not x.size:  # NumPy has strides of 0 then, which are those of a broadcast array
        _, heads, count, width = (max(size, 1) for size in x.shape)
        return _library.Heads(arguments.NOWHERE, heads * count * width, count * width, width)
    return _library.Heads(_address(x), *(stride // x.itemsize for stride in x.strides[:3]))


def _empty_heads_like(like: np.ndarray, width: int) -> np.ndarray:
    batch, heads, count, _ = like.shape
    if like.strides[1] < like.strides[2]:
        return np.empty((batch, count, heads, width), like.dtype).transpose(0, 2, 1, 3)
    return np.empty((batch, heads, count, width), like.dtype)


def _lengths(x: Optional[np.ndarray]) -> Optional[np.ndarray]:
    if x is None:
        return None
    if x.dtype.kind not in "iu":
        raise ArgumentError(f"attend: key_lengths has type {x.dtype}: expected int64 or int32")
    return np.ascontiguousarray(x, np.int64)


def _table(x: np.ndarray) -> np.ndarray:
    if x.dtype != np.int32:
        raise ArgumentError(f"attend: pages has type {x.dtype}: expected int32")
    return np.ascontiguousarray(x)


def _number(name: str, x: Any) -> float:
    try:
        return float(x)
    except (TypeError, ValueError):
        raise ArgumentError(f"attend: {name} is {x!r}: expected one number (of [heads], tensors of PyTorch alone can "
                            "be)") from None


def attend(query: Any, key: Any, value: Any, reweighting: str = "softmax", *, scale: Optional[float] = None,
           causal: bool = False, window: Optional[int] = None, bias: Any = None, slopes: Any = None, sink: Any = None,
           key_lengths: Any = None, pages: Any = None, statistics: Union[str, Sequence[str], None] = "all",
           columns: bool = False, implementation: Optional[str] = None,
           **parameters: Any) -> Tuple[Any, RowStatistics]:
    """polariscope.attend() for arrays that are none of PyTorch's."""
    if implementation not in (None, "kernel"):
        raise ArgumentError(f"attend: implementation is {implementation!r}: arrays have \"kernel\" alone")
    names = rows.names(reweighting, statistics, columns)
    rows.check(reweighting, tuple(names), tuple(parameters))
    scale = None if scale is None else _number("scale", scale)
    arguments.check_scale(scale)
    found = _attend([_numpy(name, x) for name, x in (("query", query), ("key", key), ("value", value), ("bias", bias),
                                                     ("slopes", slopes), ("sink", sink),
                                                     ("key_lengths", key_lengths), ("pages", pages))],
                    reweighting, scale, causal, arguments.checked_window(window),
                    {name: _number(name, x) for name, x in parameters.items()}, names)
    output, *row_arrays = (_returned(query, x) for x in found)
    return output, RowStatistics(**dict(zip(names, row_arrays)))


def _attend(arrays: Sequence[Any], reweighting: str, scale: Optional[float], causal: bool, window: Optional[int],
            parameters: Dict[str, float], names: Sequence[str]) -> List[np.ndarray]:
    query, key, value, bias, slopes, sink, lengths, pages = arrays
    for name, x in (("key", key), ("value", value)):
        if x.dtype.name != query.dtype.name:
            raise ArgumentError(f"attend: {name} has type {x.dtype}, query has {query.dtype}: they must be of one type")
    given, dtype = query.dtype, _COMPUTED.get(query.dtype.name)
    low = given.name == "bfloat16"
    query = _in_type("query", query, dtype)
    key, value = (_in_type(name, x, given if low else dtype) for name, x in (("key", key), ("value", value)))
    bias, slopes, sink = (x if x is None else _in_type(name, x, dtype)
                          for name, x in (("bias", bias), ("slopes", slopes), ("sink", sink)))
    arguments.check_shapes(query, key, value, bias, slopes, sink, lengths, pages)
    query, key, value = (_readable(x) for x in (query, key, value))
    keys = arguments.keys_of(key, pages)
    if bias is not None:
        bias = _readable(np.broadcast_to(bias, (*query.shape[:3], keys)))
    slopes, sink = (x if x is None else np.ascontiguousarray(x) for x in (slopes, sink))
    lengths = _lengths(lengths)

    attention = arguments.attention(
        _library.FLOAT64 if dtype == np.float64 else _library.FLOAT32, _threads(), reweighting, parameters,
        bool(causal), window, scale, query.shape, value.shape, _heads(query), _heads(key), _heads(value),
        bias if bias is None else _heads(bias), *(x if x is None else _address(x) for x in (slopes, sink, lengths)),
        low)
    if low:
        arguments.store_as_bfloat16(attention)
    if pages is not None:
        pages = _table(pages)
        arguments.store_in_pages(attention, _address(pages), pages.shape[1], key.shape[0])
    output, shape = _empty_heads_like(query, value.shape[3]), query.shape[:3]
    written = {name: np.empty(shape, _TYPES.get(name, dtype)) for name in names if name != "column_means"}
    found = dict(written)
    if "column_means" in names:
        found["column_means"] = np.empty((*shape[:2], keys), dtype)
        for name in ("shift", "inverse"):
            written[name] = np.empty(shape, dtype)
    to = _library.Rows(_heads(output), **{name: _address(x) for name, x in written.items()})
    _library.check(_library.library().attend(attention, to))
    if "column_means" in names:
        _library.check(_library.library().attend_columns(attention, to, _address(found["column_means"])))
    return [output.astype(given, copy=False), *(found[name] for name in names)]
