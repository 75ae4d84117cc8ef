"""Components computed again, and boxes in the frame in which they were read."""

import pytest

from mixed_r1_verl.core.rows import DataRow
from mixed_r1_verl.report.components import boxes_of, recompute
from mixed_r1_verl.responses.join import Candidate, Matcher
from mixed_r1_verl.responses.read import Response
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.mixed import MixedReward

RESPONSE = "<think>I see.</think><answer>{}</answer>"


def test_missing_components_are_those_that_make_the_recorded_score() -> None:
    def rollout(score: float, **values: float) -> Response:
        row = DataRow("", 0, "", "yes", {"reward": "matching"})
        return Response(row, RESPONSE.format("yes"), values={"score": score, **values})

    rollouts = [rollout(1.0), rollout(0.3), rollout(0.5, acc=0.5)]
    assert recompute(rollouts, MixedReward()) == (2, 1)
    assert rollouts[0].values == {"score": 1.0, "acc": 1.0, "format": 1.0, "error": 0.0}
    assert rollouts[1].values == {"score": 0.3}  # another reward was at work: its components are not known
    assert rollouts[2].values == {"score": 0.5, "acc": 0.5}


@pytest.mark.parametrize(
    ("answer", "frame", "boxes"),
    [
        ("[10, 20, 30, 40]", "pixel", [[1000, 4000, 3000, 8000]]),
        ("[100, 200, 300, 400]", "norm1000", [[1000, 2000, 3000, 4000]]),
        ('[{"bbox_2d": [0.5, 0.5, 1, 1], "label": "cat"}]', "norm1", [[5000, 5000, 10000, 10000]]),
        ("[28, 28, 56, 56]", "resized", [[2500, 5000, 5000, 10000]]),  # 100 x 50 becomes 112 x 56
        ("[1, 2, 3]", "pixel", []),
        ("[0, 0, 1e6, 1e6]", "pixel", [[0, 0, 100_000_000, 200_000_000]]),
        ("none", "pixel", []),
        ("[1, 2, 3, 4]", "no such frame", []),
    ],
)
def test_predicted_boxes(answer: str, frame: str, boxes: list[list[int]]) -> None:
    one = rollout("[[0,0,10,10]]", RESPONSE.format(answer), width=100, height=50, box_frame=frame)
    assert boxes_of(one, MixedReward())[1] == boxes


def rollout(truth: str, text: str = "", kind: str = "iou", **extra: object) -> Response:
    return Response(DataRow("", 0, "", truth, {"reward": kind, **extra}), text)


@pytest.mark.parametrize(
    ("truth", "extra", "boxes"),
    [
        ("[[10,20,30,40]]", {"width": 100, "height": 50}, [[1000, 4000, 3000, 8000]]),
        ('[{"bbox_2d": [10,20,30,40], "label": "cat"}]', {"width": 100, "height": 50}, [[1000, 4000, 3000, 8000]]),
        ("[[10,20,30,40]]", {"width": 100, "height": 50, "box_frame": "norm1000"}, [[1000, 4000, 3000, 8000]]),
        ("[[10,20,30,40]]", {}, []),  # the size of the picture is needed
        ("not boxes", {"width": 100, "height": 50}, []),
    ],
)
def test_gold_boxes(truth: str, extra: dict[str, object], boxes: list[list[int]]) -> None:
    assert boxes_of(rollout(truth, **extra), MixedReward())[0] == boxes


def test_only_kinds_whose_answers_are_boxes_have_boxes() -> None:
    for kind in ("open_ended", "unknown"):
        one = rollout("[[10,20,30,40]]", "[1, 2, 3, 4]", kind, width=100, height=50)
        assert boxes_of(one, MixedReward()) == ([], [])


def test_a_function_of_a_users_own_is_asked_again_with_its_columns() -> None:
    reward = MixedReward(MixedRewardConfig(custom={"close": "own_rewards:closeness"}))
    info = {"reward": "close", "question": "question", "difficulty": 1, "unit": "cm"}
    dumped = [
        Response(DataRow("", 0, "", "4", {}), RESPONSE.format(answer), prompt="question", values={"score": score})
        for answer, score in (("4 cm", 0.9 * 0.5 + 0.1), ("4", 0.9 * 0.25 + 0.1), ("cm", 1.0))
    ]
    matcher = Matcher([Candidate(DataRow("f", 0, "s", "4", info), "question")])
    for one in dumped:
        matcher.attach(one)
    assert recompute(dumped, reward) == (3, 2)
    assert [one.values.get("acc") for one in dumped] == [0.5, 0.25, None]
