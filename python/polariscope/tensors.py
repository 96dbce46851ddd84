"""attend() for PyTorch's tensors: which implementation computes, and by which way."""

from typing import Any, List, Optional, Sequence, Tuple, Union

import torch
from torch import Tensor

from . import arguments, chunked, gradients, kernel, learned, operators, rows, triton_kernels
from ._library import ArgumentError
from .rows import RowStatistics

_observers: List[Any] = []  # of watch(): told each call's re-weighting, its statistics, and how to compute others
_names = rows.names
_BY_NAME = ("scale", "causal", "window", "bias", "slopes", "sink", "key_lengths")
_functorch = torch._C._functorch


def _is_forward_mode(tensors: Sequence[Any]) -> bool:
    """Whether tangents are to be computed, which the kernel has not."""
    if torch.compiler.is_compiling() or torch.autograd.forward_ad._current_level < 0:
        return False
    transforms = _functorch.get_interpreter_stack() or ()
    return any(one.key() == _functorch.TransformType.Jvp for one in transforms) or operators.has_tangent(tensors)


def _is_for_pytorch(implementation: Optional[str], query: Tensor, tensors: Sequence[Any]) -> bool:
    """Whether PyTorch's operators compute, rather than the kernel."""
    if implementation not in (None, "kernel", "pytorch", "triton"):
        raise ArgumentError(f"attend: implementation is {implementation!r}: expected \"kernel\", \"pytorch\", "
                            "\"triton\" or None")
    if implementation is not None:
        return implementation == "pytorch"
    return query.device.type not in ("cpu", "meta") or _is_forward_mode(tensors)


def _by_triton(given: Sequence[Any], names: Sequence[str], parameters: Any, implementation: Optional[str]
               ) -> Optional[Sequence[Tensor]]:
    """The output and the rows by the Triton kernels, where they serve the call. given: kernel.Arguments without
    parameters."""
    a = kernel.Arguments(*given, "")
    forced = implementation == "triton"
    if not forced and not (implementation is None and a.query.is_cuda and operators.nobody_listens() and
                           operators.are_plain(a[:len(kernel.TENSORS)])):
        return None
    if not learned.is_given(a.scale, parameters):
        a = a._replace(parameters=learned.text_of(parameters))
        kernel.check(a)
        kernel.check_names(a, names)
        rest = {name: getattr(a, name) for name in _BY_NAME}
        if triton_kernels.supports(a.query, a.key, a.value, a.reweighting, **rest, statistics=names, **parameters):
            return triton_kernels.attend(a.query, a.key, a.value, a.reweighting, **rest, statistics=names, **parameters)
    if forced:
        raise ArgumentError("attend: the Triton kernels do not serve this call: leave implementation out (what they "
                            "serve: help(polariscope.triton_kernels.supports))")
    return None


