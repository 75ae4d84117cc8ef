"""Scoring in processes that can be killed (`mixed_r1_verl.rewards.process`).

A training run scores in worker processes: one that runs over its time limit is killed and replaced, and its sample
scores 0 with `error` 1. Expressions are compared in processes behind these, which have a shorter limit, so that the
commonest bombs do not even end a scoring process.

    score() --queue--> one thread a process --pipe, many samples at once--> process
                              <--pipe, one result as soon as there is one--

Samples that wait travel together, because a trip of its own costs more than most samples do. Results come back one by
one, so that the thread knows which sample is in progress and since when: the time limit holds for each sample, and the
samples behind one that was killed go back to the front of the queue.
"""

import asyncio
import contextlib
import pickle
import threading
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError
from typing import Any, NamedTuple

from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.kinds import KINDS
from mixed_r1_verl.rewards.mixed import MixedReward, failure
from mixed_r1_verl.rewards.process import STARTUP_S, Answer, Died, Late, NotStarted, Process

BATCH = 64
"""Samples that travel to a process at once, at most."""

CLOSED = "closed: the scoring pool has been closed"


class Sample(NamedTuple):
    """What `MixedReward.score` is given."""

    data_source: str
    solution_str: str
    ground_truth: str | None
    extra_info: Mapping[str, Any]


class _Task(NamedTuple):
    """A sample on its way: the reward that it asks for, known or not, its pickle, and where the result goes."""

    kind: str
    payload: bytes
    future: "Future[dict[str, Any]]"

    def finish(self, result: dict[str, Any]) -> None:
        with contextlib.suppress(InvalidStateError):  # whoever waited has given up
            self.future.set_result(result)

    def fail(self, reason: str) -> None:
        self.finish(failure(self.kind, reason))


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
        self._processes = [Process(prepare_scoring, config) for _ in range(config.processes)]
        try:
            for process in self._processes:
                process.start()
            # A pool that cannot start must stop the run here: it would score every sample 0.
            for process in self._processes:
                process.wait_until_ready()
        except NotStarted as error:
            self.close()
            raise RuntimeError(f"the scoring processes do not start: {error}") from error
        except BaseException:
            self.close()
            raise
        for process in self._processes:
            threading.Thread(target=self._feed, args=(process,), name="mixed-r1-scoring", daemon=True).start()

    @property
    def pids(self) -> list[int]:
        """Process ids of the scoring processes; 0 for one that is being replaced."""
        return [process.pid for process in self._processes]

    async def score(
        self, data_source: str, solution_str: str, ground_truth: str | None, extra_info: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Score one response without blocking the event loop; never raises, same keys as `MixedReward.score`."""
        return await asyncio.wrap_future(self.submit(Sample(data_source, solution_str, ground_truth, extra_info)))

    def submit(self, sample: Sample) -> "Future[dict[str, Any]]":
        """Queue one sample; the future's result has the keys of `MixedReward.score`, and it never has an exception."""
        kind = str(sample.extra_info.get("reward") or self.config.routes.get(sample.data_source) or "")
        future: Future[dict[str, Any]] = Future()
        try:
            task = _Task(kind, _packed(sample), future)
        except Exception as error:  # a row that cannot be sent to another process
            future.set_result(failure(kind, f"{type(error).__name__}: {error}"))
            return future
        with self._changed:
            if self._closed:
                task.fail(CLOSED)
            else:
                self._waiting.append(task)
                self._changed.notify()
        return future

    def close(self) -> None:
        """Kill the scoring processes; what still waits scores 0 with `error` 1."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for process in self._processes:
            process.close()
        with self._changed:
            left = list(self._waiting)
            self._waiting.clear()
        for task in left:
            task.fail(CLOSED)

    def _next_batch(self) -> deque[_Task]:
        """The samples to send next: a fair share of those that wait. Empty when the pool is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            share = 0 if self._closed else -(-len(self._waiting) // self.config.processes)
            return deque(self._waiting.popleft() for _ in range(min(share, BATCH)))

    def _feed(self, process: Process) -> None:
        """Main loop of the thread of one process."""
        compares = 0  # the process that has compared expressions
        while tasks := self._next_batch():
            try:
                process.wait_until_ready()
                if process.pid != compares and any(task.kind == "math" for task in tasks):
                    # The first expression waits for SymPy to be imported, which is not its own fault.
                    list(process.run([_COMPARE], STARTUP_S))
                    compares = process.pid
                for result in process.run([task.payload for task in tasks], self.config.time_limit_s):
                    tasks.popleft().finish(result)
                continue
            except Late:
                trouble = f"timeout: scoring took more than {self.config.time_limit_s} s"
            except Died as error:
                trouble = f"crash: the scoring process died with exit code {error.exit_code}"
            except NotStarted as error:
                trouble = f"crash: the scoring processes do not start: {error}"
            with self._changed:
                closed = self._closed
                if not closed:
                    tasks.popleft().fail(trouble)
                    self._waiting.extendleft(reversed(tasks))
                    self._changed.notify()
            if closed:
                for task in tasks:
                    task.fail(CLOSED)


def _packed(sample: Sample) -> bytes:
    return pickle.dumps(tuple(sample), pickle.HIGHEST_PROTOCOL)


_COMPARE = _packed(Sample("", "<think>x</think><answer>x + 1</answer>", "1 + x", {"reward": "math"}))


def prepare_scoring(config: MixedRewardConfig) -> Callable[[], Answer]:
    """What scoring processes answer with. Whatever may start a thread, as models do, is loaded in the fork."""
    list(KINDS.values())  # imports them, once for all forks

    def begin() -> Answer:
        reward = MixedReward(config)
        reward.prepare()
        return reward.score

    return begin
