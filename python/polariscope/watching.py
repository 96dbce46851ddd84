"""watch(): the statistics of a model's attention, without a change to the model.

PyTorch's attention functions tell of their calls while a block is open. The model's output is theirs, to the bit; the
statistics are computed beside it, from the same queries and keys.
"""

import functools
import threading
from contextlib import ExitStack, contextmanager, nullcontext
from itertools import chain
from typing import Dict, NamedTuple, Tuple

import torch
import torch.nn.functional as F
import torch.utils._python_dispatch as dispatch

from . import callers, calls, operator
from .operator import RowStatistics
from .record import Record


class _Block(NamedTuple):
    record: Record
    names: Dict[torch.nn.Module, str]  # of the watched model's modules


_blocks: Tuple[_Block, ...] = ()  # those that are open, of all threads
_lock = threading.Lock()
_replaced = ExitStack()
_thread = threading.local()  # .inside: an attention function runs, and what it calls is not seen once more

_is_compiling = getattr(getattr(torch, "compiler", None), "is_compiling", None) or (lambda: False)
_outside_modes = getattr(dispatch, "_disable_current_modes", nullcontext)


def _places(part):
    """For each open block whose model is running: its record, and the name of the innermost of its modules. `part`
    names the submodule for which that one computes."""
    blocks = list(_blocks)
    modules, any_module = callers.modules(), False
    if part is not None:
        whole = next(modules, None)
        modules = chain([getattr(whole, part, whole), whole], modules)
    for module in modules:
        any_module = True
        for block in [block for block in blocks if module in block.names]:
            blocks.remove(block)
            yield block.record, block.names[module]
        if not blocks:
            return
    if not any_module:
        for block in blocks:
            block.record._note("-", "not seen: called outside of any module")


@contextmanager
def _inside():
    _thread.inside = True
    try:
        yield
    finally:
        _thread.inside = False


def _version(tensor):
    return tensor, tensor._version


def _unchanged(saved):
    tensor, version = saved
    if tensor._version != version:
        raise RuntimeError("watch: a query or key was changed in place after its statistics were computed")
    return tensor


def _apart(with_graph):
    """Where statistics are computed so that nothing else feels it: checkpointing counts what is computed by modes, and
    what is saved for backward by hooks. Function transforms have no graph to keep."""
    stack = ExitStack()
    stack.enter_context(_inside())
    stack.enter_context(_outside_modes())
    stack.enter_context(torch.autograd.graph.saved_tensors_hooks(_version, _unchanged)
                        if with_graph and not calls.in_transform() else torch.no_grad())
    return stack


def _see(reweighting, measure, found=RowStatistics(), part=None):
    """Tells the open blocks of a call. measure(names): its statistics, and a note or ""; found: what is there."""
    if _is_compiling() or getattr(_thread, "inside", False) or callers.in_backward():
        return
    places = list(_places(part))
    names = list(dict.fromkeys(name for record, _ in places for name in record._names(reweighting)))
    note = ""
    if any(getattr(found, name) is None for name in names):
        try:
            with _apart(with_graph=not all(record._detach for record, _ in places)):
                found, note = measure(names)
        except calls.NotSeen as reason:
            found, note = None, f"not seen: {reason}"
        except RuntimeError as error:
            if not str(error).startswith("attend: "):
                raise  # out of memory, or a fault of ours
            found, note = None, f"not seen: arguments that attend() refuses ({error})"
    for record, layer in places:
        if note:
            record._note(layer, note)
        if found is not None:
            record._add(layer, reweighting, found)


def _measure(read, args, kwargs, names):
    """The statistics of a call of PyTorch's, as calls.py reads its arguments."""
    if torch.jit.is_tracing():
        raise calls.NotSeen("calls that are traced")
    try:
        scores = calls.unpacked(read(*args, **kwargs), next(callers.modules(), None))
    except TypeError as error:
        if error.__traceback__.tb_next is not None:
            raise
        raise calls.NotSeen(f"arguments that are new to us ({error})") from error
    _, rows = operator.attend(scores.query, scores.key, scores.key[..., :0], scale=scores.scale, causal=scores.causal,
                              bias=scores.bias, key_lengths=scores.key_lengths, statistics=names)
    return rows, scores.note


@functools.lru_cache(maxsize=None)
def _telling(original, read, part):
    """`original`, which tells the open blocks of its calls."""

    @functools.wraps(original)
    def call(*args, **kwargs):
        if not _blocks or _is_compiling() or getattr(_thread, "inside", False):
            return original(*args, **kwargs)
        with _inside():
            output = original(*args, **kwargs)
        _see("softmax", functools.partial(_measure, read, args, kwargs), part=part)
        return output

    # TorchScript takes the original.
    call.__script_if_tracing_wrapper = True
    call.__original_fn = original
    builtins = torch.jit._builtins._get_builtin_table()
    if id(original) in builtins:
        builtins[id(call)] = builtins[id(original)]
    return call


def _attended(reweighting, found, again):
    _see(reweighting, lambda names: (again(names), ""), found)


def _replace(stack, owner, name, read, part=None):
    original = getattr(owner, name, None)
    if original is None:
        return
    replacement = _telling(original, read, part)

    def restore():
        if getattr(owner, name) is replacement:  # else somebody has replaced it since
            setattr(owner, name, original)

    setattr(owner, name, replacement)
    stack.callback(restore)


def _replace_all(stack):
    for owner in (torch._C._nn, F):
        for name in ("scaled_dot_product_attention", "_scaled_dot_product_attention"):
            _replace(stack, owner, name, getattr(calls, name))
    _replace(stack, F, "multi_head_attention_forward", calls.multi_head_attention_forward)
    _replace(stack, torch, "_native_multi_head_attention", calls._native_multi_head_attention)
    _replace(stack, torch, "_transformer_encoder_layer_fwd", calls._transformer_encoder_layer_fwd, "self_attn")
    operator._observers.append(_attended)
    stack.callback(operator._observers.remove, _attended)


def _open(block):
    global _blocks
    with _lock:
        if not _blocks:
            _replace_all(_replaced)
        _blocks += (block,)


def _close(block):
    global _blocks
    with _lock:
        _blocks = tuple(other for other in _blocks if other is not block)
        if not _blocks:
            _replaced.close()


def _is_compiled(module):
    """Whether other code runs than the module's Python."""
    return (isinstance(module, torch.jit.ScriptModule) or type(module).__name__ == "OptimizedModule" or
            getattr(module, "_compiled_call_impl", None) is not None)


@contextmanager
def watch(model: torch.nn.Module, *, statistics="all", detach: bool = True):
    """Records the statistics of every attention that `model` computes while this block is open, on any thread.

        with polariscope.watch(model) as record:
            model(batch)
        print(record.summary())

    Seen are calls of torch.nn.functional.scaled_dot_product_attention, torch.nn.MultiheadAttention and
    polariscope.attend by methods of the model or its submodules; a module that multiplies and takes softmax itself is
    not. What cannot be measured has a note in the record. The model computes what it does without; neither it nor its
    modules are changed, so they can be copied and saved. Blocks may be nested, or overlap.

    statistics  names of RowStatistics' fields, or "all"; "visible" always comes with them
    detach      False keeps the graph, so that a loss can be made of what was seen
    """
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"watch: expected a torch.nn.Module, found {type(model).__name__}")
    record = Record(statistics, detach)
    block = _Block(record, {module: name or type(module).__name__ for name, module in model.named_modules()})
    for module, name in block.names.items():
        if _is_compiled(module):
            record._note(name, "not seen: compiled")
    _open(block)
    try:
        yield record
    finally:
        _close(block)