def _autocast(query: Tensor, key: Tensor, value: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    """As scaled_dot_product_attention under autocast: in its type, float64 apart."""
    device = query.device.type
    if device == "meta" or not torch.is_autocast_enabled(device):
        return query, key, value
    dtype = torch.get_autocast_dtype(device)
    return tuple(x.to(dtype) if x.is_floating_point() and x.dtype != torch.float64 else x
                 for x in (query, key, value))


def _operate(given: Sequence[Any], names: Sequence[str], pages: Optional[Tensor]) -> Sequence[Tensor]:
    """The kernel: through the dispatcher, unless nobody listens to it."""
    tensors = given[:len(kernel.TENSORS)]
    recording = torch.is_grad_enabled() and any([x is not None and x.requires_grad for x in tensors])
    if pages is not None:
        if recording:
            operators.refuse_gradients()
        if not operators.is_direct((*tensors, pages)):
            return operators.attend_pages(*given, pages, ",".join(names))
        return kernel.forward(kernel.Arguments(*given), names, pages)
    if recording:
        needed = gradients.needed(given[8], names, given[12])
        names = [*names, *[name for name in needed if name not in names]]
    if not torch.compiler.is_compiling() and _functorch.peek_interpreter_stack() is not None:
        return operators.Transformed.apply(*given, ",".join(names))
    if not operators.is_direct(tensors):
        return operators.attend(*given, ",".join(names))
    if recording:
        return operators.Direct.apply(*given, ",".join(names))
    return kernel.forward(kernel.Arguments(*given), names)


def _compute(query: Tensor, key: Tensor, value: Tensor, reweighting: str, scale: Any, causal: bool,
             window: Optional[int], bias: Optional[Tensor], slopes: Optional[Tensor], sink: Optional[Tensor],
             key_lengths: Optional[Tensor], pages: Optional[Tensor], parameters: Any, names: Sequence[str],
             implementation: Optional[str]) -> Tuple[Tensor, RowStatistics]:
    for name, x in (*zip(kernel.TENSORS, (query, key, value, bias, slopes, sink, key_lengths)), ("pages", pages)):
        if x is not None and not isinstance(x, Tensor):
            raise ArgumentError(f"attend: {name} is of type {type(x).__name__}, query is a tensor: expected a tensor")
    query, key, value = _autocast(query, key, value)
    dtype = query.dtype
    by_triton = None
    if pages is None:
        by_triton = _by_triton((query, key, value, bias, slopes, sink, key_lengths, None, reweighting, scale,
                                bool(causal), window), names, parameters, implementation)
    if by_triton is not None:
        return by_triton[0], RowStatistics(**dict(zip(names, by_triton[1:])))
    by_pytorch = _is_for_pytorch(implementation, query, (query, key, value, bias, sink, scale, *parameters.values()))
    if pages is not None and (by_pytorch or implementation == "triton"):
        raise ArgumentError("attend: pages are read by the kernel alone, on the CPU and not in forward mode: elsewhere "
                            "give keys and values in one piece")
    if by_pytorch:
        output, *found = chunked.attend(query, key, value, reweighting, scale, bool(causal), window, bias, slopes, sink,
                                        key_lengths, parameters, names)
        return output, RowStatistics(**dict(zip(names, found)))
    if learned.is_given(scale, parameters):
        query, key, value, reweighting, scale, text, tensor = learned.prepared(query, key, value, reweighting, scale,
                                                                              parameters)
    else:
        text, tensor = learned.text_of(parameters), None
    given = (query, key, value, bias, slopes, sink, key_lengths, tensor, reweighting,
             None if scale is None else float(scale), bool(causal), window, text)
    output, *found = _operate(given, names, pages)
    if output.dtype != dtype:
        output = output.to(dtype)
    return output, RowStatistics(**dict(zip(names, found)))


def attend(query: Tensor, key: Tensor, value: Tensor, reweighting: str = "softmax", *,
           scale: Union[float, Tensor, None] = None, causal: bool = False, window: Optional[int] = None,
           bias: Optional[Tensor] = None, slopes: Optional[Tensor] = None, sink: Optional[Tensor] = None,
           key_lengths: Optional[Tensor] = None, pages: Optional[Tensor] = None,
           statistics: Union[str, Sequence[str], None] = "all", columns: bool = False,
           implementation: Optional[str] = None,
           **parameters: Union[float, Tensor]) -> Tuple[Tensor, RowStatistics]:
    """polariscope.attend() for tensors."""
    window = arguments.checked_window(window)

    def computed(value: Tensor, names: Sequence[str]) -> Tuple[Tensor, RowStatistics]:
        return _compute(query, key, value, reweighting, scale, causal, window, bias, slopes, sink, key_lengths, pages,
                        parameters, names, implementation)

    output, found = computed(value, rows.names(reweighting, statistics, columns))
    for see in _observers:
        see(reweighting, found, lambda names: computed(value[..., :0], names)[1])
    return output, found
