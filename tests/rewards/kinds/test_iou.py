"""The IoU reward; tables named after where the cases come from."""

import json
import math
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixed_r1_verl.core.boxes import Box
from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.rewards.kinds.iou import KIND, IoUConfig, iou_reward
from mixed_r1_verl.rewards.mixed import MixedReward, MixedRewardConfig
from mixed_r1_verl.rewards.verdict import GroundTruthError

MODES = get_args(get_type_hints(IoUConfig)["mode"])

G = "[[10, 20, 30, 40]]"
G2 = "[[0, 0, 10, 10], [20, 0, 30, 10]]"

ONE_BOX = [
    ("[10, 20, 30, 40]", G, 1.0, ""),
    ("[[10, 20, 30, 40]]", G, 1.0, ""),
    ("[10, 20, 30, 30]", G, 0.5, "inexact_box"),
    ("[110, 20, 130, 40]", G, 0.0, "inexact_box"),
    ("(10,20),(30,40)", G, 1.0, ""),
    ('```json\n[{"bbox_2d": [10, 20, 30, 40], "label": "dog"}]\n```', G, 1.0, ""),
    ("[10, 20, 30, 40]", "[10, 20, 30, 40]", 1.0, ""),
    ("[10.25, 20.5, 30.75, 40.5]", "[[10.25, 20.5, 30.75, 40.5]]", 1.0, ""),
    ("[-5, -5, 5, 5]", "[[0, 0, 5, 5]]", 0.25, "inexact_box"),  # not clipped to the image
]

NEVER_PAYS = [
    ("", G, 0.0, "no_box"),
    ("I see no dog.", G, 0.0, "no_box"),
    ("[]", G, 0.0, "no_box"),
    ("(20, 30)", G, 0.0, "no_box"),
    ("[10, 20, 30]", G, 0.0, "malformed_box"),
    ("[10, 20, 30, 40, 50]", G, 0.0, "malformed_box"),
    ("[10, 20, 30, 40, 10, 20, 30, 40]", G, 0.0, "malformed_box"),
    ("[nan, 20, 30, 40]", G, 0.0, "malformed_box"),
    ("[-inf, -inf, inf, inf]", G, 0.0, "malformed_box"),
    ("[0, 0, 1e308, 1e308]", G, 0.0, "malformed_box"),
    ("[30, 40, 10, 20]", G, 0.0, "degenerate_box"),
    ("[30, 20, 10, 40]", G, 0.0, "degenerate_box"),
    ("[10, 40, 30, 20]", G, 0.0, "degenerate_box"),
    ("[0, 0, 0, 0]", G, 0.0, "degenerate_box"),
    ("[10, 20, 10, 20]", G, 0.0, "degenerate_box"),
    ("[10, 20, 30, 20]", G, 0.0, "degenerate_box"),
    ("[[10, 20, 30, 40]]" * 65, G, 0.0, "too_many_boxes"),
    ("[1, 2, 3, 4], " * 100_000, G, 0.0, "too_many_boxes"),
]

SURPLUS_AND_MISSING = [
    ("[10, 20, 30, 40] [110, 20, 130, 40]", G, 1 / 2, "surplus_box"),
    ("[110, 20, 130, 40] [10, 20, 30, 40]", G, 1 / 2, "surplus_box"),
    ("[10, 20, 30, 40] [30, 40, 10, 20]", G, 1 / 2, "degenerate_box"),
    ("[10, 20, 30, 40] [1, 2, 3]", G, 1 / 2, "malformed_box"),
    ("[10, 20, 30, 40] [nan, 1, 2, 3]", G, 1 / 2, "malformed_box"),
    ("[10, 20, 30, 40] [10, 20, 30, 40]", G, 1 / 2, "duplicate_box"),
    ("[10, 20, 30, 40] [10, 20, 30, 40] [10, 20, 30, 40]", G, 1 / 3, "duplicate_box"),
    ("[0, 0, 10, 10]", G2, 1 / 2, "missing_box"),
    ("[20, 0, 30, 10]", G2, 1 / 2, "missing_box"),  # a greedy matcher pairs it with the wrong one
    ("[0, 0, 10, 10] [20, 0, 30, 10]", G2, 1.0, ""),
    ("[20, 0, 30, 10] [0, 0, 10, 10]", G2, 1.0, ""),
    ("[0, 0, 10, 10] [0, 0, 10, 10]", G2, 1 / 2, "duplicate_box"),
    ("[0, 0, 10, 10] [20, 0, 30, 10] [40, 0, 50, 10]", G2, 2 / 3, "surplus_box"),
    ("[0, 0, 30, 10] [0, 0, 30, 10]", G2, 1 / 6, "duplicate_box"),  # the hull of all, once a gold box
    ("[0, 0, 30, 10]", G2, 1 / 6, "missing_box"),
]

