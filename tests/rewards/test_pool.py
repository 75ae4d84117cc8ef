"""Scoring processes: hanging and crashing samples end, and those beside and after them are scored."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.pool import ScoringPool

LIMIT_S = 1.0


@pytest.fixture(scope="module")
def pool() -> Iterator[ScoringPool]:
    pool = ScoringPool(MixedRewardConfig(custom={"hostile": "hostile_rewards:obey"}, time_limit_s=LIMIT_S, processes=2))
    yield pool
    pool.close()


RESPONSE = "<think>x</think><answer>y</answer>"


def score(pool: ScoringPool, orders: list[str]) -> list[dict]:
    async def gather() -> list[dict]:
        return await asyncio.gather(*(pool.score("s", RESPONSE, order, {"reward": "hostile"}) for order in orders))

    return asyncio.run(gather())


@pytest.mark.parametrize(
    ("order", "reason"), [("hang", "timeout"), ("spin", "timeout"), ("exit", "crash"), ("segfault", "crash")]
)
def test_hostile_sample_scores_0_and_its_neighbours_are_scored(pool: ScoringPool, order: str, reason: str) -> None:
    start = time.monotonic()
    results = score(pool, ["fine", order, "fine", "fine"])
    assert time.monotonic() - start < 15 * LIMIT_S
    assert [result["error"] for result in results] == [0.0, 1.0, 0.0, 0.0]
    assert results[1]["score"] == 0.0 and results[1]["reason"].startswith(reason)
    assert list(results[0]) == list(results[1])


def test_pool_is_healthy_after_many_bombs(pool: ScoringPool) -> None:
    assert sum(result["error"] for result in score(pool, ["exit"] * 10)) == 10
    assert sum(result["acc"] for result in score(pool, ["fine"] * 50)) == 50


def test_the_event_loop_is_never_blocked(pool: ScoringPool) -> None:
    async def longest_pause() -> float:
        task = asyncio.create_task(pool.score("s", RESPONSE, "hang", {"reward": "hostile"}))
        longest, last = 0.0, time.monotonic()
        while not task.done():
            await asyncio.sleep(0.01)
            longest, last = max(longest, time.monotonic() - last), time.monotonic()
        return longest

    assert asyncio.run(longest_pause()) < LIMIT_S / 2


def test_a_row_that_cannot_be_sent_is_an_error_not_an_exception(pool: ScoringPool) -> None:
    result = asyncio.run(pool.score("s", RESPONSE, lambda: None, {"reward": "hostile"}))  # type: ignore[arg-type]
    assert (result["score"], result["error"]) == (0.0, 1.0)


def test_a_pool_that_cannot_start_stops_the_run() -> None:
    with pytest.raises(RuntimeError, match="the scoring processes do not start"):
        ScoringPool(MixedRewardConfig(custom={"mine": "no_such_module:f"}))
