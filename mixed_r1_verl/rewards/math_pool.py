"""Processes that compare two expressions with math-verify, and that are killed when they take too long.

SymPy can neither be interrupted nor be trusted to end: `9^{9^9}` fills the memory, and a signal handler works in the
main thread only. So a comparison runs in a process of its own:

    this process  --JSON lines-->  keeper, has SymPy imported  --JSON lines-->  its fork, compares, may be killed

The limit is on processor time, so that a verdict does not depend on what else the machine does: the fork sets itself a
timer of the kernel, whose signal ends it wherever it is. The keeper replaces a fork that has ended within milliseconds,
since what the fork needs is already imported. Keepers are plain children rather than members of a multiprocessing pool,
because those import the caller's main module once more: a script without `if __name__ == "__main__"` would score, and
start processes, in every process that it starts. A keeper has one thread, so that it can fork, and ends with its fork
when its caller ends.
"""

import atexit
import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

STARTUP_S = 120.0
"""Seconds that a keeper may take to import SymPy on a busy machine."""

GRACE_S = 10.0
"""Seconds on the clock beyond the time limit after which a fork that waits for a processor is given up."""

MEMORY_BYTES = 3 * 1024**3
"""Address space of a comparing process; a comparison that needs more ends with a MemoryError."""

Result = dict[str, Any]

_SERVE = "import sys; sys.path[:] = sys.argv[1:]; from mixed_r1_verl.rewards.math_pool import serve; serve()"


class WorkerDied(RuntimeError):
    """The comparing process ended without an answer."""


class _Lines:
    """Whole lines from a file descriptor, each within a time."""

    def __init__(self, descriptor: int):
        self._descriptor = descriptor
        self._buffer = b""

    def read(self, timeout_s: float) -> bytes:
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self._descriptor], [], [], left)[0]:
                raise TimeoutError
            chunk = os.read(self._descriptor, 65536)
            if not chunk:
                raise WorkerDied("the process that compares expressions ended")
            self._buffer += chunk
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line


class Worker:
    """A keeper with its fork, used by one thread at a time."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for the caller alone, and the fork can be killed with its keeper
        )
        assert self._process.stdout is not None
        self._lines = _Lines(self._process.stdout.fileno())
        try:
            self._lines.read(STARTUP_S)
        except (TimeoutError, WorkerDied):
            self.kill()
            raise WorkerDied("the process that compares expressions did not start; is math-verify installed?") from None

    @property
    def pid(self) -> int:
        """Process id of the keeper."""
        return self._process.pid

    def ask(self, request: Result, timeout_s: float) -> Result:
        """Send a request and wait for its result.

        Raises:
            TimeoutError: when the comparison took more processor time than that; its process is already replaced.
            WorkerDied: when the comparing process ended, or the keeper did.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps({**request, "timeout_s": timeout_s}).encode() + b"\n")
            self._process.stdin.flush()
            result = json.loads(self._lines.read(timeout_s + 2 * GRACE_S))
        except (OSError, WorkerDied) as error:  # TimeoutError is an OSError: a keeper that says nothing is dead
            self.kill()
            raise WorkerDied(str(error)) from error
        if result.get("failed") == "timeout":
            raise TimeoutError
        if result.get("failed"):
            raise WorkerDied("the process that compares expressions ended")
        return result

    @property
    def alive(self) -> bool:
        """Whether the keeper can be asked again."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End the keeper and its fork at once, and release the pipes."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
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

    @property
    def idle(self) -> tuple[Worker, ...]:
        """The workers that wait for a request."""
        with self._lock:
            return tuple(self._idle)

    def ask(self, request: Result, timeout_s: float) -> Result:
        """Compare in a free process; waits for one if all are busy. Starting one does not count as comparing.

        Raises:
            TimeoutError: when the comparison took more than `timeout_s` of processor time.
            WorkerDied: when the process ended, or could not be started.
        """
        with self._free:
            with self._lock:
                worker = self._idle.pop() if self._idle else None
            if worker is None or not worker.alive:
                worker = Worker()
            try:
                return worker.ask(request, timeout_s)
            finally:
                if worker.alive:
                    with self._lock:
                        self._idle.append(worker)

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


# --- in the keeper ----------------------------------------------------------------------------------------------------


class _Fork:
    """A fork of the keeper that compares; it is the process that gets killed."""

    def __init__(self, compare: Callable[[str, str], Result]):
        request_out, self._requests = os.pipe()
        results, result_in = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self._requests)
            os.close(results)
            try:
                _compare_lines(compare, request_out, result_in)
            finally:
                os._exit(1)
        os.close(request_out)
        os.close(result_in)
        self._results = results
        self._lines = _Lines(results)

    def ask(self, line: bytes, timeout_s: float) -> bytes:
        try:
            os.write(self._requests, line)
        except OSError as error:
            raise WorkerDied from error
        return self._lines.read(timeout_s + GRACE_S)

    def end(self) -> int:
        """Kill the fork, if it is alive, and return the signal that ended it."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        status = os.waitpid(self.pid, 0)[1]
        os.close(self._requests)
        os.close(self._results)
        return os.WTERMSIG(status)


def _compare_lines(compare: Callable[[str, str], Result], requests: int, results: int) -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # no handler: the signal of the timer ends the process
    with os.fdopen(requests, "rb") as lines:
        for line in lines:
            request = json.loads(line)
            signal.setitimer(signal.ITIMER_PROF, request["timeout_s"])
            result = compare(request["gold"], request["answer"])
            signal.setitimer(signal.ITIMER_PROF, 0)
            os.write(results, json.dumps(result).encode() + b"\n")


def serve() -> None:
    """The main loop of a keeper: one JSON request a line, one JSON result a line, until the pipe closes."""
    from mixed_r1_verl.rewards.math import warm_up

    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=0)
    sys.stdout = sys.stderr  # whatever a library prints must not end up among the results
    compare = warm_up()
    compare(r"\frac{1}{2}+x", "x+0.5")  # builds the parser's tables once, for all forks
    fork = _Fork(compare)
    out.write(b'{"ready": true}\n')
    for line in sys.stdin.buffer:
        try:
            out.write(fork.ask(line, float(json.loads(line)["timeout_s"])) + b"\n")
            continue
        except (TimeoutError, WorkerDied) as error:
            late = fork.end() == signal.SIGPROF or isinstance(error, TimeoutError)
        fork = _Fork(compare)
        out.write(b'{"failed": "timeout"}\n' if late else b'{"failed": "died"}\n')
    fork.end()
