"""torch.ops.polariscope.attend, attend_pages and attend_backward: schemas, kernels, shapes, gradients, vmap.

They return lists: the output and a row array for each name; of attend_backward a gradient for each input that is
wanted.
"""

from typing import Any, List, Sequence, Tuple

import torch
from torch import Tensor
from torch._library.autograd import Info, make_autograd_impl
from torch.autograd import forward_ad

from . import batching, gradients, kernel, rows
from ._library import ArgumentError
from .kernel import Arguments

_ARGUMENTS = ("Tensor query, Tensor key, Tensor value, Tensor? bias, Tensor? slopes, Tensor? sink, "
              "Tensor? key_lengths, Tensor? learned, str reweighting, float? scale, bool causal, int? window, "
              "str parameters, ")
_COUNT = len(Arguments._fields)
_PLAIN = (Tensor, torch.nn.Parameter)

if hasattr(torch.ops.polariscope, "attend"):
    raise ImportError("polariscope: torch.ops.polariscope.attend is there already, of libpolariscope_torch.so: this "
                      "package defines it itself; load one of the two")
_library = torch.library.Library("polariscope", "FRAGMENT")
_library.define(f"attend({_ARGUMENTS} str statistics) -> Tensor[]")
_library.define(f"attend_backward({_ARGUMENTS} Tensor output, Tensor[] incoming, str incoming_names, Tensor[] saved, "
                "str saved_names, str wanted) -> Tensor[]")
_library.define(f"attend_pages({_ARGUMENTS} Tensor pages, str statistics) -> Tensor[]")
attend = torch.ops.polariscope.attend.default
attend_pages = torch.ops.polariscope.attend_pages.default
attend_backward = torch.ops.polariscope.attend_backward.default


def has_tangent(tensors: Sequence[Any]) -> bool:
    """Whether one of them is differentiated in forward mode."""
    if forward_ad._current_level < 0:
        return False
    return any(isinstance(x, Tensor) and forward_ad.unpack_dual(x).tangent is not None for x in tensors)


def nobody_listens() -> bool:
    """Whether no mode, transform, tracer or compiler wants to see the operator."""
    return not (torch.compiler.is_compiling() or torch._C._len_torch_dispatch_stack() or
                torch._C._is_torch_function_mode_enabled() or
                torch._C._functorch.peek_interpreter_stack() is not None or
                torch._C._get_tracing_state() is not None or forward_ad._current_level >= 0)


def are_plain(tensors: Sequence[Any]) -> bool:
    """Whether they are what they seem: no subclass, and no view that negates."""
    return all([x is None or (type(x) in _PLAIN and not x.is_neg()) for x in tensors])


def is_direct(tensors: Sequence[Any]) -> bool:
    """Whether the kernel may be called without the dispatcher."""
    return nobody_listens() and are_plain(tensors) and all([x is None or x.is_cpu for x in tensors])


def _refuse_forward_mode(*_: Any) -> None:
    raise RuntimeError("attend: derivatives in forward mode (jvp) are not computed by the kernel: call "
                       "polariscope.attend(..., implementation=\"pytorch\"), or take them in reverse mode")


def _refuse_tangents(a: Sequence[Any]) -> None:
    if has_tangent(a[:len(kernel.TENSORS)]):
        _refuse_forward_mode()


def _forward(*args: Any) -> List[Tensor]:
    _refuse_tangents(args)
    return kernel.forward(Arguments(*args[:_COUNT]), kernel.names_of(args[_COUNT]))


def _forward_shapes(*args: Any) -> List[Tensor]:
    _refuse_tangents(args)
    return kernel.shapes(Arguments(*args[:_COUNT]), kernel.names_of(args[_COUNT]))


def _forward_pages(*args: Any) -> List[Tensor]:
    _refuse_tangents(args)
    return kernel.forward(Arguments(*args[:_COUNT]), kernel.names_of(args[_COUNT + 1]), args[_COUNT])


def _forward_pages_shapes(*args: Any) -> List[Tensor]:
    _refuse_tangents(args)
    return kernel.shapes(Arguments(*args[:_COUNT]), kernel.names_of(args[_COUNT + 1]), args[_COUNT])


