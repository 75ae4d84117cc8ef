"""Processes that can be killed: a child that is ready to work, and a fork of it that works.

A thread cannot be stopped, and SymPy, a custom reward or a defect of ours may hang, exhaust memory or crash. What may
do so runs in a process like this one:

    caller --control--> keeper: imports what is needed, then forks, and does nothing else
    caller <--a pipe--> fork: answers requests; may be killed, and is replaced by the next fork in milliseconds

- There are two limits on a request: seconds on the clock, held by the caller, and seconds of processor time, held by a
  timer of the kernel, so that a busy machine changes no verdict.
- The keeper is a plain child rather than a member of a multiprocessing pool, because those import the caller's main
  module once more: inside a Ray actor that is Ray itself, and a script without `if __name__ == "__main__"` would start
  processes in every process that it starts. It has one thread, so that it can fork.
- Nothing outlives its caller: the keeper sees the control pipe close, however the caller ended, and kills its fork; a
  fork whose keeper was killed is ended by the kernel.
"""

import contextlib
import ctypes
import gc
import os
import pickle
import select
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing import reduction
from multiprocessing.connection import Connection, Pipe
from typing import Any

STARTUP_S = 600.0
"""Seconds that a process may take to start; another process may just be preparing a large embedding table."""

REPLY_S = 10.0
"""Seconds that a keeper may take to replace its fork; one that takes longer is replaced itself."""

MAX_WAIT_MS = 2**31 - 1
"""The longest time that the kernel waits; a longer limit on the clock is no limit."""

MEMORY_BYTES = 4 * 1024**3
"""Memory that a fork may own; a request that needs more ends with a MemoryError. Mapped files are free."""

_SERVE = "import sys; sys.path[:] = sys.argv[2:]; from mixed_r1_verl.rewards.process import serve; serve(sys.argv[1])"

# One process is one core: its linear algebra and tokenizer must not start a thread for every core of the machine.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), "1")

Answer = Callable[..., Any]
"""What a fork answers requests with; called with the arguments that a request is."""

Prepare = Callable[..., Callable[[], Answer]]
"""What a keeper does first: it imports, and returns what each fork does first, which returns its `Answer`."""


class Late(TimeoutError):
    """A request took longer than it may, on the clock or of the processor. Its process has been killed."""


class Died(RuntimeError):
    """The process ended while a request was in progress, with `exit_code` (minus the signal, as in subprocess)."""

    def __init__(self, exit_code: int):
        super().__init__(f"the process ended with exit code {exit_code}")
        self.exit_code = exit_code


class NotStarted(RuntimeError):
    """There is no process to ask, with the reason; no request was sent."""


