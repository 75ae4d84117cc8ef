"""Curves by source and reward: hand-made steps with known numbers, and properties that hold for any step."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixed_r1_verl.plugin.metrics import Rollouts, balance_factors, curves_of_step, gradient_signal

ROWS = [
    # source, reward, group, score, acc, format,
    # error, abstained, timeout, shortened, length, truncated, advantage, signal
    ("chartqa", "chart", "p", 1.0, 1.0, 1.0, 0.0, False, False, False, 10, False, 1.5, 15.0),
    ("chartqa", "chart", "p", 0.1, 0.0, 1.0, 0.0, False, False, False, 20, False, 0.5, 10.0),
    ("chartqa", "chart", "q", 0.0, 0.0, 0.0, 1.0, False, True, True, 48, True, 0.0, 0.0),
    ("chartqa", "chart", "q", 0.0, 0.0, 0.5, 0.0, False, False, False, 30, False, 0.0, 0.0),
    ("voc", "iou", "r", 0.9, 0.9, 1.0, 0.0, False, False, False, 12, False, 1.0, 12.0),
    ("voc", "iou", "r", 0.5, 0.5, 1.0, 0.0, False, False, False, 13, False, 1.0, 13.0),
]


def step(rows: list[tuple]) -> Rollouts:
    return Rollouts(*(np.array(column) for column in zip(*rows, strict=True)))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("source/chartqa/samples", 4),
        ("source/chartqa/groups", 2),
        ("source/chartqa/score/mean", 0.275),
        ("source/chartqa/score/group_std", 0.225),
        ("source/chartqa/acc/mean", 0.25),
        ("source/chartqa/acc/std", 0.4330127),
        ("source/voc/acc/mean", 0.7),
        ("source/chartqa/format/mean", 0.625),
        ("source/chartqa/zero_variance", 0.5),
        ("source/voc/zero_variance", 0.0),
        ("source/chartqa/malformed", 0.5),
        ("reward/chart/error", 0.25),
        ("reward/chart/timeout", 0.25),
        ("reward/chart/timeout_shortened", 0.25),
        ("reward/chart/response_length/mean", 27.0),
        ("reward/chart/truncated", 0.25),
        ("reward/chart/advantage_share", 0.5),
        ("reward/iou/advantage_share", 0.5),
        ("reward/chart/gradient_share", 0.5),
    ],
)
def test_a_step_by_hand(name: str, value: float) -> None:
    assert curves_of_step(step(ROWS))[f"mixed_r1/{name}"] == pytest.approx(value)


def test_what_its_kind_cannot_judge_is_in_no_mean() -> None:
    rows = [*ROWS, ("voc", "iou", "r", 0.0, 0.0, 0.0, 1.0, True, False, False, 12, False, 1.0, 12.0)]
    curves = curves_of_step(step(rows))
    means = [curves[f"mixed_r1/reward/iou/{name}"] for name in ("acc/mean", "format/mean", "malformed", "abstained")]
    assert means == pytest.approx([0.7, 1.0, 0.0, 1 / 3])
    assert "mixed_r1/source/none/acc/mean" not in curves_of_step(step([("none", "own", *rows[-1][2:])]))


def test_what_is_absent_has_no_curve() -> None:
    assert not any("matching" in name for name in curves_of_step(step(ROWS)))


def test_a_step_without_advantage_shares_nothing() -> None:
    rows = [(*row[:12], 0.0, 0.0) for row in ROWS]
    assert curves_of_step(step(rows))["mixed_r1/reward/iou/gradient_share"] == 0.0


unit = st.floats(0, 1)


@st.composite
def steps(draw: st.DrawFn) -> Rollouts:
    sources = draw(st.lists(st.sampled_from(["a/b", "c", "d"]), min_size=1, max_size=6))
    rows = []
    for number, source in enumerate(sources):
        for _ in range(draw(st.integers(1, 4))):
            weight = draw(st.floats(0, 10))
            counts = (
                draw(st.sampled_from([0.0, 1.0])),
                draw(st.booleans()),
                draw(st.booleans()),
                draw(st.booleans()),
                draw(st.integers(1, 99)),
                draw(st.booleans()),
            )
            kind = draw(st.sampled_from(["chart", "iou"]))
            rows.append((source, kind, f"p{number}", draw(unit), draw(unit), draw(unit), *counts, weight, weight * 7))
    return step(rows)


@given(steps())
def test_every_curve_is_finite_and_every_mean_is_of_its_source_alone(rollouts: Rollouts) -> None:
    metrics = curves_of_step(rollouts)
    assert all(isinstance(value, float) and np.isfinite(value) for value in metrics.values())
    for source in set(rollouts.source):
        own = rollouts.acc[(rollouts.source == source) & ~rollouts.abstained]
        assert metrics.get(f"mixed_r1/source/{source}/acc/mean") == (pytest.approx(own.mean()) if len(own) else None)
    for prefix, labels in (("source", rollouts.source), ("reward", rollouts.reward)):
        for name in ("advantage_share", "gradient_share", "samples"):
            total = sum(metrics[f"mixed_r1/{prefix}/{label}/{name}"] for label in set(labels))
            expected = len(rollouts.source) if name == "samples" else float(rollouts.advantage.sum() > 0)
            assert total == pytest.approx(expected)


@given(steps(), st.randoms())
def test_the_order_of_responses_does_not_matter(rollouts: Rollouts, random: object) -> None:
    order = list(range(len(rollouts.source)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = Rollouts(*(column[order] for column in rollouts))
    assert curves_of_step(shuffled) == pytest.approx(curves_of_step(rollouts))


@pytest.mark.parametrize("mode", ["token-mean", "token-sum", "seq-mean-token-sum", "seq-mean-token-mean"])
def test_the_signal_is_the_gradient_that_verls_own_loss_gives(mode: str) -> None:
    """The signal is read off verl: the gradient of its aggregated loss with respect to ratio · A of each token."""
    torch = pytest.importorskip("torch")
    from verl.trainer.ppo.core_algos import agg_loss

    generator = np.random.default_rng(0)
    advantages = generator.normal(size=(5, 7))
    mask = (np.arange(7) < generator.integers(1, 8, size=(5, 1))).astype(int)
    ratio = torch.ones(5, 7, dtype=torch.float64, requires_grad=True)
    agg_loss(-ratio * torch.tensor(advantages), torch.tensor(mask), mode).backward()
    gradient = ratio.grad.abs().sum(dim=1).numpy()
    signal = gradient_signal(advantages, mask, mode)
    assert signal / signal.sum() == pytest.approx(gradient / gradient.sum())


def test_an_unknown_aggregation_is_named() -> None:
    with pytest.raises(ValueError, match="'median' is none of token-mean"):
        gradient_signal(np.ones((1, 1)), np.ones((1, 1)), "median")


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0, 100)), min_size=1, max_size=30),
    st.floats(1, 10),
)
def test_balance_gives_each_live_task_its_share_of_the_responses(rows: list[tuple[str, float]], limit: float) -> None:
    labels, signal = [label for label, _ in rows], np.array([value for _, value in rows])
    factors = balance_factors(labels, signal, limit)
    assert set(factors) == set(labels)
    assert all(1 / limit <= factor <= limit for factor in factors.values())
    sums = {label: signal[np.array(labels) == label].sum() for label in factors}
    live = [label for label in factors if sums[label] > 0]
    responses = sum(labels.count(label) for label in live)
    for label in live:
        target = labels.count(label) / responses * sum(sums.values())
        if 1 / limit < factors[label] < limit:
            assert factors[label] * sums[label] == pytest.approx(target)
    if limit == 1:
        assert set(factors.values()) == {1.0}
