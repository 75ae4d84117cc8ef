"""Confidence intervals against SciPy, and the lines of the summary."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest, norm

from mixed_r1_verl.evaluate.summary import Estimate, bootstrap, summarise, wilson


@given(st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_is_scipys(case: tuple[int, int]) -> None:
    successes, trials = case
    expected = binomtest(successes, trials).proportion_ci(0.95, method="wilson")
    assert wilson(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_the_bootstrap_resamples_prompts_not_responses() -> None:
    draw = random.Random(0)
    prompts = [[draw.random()] for _ in range(200)]
    low, high = bootstrap(prompts)
    mean = sum(own[0] for own in prompts) / 200
    error = (sum((own[0] - mean) ** 2 for own in prompts) / 200 / 200) ** 0.5
    assert (low, high) == pytest.approx((mean - norm.ppf(0.975) * error, mean + norm.ppf(0.975) * error), abs=0.005)
    # Eight times the same response to each prompt says no more than one.
    assert bootstrap([own * 8 for own in prompts]) == pytest.approx((low, high), abs=1e-9)
    assert bootstrap(prompts) == (low, high)  # the same answers, the same interval


@pytest.mark.parametrize(
    ("values", "method"),
    [
        ([[1.0], [0.0], [1.0]], "wilson"),
        ([[1.0, 0.0], [0.0, 0.0]], "bootstrap"),  # several responses to a prompt
        ([[0.5], [1.0]], "bootstrap"),
    ],
)
def test_which_interval(values: list[list[float]], method: str) -> None:
    estimate = Estimate.of(values)
    assert estimate.method == method
    assert estimate.low <= estimate.mean <= estimate.high


def test_lines_by_source_and_reward() -> None:
    def row(source: str, number: int, acc: float, **more: object) -> dict:
        base = {"file": "f", "row": number, "data_source": source, "reward_kind": "iou", "score": acc, "acc": acc}
        return base | {"format": 1.0, "error": 0.0, "truncated": False, "tokens": 10} | more

    lines = summarise(
        [row("b", 0, 1.0), row("a", 1, 0.5, truncated=True), row("a", 1, 0.0), row("a", 2, 0.0, error=1.0)]
    )
    assert [(line.data_source, line.reward, line.prompts, line.responses) for line in lines] == [
        ("a", "iou", 2, 3),
        ("b", "iou", 1, 1),
        ("all", "", 3, 4),
    ]
    assert lines[0].acc.mean == pytest.approx(1 / 6)
    assert lines[0].truncated == lines[0].error == pytest.approx(1 / 3)
    plain = lines[1].as_dict()
    assert (plain["acc"], plain["acc_interval"]) == (1.0, "wilson")
    assert summarise([]) == []
