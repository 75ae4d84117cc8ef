"""Confidence intervals against their formulas, and the lines of the summary."""

import math
import random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from mixed_r1_verl.responses.summary import Estimate, Group, Summary


def wilson(successes: int, trials: int) -> tuple[float, float]:
    """Wilson 1927, as it stands in a textbook."""
    z, share = norm.ppf(0.975), successes / trials
    middle = (share + z * z / (2 * trials)) / (1 + z * z / trials)
    half = z / (1 + z * z / trials) * math.sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials))
    return middle - half, middle + half


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_shares_have_wilsons_interval(case: tuple[int, int]) -> None:
    successes, trials = case
    estimate = Estimate.of([1.0] * successes + [0.0] * (trials - successes))
    assert (estimate.low, estimate.high) == pytest.approx(wilson(successes, trials), abs=1e-9)
    assert 0 <= estimate.low <= estimate.mean <= estimate.high <= 1


@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=4), min_size=2, max_size=40))
def test_the_bootstrap_is_that_of_whole_prompts(prompts: list[list[float]]) -> None:
    """The percentiles of 2,000 means, each over as many prompts as there are, drawn with replacement."""
    drawn = np.random.default_rng(0).integers(0, len(prompts), (2000, len(prompts)))
    sums, sizes = np.array([sum(own) for own in prompts]), np.array([len(own) for own in prompts])
    low, high = np.percentile(sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1), (2.5, 97.5))
    estimate = Estimate.of([value for own in prompts for value in own] + [], sizes.tolist())
    if estimate.method == "bootstrap":
        assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=1e-9)


def test_the_bootstrap_resamples_prompts_not_responses() -> None:
    draw = random.Random(0)
    values = [draw.random() for _ in range(200)]
    estimate = Estimate.of(values)
    mean = sum(values) / 200
    error = (sum((value - mean) ** 2 for value in values) / 200 / 200) ** 0.5
    expected = (mean - norm.ppf(0.975) * error, mean + norm.ppf(0.975) * error)
    assert (estimate.low, estimate.high) == pytest.approx(expected, abs=0.005)
    # Eight times the same response to each prompt says no more than one.
    eight = Estimate.of([value for value in values for _ in range(8)], [8] * 200)
    assert (eight.low, eight.high) == pytest.approx((estimate.low, estimate.high), abs=1e-9)
    assert Estimate.of(values) == estimate  # the same answers, the same interval


@pytest.mark.parametrize(
    ("values", "sizes", "method"),
    [
        ([1.0, 0.0, 1.0], None, "wilson"),
        ([1.0, 0.0, 0.0, 0.0], [2, 2], "bootstrap"),  # several responses to a prompt
        ([0.5, 1.0], None, "bootstrap"),
        ([0.5], None, "bootstrap"),
        ([0.5, 1.0], [2], "bootstrap"),
    ],
)
def test_which_interval(values: list[float], sizes: list[int] | None, method: str) -> None:
    estimate = Estimate.of(values, sizes)
    assert estimate.method == method
    assert estimate.low <= estimate.mean <= estimate.high


def test_lines_by_source_and_reward() -> None:
    def row(source: str, number: int, acc: float, **more: object) -> dict:
        base = {"file": "f", "row": number, "data_source": source, "reward_kind": "iou", "score": acc, "acc": acc}
        return base | {"format": 1.0, "error": 0.0, "truncated": False, "tokens": 10} | more

    lines = Summary(
        [row("b", 0, 1.0), row("a", 1, 0.5, truncated=True), row("a", 1, 0.0), row("a", 2, 0.0, error=1.0)]
    ).lines
    assert [(source, reward, len(group.sizes), group.responses) for source, reward, group in lines] == [
        ("a", "iou", 2, 3),
        ("b", "iou", 1, 1),
        ("all", "", 3, 4),
    ]
    first, second, total = (group for *_, group in lines)
    assert first.mean("acc") == first.estimate("acc").mean == pytest.approx(1 / 6)
    assert first.mean("truncated") == first.mean("error") == pytest.approx(1 / 3)
    assert (second.mean("acc"), second.estimate("acc").method) == (1.0, "wilson")
    assert total.mean("tokens") == 10
    assert Summary().lines == []
    assert math.isnan(Group().mean("acc")) and math.isnan(Group().estimate("score").mean)
