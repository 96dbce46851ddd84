"""watch(): the statistics of a model's attention, without a change to the model.

PyTorch's and transformers' attention functions tell of their calls while a block is open. The model's output is theirs,
to the bit; the statistics are computed beside it, from the same queries and keys.
"""

import functools
import sys
import threading
from contextlib import ExitStack, contextmanager
from itertools import chain
from typing import Dict, NamedTuple, Tuple

import torch
import torch.nn.functional as F
import torch.utils._python_dispatch as dispatch

from . import callers, calls, interface, tensors, unseen
from .record import Record


class _Block(NamedTuple):
    record: Record
    names: Dict[torch.nn.Module, str]  # of the watched model's modules


_blocks: Tuple[_Block, ...] = ()  # those that are open, of all threads
_lock = threading.Lock()
_replaced = ExitStack()
_thread = threading.local()  # .inside: an attention function runs, and what it calls is not seen once more


def _deaf():
    if calls.is_compiling() or not _blocks:
        return True
    return getattr(_thread, "inside", False)


def _places(part=None):
    """For each open block whose model is running: its record, and the name of the innermost of its modules. `part`
    names the submodule for which that one computes."""
    blocks = list(_blocks)
    modules, any_module, replica = callers.modules(), False, False
    if part is not None:
        whole = next(modules, None)
        modules = chain([getattr(whole, part, whole), whole], modules)
    for module in modules:
        any_module, replica = True, replica or "_is_replica" in module.__dict__
        for block in [block for block in blocks if module in block.names]:
            blocks.remove(block)
            yield block.record, block.names[module]
        if not blocks:
            return
    if not any_module:
        for block in blocks:
            block.record._note("-", "not seen: called outside of any module")
    elif replica:
        for block in blocks:
            block.record._note("-", "not seen: computed by replicas that DataParallel makes for each pass")


@contextmanager
def inside():
    """What is called in this block is not seen."""
    before, _thread.inside = getattr(_thread, "inside", False), True
    try:
        yield
    finally:
        _thread.inside = before


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
    stack.enter_context(inside())
    stack.enter_context(dispatch._disable_current_modes())
    stack.enter_context(torch.autograd.graph.saved_tensors_hooks(_version, _unchanged)
                        if with_graph and not calls.in_transform() else torch.no_grad())
    return stack


def _names(places, reweighting):
    return list(dict.fromkeys(name for record, _ in places for name in record._names(reweighting)))


def _open_places(part=None):
    """Where a call that begins is to be told of. In a backward pass nowhere, but for a note."""
    places = list(_places(part))
    if places and callers.in_backward():
        for record, layer in places:
            record._note(layer, "computed again by checkpointing in the backward pass: counted once")
        return []
    return places


def _tell(places, scores, found, note=""):
    if found is not None and found.visible is not None and found.visible.is_meta:
        found, note = None, "not seen: tensors without data (meta)"
    for record, layer in places:
        if note:
            record._note(layer, note)
        if found is not None:
            record._add(layer, scores, found)


def _see(measure, part=None):
    """Tells the open blocks of a call. measure(names_of): its Scores and their statistics, of the names that
    names_of(reweighting) returns."""
    places = _open_places(part)
    if not places:
        return
    scores, found = None, None
    try:
        with _apart(with_graph=not all(record._detach for record, _ in places)):
            scores, found = measure(functools.partial(_names, places))
        note = scores.note
    except calls.NotSeen as reason:
        note = f"not seen: {reason}"
    except RuntimeError as error:
        if not str(error).startswith("attend: "):
            raise  # out of memory, or a fault of ours
        note = f"not seen: arguments that attend() refuses ({error})"
    _tell(places, scores, found, note)


def _measure(read, args, kwargs, names_of):
    """The statistics of a call of PyTorch's, as calls.py reads its arguments."""
    if torch.jit.is_tracing():
        raise calls.NotSeen("calls that are traced")
    try:
        scores = read(*args, **kwargs)
    except TypeError as error:
        if error.__traceback__.tb_next is not None:
            raise
        raise calls.NotSeen(f"arguments that are new to us ({error})") from error
    _, rows = calls.attend(scores, scores.key[..., :0], names_of(scores.reweighting))
    return scores, rows


def _read(read, *args, **kwargs):
    return calls.unpacked(read(*args, **kwargs), next(callers.modules(), None))


@functools.lru_cache(maxsize=None)
def _telling(original, read, part):
    """`original`, which tells the open blocks of its calls."""

    @functools.wraps(original)
    def call(*args, **kwargs):
        if _deaf():
            return original(*args, **kwargs)
        with inside():
            output = original(*args, **kwargs)
        _see(functools.partial(_measure, functools.partial(_read, read), args, kwargs), part)
        return output

    # TorchScript takes the original.
    call.__script_if_tracing_wrapper = True
    call.__original_fn = original
    builtins = torch.jit._builtins._get_builtin_table()
    if id(original) in builtins:
        builtins[id(call)] = builtins[id(original)]
    return call


