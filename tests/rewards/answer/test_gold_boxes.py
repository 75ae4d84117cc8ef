"""Boxes of ground truths: every documented form is read, and everything else is refused with a reason."""

import pytest

from mixed_r1_verl.rewards.answer.boxes import MAX_GOLD_BOXES, GoldBox, normalise_label, parse_ground_truth
from mixed_r1_verl.rewards.kinds.iou import iou_reward
from mixed_r1_verl.rewards.verdict import GroundTruthError

BROKEN_ROWS = [
    ("", "not JSON"),
    ("B", "not JSON"),
    ("[[10, 20, 30, 40]", "not JSON"),
    ("[" * 100_000, "not JSON"),
    ("null", "must be a JSON list"),
    ("{}", "must be a JSON list"),
    ("7", "must be a JSON list"),
    ('"[[10, 20, 30, 40]]"', "must be a JSON list"),
    ("[[]]", "box 0 .* is not four finite numbers"),
    ("[[10, 20, 30]]", "box 0 .* is not four finite numbers"),
    ("[[10, 20, 30, 40, 50]]", "box 0 .* is not four finite numbers"),
    ("[[10, 20, 30, 40], [1, 2]]", "box 1 .* is not four finite numbers"),
    ('[["10", "20", "30", "40"]]', "is not four finite numbers"),
    ("[[NaN, 20, 30, 40]]", "is not four finite numbers"),
    ("[[0, 0, Infinity, 40]]", "is not four finite numbers"),
    ("[[0, 0, 1e9, 1e9]]", "is not four finite numbers"),
    ("[[true, false, 30, 40]]", "is not four finite numbers"),
    ("[[null, 0, 30, 40]]", "is not four finite numbers"),
    ("[10, 20, 30]", "is not four finite numbers"),
    ('[{"bbox": [10, 20, 30, 40]}]', "is not four finite numbers"),
    ("[[30, 20, 10, 40]]", "no area"),
    ("[[10, 40, 30, 20]]", "no area"),
    ("[[10, 20, 10, 20]]", "no area"),
    ("[[0, 0, 0, 0]]", "no area"),
    ("[10, 20, 10, 40]", "no area"),
    ('[{"bbox_2d": [0, 0, 1, 1], "label": "a"}, [2, 2, 3, 3]]', "some boxes .* have a label"),
    ('[{"bbox_2d": [0, 0, 1, 1], "label": ""}]', "unreadable label"),
    ('[{"bbox_2d": [0, 0, 1, 1], "label": []}]', "unreadable label"),
    ('[{"bbox_2d": [0, 0, 1, 1], "label": 7}]', "unreadable label"),
    (str([[0, 0, 1, 1]] * (MAX_GOLD_BOXES + 1)), f"at most {MAX_GOLD_BOXES}"),
]


@pytest.mark.parametrize(("gold", "message"), BROKEN_ROWS, ids=[str(i) for i in range(len(BROKEN_ROWS))])
def test_broken_rows_are_refused(gold: str, message: str) -> None:
    with pytest.raises(GroundTruthError, match=message):
        parse_ground_truth(gold)
    with pytest.raises(GroundTruthError, match=message):
        iou_reward("[0, 0, 1, 1]", gold)


READABLE_GOLD = [
    ("[]", []),  # there is no such object
    ("[[1, 2, 3, 4]]", [GoldBox(1, 2, 3, 4)]),
    ("[1, 2, 3, 4]", [GoldBox(1, 2, 3, 4)]),
    ("[[1.5, 2, 3, 4], [5, 6, 7, 8]]", [GoldBox(1.5, 2, 3, 4), GoldBox(5, 6, 7, 8)]),
    ("[[-1, -2, 3, 4]]", [GoldBox(-1, -2, 3, 4)]),
    ('[{"bbox_2d": [1, 2, 3, 4]}]', [GoldBox(1, 2, 3, 4)]),
    ('[{"bbox_2d": [1, 2, 3, 4], "label": null}]', [GoldBox(1, 2, 3, 4)]),
    ('[{"bbox_2d": [1, 2, 3, 4], "label": "A Dog"}]', [GoldBox(1, 2, 3, 4, ("dog",))]),
    ('[{"bbox_2d": [1, 2, 3, 4], "label": ["Dog", "hound"]}]', [GoldBox(1, 2, 3, 4, ("dog", "hound"))]),
]


@pytest.mark.parametrize(("text", "boxes"), READABLE_GOLD)
def test_ground_truth(text: str, boxes: list[GoldBox]) -> None:
    assert parse_ground_truth(text) == boxes


@pytest.mark.parametrize(
    ("label", "normal"),
    [
        ("Dog", "dog"),
        ("the dogs", "dog"),
        ("traffic-light", "traffic light"),
        ("glass", "glass"),
        ("bus", "bus"),
        ("ＲＢＣ", "rbc"),
        ("dog's bone", "dog s bone"),
        ("狗", "狗"),
        ("...", ""),
        ("A", "a"),
    ],
)
def test_label_normal_form(label: str, normal: str) -> None:
    assert normalise_label(label) == normal
