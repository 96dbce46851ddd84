"""Whether the shapes and numbers of a call fit each other, of arrays of any kind; and the call as C takes it."""

import ctypes
import math
import operator
from typing import Any, Dict, Optional, Sequence

from . import _library
from ._library import ArgumentError

_LARGEST = 2**63 - 1


def _text(shape: Sequence[int]) -> str:
    return f"[{', '.join(str(size) for size in shape)}]"


def _need(name: str, array: Any, expected: str) -> None:
    if len(array.shape) != 4:
        raise ArgumentError(f"attend: {name} has shape {_text(array.shape)}: expected {expected}")


def _same(what: str, dimension: int, first_name: str, first: Any, second_name: str, second: Any) -> None:
    if first.shape[dimension] != second.shape[dimension]:
        raise ArgumentError(f"attend: {second_name} has shape {_text(second.shape)}, {first_name} has "
                            f"{_text(first.shape)}: both must have the same {what}")


def _one_each(name: str, array: Optional[Any], count: int, what: str) -> None:
    if array is not None and (len(array.shape) != 1 or array.shape[0] != count):
        raise ArgumentError(f"attend: {name} has shape {_text(array.shape)}: expected [{count}], one for each {what}")


def keys_of(key: Any, pages: Optional[Any]) -> int:
    """The keys of a sequence: of its table's pages, where there is one."""
    return key.shape[2] if pages is None else pages.shape[1] * key.shape[2]


def check_shapes(query: Any, key: Any, value: Any, bias: Optional[Any], slopes: Optional[Any], sink: Optional[Any],
                 key_lengths: Optional[Any], pages: Optional[Any] = None) -> None:
    first = "batch" if pages is None else "pages"
    _need("query", query, "[batch, heads, queries, width]")
    _need("key", key, f"[{first}, key heads, keys, width]")
    _need("value", value, f"[{first}, key heads, keys, value width]")
    if pages is None:
        _same("batch", 0, "query", query, "key", key)
        _same("batch", 0, "query", query, "value", value)
    elif len(pages.shape) != 2 or pages.shape[0] != query.shape[0]:
        raise ArgumentError(f"attend: pages has shape {_text(pages.shape)}: expected [{query.shape[0]}, pages of a "
                            "sequence], a row for each sequence")
    else:
        _same("pages", 0, "key", key, "value", value)
    _same("width", 3, "query", query, "key", key)
    _same("heads", 1, "key", key, "value", value)
    _same("keys", 2, "key", key, "value", value)
    batch, heads, queries, _ = query.shape
    key_heads, keys = key.shape[1], keys_of(key, pages)
    if heads != 0 and (key_heads == 0 or heads % key_heads != 0):
        raise ArgumentError(f"attend: {heads} heads over {key_heads} key heads: expected a multiple of them")
    if bias is not None:
        full = (batch, heads, queries, keys)
        if len(bias.shape) != 4 or any(size != 1 and size != whole for size, whole in zip(bias.shape, full)):
            raise ArgumentError(f"attend: bias has shape {_text(bias.shape)}: expected {_text(full)}, or 1 in place "
                                "of any of them")
    if slopes is not None:
        _one_each("slopes", slopes, heads, "head")
    if sink is not None:
        _one_each("sink", sink, heads, "head")
    if key_lengths is not None:
        _one_each("key_lengths", key_lengths, batch, "sequence")


def checked_window(window: Optional[Any]) -> Optional[int]:
    """The window as a whole number that C can hold."""
    if window is None:
        return None
    try:
        window = operator.index(window)
    except TypeError:
        raise ArgumentError(f"attend: the window is {window!r}: expected a whole number of keys") from None
    if window < 1:
        raise ArgumentError(f"attend: the window is {window}: it must be positive")
    return min(window, _LARGEST)


def check_scale(scale: Optional[float]) -> None:
    if scale is not None and not math.isfinite(scale):
        raise ArgumentError(f"attend: the scale is {scale}: it must be finite")


_NOWHERE = ctypes.create_string_buffer(8)  # arrays of no elements have no address, and C takes none for "not there"
NOWHERE = ctypes.addressof(_NOWHERE)


def attention(kind: int, threads: int, reweighting: str, parameters: Dict[str, float], causal: bool,
              window: Optional[int], scale: Optional[float], query_shape: Sequence[int], value_shape: Sequence[int],
              query: _library.Heads, key: _library.Heads, value: _library.Heads, bias: Optional[_library.Heads],
              slopes: Optional[int], sink: Optional[int], key_lengths: Optional[int],
              bfloat16: bool) -> _library.Attention:
    """The call's structure, of addresses. Whoever made the arrays holds them until the call is over."""
    batch, heads, queries, width = query_shape
    _, key_heads, keys, value_width = value_shape
    count = len(parameters)
    names = values = None
    if count:
        names = (ctypes.c_char_p * count)(*(name.encode() for name in parameters))
        values = (ctypes.c_double * count)(*parameters.values())
    return _library.Attention(
        kind, threads, reweighting.encode(), count, causal, names, values, batch, heads, key_heads, queries, keys,
        width, value_width, window or 0, math.nan if scale is None else scale, query, key, value,
        bias or _library.NO_HEADS, slopes, sink, key_lengths, bfloat16)


def store_as_bfloat16(call: _library.Attention) -> None:
    """Says that its keys and values are bfloat16 numbers."""
    call.bfloat16_key, call.bfloat16_value = call.key, call.value
    call.key = call.value = _library.NO_HEADS


def store_in_pages(call: _library.Attention, address: int, each: int, count: int) -> None:
    """Says that its keys and values, whose shape has given `keys`, are `count` pages, of which `each` are a sequence's.
    address: of the table [batch, each], without gaps."""
    call.pages, call.pages_stride, call.page_keys, call.page_count = address, each, call.keys, count
    call.keys *= each
