"""Scoring in processes that can be killed.

A thread cannot be stopped, and sympy, a custom reward or a defect of ours may hang, exhaust memory or crash. So a
training run scores in worker processes: one that runs over its time limit is killed and replaced, and its sample
scores 0 with `error` 1.
"""

import asyncio
import multiprocessing
from collections.abc import Mapping
from typing import Any

from pebble import ProcessExpired, ProcessPool

from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.mixed import MixedReward, failure

_reward: MixedReward | None = None  # one for each worker process


def _initialize(config: MixedRewardConfig) -> None:
    """Runs once in each worker process, outside any sample's time limit."""
    global _reward
    from mixed_r1_verl.rewards import math

    math.run_in_this_process()
    _reward = MixedReward(config)
    _reward.prepare()


def _score(data_source: str, solution_str: str, ground_truth: str, extra_info: Mapping[str, Any]) -> dict[str, Any]:
    if _reward is None:
        raise RuntimeError("the scoring process was not initialized")
    return _reward.score(data_source, solution_str, ground_truth, extra_info)


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
        self._pool = self._start()

    def _start(self) -> ProcessPool:
        # Spawned, not forked: the parent is a Ray actor with threads, and a fork would copy their locks.
        pool = ProcessPool(
            max_workers=self.config.processes,
            initializer=_initialize,
            initargs=(self.config,),
            context=multiprocessing.get_context("spawn"),
        )
        # A pool that cannot start must stop the run here: it would score every sample 0.
        probe = pool.schedule(_score, args=("probe", "", "yes", {"reward": "matching"}))
        try:
            probe.result()
        except Exception as error:
            pool.stop()
            raise RuntimeError(f"the scoring processes do not start: {error}") from error
        return pool

    async def score(
        self, data_source: str, solution_str: str, ground_truth: str | None, extra_info: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Score one response without blocking the event loop; never raises, same keys as `MixedReward.score`."""
        kind = str(extra_info.get("reward") or self.config.routes.get(data_source) or "")
        try:
            future = self._pool.schedule(
                _score, args=(data_source, solution_str, ground_truth, extra_info), timeout=self.config.time_limit_s
            )
            return await asyncio.wrap_future(future)
        except (TimeoutError, asyncio.TimeoutError):
            return failure(kind, f"timeout: scoring took more than {self.config.time_limit_s} s")
        except ProcessExpired as error:
            return failure(kind, f"crash: the scoring process died with exit code {error.exitcode}")
        except Exception as error:  # a row that cannot be sent to another process, say
            return failure(kind, f"{type(error).__name__}: {error}")

    def close(self) -> None:
        """Kill the scoring processes."""
        self._pool.stop()
        self._pool.join()
