"""What is said of runs whose curves a person would judge in the same way at a glance."""

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from mixed_r1_verl.report.history import Curves, Point
from mixed_r1_verl.report.verdict import change, judge


def noisy(first: float, last: float, points: int = 40, noise: float = 0.02) -> list[Point]:
    """A straight line with noise, as a logger writes it: without standard errors."""
    values = np.linspace(first, last, points) + np.random.default_rng(0).normal(0, noise, points)
    return [(step, float(value), None) for step, value in enumerate(values)]


def measured(*values: float, error: float = 0.02) -> list[Point]:
    return [(10 * number, value, error) for number, value in enumerate(values)]


def by_reward(**lines: Mapping[str, Sequence[Point]]) -> Curves:
    """Curves by reward: `train_score={"iou": …}`."""
    split_of = {name: tuple(name.split("_", 1)) for name in lines}
    return {(split, "reward", metric): {**lines[name]} for name, (split, metric) in split_of.items()}  # type: ignore[dict-item]


RISES, FALLS, FLAT = noisy(0.2, 0.6), noisy(0.6, 0.2), noisy(0.4, 0.4)
CASES = {
    "nothing logged": ({}, "warning", "too few steps to say whether anything learns", []),
    "two steps": (by_reward(train_score={"iou": noisy(0.1, 0.9, points=2)}), "warning", "too few steps", []),
    "all rise": (
        by_reward(train_score={"iou": RISES, "chart": RISES}),
        "good",
        "every reward learns",
        ["good chart learns: its score in training 0.2", "good iou learns: "],
    ),
    "one is flat": (
        by_reward(train_score={"iou": FLAT, "chart": RISES}),
        "warning",
        "1 of 2 rewards learns; 1 warning",
        ["warning iou does not learn", "good chart learns"],
    ),
    "solved from the start": (by_reward(train_score={"iou": noisy(0.97, 0.97)}), "good", "every reward learns", []),
    "worse": (by_reward(train_score={"iou": FALLS}), "bad", "0 of 1 rewards learn; 1 alarm", ["bad iou gets worse"]),
    "validation counts before training": (
        by_reward(train_score={"iou": RISES}, validation_score={"iou": measured(0.4, 0.41)}),
        "warning",
        "0 of 1 rewards learn; 1 warning",
        ["warning iou does not learn: its score in validation 0.40 → 0.41"],
    ),
    "score up, accuracy down": (
        by_reward(train_score={"iou": RISES}, train_acc={"iou": FALLS}),
        "bad",
        "0 of 1 rewards learn; 1 alarm",
        ["bad iou may be gamed: its score rises (0.2"],
    ),
    "paid in training, worse in validation": (
        by_reward(
            train_score={"iou": RISES},
            validation_score={"iou": measured(0.4, 0.4)},
            validation_acc={"iou": measured(0.5, 0.3)},
        ),
        "bad",
        "0 of 1 rewards learn; 1 alarm",
        ["bad iou may be gamed: its score rises (0.2"],
    ),
    "errors": (
        by_reward(train_score={"iou": RISES}, train_error={"iou": noisy(0, 0.2, noise=0.0)}),
        "bad",
        "every reward learns; 1 alarm",
        ["bad iou: 18% of its samples cannot be scored"],
    ),
    "errors that ended": (
        by_reward(train_score={"iou": RISES}, train_error={"iou": [*noisy(0.5, 0.5, 20), *measured(*[0.0] * 20)]}),
        "good",
        "every reward learns",
        [],
    ),
    "nothing varies": (
        by_reward(train_score={"iou": RISES}, train_zero_variance={"iou": noisy(0.3, 0.95, noise=0.0)}),
        "warning",
        "every reward learns; 1 warning",
        ["warning iou: 87% of its groups score all alike"],
    ),
    "no share of the gradient": (
        by_reward(
            train_score={"iou": RISES, "chart": RISES},
            train_samples={"iou": [(0, 16.0, None)], "chart": [(0, 16.0, None)]},
            train_gradient_share={"iou": [(0, 0.05, None)], "chart": [(0, 0.95, None)]},
        ),
        "warning",
        "every reward learns; 1 warning",
        ["warning iou: 5% of the gradient with 50% of the samples"],
    ),
    "entropy gone": (
        by_reward(train_score={"iou": RISES}) | {("trainer", "", "entropy"): {"": measured(*[1.0] * 20, *[0.05] * 20)}},
        "warning",
        "every reward learns; 1 warning",
        ["warning the policy hardly explores any more"],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_verdicts(case: str) -> None:
    curves, level, headline, findings = CASES[case]
    first, *rest = judge(curves)
    assert first.level == level and first.text.startswith(headline), first
    assert len(rest) >= len(findings)
    for found, expected in zip(rest, findings, strict=False):
        assert " ".join(found).startswith(expected), found


def test_noise_alone_is_no_rise() -> None:
    """Of lines without a trend about one in twenty is beyond two standard errors; few quarters make it some more."""
    draws = np.random.default_rng(1)
    lines = [[(step, float(value), None) for step, value in enumerate(draws.normal(0.5, 0.1, 40))] for _ in range(400)]
    beyond = [abs(moved.errors) > 2 for line in lines if (moved := change(line))]
    assert len(beyond) == 400 and sum(beyond) < 40
