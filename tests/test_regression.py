"""Twenty steps on the CPU draw the curves of `tests/regression.json`; whatever moves one is named."""

from pathlib import Path

import pytest
from regression import BASELINE, OF_THE_MACHINE, STEPS, draw_curves, drift, read_baseline


def test_drift_is_named_with_its_step() -> None:
    baseline = {"a": {0: 1.0, 20: 2.0}, "b": {1: 0.0}, "gone": {1: 1.0}}
    assert drift({**baseline, "a": {0: 1.0 + 5e-7, 20: 2.0}}, baseline) == []
    curves = {"a": {0: 1.0, 20: 2.00001}, "b": {1: 0.0}, "new": {3: 1.0}}
    assert drift(curves, baseline) == [
        "a: 2.00001 at step 20, the baseline has 2",
        "gone: nan at step 1, the baseline has 1",
        "new: 1 at step 3, the baseline has nan",
    ]
    assert drift(curves, baseline, last=0) == []


def test_the_baseline_has_every_kind_of_curve_and_none_of_the_machine() -> None:
    names = read_baseline().keys()
    parts = ("actor/", "critic/", "response_length/", "training/", "mixed_r1/reward/", "mixed_r1/source/", "val-core/")
    assert all(any(name.startswith(part) for name in names) for part in parts)
    assert not [name for name in names if OF_THE_MACHINE.search(name)]
    assert '"reason": "' in BASELINE.read_text(encoding="utf-8")


@pytest.mark.verl
@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_curves_are_those_of_the_baseline(tmp_path: Path) -> None:
    drifted = drift(draw_curves(tmp_path, STEPS), read_baseline())
    assert not drifted, 'wanted? make baseline REASON="…"\n' + "\n".join(drifted)


@pytest.mark.verl
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_hundred_thousandth_of_one_reward_is_named(tmp_path: Path) -> None:
    """One step in which a chart earns 1e-5 less: its curves are named, and none of another kind."""
    planted = "reward.reward_kwargs.mixed_r1.weights.chart=0.99999"
    drifted = drift(draw_curves(tmp_path, 1, planted, "trainer.test_freq=-1"), read_baseline(), last=1)
    assert any(line.startswith("mixed_r1/reward/chart/score/mean: ") for line in drifted), drifted
    kinds = [line for line in drifted if line.startswith(("mixed_r1/reward", "mixed_r1/source"))]
    assert all("chart/" in line for line in kinds), kinds