def _measure_of_module(implementation, args, kwargs, weights, names_of):
    """The statistics of a call of transformers' interface. A model's own "eager" function may do what its arguments do
    not say: where it returns its weights, they are held to ours."""
    for tensor in args[1:3]:
        calls.plain(tensor)
    scores, rows = _measure(functools.partial(interface.read, implementation), args, kwargs, names_of)
    if implementation == "eager" and weights is not None and not kwargs.get("dropout"):
        unseen.compare(scores, rows, weights)
    return scores, rows


@functools.lru_cache(maxsize=1024)
def _telling_of_module(original, implementation):
    """A function of transformers' attention interface, which tells the open blocks of its calls."""

    @functools.wraps(original)
    def call(*args, **kwargs):
        if _deaf():
            return original(*args, **kwargs)
        with inside():
            output = original(*args, **kwargs)
        weights = output[1] if isinstance(output, tuple) and len(output) > 1 else None
        _see(functools.partial(_measure_of_module, implementation, args, kwargs, weights))
        return output

    return call


def _telling_interface(get_interface):

    @functools.wraps(get_interface)
    def call(self, attn_implementation, default, *args, **kwargs):
        found = get_interface(self, attn_implementation, default, *args, **kwargs)
        if _deaf() or getattr(found, "tells_polariscope", False):
            return found
        return _telling_of_module(found, attn_implementation or "eager")

    return call


class Listener:
    """For an attention function that has statistics at hand: which are wanted, and whom to tell."""

    def __init__(self, reweighting):
        self._places = [] if _deaf() else _open_places()
        self.names = _names(self._places, reweighting) if self._places else None

    def tell(self, scores, found):
        _tell(self._places, scores, found, scores.note)

    def see(self, scores):
        """Computes them beside the call."""
        _see(lambda names_of: (scores, calls.attend(scores, scores.key[..., :0], names_of(scores.reweighting))[1]))


def _attended(reweighting, found, again):
    """Of a call of polariscope.attend: its statistics, and how to compute others."""
    if _deaf():
        return
    scores = calls.Scores(None, None, reweighting=reweighting)

    def measure(names_of):
        names = names_of(reweighting)
        return scores, again(names) if any(getattr(found, name) is None for name in names) else found

    _see(measure)


def _replace(stack, owner, name, replacement):
    original = getattr(owner, name)

    def restore():
        if getattr(owner, name) is replacement:  # else somebody has replaced it since
            setattr(owner, name, original)

    setattr(owner, name, replacement)
    stack.callback(restore)


def _compiler_knows_functions_by_name(stack):
    """torch.compile reads once which function has which name: it is to read the names of the originals."""

    def names():
        return getattr(sys.modules.get("torch._dynamo.trace_rules"), "get_torch_obj_rule_map", None)

    known = names()
    if known is not None:
        known()
    else:
        stack.callback(lambda: getattr(names(), "cache_clear", lambda: None)())


def _replace_all(stack):
    _compiler_knows_functions_by_name(stack)
    for owner, name, part in ((torch._C._nn, "scaled_dot_product_attention", None),
                              (F, "scaled_dot_product_attention", None),
                              (F, "multi_head_attention_forward", None),
                              (torch, "_native_multi_head_attention", None),
                              (torch, "_transformer_encoder_layer_fwd", "self_attn")):
        _replace(stack, owner, name, _telling(getattr(owner, name), getattr(calls, name), part))
    models = getattr(sys.modules.get("transformers.modeling_utils"), "AttentionInterface", None)
    if hasattr(models, "get_interface"):
        _replace(stack, models, "get_interface", _telling_interface(models.get_interface))
    tensors._observers.append(_attended)
    stack.callback(tensors._observers.remove, _attended)


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


_WRAPPED = ("_fsdp_wrapped_module", "_checkpoint_wrapped_module")


def _plain(name):
    """As the model named it, without the parts that FSDP's and checkpointing's wrappers put in between."""
    return ".".join(part for part in name.split(".") if part not in _WRAPPED)


@contextmanager
def watch(model: torch.nn.Module, *, statistics="all", detach: bool = True):
    """Records the statistics of every attention that `model` computes while this block is open, on any thread.

        with polariscope.watch(model) as record:
            model(batch)
        print(record.summary())

    Seen are calls of torch.nn.functional.scaled_dot_product_attention, torch.nn.MultiheadAttention, polariscope.attend
    and, in models of transformers that use its attention interface, whatever implementation they have ("eager", "sdpa",
    "flex_attention", "polariscope"), by methods of the model or its submodules; a module that multiplies and takes
    softmax itself is not. What cannot be measured has a note in the record, and so has, at the block's end, each module
    that looks like attention and was not seen. The model computes what it does without; neither it nor its modules are
    changed, so they can be copied and saved. Blocks may be nested, or overlap.

    statistics  names of RowStatistics' fields, or "all"; "visible" always comes with them
    detach      False keeps the graph, so that a loss can be made of what was seen
    """
    if not isinstance(model, torch.nn.Module):
        raise TypeError(f"watch: expected a torch.nn.Module, found {type(model).__name__}")
    record = Record(statistics, detach)
    block = _Block(record, {module: _plain(name) or type(module).__name__ for name, module in model.named_modules()})
    for module, name in block.names.items():
        if _is_compiled(module):
            record._note(name, "not seen: compiled")
    _open(block)
    try:
        yield record
    finally:
        _close(block)
    unseen.note(record, block.names)
