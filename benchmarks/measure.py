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


ROUNDS = 6


def rate(function: Callable[..., Any], samples: Sequence[tuple[Any, ...]], seconds: float) -> float:
    """Calls per second of one core's time over the samples in turn, after one warm-up pass; the best of the rounds."""
    return rates([function], samples, seconds)[0]


def rates(functions: Sequence[Callable[..., Any]], samples: Sequence[tuple[Any, ...]], seconds: float) -> list[float]:
    """The same for functions that are compared: they run in turn, so that a busy moment of the machine meets all."""
    for function in functions:
        for sample in samples:
            function(*sample)
    best = [0.0] * len(functions)
    for _ in range(ROUNDS):
        for place, function in enumerate(functions):
            done, start = 0, time.process_time()
            while (elapsed := time.process_time() - start) < seconds / ROUNDS:
                function(*samples[done % len(samples)])
                done += 1
            best[place] = max(best[place], done / elapsed)
    return best