ONE_TO_ONE = [
    # Greedy by prediction would take the left gold box for the first prediction and leave nothing for the second.
    ("[4, 0, 14, 10] [0, 0, 10, 10]", "[[0, 0, 10, 10], [10, 0, 20, 10]]", (4 / 16 + 1) / 2, "inexact_box"),
    ("[0, 0, 12, 10] [0, 0, 10, 10]", "[[0, 0, 10, 10], [5, 0, 15, 10]]", (7 / 15 + 1) / 2, "inexact_box"),
    # Overlapping gold boxes: the same prediction given twice earns once all the same.
    ("[0, 0, 10, 10] [0, 0, 10, 10]", "[[0, 0, 10, 10], [5, 0, 15, 10]]", 1 / 2, "duplicate_box"),
    ("[0, 0, 100, 100] [0, 0, 100, 99]", "[[0, 0, 100, 100], [50, 0, 150, 100]]", 1 / 2, "duplicate_box"),
    # ... but gold boxes that are as close as that may each have their own.
    ("[0, 0, 100, 100] [0, 0, 100, 99]", "[[0, 0, 100, 100], [0, 0, 100, 99]]", 1.0, ""),
    ("[0, 0, 10, 10] [0, 0, 10, 10]", "[[0, 0, 10, 10], [0, 0, 10, 10]]", 1.0, ""),
]

CAT_DOG = '[{"bbox_2d": [0, 0, 10, 10], "label": "cat"}, {"bbox_2d": [20, 0, 30, 10], "label": "dog"}]'
CATS = '[{"bbox_2d": [0, 0, 10, 10], "label": "cat"}, {"bbox_2d": [20, 0, 30, 10], "label": "cat"}]'
RBC = '[{"bbox_2d": [0, 0, 10, 10], "label": ["RBC", "red blood cell"]}]'

LABELS = [
    (CAT_DOG, CAT_DOG, 1.0, ""),
    (CAT_DOG.replace('"', "'"), CAT_DOG, 1.0, ""),
    (CAT_DOG.replace("dog", "cat"), CAT_DOG, 1 / 2, "inexact_box"),
    (CAT_DOG.replace("cat", "cow").replace("dog", "cow"), CAT_DOG, 0.0, "wrong_label"),
    (CAT_DOG.replace("cat", "x").replace("dog", "cat").replace("x", "dog"), CAT_DOG, 0.0, "inexact_box"),
    ("[0, 0, 10, 10] [20, 0, 30, 10]", CAT_DOG, 0.0, "wrong_label"),
    ("cat: [0, 0, 10, 10]\ndog: [20, 0, 30, 10]", CAT_DOG, 1.0, ""),
    ("<ref>the cat</ref><box>[[0,0,10,10]]</box><ref>A dog</ref><box>[[20,0,30,10]]</box>", CAT_DOG, 1.0, ""),
    ('[{"bbox_2d": [0, 0, 10, 10], "label": "The Cats"}]', CAT_DOG, 1 / 2, "missing_box"),
    # Box and label hedged: both names for the same box.
    (
        '[{"bbox_2d": [0, 0, 10, 10], "label": "cat"}, {"bbox_2d": [0, 0, 10, 10], "label": "dog"}]',
        CAT_DOG,
        1 / 2,
        "duplicate_box",
    ),
    (
        '[{"bbox_2d": [0, 0, 10, 10], "label": "dog"}, {"bbox_2d": [0, 0, 10, 10], "label": "cat"}]',
        CAT_DOG,
        1 / 2,
        "duplicate_box",
    ),
    ("[0, 0, 10, 10] [20, 0, 30, 10]", CATS, 1.0, ""),  # one label: the question has named it
    ("Here they are: [0, 0, 10, 10] [20, 0, 30, 10]", CATS, 1.0, ""),
    (CATS, CATS, 1.0, ""),
    (CATS.replace("cat", "dog"), CATS, 0.0, "wrong_label"),
    ('[{"bbox_2d": [0, 0, 10, 10], "label": "rbc"}]', RBC, 1.0, ""),
    ('[{"bbox_2d": [0, 0, 10, 10], "label": "Red-Blood-Cells"}]', RBC, 1.0, ""),
    ('[{"bbox_2d": [0, 0, 10, 10], "label": "blood"}]', RBC, 0.0, "wrong_label"),
    (RBC, RBC, 1.0, ""),
    ('[{"bbox_2d": [0, 0, 10, 10], "label": "anything"}]', "[[0, 0, 10, 10]]", 1.0, ""),
]

