"""The score components of rollouts that were dumped without them.

verl dumps what a reward says of a sample at validation, but of training rollouts the score alone. Rewards are pure
functions, so they are asked again, with the reward block of the run; the score that was recorded says whether they
answer as they did in training.
"""

import math
from collections.abc import Sequence

from mixed_r1_verl.core.boxes import Box
from mixed_r1_verl.responses.answers import score_responses
from mixed_r1_verl.responses.read import Response
from mixed_r1_verl.rewards.mixed import MixedReward

SAME_SCORE = 1e-3  # a recomputed score that is nearer to the recorded one than this is the same
MAX_BOXES = 32  # boxes of an answer that are drawn
PER_IMAGE = 10_000  # boxes are given in this fraction of the picture's sides, which outlives any change of its size


def recompute(rollouts: Sequence[Response], reward: MixedReward) -> tuple[int, int]:
    """Score those rollouts again that have no `acc` and whose reward is known and configured.

    A rollout that does not earn its recorded score again stays without components: they would not be those of training.

    Returns:
        How many were scored again, and how many of them earned what was recorded.

    Raises:
        RuntimeError: the scoring processes do not start, above all for want of the embedding model.
    """
    pending = [rollout for rollout in rollouts if "acc" not in rollout.values and rollout.kind in reward.kinds]
    same = 0
    for rollout, result in score_responses(pending, reward.config) if pending else ():
        if abs(result["score"] - rollout.values.get("score", result["score"])) > SAME_SCORE:
            continue
        same += 1
        for name, value in result.items():
            if isinstance(value, str):
                rollout.texts.setdefault(name, value)
            else:
                rollout.values.setdefault(name, float(value))
    return len(pending), same


def boxes_of(rollout: Response, reward: MixedReward) -> tuple[list[list[int]], list[list[int]]]:
    """The boxes of a rollout in 1/10,000 of its picture's sides; none where the kind, the row or the size has none.

    First come those of the ground truth, then at most `MAX_BOXES` of the answer, as the reward reads them; a list of
    numbers that is no box is left out.

    >>> from mixed_r1_verl.core.rows import DataRow
    >>> row = DataRow("", 0, "", "[[10, 20, 30, 40]]", {"reward": "iou", "width": 40, "height": 80})
    >>> boxes_of(Response(row, "<think>There.</think><answer>[10, 20, 30, 60]</answer>"), MixedReward())
    ([[2500, 2500, 7500, 5000]], [[2500, 2500, 7500, 7500]])
    """
    info, kind = rollout.row.extra_info, reward.kinds.get(rollout.kind)
    sides = [info.get(name) or 0 for name in ("width", "height")] * 2
    if not kind or kind.answers != "boxes" or not all(0 < side < math.inf for side in sides):
        return [], []
    try:
        gold = reward.parse(rollout.kind, rollout.row.ground_truth, info)
    except Exception:  # a broken row; a kind of a user's own may raise anything
        return [], []
    answer = reward.read(rollout.text[: reward.config.max_chars]).answer

    def fractions(boxes: Sequence[Box]) -> list[list[int]]:
        most = 10**9  # what is so far outside may be as near
        pairs = [zip(box[:4], sides, strict=True) for box in boxes]
        return [[round(min(max(at / side * PER_IMAGE, -most), most)) for at, side in box] for box in pairs]

    return fractions(gold.boxes), fractions(gold.boxes_of(answer, MAX_BOXES) if answer else ())
