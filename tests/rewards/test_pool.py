"""Scoring processes: hanging and crashing samples end, and those beside and after them are scored."""

import asyncio
import contextlib
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import psutil
import pytest

from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.kinds.math import MathConfig
from mixed_r1_verl.rewards.pool import Sample, ScoringPool
from mixed_r1_verl.rewards.verdict import SHORTENED

LIMIT_S = 1.0


@pytest.fixture(scope="module")
def pool() -> Iterator[ScoringPool]:
    pool = hostile_pool(time_limit_s=LIMIT_S, processes=2)
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
    results = score(pool, ["fine", order, "fine", "fine"])
    assert [result["error"] for result in results] == [0.0, 1.0, 0.0, 0.0]
    assert results[1]["score"] == 0.0 and results[1]["reason"].startswith(reason)
    assert list(results[0]) == list(results[1])


def test_pool_is_healthy_after_many_bombs(pool: ScoringPool) -> None:
    assert sum(result["error"] for result in score(pool, ["exit"] * 10)) == 10
    assert sum(result["acc"] for result in score(pool, ["fine"] * 50)) == 50


def test_the_event_loop_is_never_blocked(pool: ScoringPool) -> None:
    async def naps_meanwhile() -> int:
        task = asyncio.create_task(pool.score("s", RESPONSE, "hang", {"reward": "hostile"}))
        naps = 0
        while not task.done():
            await asyncio.sleep(0.01)
            naps += 1
        return naps

    assert asyncio.run(naps_meanwhile()) > 3  # had it been blocked, it would have been one


def test_a_row_that_cannot_be_sent_is_an_error_not_an_exception(pool: ScoringPool) -> None:
    result = asyncio.run(pool.score("s", RESPONSE, lambda: None, {"reward": "hostile"}))  # type: ignore[arg-type]
    assert (result["score"], result["error"]) == (0.0, 1.0)


def test_the_time_limit_holds_for_each_sample_of_a_batch(pool: ScoringPool) -> None:
    """All that waits travels together; many slow samples may take longer than one may, and only one hangs."""
    results = score(pool, ["slow"] * 12 + ["hang"] + ["slow"] * 12)
    assert [i for i, result in enumerate(results) if result["error"]] == [12]


def test_time_in_the_queue_counts_against_nobody(pool: ScoringPool) -> None:
    assert not any(result["error"] for result in score(pool, ["slow"] * 30))  # 1.5 s in two processes


def hostile_pool(**options: Any) -> ScoringPool:
    return ScoringPool(MixedRewardConfig(custom={"hostile": "hostile_rewards:obey"}, **options))


@pytest.mark.parametrize(
    ("hanging", "honest", "limit_s", "within_s"),
    [(12, 60, 1.0, 15.0), pytest.param(500, 2000, 2.0, 150.0, marks=pytest.mark.slow)],
)
def test_hanging_samples_of_a_kind_share_a_budget_and_no_honest_one_pays(
    hanging: int, honest: int, limit_s: float, within_s: float
) -> None:
    """At their full limit they would take `hanging * limit_s`; a step would wait for them.

    The bound is on the limits themselves; what a busy machine adds with the start of processes has a minute.
    """
    orders = ["hang"] * hanging + ["fine"] * honest
    random.Random(0).shuffle(orders)
    pool = hostile_pool(time_limit_s=limit_s)
    start = time.monotonic()
    results = score(pool, orders)
    seconds = time.monotonic() - start
    pool.close()
    print(f"{hanging} hanging among {honest} honest at a limit of {limit_s} s: {seconds:.1f} s")
    assert [result["error"] for result in results] == [float(order == "hang") for order in orders]
    late = [result["reason"] for result in results if result["error"]]
    limits = [float(reason.split("timeout: scoring took more than ")[1].split()[0]) for reason in late]
    assert sum(SHORTENED in reason for reason in late) >= hanging - 8
    assert sum(limits) < within_s and seconds < sum(limits) + 60


def scoring_processes() -> list[psutil.Process]:
    """All below this process, and no other child of it: other tests may have left a Ray behind, which ends pytest."""
    living = []
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # a zombie has no command line
            if any("mixed_r1_verl.rewards.process" in word for word in child.cmdline()):
                living.append(child)
    return living