class Process:
    """A keeper with its fork, used by one thread at a time, but for `close`. Starts when it is first needed.

    Args:
        prepare: what the keeper does first; found by its name in its module.
        arguments: arguments of `prepare`.
        quiet: throw away what the process prints.

    >>> process = Process(echo)
    >>> list(process.run([pickle.dumps((1,)), pickle.dumps((2,))], clock_s=60.0))
    [1, 2]
    >>> process.close()
    """

    def __init__(self, prepare: Prepare, *arguments: Any, quiet: bool = False):
        self.pid = 0  # of the fork, as soon as it is ready
        self._first_message = (prepare, arguments)
        self._output = subprocess.DEVNULL if quiet else None
        self._lock = threading.Lock()
        self._closed = False
        self._keeper: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, unless it runs; it gets ready while the caller goes on."""
        with self._lock:
            if self._keeper is None and not self._closed:
                self._start_keeper()

    def _start_keeper(self) -> None:
        self._control, theirs = Pipe()
        self._keeper = subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(theirs.fileno()), *sys.path],
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            pass_fds=[theirs.fileno()],
            env={**_ONE_THREAD, **os.environ},
            start_new_session=True,  # Ctrl-C is for the caller alone
        )
        theirs.close()
        with contextlib.suppress(OSError):  # a keeper that died at once is found out by whoever waits for it
            self._control.send(self._first_message)
            self._ask_for_fork()

    def _ask_for_fork(self) -> None:
        self.pid = 0
        self._connection, theirs = Pipe()
        self._poll = select.poll()  # one for all requests: to make one, as Connection.poll does, costs more than to ask
        self._poll.register(self._connection.fileno(), select.POLLIN)
        with theirs:
            reduction.send_handle(self._control, theirs.fileno(), None)

    def wait_until_ready(self) -> None:
        """Wait for the process to have prepared itself.

        Raises:
            NotStarted: when it does not get there, with the reason. It may be tried again.
        """
        try:
            self.start()
        except OSError as error:  # no memory, or no more processes
            raise NotStarted(str(error)) from error
        if self.pid:
            return
        if self._closed:
            raise NotStarted("closed")
        try:
            reason = f"no sign of life in {STARTUP_S:.0f} s"
            if self._poll.poll(1e3 * STARTUP_S):
                message = self._connection.recv()
                if isinstance(message, int):
                    self.pid = message
                    return
                reason = message
            self._replace()
        except (OSError, EOFError):
            reason = f"exit code {self._replace()}"
        raise NotStarted(reason)

    def run(self, requests: Sequence[bytes], clock_s: float, processor_s: float = 0.0) -> Iterator[Any]:
        """Answers requests in order, each as soon as there is one. They travel together, which is cheaper.

        Args:
            requests: pickled tuples of arguments.
            clock_s: seconds on the clock that each may take.
            processor_s: seconds of processor time that each may take; 0 for no such limit.

        Raises:
            Late: when the next request took longer than that; the process has been replaced.
            Died: when the process ended during the next request; it has been replaced.
            NotStarted: when there is no process; nothing was sent.
        """
        self.wait_until_ready()
        late = False
        try:
            self._connection.send_bytes(pickle.dumps((processor_s, requests), pickle.HIGHEST_PROTOCOL))
            for _ in requests:
                # From here the next request is in progress: the one before it is done, and messages do not wait.
                if not self._poll.poll(min(1e3 * clock_s, MAX_WAIT_MS)):
                    late = True
                    break
                yield self._connection.recv()
            else:
                return
        except (OSError, EOFError):
            pass
        exit_code = self._replace()
        if late or exit_code == -signal.SIGPROF:
            raise Late
        raise Died(exit_code)

    def _replace(self) -> int:
        """Kill the fork, if it lives, and ask for the next. Returns how the old one ended, or its keeper."""
        with self._lock:
            self._connection.close()
            if self._closed or self._keeper is None:
                return -signal.SIGKILL
            with contextlib.suppress(OSError, EOFError):
                self._ask_for_fork()
                if self._control.poll(REPLY_S):
                    return int(self._control.recv())
            self._keeper.kill()
            exit_code = self._keeper.wait()
            self._control.close()
            self._keeper, self.pid = None, 0  # the next request starts another
            return exit_code

    def close(self) -> None:
        """End the process for good; what is in progress ends with `Died`. May be called from any thread, and twice."""
        with self._lock:
            self._closed = True
            if self._keeper is None:
                return
            self._control.close()
            try:
                self._keeper.wait(REPLY_S)
            except subprocess.TimeoutExpired:
                self._keeper.kill()
                self._keeper.wait()
            self._keeper = None


def echo() -> Callable[[], Answer]:
    """For tests and examples: each request is answered with its argument."""
    return lambda: lambda argument: argument


# --- in the keeper and in its forks -----------------------------------------------------------------------------------


def serve(descriptor: str) -> None:
    """Main loop of a keeper: each pipe that arrives is for the next fork; the one before it is ended."""
    control = Connection(int(descriptor))
    prepare, arguments = control.recv()
    begin, trouble = None, ""
    try:
        begin = prepare(*arguments)
    except Exception as error:
        trouble = f"{type(error).__name__}: {error}"
    gc.freeze()  # a fork that collects garbage need not touch, and so copy, what it shares with its keeper
    fork = 0
    with contextlib.suppress(EOFError, OSError):  # the caller has gone
        while True:
            connection = Connection(reduction.recv_handle(control))
            if fork:
                control.send(_end(fork))
            fork = os.fork()
            if fork == 0:
                control.close()
                _serve_requests(connection, begin, trouble)
            with contextlib.suppress(OSError):  # here and in the fork: whoever comes first
                os.setpgid(fork, fork)  # to be killed with everything that it starts
            connection.close()
    if fork:
        _end(fork)
    os._exit(0)


def _end(fork: int) -> int:
    """Kill a fork and what it started, if they live, and return how it ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS refuses to signal a zombie
        os.killpg(fork, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1])


def _serve_requests(connection: Connection, begin: Callable[[], Answer] | None, trouble: str) -> None:
    """Life of a fork; never returns."""
    code = 1
    try:
        _limit_fork()
        try:
            answer = begin() if begin else None
        except Exception as error:
            answer, trouble = None, f"{type(error).__name__}: {error}"
        connection.send(os.getpid() if answer else trouble)
        while answer:
            processor_s, requests = pickle.loads(connection.recv_bytes())
            for request in requests:
                if processor_s:
                    signal.setitimer(signal.ITIMER_PROF, processor_s)
                result = answer(*pickle.loads(request))
                if processor_s:
                    signal.setitimer(signal.ITIMER_PROF, 0)
                connection.send(result)
    except (EOFError, OSError):
        code = 0  # the caller has gone
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def _limit_fork() -> None:
    import resource

    os.setpgid(0, 0)
    with contextlib.suppress(AttributeError, OSError):  # Linux only
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: end with the keeper
    signal.signal(signal.SIGPROF, signal.SIG_DFL)  # no handler: the signal of the timer ends the process
    # Counts what the process owns, unlike the address space, in which mapped tables lie.
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    limit = MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(MEMORY_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
