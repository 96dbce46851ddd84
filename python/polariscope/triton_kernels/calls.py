"""One call's arguments as the kernels take them, and their launches."""

import functools
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

import torch
import triton
from torch import Tensor

from . import backward, blocks, forward, parts

_LOG2E = 1.4426950408889634
FLOATS = ("shift", "inverse", "mass", "entropy", "sum_of_squares", "maximum", "first_key", "first_visible_key",
          "row_sum", "log_sum_exp", "logit_mean", "logit_variance", "logit_maximum", "skewness")
WHOLE = ("argmax", "visible", "non_finite", "first_visible")


class Form(NamedTuple):
    sigmoid: bool = False
    transform: int = parts.NONE.value
    parameter: float = 0.0  # c of the transform
    summed: bool = True  # divided by the sum of the weights
    sink: bool = False


FORMS = {
    "softmax": Form(),
    "softmax1": Form(sink=True),
    "sink": Form(sink=True),
    "softcap": Form(transform=parts.SOFT_CAP.value, parameter=50.0),
    "ssmax": Form(transform=parts.LOG_COUNT.value, parameter=1.0),
    "sigmoid": Form(sigmoid=True, summed=False),
    "sigmoid_unnorm": Form(sigmoid=True, summed=False),
    "sigmoid/sum": Form(sigmoid=True),
    "sigmoid_norm": Form(sigmoid=True),
    "sigmoid_log": Form(sigmoid=True, transform=parts.MINUS_LOG_KEYS.value, summed=False),
}


class Call(NamedTuple):
    """Tensors on one device, of shapes that fit each other."""

    query: Tensor  # [batch, heads, queries, width]
    key: Tensor  # [batch, key heads, keys, width]
    value: Tensor  # [batch, key heads, keys, value width]
    bias: Optional[Tensor]  # [batch or 1, heads or 1, queries or 1, keys or 1]
    slopes: Optional[Tensor]  # [heads]
    sink: Optional[Tensor]  # [heads]
    key_lengths: Optional[Tensor]  # [batch]
    form: Form
    scale: float
    causal: bool
    window: Optional[int]
    sum_offset: float


def launch(kernel: Any, grid: Tuple[int], *arguments: Any, **named: Any) -> None:
    """FP fusion is named because its default is about to change (Triton 3.10), and a warning says so until then."""
    kernel[grid](*arguments, enable_fp_fusion=True, **named)


def interpreted() -> bool:
    return not isinstance(forward.attention_forward, triton.runtime.JITFunction)


@functools.lru_cache(maxsize=None)
def shared_memory(device: torch.device) -> int:
    """Bytes that one program may have."""
    return torch.cuda.get_device_properties(device).shared_memory_per_block_optin if device.type == "cuda" else 0


def _readable(x: Tensor) -> Tensor:
    return x if x.stride(3) == 1 or x.shape[3] == 1 else x.contiguous()


def _strides(x: Tensor) -> Tuple[int, ...]:
    return x.stride()[:3]


def _empty_like(x: Tensor, width: int, dtype: torch.dtype) -> Tensor:
    """Laid out as x is: heads inside rows where a split projection left them so."""
    batch, heads, rows, _ = x.shape
    if x.stride(1) < x.stride(2):
        return torch.empty((batch, rows, heads, width), dtype=dtype, device=x.device).transpose(1, 2)
    return torch.empty((batch, heads, rows, width), dtype=dtype, device=x.device)


def _power(width: int) -> int:
    return max(triton.next_power_of_2(width), 16)


def _precision(call: Call) -> str:
    return "tf32" if torch.backends.cuda.matmul.allow_tf32 else "ieee"


def _blocks(kernel: str, call: Call) -> blocks.Blocks:
    width = max(_power(call.query.shape[3]), _power(call.value.shape[3]))
    return blocks.choose(kernel, width, call.query.element_size(), shared_memory(call.query.device), interpreted())


def _is_raw(call: Call) -> bool:
    """Whether a logit may be the product itself."""
    return (call.form.transform == parts.NONE.value and call.bias is None and call.slopes is None and call.scale > 0)


def _units(call: Call) -> Dict[str, float]:
    """What takes a product to a logit, and a logit to base 2 and to nature."""
    if _is_raw(call):
        return {"scale": call.scale, "to_log2": call.scale * _LOG2E, "to_natural": call.scale}
    return {"scale": call.scale, "to_log2": _LOG2E, "to_natural": 1.0}


def _bias_strides(call: Call) -> Tuple[int, ...]:
    if call.bias is None:
        return (0, 0, 0, 0)
    return tuple(0 if size == 1 else stride for size, stride in zip(call.bias.shape, call.bias.stride()))


def _common(call: Call, chosen: blocks.Blocks) -> Dict[str, Any]:
    """Arguments of all three kernels."""
    batch, heads, queries, width = call.query.shape
    value_width = call.value.shape[3]
    bias_strides = _bias_strides(call)
    return dict(
        heads=heads, group=heads // call.key.shape[1], queries=queries, keys=call.key.shape[2],
        all_rows=batch * heads * queries, window=min(call.window or 0, 2**30), parameter=call.form.parameter,
        bias_batch=bias_strides[0], bias_head=bias_strides[1], bias_row=bias_strides[2], bias_key=bias_strides[3],
        SIGMOID=call.form.sigmoid, TRANSFORM=call.form.transform, RAW=_is_raw(call), CAUSAL=call.causal,
        WINDOWED=call.window is not None, BIAS_BY_ROW=call.bias is not None and call.bias.shape[2] > 1,
        WIDTH=width, VALUE_WIDTH=value_width, BLOCK_D=_power(width), BLOCK_V=_power(value_width), BLOCK_M=chosen.rows,
        BLOCK_N=chosen.keys, PRECISION=_precision(call), num_warps=chosen.warps, num_stages=chosen.stages,
        **_units(call))