TABLES: dict[str, list[tuple[str, str, float, str]]] = {
    "one_box": ONE_BOX,
    "never_pays": NEVER_PAYS,
    "surplus_and_missing": SURPLUS_AND_MISSING,
    "one_to_one": ONE_TO_ONE,
    "labels": LABELS,
}


@pytest.mark.parametrize(
    ("answer", "gold", "acc", "reason"),
    [pytest.param(*case, id=f"{name}-{i}") for name, table in TABLES.items() for i, case in enumerate(table)],
)
def test_table(answer: str, gold: str, acc: float, reason: str) -> None:
    verdict = iou_reward(answer, gold)
    assert verdict.acc == pytest.approx(acc)
    assert verdict.reason == reason


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("answer", "gold"), [case[:2] for case in NEVER_PAYS])
def test_never_pays_in_any_mode(answer: str, gold: str, mode: Any) -> None:
    assert iou_reward(answer, gold, config=IoUConfig(mode=mode)).acc == 0.0


QUESTION_LABELS = [
    ("person in red", "Where is the person in red?", 1.0),
    ("Persons", "Where is the person in red?", 1.0),
    ("person in blue", "Where is the person in red?", 0.0),
    ("per", "Where is the person in red?", 0.0),
    ("", "Where is the person in red?", 1.0),
]


@pytest.mark.parametrize(("label", "question", "acc"), QUESTION_LABELS)
def test_words_of_the_question_are_a_right_label(label: str, question: str, acc: float) -> None:
    answer = json.dumps([{"bbox_2d": [0, 0, 10, 10], "label": label}])
    gold = '[{"bbox_2d": [0, 0, 10, 10], "label": "man"}]'
    assert iou_reward(answer, gold, question=question).acc == acc


def test_words_of_the_question_do_not_tell_two_labels_apart() -> None:
    answer = CAT_DOG.replace("dog", "cat")
    assert iou_reward(answer, CAT_DOG, question="Find the cat and the dog.").acc == 0.5


# Two boxes of the same size, one shifted by this share of its width, have IoU (1 - shift) / (1 + shift).
MODE_CASES = [
    ("raw", {}, 1 / 3, 0.5),
    ("raw", {}, 0.0, 1.0),
    ("threshold", {"threshold": 0.5}, 1 / 3, 1.0),
    ("threshold", {"threshold": 0.5}, 0.34, 0.0),
    ("threshold", {"threshold": 0.9}, 1 / 3, 0.0),
    ("threshold", {"threshold": 0.9}, 0.0, 1.0),
    ("stepped", {"steps": (0.5, 0.75)}, 1 / 3, 0.5),
    ("stepped", {"steps": (0.5, 0.75)}, 0.34, 0.0),
    ("stepped", {"steps": (0.5, 0.75)}, 0.1, 1.0),
    ("stepped", {"steps": (0.25, 0.5, 0.75, 0.95)}, 1 / 3, 0.5),
    ("stepped", {}, 0.0, 1.0),
    ("giou", {}, 1 / 3, 0.5),
    ("giou", {}, 0.0, 1.0),
    ("giou", {}, 1.0, 0.0),
    ("giou", {}, 3.0, 0.0),
]


