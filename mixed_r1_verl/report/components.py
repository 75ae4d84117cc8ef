"""The score components of rollouts that were dumped without them.

verl dumps what a reward says of a sample at validation, but of training rollouts the score alone. Rewards are pure
functions, so they are asked again, with the reward block of the run; the score that was recorded says whether they
answer as they did in training.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixed_r1_verl.core.boxes import Box, FrameError, frame_scale, rescale
from mixed_r1_verl.core.rows import DataRow
from mixed_r1_verl.report.run import Rollout
from mixed_r1_verl.responses.read import Response
from mixed_r1_verl.responses.scoring import score_responses
from mixed_r1_verl.rewards.answer.boxes import find_boxes
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.extraction import parse_response
from mixed_r1_verl.rewards.kinds.iou import parse_ground_truth
from mixed_r1_verl.rewards.verdict import GroundTruthError

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


def recompute(rollouts: Sequence[Rollout], config: MixedRewardConfig) -> Recomputed:
    """Score those rollouts again that have no `acc` and whose reward is known.

    A rollout that does not earn its recorded score again stays without components: they would not be those of training.

    Raises:
        RuntimeError: the scoring processes do not start, above all for want of the embedding model.
    """
    pending = [rollout for rollout in rollouts if "acc" not in rollout.values and rollout.kind]
    counted = Recomputed(len(pending))
    if not pending:
        return counted

    def response(number: int, rollout: Rollout) -> Response:
        info = rollout.extra | {"reward": rollout.kind}
        return Response(DataRow("", number, rollout.source, rollout.ground_truth, info), 0, rollout.response)

    asked = (response(number, rollout) for number, rollout in enumerate(pending))
    for rollout, (_, result) in zip(pending, score_responses(asked, config), strict=True):
        if abs(result["score"] - rollout.values.get("score", result["score"])) > SAME_SCORE:
            continue
        counted.same += 1
        for name, value in result.items():
            if isinstance(value, str):
                rollout.texts.setdefault(name, value)
            else:
                rollout.values.setdefault(name, float(value))
    return counted


def gold_boxes(ground_truth: str, extra: Mapping[str, Any]) -> list[list[int]]:
    """The gold boxes of an `iou` row in 1/10,000 of the picture's sides; none where its size is not known."""
    width, height = extra.get("width"), extra.get("height")
    if not width or not height:
        return []
    try:
        boxes = parse_ground_truth(ground_truth)
    except GroundTruthError:
        return []
    return [_fractions(Box(*box[:4]), width, height) for box in boxes]


def predicted_boxes(response: str, extra: Mapping[str, Any], config: MixedRewardConfig) -> list[list[int]]:
    """The boxes of a response's answer in 1/10,000 of the picture's sides, as the IoU reward reads them.

    A list of numbers that is no box is left out; at most `MAX_BOXES` are given.

    Example:
        >>> predicted_boxes("<think>.</think><answer>[10, 20, 30, 40]</answer>", {"width": 40, "height": 80},
        ...                 MixedRewardConfig())
        [[2500, 2500, 7500, 5000]]
    """
    width, height = extra.get("width"), extra.get("height")
    answer = parse_response(response[: config.max_chars]).answer
    if not width or not height or not answer:
        return []
    iou = config.of("iou")
    try:
        scale = frame_scale(
            extra.get("box_frame") or iou.box_frame,
            int(width),
            int(height),
            family=iou.family,
            min_pixels=iou.min_pixels,
            max_pixels=iou.max_pixels,
        )
    except FrameError:
        return []
    boxes = [rescale(box, scale) for box in find_boxes(answer, MAX_BOXES)]
    return [_fractions(box, width, height) for box in boxes[:MAX_BOXES] if box.x1 == box.x1]  # NaN is not itself


def _fractions(box: Box, width: float, height: float) -> list[int]:
    sides = (width, height, width, height)
    return [round(value / side * PER_IMAGE) for value, side in zip(box[:4], sides, strict=True)]
