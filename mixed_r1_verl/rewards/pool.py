"""Scoring in processes that can be killed.

A thread cannot be stopped, and sympy, a custom reward or a defect of ours may hang, exhaust memory or crash. So a
training run scores in worker processes: one that runs over its time limit is killed and replaced, and its sample
scores 0 with `error` 1. Expressions are compared in processes behind these, which have a shorter limit and are replaced
in milliseconds (`math_pool`), so that the commonest bombs do not even end a scoring process.

    score() --queue--> one thread a process --pipe, many samples at once--> process
                              <--pipe, one result as soon as there is one--

Samples that wait travel together, because a trip of its own costs more than most samples do. Results come back one by
one, so that the thread knows which sample is in progress and since when: the time limit holds for each sample, and the
samples behind one that was killed go back to the front of the queue.

Processes are plain children rather than members of a multiprocessing pool, because those import the caller's main
module once more: inside a Ray actor that is Ray itself.
"""

import asyncio
import contextlib
import dataclasses
import os
import pickle
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, InvalidStateError
from multiprocessing.connection import Connection, Pipe
from typing import Any, NamedTuple

from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.math import math_reward
from mixed_r1_verl.rewards.mixed import MixedReward, failure
from mixed_r1_verl.rewards.verdict import GroundTruthError

STARTUP_S = 600.0
"""Seconds that a process may take to start; another process may just be preparing a large embedding table."""

BATCH = 64
"""Samples that travel to a process at once, at most."""

MEMORY_BYTES = 4 * 1024**3
"""Memory that a scoring process may own; a sample that needs more ends with a MemoryError. Mapped tables are free."""

_SERVE = "import sys; sys.path[:] = sys.argv[2:]; from mixed_r1_verl.rewards.pool import serve; serve(int(sys.argv[1]))"

# One process is one core: its linear algebra and tokenizer must not start a thread for every core of the machine.
_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS"), "1")


class Sample(NamedTuple):
    """What `MixedReward.score` is given."""

    data_source: str
    solution_str: str
    ground_truth: str | None
    extra_info: Mapping[str, Any]


def _kind(sample: Sample, config: MixedRewardConfig) -> str:
    """The reward that a sample asks for, known or not."""
    return str(sample.extra_info.get("reward") or config.routes.get(sample.data_source) or "")


class _Task(NamedTuple):
    """A sample on its way: its kind for error messages, its pickle, and where the result goes."""

    kind: str
    payload: bytes
    future: "Future[dict[str, Any]]"

    def finish(self, result: dict[str, Any]) -> None:
        with contextlib.suppress(InvalidStateError):  # whoever waited has given up
            self.future.set_result(result)


