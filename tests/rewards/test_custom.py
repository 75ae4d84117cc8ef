"""Reward kinds of users' own: what a function may ask for and return, and what is refused at start-up."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import pytest

from mixed_r1_verl.core.config import ConfigError, Interval, check_bounds
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.custom import custom_kind, function_kind
from mixed_r1_verl.rewards.kind import Gold, RewardKind, Scoring, plain_gold
from mixed_r1_verl.rewards.mixed import MixedReward
from mixed_r1_verl.rewards.verdict import Verdict


def two_columns(answer: str, truth: str, *, difficulty: int, source_file: str = "none") -> float:
    return float(answer == truth) * difficulty / 10 if source_file != "bad" else 0.0


def old_signature(answer: str, truth: str, *, choices: list[str]) -> Verdict:
    return Verdict(1.0 if answer in choices else 0.0, answer)


def abstains(answer: str, truth: str) -> None:
    return None


def all_of_it(answer: str, truth: str, extra_info: dict[str, Any]) -> bool:
    return bool(extra_info.get("anything") == answer)


def returns_a_list(answer: str, truth: str) -> list[str]:
    return [answer]


def one_argument(answer: str) -> float:
    return 1.0


@dataclass(frozen=True)
class PayConfig:
    pay: Annotated[float, Interval(ge=0, le=1)] = 0.5

    def __post_init__(self) -> None:
        check_bounds(self, "mine")


def pays(truth: str, row: Mapping[str, Any], scoring: Scoring) -> Gold:
    return plain_gold(truth, lambda answer: Verdict(scoring.options.pay, answer))


WITH_OPTIONS = RewardKind("with_options", pays, config=PayConfig)
A_KIND = RewardKind("whatever", lambda truth, row, scoring: plain_gold(truth, lambda answer: Verdict(0.5, answer)))
NO_FUNCTION = 3


def score(name: str, answer: str, **row: Any) -> dict[str, Any]:
    reward = MixedReward(MixedRewardConfig(custom={"mine": f"{__name__}:{name}"}, format_weight=0.0))
    return reward.score("toy", f"<think>So.</think><answer>{answer}</answer>", "x", {"reward": "mine", **row})


@pytest.mark.parametrize(
    ("name", "answer", "row", "acc"),
    [
        ("two_columns", "x", {"difficulty": 5}, 0.5),
        ("two_columns", "x", {"difficulty": 5, "source_file": "bad"}, 0.0),
        ("old_signature", "b", {"choices": ["a", "b"]}, 1.0),
        ("old_signature", "b", {"choices": np.array(["a", "b"])}, 1.0),  # as a data frame holds them
        ("old_signature", "b", {}, 0.0),
        ("all_of_it", "7", {"anything": "7"}, 1.0),
        ("A_KIND", "x", {}, 0.5),
    ],
)
def test_a_function_gets_what_it_asks_for(name: str, answer: str, row: dict[str, Any], acc: float) -> None:
    result = score(name, answer, **row)
    assert (result["acc"], result["error"], result["reward_kind"]) == (acc, 0.0, "mine")


def test_a_missing_column_is_named() -> None:
    result = score("two_columns", "x")
    assert result["error"] == 1.0 and "extra_info has no 'difficulty'" in result["reason"]


def test_abstaining_is_an_error_of_its_own() -> None:
    result = score("abstains", "x")
    assert (result["score"], result["error"], result["reason"]) == (0.0, 1.0, "abstained")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("returns_a_list", "returned list ['A']; it must return a number in [0, 1], a Verdict, or None"),
        ("one_argument", "takes 1 arguments; it needs answer and ground truth"),
        ("NO_FUNCTION", "is a int, neither a RewardKind nor a function"),
        ("nowhere", "cannot be loaded"),
    ],
)
def test_what_cannot_be_a_reward_is_refused_at_start_up(name: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        custom_kind("mine", f"{__name__}:{name}")
    assert message in str(caught.value)


def test_its_columns_are_those_that_the_manager_sends() -> None:
    reward = MixedReward(MixedRewardConfig(custom={"mine": f"{__name__}:two_columns"}))
    assert {"reward", "choices", "question", "width", "height", "box_frame", "difficulty"} <= set(reward.columns)
    assert function_kind("f", old_signature).columns == ("choices",)


def test_a_built_in_name_is_taken() -> None:
    with pytest.raises(ConfigError, match=r"custom\.chart: there is a built-in reward of this name"):
        MixedRewardConfig(custom={"chart": f"{__name__}:abstains"})


@pytest.mark.parametrize(("section", "acc"), [({}, 0.5), ({"mine": {"pay": 0.25}}, 0.25)])
def test_a_kind_has_options_of_its_own(section: dict[str, Any], acc: float) -> None:
    block = {"custom": {"mine": f"{__name__}:WITH_OPTIONS"}, **section}
    reward = MixedReward(MixedRewardConfig.from_mapping(block))
    assert reward.score("toy", "<think>a</think><answer>b</answer>", "x", {"reward": "mine"})["acc"] == acc


@pytest.mark.parametrize(
    ("target", "section", "message"),
    [
        ("WITH_OPTIONS", {"pya": 1}, "unknown key 'mine.pya'; did you mean 'pay'?"),
        ("WITH_OPTIONS", {"pay": 2.0}, "mine.pay is 2.0; it must be at least 0 and at most 1"),
        ("abstains", {"pay": 0.5}, "has no options"),
    ],
)
def test_options_of_a_custom_kind_are_checked(target: str, section: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        MixedRewardConfig.from_mapping({"custom": {"mine": f"{__name__}:{target}"}, "mine": section})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("source", "info"), [([], {"reward": "chart"}), ("toy", ["no mapping"]), ({}, None), ("toy", 3)]
)
def test_nothing_that_a_row_holds_raises(source: Any, info: Any) -> None:
    result = MixedReward().score(source, "<think>a</think><answer>b</answer>", "x", info)
    assert set(result) == {"score", "acc", "format", "error", "reward_kind", "prediction", "reason"}
