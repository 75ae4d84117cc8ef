"""Processes that compare two expressions with math-verify, and that are killed when they take too long.

SymPy can neither be interrupted nor be trusted to end: `9^{9^9}` fills the memory, and a signal handler works in the
main thread only. So a comparison runs in a process of its own. The processes are plain children that speak JSON lines
over pipes rather than members of a multiprocessing pool, because those import the caller's main module once more: a
script without `if __name__ == "__main__"` would score, and start processes, in every process that it starts.
"""

import atexit
import contextlib
import json
import os
import selectors
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

STARTUP_S = 120.0
"""Seconds that a process may take to import SymPy on a busy machine."""

MEMORY_BYTES = 3 * 1024**3
"""Address space of a process; a comparison that needs more ends with a MemoryError."""

_SERVE = "import sys; sys.path[:] = sys.argv[1:]; from mixed_r1_verl.rewards.math_pool import serve; serve()"


class WorkerDied(RuntimeError):
    """The comparing process ended without an answer."""


class Worker:
    """One comparing process, used by one thread at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        self._buffer = b""
        try:
            self._receive(STARTUP_S)
        except (TimeoutError, WorkerDied):
            self.kill()
            raise WorkerDied("the process that compares expressions did not start; is math-verify installed?") from None

    def ask(self, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """Send a request and wait for its result.

        Raises:
            TimeoutError: when there is none within the time; the process must then be killed.
            WorkerDied: when the process ended.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({**request, "alarm_s": timeout_s}).encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise WorkerDied(str(error)) from error
        return self._receive(timeout_s)

    def _receive(self, timeout_s: float) -> dict[str, Any]:
        assert self._process.stdout is not None
        deadline = time.monotonic() + timeout_s
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._buffer:
                left = deadline - time.monotonic()
                if left <= 0 or not selector.select(left):
                    raise TimeoutError
                chunk = os.read(self._process.stdout.fileno(), 65536)
                if not chunk:
                    raise WorkerDied("the process that compares expressions ended")
                self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return json.loads(line)

    def kill(self) -> None:
        """End the process at once and release its pipes."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):  # what was not flushed is lost with the process
                    pipe.close()


class Pool:
    """Up to `size` comparing processes, started when they are needed and replaced when they are killed."""

    def __init__(self, size: int):
        self._free = threading.BoundedSemaphore(size)
        self._lock = threading.Lock()
        self._idle: list[Worker] = []

    def ask(self, request: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """Compare in a free process; waits for one if all are busy. Starting one does not count as comparing.

        Raises:
            TimeoutError: when the comparison took longer than `timeout_s`.
            WorkerDied: when the process ended, or could not be started.
        """
        with self._free:
            with self._lock:
                worker = self._idle.pop() if self._idle else None
            worker = worker or Worker()
            try:
                result = worker.ask(request, timeout_s)
            except BaseException:
                worker.kill()
                raise
            with self._lock:
                self._idle.append(worker)
            return result

    def close(self) -> None:
        """End the idle processes."""
        with self._lock:
            idle, self._idle = self._idle, []
        for worker in idle:
            worker.kill()


_pools: dict[tuple[int, int], Pool] = {}
_pools_lock = threading.Lock()


def shared_pool(size: int) -> Pool:
    """This process's pool of that size; a forked child gets its own, since pipes cannot be shared."""
    key = (os.getpid(), size)
    with _pools_lock:
        if key not in _pools:
            _pools[key] = Pool(size)
        return _pools[key]


@atexit.register
def _close_pools() -> None:
    for (pid, _), pool in list(_pools.items()):
        if pid == os.getpid():
            pool.close()


def serve() -> None:
    """The main loop of a comparing process: one JSON request a line, one JSON result a line, until the pipe closes."""
    import resource
    import signal

    from mixed_r1_verl.rewards.math import warm_up

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; its end closes the pipe
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    sys.stdout = sys.stderr  # whatever a library prints must not end up among the results
    compare: Callable[[str, str], dict[str, Any]] = warm_up()
    out.write('{"ready": true}\n')
    for line in sys.stdin:
        request = json.loads(line)
        # An orphan whose parent was killed must not go on for hours: the default action of SIGALRM ends the process.
        signal.setitimer(signal.ITIMER_REAL, float(request["alarm_s"]) + 5.0)
        result = compare(request["gold"], request["answer"])
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        out.write(json.dumps(result) + "\n")
