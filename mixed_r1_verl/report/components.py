"""The score components of rollouts that were dumped without them.

verl dumps what a reward says of a sample at validation, but of training rollouts the score alone. Rewards are pure
functions, so they are asked again, with the reward block of the run; the score that was recorded says whether they
answer as they did in training.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixed_r1_verl.core.boxes import Box
from mixed_r1_verl.core.rows import DataRow
from mixed_r1_verl.report.run import Rollout
from mixed_r1_verl.responses.read import Response
from mixed_r1_verl.responses.scoring import score_responses
from mixed_r1_verl.rewards.kind import Gold
from mixed_r1_verl.rewards.mixed import MixedReward

SAME_SCORE = 1e-3
"""A recomputed score that is nearer to the recorded one than this is the same."""

MAX_BOXES = 32
"""Boxes of an answer that are drawn."""

PER_IMAGE = 10_000
"""Boxes are given in this fraction of the picture's sides, which outlives any change of its size."""


@dataclass
class Recomputed:
    """How many rollouts were scored again, and how many of them earned what was recorded."""

    rollouts: int = 0
    same: int = 0


def recompute(rollouts: Sequence[Rollout], reward: MixedReward) -> Recomputed:
    """Score those rollouts again that have no `acc` and whose reward is known and configured.

    A rollout that does not earn its recorded score again stays without components: they would not be those of training.

    Raises:
        RuntimeError: the scoring processes do not start, above all for want of the embedding model.
    """
    pending = [rollout for rollout in rollouts if "acc" not in rollout.values and rollout.kind in reward.kinds]
    counted = Recomputed(len(pending))
    if not pending:
        return counted

    def response(number: int, rollout: Rollout) -> Response:
        info = rollout.extra | {"reward": rollout.kind}
        return Response(DataRow("", number, rollout.source, rollout.ground_truth, info), 0, rollout.response)

    asked = (response(number, rollout) for number, rollout in enumerate(pending))
    for rollout, (_, result) in zip(pending, score_responses(asked, reward.config), strict=True):
        if abs(result["score"] - rollout.values.get("score", result["score"])) > SAME_SCORE:
            continue
        counted.same += 1
        for name, value in result.items():
            if isinstance(value, str):
                rollout.texts.setdefault(name, value)
            else:
                rollout.values.setdefault(name, float(value))
    return counted


def gold_of(rollout: Rollout, reward: MixedReward) -> Gold | None:
    """The ground truth of a rollout whose boxes can be drawn; None where there are none, or the picture has no size."""
    kind = reward.kinds.get(rollout.kind)
    sides = [rollout.extra.get(name) or 0 for name in ("width", "height")]
    if kind is None or kind.answers != "boxes" or not all(0 < side < math.inf for side in sides):
        return None
    try:
        return reward.parse(rollout.kind, rollout.ground_truth, rollout.extra)
    except Exception:  # a broken row; a kind of a user's own may raise anything
        return None


def gold_boxes(gold: Gold | None, extra: Mapping[str, Any]) -> list[list[int]]:
    """The boxes of a ground truth in 1/10,000 of the picture's sides."""
    return [] if gold is None else _fractions(gold.boxes, extra)


def predicted_boxes(gold: Gold | None, answer: str | None, extra: Mapping[str, Any]) -> list[list[int]]:
    """The boxes of an answer in 1/10,000 of the picture's sides, as the reward reads them.

    A list of numbers that is no box is left out; at most `MAX_BOXES` are given.

    Example:
        >>> from mixed_r1_verl.rewards.mixed import MixedReward
        >>> size = {"width": 40, "height": 80}
        >>> gold = MixedReward().parse("iou", "[[10, 20, 30, 40]]", size)
        >>> predicted_boxes(gold, "[10, 20, 30, 60]", size)
        [[2500, 2500, 7500, 7500]]
    """
    return _fractions(gold.boxes_of(answer, MAX_BOXES), extra) if gold and answer else []


def _fractions(boxes: Sequence[Box], extra: Mapping[str, Any]) -> list[list[int]]:
    sides = (extra["width"], extra["height"], extra["width"], extra["height"])
    most = 10**9  # what is so far outside may be as near

    def fraction(value: float, side: float) -> int:
        return round(min(max(value / side * PER_IMAGE, -most), most))

    return [list(map(fraction, box[:4], sides)) for box in boxes]
