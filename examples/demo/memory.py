"""Peak memory of a run with many processes."""

import threading
from types import TracebackType

import psutil


class PeakMemory:
    """Context manager: the highest sum of proportional set sizes over this process and all its descendants.

    Proportional, because Ray's object store and mapped files are shared: resident sizes would count them once for
    each process.

    Attributes:
        gib: the peak so far, in GiB.
    """

    def __init__(self, interval_s: float = 3.0):
        self.gib = 0.0
        self._interval_s = interval_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "PeakMemory":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        root = psutil.Process()
        while not self._stop.wait(self._interval_s):
            total = 0
            for process in [root, *root.children(recursive=True)]:
                try:
                    total += process.memory_full_info().pss
                except psutil.Error:  # it has ended meanwhile
                    continue
            self.gib = max(self.gib, total / 2**30)
