"""Mixed-Reward: routing, weighing, the same keys always, and no exception whatever the row or the response."""

import math
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixed_r1_verl import compute_score
from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.mixed import MixedReward
from mixed_r1_verl.rewards.verdict import Verdict

KEYS = ["score", "acc", "format", "error", "reward_kind", "prediction", "reason"]


def respond(answer: str) -> str:
    return f"<think>I looked at it.</think><answer>{answer}</answer>"


# kind, ground truth, extra_info, a right answer, a wrong answer
KINDS = [
    ("matching", "B", {"choices": ["cat", "dog"]}, "B", "A"),
    ("matching", "no", {"choices": []}, "no", "yes"),
    ("chart", "41", {}, "41", "50"),
    ("iou", "[[10, 10, 50, 50]]", {"width": 100, "height": 100}, "[10, 10, 50, 50]", "[60, 60, 90, 90]"),
    ("open_ended", "A red circle on a table.", {}, "A red circle on a table.", ""),
    ("math", "1/2", {}, "0.5", "2"),
    ("anls", '["ACME Ltd", "Acme"]', {}, "acme", "Nokia"),
]


@pytest.mark.parametrize(("kind", "truth", "extra", "right", "wrong"), KINDS)
def test_every_kind_pays_the_right_answer_and_not_the_wrong_one(
    kind: str, truth: str, extra: dict, right: str, wrong: str
) -> None:
    good = compute_score("source", respond(right), truth, {"reward": kind, **extra})
    bad = compute_score("source", respond(wrong), truth, {"reward": kind, **extra})
    assert list(good) == KEYS and list(bad) == KEYS
    assert good["acc"] == pytest.approx(1.0, abs=1e-3) and good["error"] == 0.0
    assert bad["acc"] == 0.0 and bad["error"] == 0.0
    assert good["reward_kind"] == kind


@pytest.mark.parametrize(
    ("source", "response", "truth", "extra", "reason"),
    [
        ("s", respond("B"), "B", {}, "names no reward"),
        ("s", respond("B"), "B", {"reward": "mathcing"}, "unknown reward 'mathcing'"),
        ("s", respond("1"), "not boxes", {"reward": "iou", "width": 9, "height": 9}, "GroundTruthError"),
        ("s", respond("x"), "", {"reward": "open_ended"}, "GroundTruthError"),
        ("s", respond("x"), None, {"reward": "matching"}, "ground_truth is NoneType"),
        ("s", "no tags at all", "not boxes", {"reward": "iou", "width": 9, "height": 9}, "GroundTruthError"),
    ],
)
def test_broken_rows_score_0_with_error_1(source: str, response: str, truth: str, extra: dict, reason: str) -> None:
    result = compute_score(source, response, truth, extra)
    assert list(result) == KEYS
    assert (result["score"], result["acc"], result["error"]) == (0.0, 0.0, 1.0)
    assert reason in result["reason"]


@pytest.mark.parametrize(
    "response",
    [
        "B",
        "<think>B</think>",
        "<think><answer>B</answer></think>",
        "<think>x</think><answer>B</answer><answer>B</answer>",
        "",
    ],
    ids=["no tags", "only think", "answer inside think", "two answers", "empty"],
)
def test_without_exactly_one_answer_block_nothing_is_paid(response: str) -> None:
    result = compute_score("s", response, "B", {"reward": "matching", "choices": ["cat", "dog"]})
    assert (result["score"], result["acc"], result["format"], result["error"]) == (0.0, 0.0, 0.0, 0.0)
    assert result["reason"]


def test_score_is_the_documented_formula() -> None:
    reward = MixedReward(MixedRewardConfig(format_weight=0.2, weights={"matching": 0.5}))
    extra = {"reward": "matching"}
    assert reward.score("s", respond("no"), "no", extra)["score"] == pytest.approx(0.8 * 0.5 + 0.2)
    assert reward.score("s", respond("yes"), "no", extra)["score"] == pytest.approx(0.2)
    assert reward.score("s", "<answer>no</answer>", "no", extra)["score"] == pytest.approx(0.4)


def test_source_routes_only_where_the_row_names_no_reward() -> None:
    reward = MixedReward(MixedRewardConfig(routes={"chartqa": "chart"}))
    assert reward.score("chartqa", respond("41%"), "41", {})["acc"] == 1.0
    assert reward.score("chartqa", respond("yes"), "yes", {"reward": "matching"})["reward_kind"] == "matching"


def test_too_long_a_response_is_not_read() -> None:
    result = MixedReward(MixedRewardConfig(max_chars=50)).score(
        "s", respond("no") + " " * 50, "no", {"reward": "matching"}
    )
    assert (result["score"], result["error"], result["reason"]) == (0.0, 0.0, "too_long")


def not_a_number(answer: str, ground_truth: str, *, choices: list[str]) -> Verdict:
    return Verdict(math.nan)


def raises(answer: str, ground_truth: str, *, choices: list[str]) -> Verdict:
    raise ZeroDivisionError("of all things")


@pytest.mark.parametrize("function", ["not_a_number", "raises"])
def test_custom_rewards_cannot_break_a_run(function: str) -> None:
    reward = MixedReward(MixedRewardConfig(custom={"mine": f"{__name__}:{function}"}))
    result = reward.score("s", respond("x"), "x", {"reward": "mine"})
    assert (result["score"], result["error"]) == (0.0, 1.0)


def test_custom_reward_that_does_not_exist_is_refused() -> None:
    with pytest.raises(
        ConfigError, match=r"'nowhere:f' cannot be loaded: No module .*; its folder must be on PYTHONPATH"
    ):
        MixedReward(MixedRewardConfig(custom={"mine": "nowhere:f"}))


def test_unknown_keyword_is_refused() -> None:
    with pytest.raises(ConfigError, match="did you mean 'embedding_model'"):
        compute_score("s", respond("x"), "x", {"reward": "open_ended"}, embeding_model="x")


@settings(max_examples=300, deadline=None)
@given(
    st.text(st.characters(codec="utf-8") | st.sampled_from(list("<>/[](){}0123456789.,-%$\\")), max_size=200),
    st.sampled_from(KINDS),
    st.booleans(),
)
def test_any_response_gives_finite_scores_and_the_same_keys(response: str, case: tuple, wrapped: bool) -> None:
    kind, truth, extra, _, _ = case
    result = compute_score("s", respond(response) if wrapped else response, truth, {"reward": kind, **extra})
    assert list(result) == KEYS
    assert result["error"] == 0.0
    for key in ("score", "acc", "format"):
        assert math.isfinite(result[key]) and 0.0 <= result[key] <= 1.0


def test_scoring_imports_neither_verl_nor_ray_nor_torch() -> None:
    code = (
        "import sys; from mixed_r1_verl import compute_score\n"
        "cases = [('matching', 'B', {'choices': ['cat', 'dog']}, 'B'), ('chart', '41', {}, '41'),"
        " ('iou', '[[1, 1, 5, 5]]', {'width': 9, 'height': 9}, '[1, 1, 5, 5]'),"
        " ('open_ended', 'a cat', {}, 'a cat')]\n"
        "for kind, truth, extra, right in cases:\n"
        "    response = f'<think>x</think><answer>{right}</answer>'\n"
        "    result = compute_score('s', response, truth, {'reward': kind, **extra})\n"
        "    assert result['acc'] > 0.99, (kind, result)\n"
        "loaded = {'verl', 'ray', 'torch', 'vllm', 'transformers'} & set(sys.modules)\n"
        "assert not loaded, loaded\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
