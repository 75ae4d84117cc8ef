"""What a process remembers of words and tokens: rows of arrays, by key."""

import threading
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np


class Remembered:
    """What was computed for keys: a row for each in the arrays of a named tuple, forgotten when they become too many.

    Args:
        compute: the rows of some keys that are not known yet.
        capacity: of how many keys rows are kept, beside those that are asked for at once.
    """

    def __init__(self, compute: Callable[[Sequence[Any]], Any], capacity: int) -> None:
        self._compute, self._capacity, self._lock = compute, capacity, threading.Lock()
        self._places: dict[Hashable, int] = {}
        self._arrays: Any = compute([])

    def look_up(self, keys: Sequence[Hashable]) -> tuple[Any, np.ndarray]:
        """The arrays, and in which of their rows the keys are."""
        with self._lock:
            if not all(map(self._places.__contains__, keys)):
                self._learn(keys)
            return self._arrays, np.fromiter(map(self._places.__getitem__, keys), np.intp, len(keys))

    def _learn(self, keys: Sequence[Hashable]) -> None:
        new = [key for key in dict.fromkeys(keys) if key not in self._places]
        if len(self._places) + len(new) > self._capacity:
            self._places, new = {}, list(dict.fromkeys(keys))
        first, rows = len(self._places), len(self._places) + len(new)
        found = self._compute(new)
        if rows > len(self._arrays[0]) or not first:
            # What was handed out stays as it is.
            room = 2 * rows - first
            self._arrays = found._make(
                np.concatenate([old[:first], np.zeros((room, *old.shape[1:]), old.dtype)]) for old in self._arrays
            )
        for array, computed in zip(self._arrays, found, strict=True):
            array[first:rows] = computed
        self._places.update(zip(new, range(first, rows), strict=True))
