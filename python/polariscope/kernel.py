"""The kernel over tensors on the CPU, forward and backward: what the operators of operators.py compute."""

from typing import Any, Dict, List, NamedTuple, Optional, Sequence

import torch
from torch import Tensor

from . import _library, arguments, rows
from ._library import ArgumentError

_COMPUTED = {torch.float32: torch.float32, torch.float64: torch.float64, torch.bfloat16: torch.float32,
             torch.float16: torch.float32}
_WHOLE = (torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8)
_TYPES = {"argmax": torch.int32, "visible": torch.int32, "non_finite": torch.bool}
ROWS = tuple(name for name in rows.RowStatistics._fields if name != "column_means") + ("shift", "inverse", "mass")
_KNOWN = frozenset((*ROWS, "column_means"))


class Arguments(NamedTuple):
    """What both operators begin with."""

    query: Tensor  # [batch, heads, queries, width]
    key: Tensor  # [batch, key heads, keys, width]
    value: Tensor  # [batch, key heads, keys, value width]
    bias: Optional[Tensor]  # [batch or 1, heads or 1, queries or 1, keys or 1]
    slopes: Optional[Tensor]  # [heads]
    sink: Optional[Tensor]  # [heads]
    key_lengths: Optional[Tensor]  # [batch]
    learned: Optional[Tensor]  # [parameters] or [parameters, heads]: their numbers
    reweighting: str
    scale: Optional[float]
    causal: bool
    window: Optional[int]
    parameters: str  # "alpha=1.3,...", or "alpha,..." where their numbers are `learned`


TENSORS = Arguments._fields[:8]


def text_of(names: Sequence[str]) -> str:
    return ",".join(names)


def names_of(text: str) -> List[str]:
    return text.split(",") if text else []


def parameters_of(text: str) -> Dict[str, Any]:
    """Of Arguments.parameters: their numbers, None where those are learned."""
    pairs = (part.partition("=") for part in names_of(text))
    return {name: float(number) if number else None for name, _, number in pairs}


def computed_type(a: Arguments) -> torch.dtype:
    return _COMPUTED[a.query.dtype]


def type_of(name: str, computed: torch.dtype) -> torch.dtype:
    """Of a row array."""
    return _TYPES.get(name, computed)


def _name(dtype: torch.dtype) -> str:
    return str(dtype).replace("torch.", "")


def check(a: Arguments, pages: Optional[Tensor] = None) -> None:
    """Raises ArgumentError unless devices, types, layouts and shapes fit each other."""
    query = a.query
    device, dtype = query.device, query.dtype
    for name, x in (*zip(TENSORS, a), ("pages", pages)):
        if x is None:
            continue
        if x.device != device:
            raise ArgumentError(f"attend: {name} is on {x.device}, query on {device}: they must be on one device")
        if x.layout is not torch.strided or x.is_nested:
            raise ArgumentError(f"attend: {name} is not dense: expected a strided tensor")
        if name == "key_lengths":
            if x.dtype not in _WHOLE:
                raise ArgumentError(f"attend: key_lengths has type {_name(x.dtype)}: expected int64 or int32")
        elif name == "pages":
            if x.dtype != torch.int32:
                raise ArgumentError(f"attend: pages has type {_name(x.dtype)}: expected int32")
        elif x.dtype not in _COMPUTED:
            raise ArgumentError(
                f"attend: {name} has type {_name(x.dtype)}: expected float32, float64, bfloat16 or float16")
    for name, x in (("key", a.key), ("value", a.value)):
        if x.dtype != dtype:
            raise ArgumentError(f"attend: {name} has type {_name(x.dtype)}, query has {_name(dtype)}: they must be of "
                                "one type")
    arguments.check_shapes(query, a.key, a.value, a.bias, a.slopes, a.sink, a.key_lengths, pages)
    if not a.parameters and a.learned is None:
        return
    given = parameters_of(a.parameters)
    heads, learned = query.shape[1], a.learned
    if learned is not None and tuple(learned.shape) not in ((len(given),), (len(given), heads)):
        raise ArgumentError(f"attend: learned has shape {list(learned.shape)}: expected [{len(given)}], one for each "
                            f"parameter, or [{len(given)}, {heads}]")
    if learned is None and None in given.values():
        raise ArgumentError(f"attend: the parameters {a.parameters} have no numbers, and learned is missing")


