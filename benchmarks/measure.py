"""What the benchmarks share: a line of results, and how a rate is measured."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple


class Row(NamedTuple):
    """One line of the result: what was run, how fast, and what to compare it with."""

    name: str
    value: float
    unit: str
    note: str = ""


def rate(function: Callable[..., Any], samples: Sequence[tuple[Any, ...]], seconds: float) -> float:
    """Calls per second of one core's time over the samples in turn, after one warm-up pass; the best of three runs."""
    for sample in samples:
        function(*sample)
    best = 0.0
    for _ in range(3):
        done, start = 0, time.process_time()
        while (elapsed := time.process_time() - start) < seconds / 3:
            function(*samples[done % len(samples)])
            done += 1
        best = max(best, done / elapsed)
    return best