@pytest.mark.parametrize(("mode", "extra", "shift", "acc"), MODE_CASES)
def test_modes(mode: Any, extra: dict[str, Any], shift: float, acc: float) -> None:
    answer = str([30 * shift, 0, 30 + 30 * shift, 20])
    verdict = iou_reward(answer, "[[0, 0, 30, 20]]", config=IoUConfig(mode=mode, **extra))
    assert verdict.acc == pytest.approx(acc)


def test_giou_is_below_iou_for_a_diagonal_shift() -> None:
    answer, gold = "[5, 5, 15, 15]", "[[0, 0, 10, 10]]"
    assert iou_reward(answer, gold).acc == pytest.approx(1 / 7)
    assert iou_reward(answer, gold, config=IoUConfig(mode="giou")).acc == 0.0


def test_assignment_serves_the_mode() -> None:
    """With a threshold of 0.6, two pairs of 0.67 are worth more than one of 1 and one of 0.43 and are chosen."""
    gold = "[[0, 0, 10, 10], [2, 0, 12, 10]]"
    answer = "[[2, 0, 12, 10], [-2, 0, 8, 10]]"
    assert iou_reward(answer, gold, config=IoUConfig(mode="threshold", threshold=0.6)).acc == 1.0
    assert iou_reward(answer, gold).acc == pytest.approx((1 + 8 / 12) / 2)


FRAMES = [
    ("[100, 100, 500, 500]", "norm1000", (640, 480), "[[64, 48, 320, 240]]"),
    ("[0.1, 0.1, 0.5, 0.5]", "norm1", (640, 480), "[[64, 48, 320, 240]]"),
    ("[0, 0, 322, 238]", "resized", (640, 480), "[[0, 0, 320, 240]]"),
    ("[64, 48, 320, 240]", "pixel", (640, 480), "[[64, 48, 320, 240]]"),
    ("[64, 48, 320, 240]", "pixel", (None, None), "[[64, 48, 320, 240]]"),
    ("[64, 48, 320, 240]", None, (None, None), "[[64, 48, 320, 240]]"),
]


@pytest.mark.parametrize(("answer", "frame", "size", "gold"), FRAMES)
def test_frames(answer: str, frame: str | None, size: tuple[int | None, int | None], gold: str) -> None:
    assert iou_reward(answer, gold, width=size[0], height=size[1], box_frame=frame).acc == 1.0


def test_the_frame_of_the_configuration_is_used_when_the_row_names_none() -> None:
    config = IoUConfig(box_frame="norm1000")
    assert iou_reward("[100, 100, 500, 500]", "[[64, 48, 320, 240]]", width=640, height=480, config=config).acc == 1.0
    assert iou_reward("[9, 9, 20, 20]", "[[9, 9, 20, 20]]", width=640, height=480, box_frame="pixel", config=config).acc


@pytest.mark.parametrize(("frame", "size"), [("norm1000", (None, None)), ("resized", (3000, 2)), ("polar", (640, 480))])
def test_rows_without_a_usable_frame_are_refused(frame: str, size: tuple[int | None, int | None]) -> None:
    with pytest.raises(GroundTruthError, match="frame"):
        iou_reward("[0, 0, 1, 1]", G, width=size[0], height=size[1], box_frame=frame)


def test_prediction_is_what_was_read() -> None:
    assert iou_reward("x [1.5, 2, 3, 4] y (5,6),(7,8)", G).prediction == "[[1.5, 2, 3, 4], [5, 6, 7, 8]]"
    assert iou_reward("none", G).prediction == ""
    assert len(iou_reward("[1, 2, 3, 4]" * 60, G).prediction) < 1000


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("threshold", 0.0),
        ("threshold", 1.5),
        ("threshold", math.nan),
        ("steps", ()),
        ("steps", (0.5, 0.0)),
        ("steps", (0.5, 95)),
        ("max_boxes", 0),
        ("min_pixels", 0),
        ("max_pixels", -1),
    ],
)
def test_settings_that_would_pay_for_nothing_are_refused(field: str, value: Any) -> None:
    with pytest.raises(ConfigError, match=f"iou.{field}"):
        IoUConfig(**{field: value})