def _backward_arguments(args: Sequence[Any]) -> Tuple[Any, ...]:
    output, incoming, incoming_names, saved, saved_names, wanted = args[_COUNT:]
    return (Arguments(*args[:_COUNT]), output, incoming, kernel.names_of(incoming_names), saved,
            kernel.names_of(saved_names), kernel.names_of(wanted))


def _backward(*args: Any) -> List[Tensor]:
    _refuse_tangents(args)
    return gradients.backward(*_backward_arguments(args))


def _backward_shapes(*args: Any) -> List[Tensor]:
    given = _backward_arguments(args)
    gradients.check(*given)
    return gradients.shapes(given[0], given[-1])


def _setup(ctx: Any, inputs: Sequence[Any], output: Sequence[Tensor]) -> None:
    a, asked = Arguments(*inputs[:_COUNT]), kernel.names_of(inputs[_COUNT])
    wants = dict(zip(kernel.TENSORS, ctx.needs_input_grad))
    if wants["slopes"]:
        raise ArgumentError("attend: slopes have no gradient: detach them, or give what they add as a bias")
    if wants["learned"] and "feature_offset" in a.parameters:
        raise ArgumentError("attend: feature_offset has no gradient: map query and key, and choose a form that maps "
                            "none")
    found = dict(zip(asked, output[1:]))
    needed = gradients.needed(a.reweighting, asked, a.parameters if wants["learned"] else "")
    ctx.asked, ctx.rest = asked, a[len(kernel.TENSORS):]
    ctx.wanted = [name for name in gradients.INPUTS if wants[name]]
    ctx.saved_names = [name for name in needed if name in found]
    ctx.missing = [name for name in needed if name not in found]
    ctx.save_for_backward(*a[:len(kernel.TENSORS)], output[0], *(found[name] for name in ctx.saved_names))
    ctx.mark_non_differentiable(*(x for name, x in found.items() if name not in rows.DIFFERENTIABLE))
    ctx.set_materialize_grads(False)


def _gradients(ctx: Any, every: Sequence[Any], incoming: Sequence[Any], compute: Any, again: Any) -> Tuple[Any, ...]:
    """One for each argument of attend(). every: ctx.saved_tensors, which a checkpoint lets be read once."""
    tensors, (output, *saved) = every[:len(kernel.TENSORS)], every[len(kernel.TENSORS):]
    arguments = (*tensors, *ctx.rest)
    names = ["output"] + [name if name in rows.DIFFERENTIABLE else "" for name in ctx.asked]
    given = {name: x for name, x in zip(names, incoming) if name and x is not None}
    found = {}
    if given and ctx.wanted:
        saved_names = list(ctx.saved_names)
        counts = ctx.rest[-1] if "learned" in ctx.wanted else ""
        missing = [name for name in gradients.needed(ctx.rest[0], list(given), counts) if name in ctx.missing]
        if missing:  # a call of the operator itself, that did not ask for them
            saved += again(*arguments, kernel.text_of(missing))[1:]
            saved_names += missing
        results = compute(*arguments, output, list(given.values()), kernel.text_of(list(given)), saved,
                          kernel.text_of(saved_names), kernel.text_of(ctx.wanted))
        found = dict(zip(ctx.wanted, results))
    return tuple(found.get(name) for name in kernel.TENSORS) + (None,) * (_COUNT + 1 - len(kernel.TENSORS))


def _refuse_second(*_: Any) -> None:
    raise RuntimeError("attend: second derivatives are not computed by the kernel: call "
                       "polariscope.attend(..., implementation=\"pytorch\")")


def refuse_gradients(*_: Any, **__: Any) -> None:
    """Of attend_pages."""
    raise ArgumentError("attend: with pages there are no gradients: call it under torch.no_grad(), or detach its "
                        "tensors")


def _recorded(operator: Any, backward: Any, setup: Any) -> Any:
    """As torch.library.register_autograd, whose kernel would lose tangents without a word."""
    record = make_autograd_impl(operator, Info(backward, setup))

    def kernel_of_autograd(keyset: Any, *args: Any) -> Any:
        _refuse_tangents(args)
        return record(keyset, *args)

    return kernel_of_autograd


