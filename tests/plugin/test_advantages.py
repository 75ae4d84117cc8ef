"""Advantages against references that are written response by response, out of the papers' formulas."""

import math
import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixed_r1_verl.plugin.advantages import ema_grpo, g2rpo, gdpo, read_spreads, write_spreads

SCORES = st.floats(0, 1).map(lambda value: round(value, 3))
GROUPS = st.lists(
    st.tuples(st.sampled_from(["iou", "chart", "math"]), st.lists(SCORES, min_size=1, max_size=6)),
    min_size=1,
    max_size=8,
)


def flat(groups: list[tuple[str, list[float]]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = [(score, f"p{number}", task) for number, (task, scores) in enumerate(groups) for score in scores]
    score, group, task = zip(*rows, strict=True)
    return np.array(score), np.array(group), np.array(task)


def deviation(scores: list[float]) -> float:
    return statistics.stdev(scores) if len(scores) > 1 else 0.0


@given(GROUPS, st.sampled_from([0.0, 0.5, 0.99]), st.dictionaries(st.sampled_from(["iou", "math"]), st.floats(0.01, 1)))
def test_ema_grpo(groups: list, decay: float, before: dict[str, float]) -> None:
    found, after = ema_grpo(*flat(groups), before, decay, limit=5.0)
    expected = dict(before)
    for task in {task for task, _ in groups}:
        now = statistics.fmean(deviation(scores) for name, scores in groups if name == task)
        if now > 1e-6:
            expected[task] = decay * before[task] + (1 - decay) * now if task in before else now
    assert after == pytest.approx(expected, abs=1e-9)
    values = [
        max(-5.0, min(5.0, (score - statistics.fmean(scores)) / (expected.get(task, 1.0) + 1e-6)))
        for task, scores in groups
        for score in scores
    ]
    assert found == pytest.approx(values, abs=1e-6)


@given(GROUPS)
def test_g2rpo(groups: list) -> None:
    found = iter(g2rpo(*flat(groups)))
    live: dict[str, list[float]] = {}
    for task, scores in groups:
        if deviation(scores) > 1e-6:
            live.setdefault(task, []).extend(round(score - statistics.fmean(scores), 9) for score in scores)

    def normal(value: float, values: list[float]) -> float:
        below, equal = sum(other < value for other in values), sum(other == value for other in values)
        return statistics.NormalDist().inv_cdf((below + (equal + 1) / 2 - 0.5) / len(values))

    for task, scores in groups:
        for score in scores:
            expected = 0.0
            if deviation(scores) > 1e-6:
                values = live[task]
                mean = statistics.fmean(normal(value, values) for value in values)
                expected = normal(round(score - statistics.fmean(scores), 9), values) - mean
            assert next(found) == pytest.approx(expected, abs=1e-6)


@given(GROUPS, st.randoms(use_true_random=False))
def test_gdpo(groups: list, random) -> None:
    acc, group, _ = flat(groups)
    form = np.array([random.choice([0.0, 0.1]) for _ in acc])
    found = gdpo(np.stack([acc, form], axis=1), group)
    sums = [0.0] * len(acc)
    for component in (acc.tolist(), form.tolist()):
        for name in set(group):
            rows = [row for row, of in enumerate(group) if of == name]
            own = [component[row] for row in rows]
            for row in rows:
                sums[row] += (component[row] - statistics.fmean(own)) / (deviation(own) + 1e-6)
    spread = deviation(sums)
    expected = [(value - statistics.fmean(sums)) / (spread + 1e-8) for value in sums] if len(sums) > 1 else sums
    if spread > 1e-6:
        assert found == pytest.approx(expected, abs=1e-6)


def test_a_group_that_hardly_varies_weighs_little_and_no_task_drowns() -> None:
    """What plain GRPO does not do: it gives both groups of `iou` the same advantages."""
    groups = [("iou", [0.50, 0.52]), ("iou", [0.0, 1.0]), ("chart", [0.0, 0.1])]
    values, _ = ema_grpo(*flat(groups), {})
    assert abs(values[0]) < 0.1 * abs(values[2]) and abs(values[4]) == pytest.approx(math.sqrt(0.5), rel=1e-4)


@pytest.mark.parametrize("cut", [0, 1, 20])
def test_spreads_of_a_killed_run_are_those_of_its_step(tmp_path, cut: int) -> None:
    path = tmp_path / "checkpoints" / "spreads.jsonl"
    assert read_spreads(path, 3) == {}
    for step in (1, 2, 3):
        write_spreads(path, step, {"iou": step / 10})
    if cut:
        path.write_text(path.read_text()[:-cut])
    if cut == 1:  # a whole line without its end
        assert read_spreads(path, 3) == {"iou": 0.3}
        write_spreads(path, 4, {"iou": 0.4})
        assert read_spreads(path, 4) == {"iou": 0.4}
    assert read_spreads(path, 2) == {"iou": 0.2}
    write_spreads(path, 3, {"iou": 0.35})
    assert read_spreads(path, 3) == {"iou": 0.35}
    assert read_spreads(path, 0) == {} and path.read_text() == ""