def attend(call: Call, names: Sequence[str]) -> Tuple[Tensor, Dict[str, Tensor]]:
    """The output and the row arrays of these names (FLOATS and WHOLE), [batch, heads, queries] each."""
    query, key, value = (_readable(x) for x in (call.query, call.key, call.value))
    batch, heads, queries, _ = query.shape
    output = _empty_like(query, value.shape[3], query.dtype)
    floats = [name for name in FLOATS if name in names]
    whole = [name for name in WHOLE if name in names]
    rows = torch.empty((len(floats), batch, heads, queries), dtype=torch.float32, device=query.device)
    counts = torch.empty((len(whole), batch, heads, queries), dtype=torch.int32, device=query.device)
    slots = {name.upper(): floats.index(name) if name in floats else -1 for name in FLOATS}
    slots.update({name.upper(): whole.index(name) if name in whole else -1 for name in WHOLE})
    chosen = _blocks("forward", call)
    launch(forward.attention_forward, (triton.cdiv(queries, chosen.rows) * batch * heads,),
           query, key, value, output, rows, counts, call.bias, call.slopes, call.sink, call.key_lengths,
           *_strides(query), *_strides(key), *_strides(value), *_strides(output), sum_offset=call.sum_offset,
           SUMMED=call.form.summed, SINK=call.form.sink, **slots, **_common(call, chosen))
    found = dict(zip(floats, rows.unbind(0)))
    found.update(zip(whole, counts.unbind(0)))
    return output, found


def products(output: Tensor, gradient: Tensor) -> Tensor:
    """dO·O of each row, [batch, heads, queries]."""
    output, gradient = _readable(output), _readable(gradient)
    batch, heads, queries, width = output.shape
    found = torch.empty((batch, heads, queries), dtype=torch.float32, device=output.device)
    rows = 32
    launch(backward.row_products, (triton.cdiv(queries, rows) * batch * heads,), output, gradient, found,
           *_strides(output), *_strides(gradient), heads, queries, WIDTH=width, BLOCK_V=_power(width), BLOCK_M=rows,
           num_warps=4)
    return found


class RowNumbers(NamedTuple):
    """What the backward kernels know of each row; docs at the head of backward.py."""

    shift: Tensor
    inverse: Tensor
    constant: Tensor
    entropy: Optional[Tensor] = None
    squares: Optional[Tensor] = None
    moments: Optional[Tuple[Tensor, Tensor, Tensor]] = None  # mean, and the slopes of mean and variance
    spikes: Sequence[Tuple[Tensor, Tensor]] = ()  # height, key


def _stacked(numbers: RowNumbers) -> Tuple[Tensor, Tensor, Dict[str, int]]:
    stack: List[Tensor] = [numbers.shift, numbers.inverse, numbers.constant]
    slots = {"ENTROPY": -1, "SQUARES": -1, "MOMENTS": -1}
    for name, group in (("ENTROPY", (numbers.entropy,)), ("SQUARES", (numbers.squares,)),
                        ("MOMENTS", numbers.moments or ())):
        present = [x for x in group if x is not None]
        if present:
            slots[name] = len(stack)
            stack += present
    slots["SPIKED"], slots["SPIKES"] = len(stack), len(numbers.spikes)
    stack += [height for height, _ in numbers.spikes]
    floats = torch.stack(stack)
    places = torch.stack([place for _, place in numbers.spikes]) if numbers.spikes else floats
    return floats, places, slots


def gradients(call: Call, numbers: RowNumbers, gradient: Tensor, wanted: Sequence[str]) -> Dict[str, Tensor]:
    """Those of query, key and value that are wanted."""
    query, key, value, gradient = (_readable(x) for x in (call.query, call.key, call.value, gradient))
    batch, heads, queries, width = query.shape
    floats, places, slots = _stacked(numbers)
    tensors = (floats, places, call.bias, call.slopes, call.key_lengths)
    strides = (*_strides(query), *_strides(key), *_strides(value), *_strides(gradient))
    found = {}
    if "query" in wanted:
        chosen = _blocks("queries", call)
        found["query"] = _empty_like(query, width, query.dtype)
        launch(backward.queries_gradient, (triton.cdiv(queries, chosen.rows) * batch * heads,),
               query, key, value, gradient, found["query"], *tensors, *strides, *_strides(found["query"]), **slots,
               **_common(call, chosen))
    if "key" in wanted or "value" in wanted:
        chosen = _blocks("keys", call)
        found["key"] = _empty_like(key, width, key.dtype)
        found["value"] = _empty_like(value, value.shape[3], value.dtype)
        launch(backward.keys_gradient, (triton.cdiv(key.shape[2], chosen.keys) * batch * key.shape[1],),
               query, key, value, gradient, found["key"], found["value"], *tensors, *strides, *_strides(found["key"]),
               *_strides(found["value"]), **slots, **_common(call, chosen))
    return found