def _by_operators(ctx: Any, incoming: Sequence[Any]) -> Tuple[Any, ...]:
    return _gradients(ctx, ctx.saved_tensors, incoming, attend_backward, attend)


for _operator, _compute, _shapes, _differentiate, _prepare, _batched in (
        (attend, _forward, _forward_shapes, _by_operators, _setup, batching.attend),
        (attend_pages, _forward_pages, _forward_pages_shapes, refuse_gradients, refuse_gradients,
         batching.attend_pages),
        (attend_backward, _backward, _backward_shapes, _refuse_second, None, batching.attend_backward)):
    _library.impl(_operator, _compute, "CPU")
    _library.impl(_operator, _recorded(_operator, _differentiate, _prepare), "Autograd", with_keyset=True)
    torch.library.register_fake(_operator, _shapes, lib=_library)
    torch.library.register_vmap(_operator, _batched, lib=_library)


class Transformed(torch.autograd.Function):
    """attend() inside torch.func's transforms, which do not look into an operator's gradients."""

    @staticmethod
    def forward(*args: Any) -> Tuple[Tensor, ...]:
        return tuple(attend(*args))

    setup_context = staticmethod(_setup)
    jvp = staticmethod(_refuse_forward_mode)

    @staticmethod
    def backward(ctx: Any, *incoming: Any) -> Tuple[Any, ...]:
        return _gradients(ctx, ctx.saved_tensors, incoming, _TransformedBackward.of, Transformed.apply)

    @staticmethod
    def vmap(info: Any, at: Sequence[Any], *args: Any) -> Tuple[Tuple[Tensor, ...], Tuple[int, ...]]:
        found, dimensions = batching.attend(info, at, *args)
        return tuple(found), tuple(dimensions)


class _TransformedBackward(torch.autograd.Function):
    """attend_backward() there: arguments without lists of tensors, their number first."""

    @classmethod
    def of(cls, *args: Any) -> Tuple[Tensor, ...]:
        *first, incoming, incoming_names, saved, saved_names, wanted = args
        return cls.apply(len(incoming), *first, incoming_names, saved_names, wanted, *incoming, *saved)

    @staticmethod
    def _unpacked(count: int, *args: Any) -> Tuple[Any, ...]:
        first, (incoming_names, saved_names, wanted), arrays = (args[:_COUNT + 1], args[_COUNT + 1:_COUNT + 4],
                                                                args[_COUNT + 4:])
        return (*first, list(arrays[:count]), incoming_names, list(arrays[count:]), saved_names, wanted)

    @staticmethod
    def forward(count: int, *args: Any) -> Tuple[Tensor, ...]:
        return tuple(attend_backward(*_TransformedBackward._unpacked(count, *args)))

    @staticmethod
    def setup_context(ctx: Any, inputs: Sequence[Any], output: Sequence[Tensor]) -> None:
        pass

    backward = staticmethod(_refuse_second)
    jvp = staticmethod(_refuse_forward_mode)

    @staticmethod
    def vmap(info: Any, at: Sequence[Any], count: int, *args: Any) -> Tuple[Tuple[Tensor, ...], Tuple[int, ...]]:
        found, dimensions = batching.attend_backward(info, _TransformedBackward._unpacked(count, *at[1:]),
                                                     *_TransformedBackward._unpacked(count, *args))
        return tuple(found), tuple(dimensions)


class Direct(torch.autograd.Function):
    """attend() without the dispatcher: for plain tensors on the CPU where nobody listens to it."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Tuple[Tensor, ...]:
        found = kernel.forward(Arguments(*args[:_COUNT]), kernel.names_of(args[_COUNT]))
        _setup(ctx, args, found)
        return tuple(found)

    @staticmethod
    def backward(ctx: Any, *incoming: Any) -> Tuple[Any, ...]:
        saved = ctx.saved_tensors
        direct = is_direct((*saved, *incoming)) and not torch.is_grad_enabled()
        # With gradients enabled a second derivative is to come, which attend_backward refuses.
        return _gradients(ctx, saved, incoming, _backward if direct else attend_backward, attend)
