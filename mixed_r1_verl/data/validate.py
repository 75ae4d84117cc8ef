"""Whether a row's ground truth can be read, and earned, by the very reward that will score it."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from mixed_r1_verl.core.rows import RowError
from mixed_r1_verl.data.converter import Example, references_json
from mixed_r1_verl.rewards.kinds import KINDS
from mixed_r1_verl.rewards.mixed import MixedReward
from mixed_r1_verl.rewards.verdict import GroundTruthError

GOLD_ACC = 0.999


def parse_ground_truth(reward: str, ground_truth: str, choices: Sequence[str] = ()) -> None:
    """Reads a ground truth with the reward's own parser.

    Args:
        reward: one of `KINDS`; a custom kind has no parser here and passes.
        ground_truth: the text of the `reward_model.ground_truth` column.
        choices: option texts.

    Raises:
        GroundTruthError: the reward could not use it.
    """
    # The reward modules are imported here, each when its kind first occurs: some load SciPy or SymPy.
    if reward == "matching":
        from mixed_r1_verl.rewards.kinds import matching

        matching.parse_ground_truth(ground_truth, choices)
    elif reward == "chart":
        from mixed_r1_verl.rewards.kinds import chart

        chart.parse_ground_truth(ground_truth)
    elif reward == "iou":
        from mixed_r1_verl.rewards.kinds import iou

        iou.parse_ground_truth(ground_truth)
    elif reward == "open_ended":
        from mixed_r1_verl.rewards.kinds import open_ended

        open_ended.parse_ground_truth(ground_truth)
    elif reward == "math":
        from mixed_r1_verl.rewards.kinds import math

        math.parse_ground_truth(ground_truth)


def gold_response(reward: str, ground_truth: str) -> str:
    """A perfect response for a ground truth, in the template's tags.

    Example:
        >>> gold_response("matching", "B")
        '<think>This is the published answer.</think><answer>B</answer>'
    """
    answer = ground_truth
    if reward == "open_ended":
        from mixed_r1_verl.rewards.kinds import open_ended

        answer = open_ended.parse_ground_truth(ground_truth)[0]
    return f"<think>This is the published answer.</think><answer>{answer}</answer>"


@lru_cache(maxsize=1)
def _mixed_reward() -> MixedReward:
    # Without an embedding model: a description scores 1 against itself whatever the table.
    return MixedReward()


def gold_acc(ground_truth: str, extra_info: Mapping[str, Any]) -> float:
    """`acc` of the gold response, through the same code that scores rollouts.

    Args:
        ground_truth: the row's ground truth.
        extra_info: the row's `extra_info`: `reward`, `choices`, `question`, `width`, `height`.

    Raises:
        GroundTruthError: the row could not be scored at all.

    Example:
        >>> gold_acc("B", {"reward": "matching", "choices": ["cat", "dog"]})
        1.0
    """
    reward = str(extra_info["reward"])
    response = gold_response(reward, ground_truth)
    if reward == "open_ended":
        # The best of several references counts, so the first one's own score decides; the others can only raise it.
        from mixed_r1_verl.rewards.kinds import open_ended

        alone = references_json(open_ended.parse_ground_truth(ground_truth)[:1])
        acc = float(_mixed_reward().score("gold", response, alone, extra_info)["acc"])
        if acc >= GOLD_ACC:
            return acc
    result = _mixed_reward().score("gold", response, ground_truth, extra_info)
    if result["error"]:
        raise GroundTruthError(result["reason"])
    return float(result["acc"])


def check_row(example: Example, ground_truth: str, *, width: int, height: int, gold: bool) -> None:
    """Refuses a row whose reward could not score it.

    Args:
        example: the row's example.
        ground_truth: the row's ground truth.
        width, height: size in pixels of the first stored image.
        gold: also demand that the ground truth itself earns `acc` of at least 0.999.

    Raises:
        RowError: `unknown_reward`, `empty`, `ground_truth` or `gold_not_right`.
    """
    if example.reward not in KINDS:
        raise RowError("reward", "unknown_reward", f"{example.reward!r} is none of {', '.join(KINDS)}")
    if not ground_truth.strip():
        raise RowError("answer", "empty")
    if not example.question.strip():
        raise RowError("question", "empty")
    try:
        parse_ground_truth(example.reward, ground_truth, example.choices)
        if gold:
            extra_info = {
                "reward": example.reward,
                "choices": example.choices,
                "question": example.question,
                "width": width,
                "height": height,
            }
            acc = gold_acc(ground_truth, extra_info)
            if acc < GOLD_ACC:
                raise RowError("answer", "gold_not_right", f"{ground_truth[:80]!r} itself scores acc {acc:.3f}")
    except GroundTruthError as error:
        raise RowError("answer", "ground_truth", str(error)[:200]) from None
