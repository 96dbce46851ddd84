"""Which modules a call comes from. Python's own stack says it: nothing is kept while a model runs, so exceptions,
threads, generators and copies of the model need no care."""

import sys

import torch

_BACKWARD = {torch.autograd.backward.__code__, torch.autograd.grad.__code__}


def _frames():
    frame = sys._getframe(1)
    while frame is not None:
        yield frame
        frame = frame.f_back


def modules():
    """The modules whose methods are running on this thread, innermost first."""
    for frame in _frames():
        if frame.f_code.co_argcount and frame.f_code.co_varnames[0] == "self":
            owner = frame.f_locals.get("self")
            if isinstance(owner, torch.nn.Module):
                yield owner


def in_backward():
    """Whether a backward pass is running on this thread: whatever runs forward in it is activation checkpointing's
    second computation."""
    return any(frame.f_code in _BACKWARD for frame in _frames())
