"""Which modules a call comes from. Python's own stack says it: nothing is kept while a model runs, so exceptions,
threads, generators and copies of the model need no care."""

import sys
from typing import NamedTuple

import torch

_BACKWARD = {torch.autograd.backward.__code__, torch.autograd.grad.__code__}
_CACHES = ("cache", "past_key_values", "past_key_value", "layer_past")
_OTHER_KEYS = ("key_value_states", "encoder_hidden_states")


def _frames():
    frame = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _owner(frame):
    """The module whose method runs in this frame, or None."""
    if not frame.f_code.co_argcount or frame.f_code.co_varnames[0] != "self":
        return None
    owner = frame.f_locals.get("self")
    return owner if isinstance(owner, torch.nn.Module) else None


def modules():
    """The modules whose methods are running on this thread, innermost first."""
    return (owner for owner in map(_owner, _frames()) if owner is not None)


def in_backward():
    """Whether a backward pass is running on this thread: whatever runs forward in it is activation checkpointing's
    second computation."""
    return any(frame.f_code in _BACKWARD for frame in _frames())


class Positions(NamedTuple):
    """Where a call's first query and first key stand in the sequence."""

    query: int = 0
    key: int = 0
    same: bool = True  # whether queries and keys are of one sequence


def positions(module, queries: int, keys: int) -> Positions:
    """Of a call by a method of `module`, whose own variables hold its cache, already with the call's keys. A cache that
    slides has dropped its first keys; a static one has room for later ones."""
    for frame in _frames():
        if _owner(frame) is not module or frame.f_code.co_name != "forward":
            continue
        names = frame.f_locals
        if any(names.get(name) is not None for name in _OTHER_KEYS):
            return Positions(same=False)
        cache = next((names[name] for name in _CACHES if names.get(name) is not None), None)
        cache = getattr(cache, "self_attention_cache", cache)
        length, layer = getattr(cache, "get_seq_length", None), getattr(module, "layer_idx", None)
        if length is None or layer is None:
            break
        seen = int(length(layer))
        return Positions(max(seen - queries, 0), max(seen - keys, 0))
    return Positions(max(keys - queries, 0), 0)
