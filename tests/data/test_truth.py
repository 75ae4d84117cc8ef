"""Whether a ground truth can be read, and earned, by the very kind that will score it."""

import pytest

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.data.truth import GOLD_ACC, gold_acc, reward_with
from mixed_r1_verl.rewards.kind import RewardKind, plain_gold
from mixed_r1_verl.rewards.kinds import KINDS
from mixed_r1_verl.rewards.verdict import GroundTruthError, Verdict

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
    ("anls", '["ACME Ltd", "Acme"]', ()),
]


@pytest.mark.parametrize(("kind", "truth", "choices"), GOLDS)
def test_published_golds_earn_their_reward(kind, truth, choices):
    info = {"choices": choices, "question": "Q?", "width": 10, "height": 10}
    assert gold_acc(reward_with({}), kind, truth, info) == pytest.approx(1.0, abs=0.001)


def test_every_kind_is_covered():
    assert {kind for kind, _, _ in GOLDS} == set(KINDS)


@pytest.mark.parametrize(
    ("kind", "truth", "choices"),
    [
        ("matching", "E", ("cat", "dog")),
        ("iou", "[[1,2,3]]", ()),
        ("iou", "about [1,2,3,4]", ()),
        ("open_ended", "[]", ()),
    ],
)
def test_truths_that_cannot_be_read(kind, truth, choices):
    with pytest.raises(GroundTruthError):
        gold_acc(reward_with({}), kind, truth, {"choices": choices, "width": 10, "height": 10})


@pytest.mark.parametrize("truth", ["3</answer>", "<answer>3</answer>", "</think>3"])
def test_a_gold_that_cannot_be_answered(truth):
    """Readable is not enough: a ground truth that holds the reply's own tags can never be given as an answer."""
    assert gold_acc(reward_with({}), "open_ended", truth, {}) < GOLD_ACC


@pytest.mark.parametrize("frame", ["pixel", "norm1000", "norm1", "resized"])
def test_boxes_of_rows_that_name_their_frame(frame):
    info = {"width": 640, "height": 480, "box_frame": frame}
    assert gold_acc(reward_with({}), "iou", "[[64,48,320,240],[1,2,30,40]]", info) == pytest.approx(1.0, abs=0.001)


def test_one_of_several_references_is_enough_also_where_their_mean_counts():
    reward = reward_with({"open_ended": {"references": "mean"}})
    assert gold_acc(reward, "open_ended", '["A cat.", "Something else altogether."]', {}) >= GOLD_ACC


def strange_reward(answer, ground_truth, *, mood):
    return 0.25 if mood == "bad" else None


@pytest.mark.parametrize("mood", ["bad", "good"])
def test_a_function_need_not_pay_for_the_ground_truth(mood):
    """What an honest answer is cannot be known of a function; it is tried, and may abstain."""
    reward = reward_with({"custom": {"strange": f"{__name__}:strange_reward"}})
    assert gold_acc(reward, "strange", "x", {"mood": mood}) == 1.0
    with pytest.raises(GroundTruthError, match="mood"):
        gold_acc(reward, "strange", "x", {})


STERN = RewardKind("stern", lambda truth, info, scoring: plain_gold(truth, lambda answer: Verdict(0.5)))
ABSTAINING = RewardKind("silent", lambda truth, info, scoring: plain_gold(truth, lambda answer: None))


def test_an_exact_kind_must():
    reward = reward_with({"custom": {"stern": f"{__name__}:STERN", "silent": f"{__name__}:ABSTAINING"}})
    assert gold_acc(reward, "stern", "x", {}) == 0.5
    with pytest.raises(GroundTruthError, match="abstained"):
        gold_acc(reward, "silent", "x", {})


def test_settings_are_those_of_the_reward_block():
    with pytest.raises(ConfigError, match="did you mean 'custom'"):
        reward_with({"costum": {}})