@pytest.mark.parametrize("kills", [8, pytest.param(200, marks=pytest.mark.slow)])
def test_no_honest_sample_is_lost_to_kills_from_outside(kills: int) -> None:
    """Of any process at any moment: those that score, those that compare, and those that are starting."""
    pool = hostile_pool(processes=2, time_limit_s=60.0)  # the machine is busy with starting processes
    sample = Sample("s", RESPONSE, "brief", {"reward": "hostile"})
    sum_of = [Sample("s", f"<think>x</think><answer>x+{i}</answer>", f"{i}+x", {"reward": "math"}) for i in range(40)]
    draw, killed, results = random.Random(1), 0, []
    while killed < kills:
        futures = [pool.submit(one) for one in (*[sample] * 40, *sum_of)]
        while killed < kills and not all(future.done() for future in futures[-20:]):
            time.sleep(draw.uniform(0.0, 2.0))
            with contextlib.suppress(psutil.NoSuchProcess):
                if processes := scoring_processes():
                    draw.choice(processes).kill()
                    killed += 1
        results += [future.result(300) for future in futures]  # a pool that has given up raises
    pool.close()
    print(f"{killed} kills, {len(results)} samples, {sum(result['error'] for result in results):.0f} lost")
    assert [result["reason"] for result in results if result["acc"] != 1.0] == []


def test_a_pool_whose_processes_cannot_start_again_ends_with_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = hostile_pool()
    monkeypatch.setattr("mixed_r1_verl.rewards.process.RESTARTS_S", (0.1,))
    monkeypatch.setattr("mixed_r1_verl.rewards.process._SERVE", "import sys; sys.exit(7)")
    fork = psutil.Process(pool.pids[0])
    for process in (fork.parent(), fork):
        assert process is not None
        process.kill()
    psutil.wait_procs([fork], timeout=10)
    sample = Sample("s", RESPONSE, "fine", {"reward": "hostile"})
    futures = [pool.submit(sample) for _ in range(20)]
    for future in [*futures, pool.submit(sample)]:
        with pytest.raises(RuntimeError, match="the scoring processes do not start: exit code 7"):
            future.result(30)


def test_what_waits_when_the_pool_is_closed_is_an_error() -> None:
    pool = hostile_pool()
    futures = [pool.submit(Sample("s", RESPONSE, order, {"reward": "hostile"})) for order in ["hang", "fine", "fine"]]
    pool.close()
    assert [future.result(10)["error"] for future in futures] == [1.0, 1.0, 1.0]
    assert pool.submit(Sample("s", RESPONSE, "fine", {"reward": "hostile"})).result(1)["error"] == 1.0


def test_a_sample_that_wants_all_memory_is_stopped(pool: ScoringPool) -> None:
    results = score(pool, ["fine", "devour", "fine"])
    assert [result["error"] for result in results] == [0.0, 1.0, 0.0]
    assert "MemoryError" in results[1]["reason"]


def test_scoring_processes_end_with_their_caller() -> None:
    """Also when it is killed, and nobody tells them to."""
    code = (
        "import time\n"
        "from mixed_r1_verl.rewards.config import MixedRewardConfig\n"
        "from mixed_r1_verl.rewards.pool import ScoringPool\n"
        "pool = ScoringPool(MixedRewardConfig())\n"
        "print(pool.pids[0], flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None
        pid = int(caller.stdout.readline())
        assert psutil.pid_exists(pid)
        caller.kill()
    psutil.wait_procs([process for process in [_process(pid)] if process], timeout=10)
    assert _process(pid) is None


def _process(pid: int) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        return None if process.status() == psutil.STATUS_ZOMBIE else process
    except psutil.NoSuchProcess:
        return None


def test_the_first_expression_is_not_blamed_for_the_import_of_sympy() -> None:
    """That takes longer than this limit, in every new process."""
    pool = ScoringPool(MixedRewardConfig(time_limit_s=0.3))
    try:
        response = "<think>x</think><answer>x^2 + 1</answer>"
        results = [pool.submit(Sample("s", response, "1+x^2", {"reward": "math"})).result(120) for _ in range(8)]
        # The process was never killed, though one comparison or the other may be late on a busy machine.
        assert sum(result["acc"] for result in results) >= 4
    finally:
        pool.close()


def test_a_comparison_that_is_too_late_does_not_end_the_scoring_process() -> None:
    pool = ScoringPool(MixedRewardConfig(options={"math": MathConfig(timeout_s=1e-6)}))
    try:
        before = pool.pids
        sample = Sample("s", "<think>x</think><answer>x^2 + 1</answer>", "1+x^2", {"reward": "math"})
        assert [pool.submit(sample).result(120)["error"] for _ in range(3)] == [1.0] * 3
        assert pool.pids == before
    finally:
        pool.close()


def test_a_pool_that_cannot_start_stops_the_run() -> None:
    with pytest.raises(RuntimeError, match="the scoring processes do not start"):
        ScoringPool(MixedRewardConfig(custom={"mine": "no_such_module:f"}))
