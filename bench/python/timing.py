"""Seconds of two calls side by side, and whether the machine was free enough to believe them."""

import os
import statistics
import time
from typing import Callable, List, NamedTuple, Sequence

FREE = 1.9  # processor time over wall time, of calls on two threads, below which a run is void


class Timed(NamedTuple):
    seconds: float  # median
    spread: float  # of the middle half, in part of the median
    void: bool  # other work took the processors


def _once(call: Callable[[], object], calls: int) -> List[float]:
    processor, wall = time.process_time(), time.perf_counter()
    for _ in range(calls):
        call()
    return [(time.process_time() - processor) / calls, (time.perf_counter() - wall) / calls]


def alternate(calls: Sequence[Callable[[], object]], threads: int, rounds: int = 9, least: float = 0.03) -> List[Timed]:
    """Each call in turn, `rounds` times; a round takes `least` seconds or one call. One thread is measured by its
    processor time, which other work does not lengthen much; more by wall time."""
    counts = [max(1, int(least / max(_once(call, 1)[1], 1e-9))) for call in calls]
    found: List[List[List[float]]] = [[] for _ in calls]
    for _ in range(rounds):
        for i, call in enumerate(calls):
            found[i].append(_once(call, counts[i]))
    timed = []
    for runs in found:
        processor, wall = zip(*runs)
        seconds = sorted(processor if threads == 1 else wall)
        quarter = len(seconds) // 4
        median = statistics.median(seconds)
        busy = statistics.median(a / b for a, b in zip(processor, wall))
        timed.append(Timed(median, (seconds[-1 - quarter] - seconds[quarter]) / median, threads > 1 and
                           busy < FREE / 2 * min(threads, os.cpu_count() or 1)))
    return timed
