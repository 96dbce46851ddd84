"""The alarms of a training, docs/alarms.md: the library's own detector, with its thresholds."""

import ctypes
from typing import Any, List, NamedTuple

import numpy as np

from . import _library

_CAPACITY = 64  # alarms of one step that are told


class Alarm(NamedTuple):
    """What is under way in a head."""

    kind: str  # "collapse" or "runaway"
    step: int
    layer: int  # counted from 1
    head: int  # counted from 1
    relative_entropy: float  # of uniform attention's
    norm_share: float  # of the largest Frobenius norm
    logit_variance: float
    variance_growth: float
    gradient_factor: float  # gradient norm over its median
    words: str  # one sentence


class CollapseDetector:
    """Fed with the readings of a training in order, says which head's attention collapses or whose scores run away. Its
    thresholds count readings: those of docs/alarms.md were set with one a step."""

    def __init__(self, layers: int, heads: int, tokens: int, causal: bool):
        """For maps of `tokens` queries and keys, by which entropy and norm are judged."""
        self._library = _library.library()
        self.shape = (layers, heads)
        self._handle = self._library.detector_new(layers, heads, tokens, int(causal))
        if not self._handle:
            raise _library.ArgumentError(_library.last_error())

    def __del__(self):
        if getattr(self, "_handle", None):
            self._library.detector_free(self._handle)
            self._handle = None

    def _numbers(self, name: str, values: Any):
        array = np.ascontiguousarray(values, dtype=np.float64)
        if array.shape != self.shape:
            raise _library.ArgumentError(f"detector: {name} has shape {list(array.shape)}: expected "
                                         f"{list(self.shape)}, one number for each layer and head")
        return array, array.ctypes.data_as(ctypes.POINTER(ctypes.c_double))

    def step(self, step: int, gradient_norm: float, entropy: Any, frobenius_norm: Any,
             logit_variance: Any) -> List[Alarm]:
        """The alarms of one reading: [layers, heads] each, means over a batch. NaN: that head is passed over."""
        kept = [self._numbers(*pair) for pair in (("entropy", entropy), ("frobenius_norm", frobenius_norm),
                                                  ("logit_variance", logit_variance))]
        alarms, count = (_library.Alarm * _CAPACITY)(), ctypes.c_int32()
        for alarm in alarms:
            alarm.size = ctypes.sizeof(_library.Alarm)
        _library.check(self._library.detector_step(self._handle, step, gradient_norm, *(numbers for _, numbers in kept),
                                                   alarms, _CAPACITY, ctypes.byref(count)))
        return [Alarm(("collapse", "runaway")[found.kind], found.step, found.layer, found.head, found.relative_entropy,
                      found.norm_share, found.logit_variance, found.variance_growth, found.gradient_factor,
                      found.words.decode()) for found in alarms[:min(count.value, _CAPACITY)]]

    def state(self) -> np.ndarray:
        """All that the next step depends on, for a checkpoint."""
        found = np.empty(self._library.detector_state_size(self._handle))
        _library.check(self._library.detector_save(self._handle, found.ctypes.data_as(ctypes.POINTER(ctypes.c_double))))
        return found

    def restore(self, state: Any) -> None:
        """What state() returned, of a detector of as many layers and heads."""
        array = np.ascontiguousarray(state, dtype=np.float64)
        _library.check(self._library.detector_restore(
            self._handle, array.ctypes.data_as(ctypes.POINTER(ctypes.c_double)), array.size))
