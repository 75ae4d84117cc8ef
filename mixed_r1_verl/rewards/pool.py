"""Scoring in processes that can be killed (`mixed_r1_verl.rewards.process`).

A training run scores in worker processes: one that runs over its time limit is killed and replaced, and its sample
scores 0 with `error` 1. Expressions are compared in processes behind these, which have a shorter limit, so that the
commonest bombs do not even end a scoring process.

    score() --queue--> one thread a process --pipe, many samples at once--> process
                              <--pipe, one result as soon as there is one--

Samples that wait travel together, because a trip of its own costs more than most samples do. Results come back one by
one, so that the thread knows which sample is in progress and since when: the time limit holds for each sample, and the
samples behind one that was killed go back to the front of the queue. Time in the queue counts against nobody.

A policy may find a response that hangs and repeat it in every group. So the samples of one kind have a budget of
hanging time (`Patience`), after which their limit is short: honest samples take milliseconds and are scored still.

A process that cannot be started again ends the pool, and with it the run: everything would score 0.
"""

import asyncio
import contextlib
import pickle
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future, InvalidStateError
from dataclasses import replace
from typing import Any, NamedTuple

from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.kinds import KINDS
from mixed_r1_verl.rewards.mixed import MixedReward, failure
from mixed_r1_verl.rewards.process import Answer, Died, Late, NotStarted, Process
from mixed_r1_verl.rewards.verdict import NOT_STARTED, SHORTENED

BATCH = 64  # samples that travel to a process at once, at most

CLOSED = "closed: the scoring pool has been closed"


class Sample(NamedTuple):
    """What `MixedReward.score` is given."""

    data_source: str
    solution_str: str
    ground_truth: str | None
    extra_info: Mapping[str, Any]


class Patience:
    """How long each kind's samples may hang: five limits at once, and a tenth of the time that passes.

    >>> patience = Patience(limit_s=10.0)
    >>> patience.spend("math", 45.0)
    >>> round(patience.limit("math")), patience.limit("iou")
    (5, 10.0)
    >>> patience.spend("math", 5.0)
    >>> patience.limit("math")
    0.2
    """

    HANGS, SHARE, SHORTEST_S = 5, 0.1, 0.2

    def __init__(self, limit_s: float):
        self.limit_s = limit_s
        self._left: dict[str, tuple[float, float]] = {}  # of each kind that has hung: seconds, and when

    def limit(self, kind: str) -> float:
        """Seconds that the next sample of a kind may take."""
        return min(self.limit_s, max(self._now(kind), self.SHORTEST_S))

    def spend(self, kind: str, seconds: float) -> None:
        """A sample hung for so long."""
        self._left[kind] = (max(0.0, self._now(kind) - seconds), time.monotonic())

    def _now(self, kind: str) -> float:
        most = self.HANGS * self.limit_s
        left, then = self._left.get(kind, (most, 0.0))
        return min(most, left + self.SHARE * (time.monotonic() - then))


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

    def give_up(self, reason: str) -> None:
        with contextlib.suppress(InvalidStateError):
            self.future.set_exception(RuntimeError(reason))


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
        self._patience = Patience(config.time_limit_s)
        self._compare = _packed(Sample("", config.format.reply("x + 1", "x"), "1 + x", {"reward": "math"}))
        self._waiting: deque[_Task] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._trouble = ""
        self._processes = [Process(prepare_scoring, config) for _ in range(config.processes)]
        try:
            for process in self._processes:
                process.start()
            # A pool that cannot start must stop the run here: it would score every sample 0.
            for process in self._processes:
                process.wait_until_ready()
        except NotStarted as error:
            self.close()
            raise RuntimeError(f"{NOT_STARTED}: {error}") from error
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
        """Score one response without blocking the event loop; same keys as `MixedReward.score`.

        Raises:
            RuntimeError: scoring processes died and cannot be started again; never because of a sample.
        """
        return await asyncio.wrap_future(self.submit(Sample(data_source, solution_str, ground_truth, extra_info)))

    def submit(self, sample: Sample) -> "Future[dict[str, Any]]":
        """Queue one sample; the future gives what `score` returns or raises."""
        kind = str(sample.extra_info.get("reward") or self.config.routes.get(sample.data_source) or "")
        future: Future[dict[str, Any]] = Future()
        try:
            task = _Task(kind, _packed(sample), future)
        except Exception as error:  # a row that cannot be sent to another process
            future.set_result(failure(kind, f"{type(error).__name__}: {error}"))
            return future
        with self._changed:
            self._waiting.append(task)
            self._changed.notify()
        if self._closed:
            self._drain()
        return future

    def close(self) -> None:
        """Kill the scoring processes; what still waits scores 0 with `error` 1."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for process in self._processes:
            process.close()
        self._drain()

    def _drain(self) -> None:
        """Nobody will score what waits."""
        with self._changed:
            left = list(self._waiting)
            self._waiting.clear()
        for task in left:
            task.give_up(self._trouble) if self._trouble else task.fail(CLOSED)

    def _next_batch(self) -> deque[_Task]:
        """The samples to send next: a fair share of those that wait. Empty when the pool is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closed)
            share = 0 if self._closed else -(-len(self._waiting) // self.config.processes)
            return deque(self._waiting.popleft() for _ in range(min(share, BATCH)))

    def _feed(self, process: Process) -> None:
        """Main loop of the thread of one process."""
        while tasks := self._next_batch():
            try:
                if any(task.kind == "math" for task in tasks):
                    process.first = self._compare  # waits for SymPy to be imported
                process.wait_until_ready()
                limits = [self._patience.limit(task.kind) for task in tasks]
                for result in process.run([task.payload for task in tasks], limits):
                    if result["reason"] == NOT_STARTED:
                        raise NotStarted("those that compare expressions")
                    tasks.popleft().finish(result)
                continue
            except Late:
                limit = limits[-len(tasks)]
                self._patience.spend(tasks[0].kind, limit)
                trouble = f"timeout: scoring took more than {limit:.3g} s"
                trouble += f", {SHORTENED}" if limit < self.config.time_limit_s else ""
            except Died as error:
                trouble = f"crash: the scoring process died with exit code {error.exit_code}"
            except NotStarted as error:
                with self._changed:
                    self._trouble = self._trouble if self._closed else f"{NOT_STARTED}: {error}"
                    self._closed = True
            with self._changed:
                if not self._closed:
                    tasks.popleft().fail(trouble)
                self._waiting.extendleft(reversed(tasks))
                self._changed.notify_all()
        self.close()


def _packed(sample: Sample) -> bytes:
    return pickle.dumps(tuple(sample), pickle.HIGHEST_PROTOCOL)


def prepare_scoring(config: MixedRewardConfig) -> Callable[[], Answer]:
    """What scoring processes answer with. Whatever may start a thread, as models do, is loaded in the fork."""
    list(KINDS.values())  # imports them, once for all forks
    table = MixedReward(replace(config, custom={}, weights={}, routes={})).embedding_table  # shared by all forks

    def begin() -> Answer:
        reward = MixedReward(config)
        reward.embedding_table = table
        reward.prepare()
        return reward.score

    return begin
