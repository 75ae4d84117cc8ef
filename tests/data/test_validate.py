"""Validation by the very reward that will score a row."""

import pytest

from mixed_r1_verl.core.rows import RowError
from mixed_r1_verl.data import Example
from mixed_r1_verl.data.validate import check_row, gold_acc
from mixed_r1_verl.rewards.kinds import KINDS

GOLDS = [
    ("matching", "B", ("cat", "dog")),
    ("matching", "no", ()),
    ("matching", "triangle", ()),
    ("matching", "12", ()),
    ("chart", "[Cape Verde, United Kingdom]", ()),
    ("chart", "2.72 / 2720", ()),
    ("chart", "12:45 P.M.", ()),
    ("chart", "0; Cubic Rewards; 200", ()),
    ("iou", "[[0,0,10,10],[3,4,5,6]]", ()),
    ("open_ended", "A cat.", ()),
    ("open_ended", '["A cat.", "Two cats."]', ()),
    ("math", "\\frac{1}{2}cm²", ()),
    ("math", "[0, 2, 0, 2]", ()),
]


def example(reward: str, choices: tuple[str, ...] = (), question: str = "Q?") -> Example:
    return Example(id="1", question=question, reward=reward, choices=choices)


@pytest.mark.parametrize(("reward", "truth", "choices"), GOLDS)
def test_published_golds_earn_their_reward(reward, truth, choices):
    info = {"reward": reward, "choices": choices, "question": "Q?", "width": 10, "height": 10}
    assert gold_acc(truth, info) == pytest.approx(1.0, abs=0.001)
    check_row(example(reward, choices), truth, width=10, height=10, gold=True)


def test_every_kind_is_covered():
    assert {reward for reward, _, _ in GOLDS} == set(KINDS)


@pytest.mark.parametrize(
    ("row", "truth", "field", "reason"),
    [
        (example("nope"), "x", "reward", "unknown_reward"),
        (example("chart"), " ", "answer", "empty"),
        (example("chart", question="\n"), "3", "question", "empty"),
        (example("matching", ("cat", "dog")), "E", "answer", "ground_truth"),
        (example("iou"), "[[1,2,3]]", "answer", "ground_truth"),
        (example("iou"), "about [1,2,3,4]", "answer", "ground_truth"),
        (example("open_ended"), "[]", "answer", "ground_truth"),
    ],
)
def test_rows_that_are_refused(row, truth, field, reason):
    with pytest.raises(RowError) as caught:
        check_row(row, truth, width=10, height=10, gold=True)
    assert (caught.value.field, caught.value.reason) == (field, reason)


@pytest.mark.parametrize("truth", ["3</answer>", "<answer>3</answer>", "</think>3"])
def test_a_gold_that_cannot_be_answered(truth):
    """Readable is not enough: a ground truth that holds the reply's own tags can never be given as an answer."""
    with pytest.raises(RowError) as caught:
        check_row(example("open_ended"), truth, width=200, height=10, gold=True)
    assert (caught.value.field, caught.value.reason) == ("answer", "gold_not_right")
    check_row(example("open_ended"), truth, width=200, height=10, gold=False)