class ScoringPool:
    """A pool of scoring processes with a time limit for each sample.

    Args:
        config: the reward block; `processes` and `time_limit_s` are the pool's own.

    Raises:
        RuntimeError: when a scoring process cannot be started, with the reason.

    >>> pool = ScoringPool(MixedRewardConfig())
    >>> response = "<think>It is round.</think><answer>yes</answer>"
    >>> asyncio.run(pool.score("demo", response, "yes", {"reward": "matching"}))["score"]
    1.0
    >>> pool.close()
    """

    def __init__(self, config: MixedRewardConfig):
        self.config = config
        self._waiting: deque[_Task] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._workers: list[_Worker] = []
        try:
            for _ in range(config.processes):
                self._workers.append(_Worker(config))
            # A pool that cannot start must stop the run here: it would score every sample 0.
            for worker in self._workers:
                worker.wait_until_ready()
        except BaseException:
            self.close()
            raise
        for worker in self._workers:
            threading.Thread(target=self._feed, args=(worker,), name="mixed-r1-scoring", daemon=True).start()

    @property
    def pids(self) -> list[int]:
        """Process ids of the scoring processes."""
        return [worker.pid for worker in self._workers]

    async def score(
        self, data_source: str, solution_str: str, ground_truth: str | None, extra_info: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Score one response without blocking the event loop; never raises, same keys as `MixedReward.score`."""
        return await asyncio.wrap_future(self.submit(Sample(data_source, solution_str, ground_truth, extra_info)))

    def submit(self, sample: Sample) -> "Future[dict[str, Any]]":
        """Queue one sample; the future's result has the keys of `MixedReward.score`, and it never has an exception."""
        future: Future[dict[str, Any]] = Future()
        kind = _kind(sample, self.config)
        try:
            task = _Task(kind, pickle.dumps(tuple(sample), pickle.HIGHEST_PROTOCOL), future)
        except Exception as error:  # a row that cannot be sent to another process
            future.set_result(failure(kind, f"{type(error).__name__}: {error}"))
            return future
        with self._changed:
            if self._closed:
                future.set_result(failure(kind, "closed: the scoring pool has been closed"))
            else:
                self._waiting.append(task)
                self._changed.notify()
        return future

    def close(self) -> None:
        """Kill the scoring processes; what still waits scores 0 with `error` 1."""
        with self._changed:
            self._closed = True
            left = list(self._waiting)
            self._waiting.clear()
            self._changed.notify_all()
        for worker in self._workers:
            worker.kill()
        for task in left:
            task.finish(failure(task.kind, "closed: the scoring pool has been closed"))

    def _next_batch(self) -> list[_Task]:
        """The samples to send next: a fair share of those that wait. Empty when the pool is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            share = -(-len(self._waiting) // self.config.processes)
            return [self._waiting.popleft() for _ in range(min(share, BATCH))]

    def _feed(self, worker: "_Worker") -> None:
        """Main loop of the thread of one process."""
        while tasks := self._next_batch():
            unfinished = deque(tasks)
            trouble = worker.score(unfinished, self.config.time_limit_s)
            if not trouble:
                continue
            if unfinished:
                guilty = unfinished.popleft()
                guilty.finish(failure(guilty.kind, trouble))
            with self._changed:
                closed = self._closed
                if not closed:
                    self._waiting.extendleft(reversed(unfinished))
                    self._changed.notify()
            if closed:
                for task in unfinished:
                    task.finish(failure(task.kind, "closed: the scoring pool has been closed"))
                return
            worker.restart()


class _Worker:
    """One scoring process, seen from its caller; used by one thread at a time, but for `kill`."""

    def __init__(self, config: MixedRewardConfig):
        self._config = config
        self._lock = threading.Lock()
        self._killed = False
        self._start()

    def _start(self) -> None:
        self._connection, theirs = Pipe()
        self._process = subprocess.Popen(
            [sys.executable, "-c", _SERVE, str(theirs.fileno()), *sys.path],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            env={**_ONE_THREAD, **os.environ},
            start_new_session=True,  # Ctrl-C is for the caller alone
        )
        theirs.close()
        self._ready = False
        with contextlib.suppress(OSError):  # a process that died at once is found out by whoever waits for it
            self._connection.send(self._config)

    @property
    def pid(self) -> int:
        """Process id of the process that runs now."""
        return self._process.pid

    def wait_until_ready(self) -> None:
        """Wait for the process to have read its configuration and tables.

        Raises:
            RuntimeError: when it does not get there, with the reason.
        """
        if self._ready:
            return
        try:
            if not self._connection.poll(STARTUP_S):
                raise RuntimeError(f"the scoring processes do not start: no sign of life in {STARTUP_S:.0f} s")
            reason = self._connection.recv()
        except (OSError, EOFError) as error:
            raise RuntimeError(f"the scoring processes do not start: exit code {self._process.wait()}") from error
        if reason:
            raise RuntimeError(f"the scoring processes do not start: {reason}")
        self._ready = True

    def score(self, tasks: deque[_Task], limit_s: float) -> str:
        """Score tasks in order, and remove each from `tasks` as it is done.

        Returns:
            What went wrong with the first task that is left, or empty when none is. The process is then dead.
        """
        try:
            self.wait_until_ready()
            self._connection.send_bytes(pickle.dumps([task.payload for task in tasks], pickle.HIGHEST_PROTOCOL))
            patience = limit_s
            while tasks:
                # From here the first task is in progress: the one before it is done, and messages do not wait.
                if not self._connection.poll(patience):
                    self._end()
                    return f"timeout: scoring took more than {limit_s} s"
                message = self._connection.recv()
                if isinstance(message, float):
                    patience = message
                else:
                    tasks.popleft().finish(message)
        except RuntimeError as error:
            self._end()
            return f"crash: {error}"
        except (OSError, EOFError):
            self._end()
            return f"crash: the scoring process died with exit code {self._process.returncode}"
        return ""

    def _end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def restart(self) -> None:
        """Replace a dead process; the new one starts while the caller goes on."""
        with self._lock:
            if not self._killed:
                self._connection.close()
                self._start()

    def kill(self) -> None:
        """End the process for good."""
        with self._lock:
            self._killed = True
            self._end()


# --- in the scoring process -------------------------------------------------------------------------------------------


def serve(descriptor: int) -> None:
    """Main loop of a scoring process: configuration in, readiness out, then samples in and results out.

    A number among the results says how long the next message may take.
    """
    caller = Connection(descriptor)
    with contextlib.suppress(EOFError, OSError):  # the caller has gone
        config = caller.recv()
        try:
            reward = _prepared(config)
        except Exception as error:
            caller.send(f"{type(error).__name__}: {error}")
            return
        caller.send("")
        can_compare = False
        while True:
            for payload in pickle.loads(caller.recv_bytes()):
                fields = pickle.loads(payload)
                if not can_compare and _kind(Sample(*fields), config) == "math":
                    # The first expression waits for SymPy to be imported, which is not its own fault.
                    caller.send(STARTUP_S)
                    _start_comparing(config)
                    caller.send(config.time_limit_s)
                    can_compare = True
                # A process whose caller was killed while it hung is ended by the kernel.
                signal.setitimer(signal.ITIMER_REAL, 2 * config.time_limit_s + 60)
                caller.send(reward.score(*fields))
            signal.setitimer(signal.ITIMER_REAL, 0)


def _start_comparing(config: MixedRewardConfig) -> None:
    """Start the process behind this one that compares expressions; samples say it themselves if that fails."""
    patient = dataclasses.replace(config.math, timeout_s=STARTUP_S)
    with contextlib.suppress(GroundTruthError):
        math_reward("x + 1", "1 + x", config=patient)


def _prepared(config: MixedRewardConfig) -> MixedReward:
    import resource

    # Counts what the process owns, unlike the address space, in which mapped tables lie.
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    limit = MEMORY_BYTES if hard == resource.RLIM_INFINITY else min(MEMORY_BYTES, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, hard))
    reward = MixedReward(config)
    reward.prepare()
    return reward
