"""Processes that can be killed: a child that is ready to work, and a fork of it that works.

A thread cannot be stopped, and SymPy, a custom reward or a defect of ours may hang, exhaust memory or crash. What may
do so runs in a process like this one:

    caller --control--> keeper: imports what is needed, then forks, and does nothing else
    caller <--a pipe--> fork: answers requests; may be killed, and is replaced by the next fork in milliseconds

- There are two limits on a request: seconds on the clock, held by the caller, and seconds of processor time, held by a
  timer of the kernel. A busy machine changes no verdict: on the clock, waiting for a processor counts for half a limit
  at most, where the kernel (Linux) tells how long a process waited.
- The keeper is a plain child rather than a member of a multiprocessing pool, because those import the caller's main
  module once more: inside a Ray actor that is Ray itself, and a script without `if __name__ == "__main__"` would start
  processes in every process that it starts. It has one thread, so that it can fork.
- Nothing outlives its caller: the keeper sees the control pipe close, however the caller ended, and kills its fork; a
  fork whose keeper was killed is ended by the kernel.
- A death from outside (the kernel out of memory, an operator) costs nobody anything: what was in progress is sent once
  more to the next fork, and twice where the process was killed, which no request does; a start that was killed is
  repeated.
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

from mixed_r1_verl.rewards.schedule import Schedule

STARTUP_S = 600.0
"""Seconds that a process may take to start; another process may just be preparing a large embedding table."""

RESTARTS_S = (0.05, 0.1, 0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0, 1.0)
"""Pauses between starts that fail; after the last of them the process is given up."""

_KILLED, KILLED_STARTS = "exit code -", 100
"""How a start ends that was killed from outside; so many are repeated at once."""

_RETRIES = {-signal.SIGKILL: 2}
"""By exit code, how often a request is sent again in whose progress a process ended so; once after any other end."""

REPLY_S = 10.0  # seconds that a keeper may take to replace its fork; one that takes longer is replaced itself
LOOK_S = 0.2  # seconds between two looks of a keeper that is starting whether its caller lives
LEAST_S = 0.001  # a process that waited less than this for a processor was not kept from working
MAX_WAIT_MS = 2**31 - 1  # the longest time that the kernel waits; a longer limit on the clock is no limit

MEMORY_BYTES = 4 * 1024**3
"""Memory that a fork may own; a request that needs more ends with a MemoryError. Mapped files are free."""

_SERVE = "import sys; sys.path[:] = sys.argv[2:]; from mixed_r1_verl.rewards.process import serve; serve(sys.argv[1])"

# One process is one core: its linear algebra and tokenizer must not start a thread for every core of the machine.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), "1")

Answer = Callable[..., Any]  # what a fork answers requests with; called with the arguments that a request is

Prepare = Callable[..., Callable[[], Answer]]
"""What a keeper does first: it imports, and returns what each fork does first, which returns its `Answer`."""


class Late(TimeoutError):
    """A request took longer than it may, on the clock or of the processor. Its process has been killed.

    Attributes:
        on_clock: whether it was the clock, which a busy machine does not stop.
    """

    def __init__(self, on_clock: bool):
        super().__init__("on the clock" if on_clock else "of the processor")
        self.on_clock = on_clock


class Died(RuntimeError):
    """The process ended each time that a request was sent, with `exit_code` (minus the signal, as in subprocess)."""

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

    Attributes:
        pid: of the fork, as soon as it is ready; 0 before.
        first: a request that every fork is asked before all others, without a limit: what it imports is nobody's fault.

    >>> process = Process(echo)
    >>> list(process.run([pickle.dumps((1,)), pickle.dumps((2,))], clock_s=60.0))
    [1, 2]
    >>> process.close()
    """

    def __init__(self, prepare: Prepare, *arguments: Any, quiet: bool = False):
        self.pid = self._pid_warm = 0
        self.first: bytes | None = None
        self._first_message = (prepare, arguments)
        self._output = subprocess.DEVNULL if quiet else None
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._has_run = False
        self._keeper: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process, unless it runs; it gets ready while the caller goes on."""
        with self._lock:
            if self._keeper is None and not self._closed.is_set():
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
        with contextlib.suppress(OSError):  # a keeper that died at once is found out by whoever waits for its fork
            self._control.send(self._first_message)
        with contextlib.suppress(OSError):
            self._ask_for_fork()

    def _ask_for_fork(self) -> None:
        self.pid = self._pid_warm = 0
        self._connection, theirs = Pipe()
        self._poll = select.poll()  # one for all requests: to make one, as Connection.poll does, costs more than to ask
        self._poll.register(self._connection.fileno(), select.POLLIN)
        with theirs:
            reduction.send_handle(self._control, theirs.fileno(), None)

    def wait_until_ready(self) -> None:
        """Wait for the process to have prepared itself; a start is repeated that was killed, or worked before.

        Raises:
            NotStarted: when it does not get there, with the reason.
        """
        pauses, killed = iter(RESTARTS_S if self._has_run else ()), 0
        while trouble := self._start_once():
            if trouble.startswith(_KILLED) and killed < KILLED_STARTS and not self._closed.is_set():
                killed += 1
            elif (pause := next(pauses, None)) is None or self._closed.wait(pause):
                raise NotStarted(trouble)
        self._has_run = True

    def _start_once(self) -> str:
        """Why the process is not ready, or empty."""
        try:
            self.start()
        except OSError as error:  # no memory, or no more processes
            return str(error)
        if self._closed.is_set():
            return "closed"
        trouble = ""
        try:
            if not self.pid:
                message = self._receive_within(STARTUP_S)
                self.pid = message if isinstance(message, int) else 0
                trouble = "" if self.pid else str(message)
            if self.pid and self._pid_warm != self.pid and self.first is not None:
                self._connection.send_bytes(pickle.dumps((0.0, [self.first])))
                self._receive_within(STARTUP_S)
                self._pid_warm = self.pid
        except TimeoutError:
            trouble = f"no sign of life in {STARTUP_S:.0f} s"
        except (OSError, EOFError):
            return f"exit code {self._replace()}"
        if trouble:
            self._replace()
        return trouble

    def _receive_within(self, seconds: float) -> Any:
        """What the fork sends. In the second half of its time, what it spends waiting for a processor is free."""
        left_s, before = seconds / 2, None
        while not self._poll.poll(min(1e3 * left_s, MAX_WAIT_MS)):
            now = Schedule.of(self.pid)
            left_s, before = seconds / 2 if before is None else now.waited_s(before, left_s), now
            if left_s < LEAST_S:
                raise Late(on_clock=True)
        return self._connection.recv()

    def run(
        self, requests: Sequence[bytes], clock_s: float | Sequence[float], processor_s: float = 0.0
    ) -> Iterator[Any]:
        """Answers requests in order, each as soon as there is one. They travel together, which is cheaper.

        Args:
            requests: pickled tuples of arguments.
            clock_s: seconds on the clock that each may take, or those of each.
            processor_s: seconds of processor time that each may take; 0 for no such limit.

        Raises:
            Late: when the next request took longer than that; the process has been replaced.
            Died: when the process ended during the next request, and so did those to which it was sent again; it has
                been replaced.
            NotStarted: when there is no process; the next request was not answered, and is not to blame.
        """
        clocks = [clock_s] * len(requests) if isinstance(clock_s, int | float) else clock_s
        answered = died = 0
        while answered < len(requests):
            self.wait_until_ready()
            late = sent = False
            try:
                message = pickle.dumps((processor_s, requests[answered:]), pickle.HIGHEST_PROTOCOL)
                self._connection.send_bytes(message)
                sent = True
                while answered < len(requests):
                    # From here the next request is in progress: the one before is done, and messages do not wait.
                    answer = self._receive_within(clocks[answered])
                    answered, died = answered + 1, 0
                    yield answer
                return
            except Late:
                late = True
            except (OSError, EOFError):
                died += sent
            exit_code = self._replace()
            if late or exit_code == -signal.SIGPROF:
                raise Late(on_clock=late)
            if died > _RETRIES.get(exit_code, 1):
                raise Died(exit_code)

    def _replace(self) -> int:
        """Kill the fork, if it lives, and ask for the next. Returns how the old one ended, or its keeper."""
        with self._lock:
            self._connection.close()
            if self._closed.is_set() or self._keeper is None:
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
        """End the process at once and for good; `run` then raises. May be called from any thread, and twice."""
        self._closed.set()
        with self._lock:
            if self._keeper is None:
                return
            if self.pid:  # while the keeper lives this is its child, or what is left of it, and no other process
                _kill_group(self.pid)
            self._keeper.kill()
            self._keeper.wait()
            self._control.close()
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
        with _ending_with_caller(control):
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


@contextlib.contextmanager
def _ending_with_caller(control: Connection) -> Iterator[None]:
    """Until it listens, a keeper looks every now and then whether its caller lives; what it imports may hang."""
    poll = select.poll()
    poll.register(control.fileno(), 0)  # tells of hang-ups whether asked or not

    def look(*_: object) -> None:
        if poll.poll(0):
            os._exit(0)

    signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, LOOK_S, LOOK_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)


def _kill_group(fork: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS refuses to signal a zombie
        os.killpg(fork, signal.SIGKILL)


def _end(fork: int) -> int:
    """Kill a fork and what it started, if they live, and return how it ended."""
    _kill_group(fork)
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