def test_gold_boxes_as_close_as_copies_survive_a_change_of_frame():
    """Two cells of BCCD overlap by 0.93; in 0-1 coordinates rounding brings them a hair closer to each other."""
    truth = "[[149, 143, 266, 255], [151, 145, 268, 257]]"
    answer = "[[0.232813, 0.297917, 0.415625, 0.53125], [0.235938, 0.302083, 0.41875, 0.535417]]"
    assert iou_reward(answer, truth, width=640, height=480, box_frame="norm1").acc > 0.999


# --- the gold of a row ------------------------------------------------------------------------------------------------

FORMS = [
    "[10, 20, 30, 40]",
    "[[10, 20, 30, 40], [50.5, 60, 70, 80]]",
    '[{"bbox_2d": [10, 20, 30, 40]}]',
    CAT_DOG,
    '[{"bbox_2d": [10, 20, 30, 40], "label": ["RBC", "red blood cell"]}]',
    '[{"bbox_2d": [10, 20, 30, 40], "label": "狗"}, {"bbox_2d": [1, 2, 3, 4], "label": "The \\"big\\" cat\'s tail"}]',
    "[[149, 143, 266, 255], [151, 145, 268, 257]]",
]


def gold_of(truth: str, mode: Any = "raw", **extra: Any) -> Any:
    reward = MixedReward(MixedRewardConfig(options={"iou": IoUConfig(mode=mode)}))
    return reward.parse("iou", truth, {"width": 640, "height": 480, **extra})


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("frame", [None, "pixel", "norm1000", "norm1", "resized"])
@pytest.mark.parametrize("truth", FORMS)
def test_the_honest_answer_scores_1_in_the_frame_of_its_row(truth: str, frame: str | None, mode: Any) -> None:
    gold = gold_of(truth, mode, box_frame=frame)
    assert gold.score(gold.honest).acc == 1.0
    drawn = [box._replace(label=None, caption=None) for box in gold.boxes_of(gold.honest, 99)]
    assert drawn == [pytest.approx(box._replace(label=None)) for box in gold.boxes]


@given(
    st.lists(st.tuples(*[st.floats(0, 1e4).map(lambda x: round(x, 3))] * 2, *[st.floats(0.5, 100)] * 2), min_size=1),
    st.sampled_from(["pixel", "norm1000", "norm1", "resized"]),
    st.sampled_from(MODES),
)
def test_any_honest_answer_scores_1(sides: list[tuple[float, ...]], frame: str, mode: str) -> None:
    truth = json.dumps([[x, y, x + w, y + h] for x, y, w, h in sides])
    gold = gold_of(truth, mode, box_frame=frame, width=11_000, height=12_000)
    assert gold.score(gold.honest).acc == 1.0


def test_gold_boxes_have_labels_and_are_in_pixels() -> None:
    assert gold_of(CAT_DOG, box_frame="norm1000").boxes == (Box(0, 0, 10, 10, "cat"), Box(20, 0, 30, 10, "dog"))


def test_an_answer_moves_to_another_picture() -> None:
    """Boxes keep their share of the picture, in whatever frames the two rows are answered."""
    source, target = gold_of(CAT_DOG, box_frame="norm1"), gold_of("[[0, 0, 1, 1]]", width=1280, height=240)
    assert source.extent == (1.0, 1.0) and target.extent == (1280, 240)
    moved = source.moved(source.honest, target.extent)
    assert [box.label for box in target.boxes_of(moved, 9)] == ["cat", "dog"]
    corners = [number for box in target.boxes_of(moved, 9) for number in box[:4]]
    assert corners == pytest.approx([0, 0, 20, 5, 40, 0, 60, 5])


def test_what_cannot_be_drawn_is_left_out() -> None:
    assert gold_of("[[0, 0, 9, 9]]").boxes_of("[1, 2, 3, 4] [1, 2, 3] [5, 6, 7, 8] [1, 1, 2, 2]", 3) == (
        Box(1, 2, 3, 4),
        Box(5, 6, 7, 8),
    )


def test_a_label_that_no_answer_can_hold_is_refused() -> None:
    with pytest.raises(GroundTruthError, match="unreadable label"):
        gold_of(json.dumps([{"bbox_2d": [0, 0, 1, 1], "label": "word " * 50}]))


def test_the_kind_says_what_it_reads() -> None:
    assert KIND.columns == ("question", "width", "height", "box_frame")
    assert len({cheat.name for cheat in KIND.cheats}) == 20