def check_names(a: Arguments, names: Sequence[str]) -> None:
    """Raises ArgumentError unless the form has these row arrays and the parameters."""
    for name in names:
        if name not in _KNOWN:
            raise ArgumentError(f"attend: unknown statistic {name!r}: choose from {', '.join(ROWS)}, column_means")
    rows.check(a.reweighting, tuple(names), tuple(parameters_of(a.parameters)) if a.parameters else ())
    arguments.check_scale(a.scale)
    if a.window is not None and a.window < 1:
        raise ArgumentError(f"attend: the window is {a.window}: it must be positive")


def lies_by_rows(x: Tensor) -> bool:
    """Whether the rows of different heads stand side by side, as a split projection leaves them."""
    return x.stride(1) < x.stride(2)


def empty_heads_like(like: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """Uninitialised [batch, heads, rows, width], laid out as `like` is."""
    batch, heads, count, _ = like.shape
    if lies_by_rows(like):
        return torch.empty((batch, count, heads, width), dtype=dtype, device=like.device).transpose(1, 2)
    return torch.empty((batch, heads, count, width), dtype=dtype, device=like.device)


def narrowed(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Of that type. What is finite stays so: the least number of a wider type, as masks have it, is the least of
    this."""
    if x.dtype == torch.float64 and dtype == torch.float32:
        most = torch.finfo(dtype).max
        x = torch.where(x.isinf(), x, x.clamp(-most, most))
    return x.to(dtype)


def _readable(x: Tensor, dtype: torch.dtype) -> Tensor:
    """Of that type, with a contiguous width: itself, or a copy."""
    if x.dtype != dtype:
        x = x.to(dtype)
    return x if x.stride(3) == 1 or x.shape[3] <= 1 else x.contiguous()


def _address(x: Tensor) -> int:
    return x.data_ptr() if x.numel() else arguments.NOWHERE


def heads_of(x: Tensor) -> _library.Heads:
    batch, heads, row, _ = x.stride()
    return _library.Heads(_address(x), batch, heads, row)


class _Call:
    """A call's structure and the tensors that it points into. as_stored: whether keys and values of bfloat16 are handed
    on as they are, which have no gradients."""

    def __init__(self, a: Arguments, pages: Optional[Tensor] = None, as_stored: bool = False):
        dtype = computed_type(a)
        self.dtype = dtype
        low = a.query.dtype == torch.bfloat16
        query = _readable(a.query, dtype)
        key, value = (_readable(x, x.dtype if low and as_stored else dtype) for x in a[1:3])
        bias = slopes = sink = lengths = None
        if a.bias is not None:
            bias = narrowed(a.bias, dtype).expand((*a.query.shape[:3], arguments.keys_of(a.key, pages)))
            bias = _readable(bias, dtype)
        if a.slopes is not None:
            slopes = narrowed(a.slopes, dtype).contiguous()
        if a.sink is not None:
            sink = narrowed(a.sink, dtype).contiguous()
        if a.key_lengths is not None:
            lengths = a.key_lengths.to(torch.int64).contiguous()
        parameters = parameters_of(a.parameters) if a.parameters else {}
        if a.learned is not None:
            parameters = dict(zip(parameters, a.learned.tolist()))
        if pages is not None:
            pages = pages.contiguous()
        self.held = (query, key, value, bias, slopes, sink, lengths, pages)
        self.attention = arguments.attention(
            _library.FLOAT64 if dtype == torch.float64 else _library.FLOAT32, torch.get_num_threads(), a.reweighting,
            parameters, a.causal, a.window, a.scale, query.shape, value.shape, heads_of(query), heads_of(key),
            heads_of(value), bias if bias is None else heads_of(bias), slopes if slopes is None else _address(slopes),
            sink if sink is None else _address(sink), lengths if lengths is None else _address(lengths),
            low)
        if low and as_stored:
            arguments.store_as_bfloat16(self.attention)
        if pages is not None:
            arguments.store_in_pages(self.attention, _address(pages), pages.shape[1], a.key.shape[0])


def _each_head(a: Arguments) -> List[Arguments]:
    """The call of each head, with its own numbers of the parameters."""
    heads, key_heads, learned = a.query.shape[1], a.key.shape[1], a.learned
    assert learned is not None

    def part(x, at, h):
        return x if x is None or x.shape[at] == 1 else x.narrow(at, h, 1)

    found = []
    for h in range(heads):
        k = h // (heads // key_heads)
        found.append(a._replace(query=a.query.narrow(1, h, 1), key=a.key.narrow(1, k, 1), value=a.value.narrow(1, k, 1),
                                bias=part(a.bias, 1, h), slopes=part(a.slopes, 0, h), sink=part(a.sink, 0, h),
                                learned=learned[:, h]))
    return found


def _is_by_head(a: Arguments) -> bool:
    return a.learned is not None and a.learned.dim() == 2 and a.query.shape[1] > 0


def forward(a: Arguments, names: Sequence[str], pages: Optional[Tensor] = None) -> List[Tensor]:
    """The output, then a row array for each name. pages: [batch, pages of a sequence], where key and value are
    [pages, key heads, keys of a page, width]."""
    check(a, pages)
    check_names(a, names)
    return _forward(a, names, pages)


def _empty_rows(a: Arguments, names: Sequence[str], dtype: torch.dtype, keys: int) -> List[Tensor]:
    batch, heads, queries, _ = a.query.shape
    made: Dict[torch.dtype, Tensor] = {}  # one like another is made faster
    found = []
    for name in names:
        if name == "column_means":
            found.append(torch.empty((batch, heads, keys), dtype=dtype))
            continue
        of_type = _TYPES.get(name, dtype)
        first = made.get(of_type)
        if first is None:
            first = made[of_type] = torch.empty((batch, heads, queries), dtype=of_type)
            found.append(first)
        else:
            found.append(torch.empty_like(first))
    return found


def _reads_as_stored(a: Arguments, names: Sequence[str], pages: Optional[Tensor]) -> bool:
    """Whether keys and values of bfloat16 are handed on as they are: in pages, and for decoding, which reads them once.
    For all else the library would widen them itself, once for each of its passes."""
    decodes = a.key.shape[2] > max(64, 2 * a.query.shape[2]) and not {"shift", "column_means"}.intersection(names)
    return pages is not None or decodes


def _forward(a: Arguments, names: Sequence[str], pages: Optional[Tensor]) -> List[Tensor]:
    if _is_by_head(a):
        found = shapes(a, names, pages)
        for h, head in enumerate(_each_head(a)):
            for whole, part in zip(found, _forward(head, names, pages)):
                whole.narrow(1, h, 1).copy_(part)
        return found
    if a.learned is not None and a.learned.dim() == 2:
        a = a._replace(learned=None, parameters="")
    call = _Call(a, pages, _reads_as_stored(a, names, pages))
    shape, dtype = a.query.shape[:3], call.dtype
    output = empty_heads_like(a.query, a.value.shape[3], dtype)
    found = _empty_rows(a, names, dtype, call.attention.keys)
    written = dict(zip(names, found))
    columns = written.pop("column_means", None)
    if columns is not None:
        for name in ("shift", "inverse"):
            written.setdefault(name, torch.empty(shape, dtype=dtype))
    to = _library.Rows(heads_of(output), **{name: _address(x) for name, x in written.items()})
    library = _library.library()
    _library.check(library.attend(call.attention, to))
    if columns is not None:
        _library.check(library.attend_columns(call.attention, to, _address(columns)))
    if output.dtype != a.query.dtype:
        output = output.to(a.query.dtype)
    return [output, *found]


def shapes(a: Arguments, names: Sequence[str], pages: Optional[Tensor] = None) -> List[Tensor]:
    """What forward() returns, without its numbers."""
    check(a, pages)
    check_names(a, names)
    batch, heads, queries, _ = a.query.shape
    keys = arguments.keys_of(a.key, pages)
    computed = computed_type(a)
    return [empty_heads_like(a.query, a.value.shape[3], a.query.dtype)] + [
        a.query.new_empty((batch, heads, keys if name == "column_means" else queries), dtype=type_of(name, computed))
        for name in names]
