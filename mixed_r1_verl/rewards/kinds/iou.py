"""The IoU reward of grounding: how well the boxes of an answer cover those of the ground truth.

    acc = sum of v(p, g) over the matched pairs / max(number of predicted boxes, number of gold boxes)

The pairs are the one-to-one assignment with the largest sum (Hungarian algorithm); v depends on `IoUConfig.mode`. Where
the ground truth has no box, acc is 1 for an answer that says so, else 0. The rule of each ambiguous family stands in
`docs/rewards.md`.
"""

import json
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import combinations
from typing import Annotated, Any, Literal

from mixed_r1_verl.core.boxes import Box, BoxFrame, FrameError, box_giou, box_iou, frame_scale, iou_matrix, rescale
from mixed_r1_verl.core.config import ConfigError, Interval, check_bounds
from mixed_r1_verl.rewards.answer.boxes import MAX_GOLD_BOXES, GoldBox, find_boxes, normalise_label, parse_ground_truth
from mixed_r1_verl.rewards.answer.nothing import says_none
from mixed_r1_verl.rewards.cheats import Target, say
from mixed_r1_verl.rewards.kind import Gold, RewardKind, size_of
from mixed_r1_verl.rewards.verdict import GroundTruthError, Verdict

SAME_BOX_IOU = 0.9  # two predictions that overlap this much are one prediction given twice
FRAME_ROUNDING = 0.02  # what a change of frame may add to an overlap; gold boxes can be as close as copies


@dataclass(frozen=True)
class IoUConfig:
    """IoU reward.

    Attributes:
        mode: `raw` pays the IoU itself, `threshold` pays 1 from `threshold` up, `stepped` pays the share of
            `steps` that the IoU reaches, `giou` pays max(0, GIoU) (Rezatofighi et al. 2019, arXiv 1902.09630).
        threshold: IoU from which `threshold` mode pays.
        steps: IoU thresholds of `stepped` mode.
        box_frame: the frame in which the model answers, used when the row's extra_info names none.
        family: model family whose resize rule the `resized` frame uses.
        min_pixels, max_pixels: the image processor's pixel limits, for the `resized` frame.
        max_boxes: an answer with more boxes than this, and more than twice as many as there are gold boxes, scores 0
            (flooding).
    """

    mode: Literal["raw", "threshold", "stepped", "giou"] = "raw"
    threshold: Annotated[float, Interval(gt=0, le=1)] = 0.5
    steps: tuple[Annotated[float, Interval(gt=0, le=1)], ...] = (0.5, 0.65, 0.75, 0.85, 0.95)
    box_frame: BoxFrame = "pixel"
    family: str = "qwen2_5_vl"
    min_pixels: Annotated[int, Interval(ge=1)] | None = None
    max_pixels: Annotated[int, Interval(ge=1)] | None = None
    max_boxes: Annotated[int, Interval(ge=1, le=10_000)] = 64

    def __post_init__(self) -> None:
        check_bounds(self, "iou")
        if not self.steps:
            raise ConfigError("iou.steps is (); it needs at least one threshold in (0, 1]")


@dataclass
class BoxesGold(Gold):
    """The gold boxes of a row.

    Attributes:
        targets: the boxes in pixels of the original picture.
        scale: pixels of the original picture, across and down, that one unit of the answer's frame stands for.
        question: the question, whose words name the only thing that is asked for.
        config: mode, thresholds and limits.
        extent: width and height of the picture in that frame; of a picture of 1,000 x 1,000 pixels if its size is not
            known.
    """

    targets: Sequence[GoldBox]
    scale: tuple[float, float]
    question: str
    config: IoUConfig
    extent: tuple[float, float]

    @property
    def boxes(self) -> tuple[Box, ...]:  # type: ignore[override]
        return tuple(Box(*box[:4], label=box.labels[0] if box.labels else None) for box in self.targets)

    @property
    def honest(self) -> str:  # type: ignore[override]
        return _as_json(self.boxes, 1 / self.scale[0], 1 / self.scale[1])

    def moved(self, answer: str, extent: tuple[float, float]) -> str:
        """Boxes keep their share of the picture."""
        boxes = find_boxes(answer, 2 * MAX_GOLD_BOXES)
        return _as_json(boxes, extent[0] / self.extent[0], extent[1] / self.extent[1])

    def boxes_of(self, answer: str, most: int) -> tuple[Box, ...]:
        """A list of numbers that is no box is left out."""
        found = find_boxes(answer, most)[:most]
        return tuple(rescale(box, self.scale) for box in found if not math.isnan(box.x1))

    def score(self, answer: str) -> Verdict:
        """See the top of this module."""
        gold = self.targets
        limit = max(self.config.max_boxes, 2 * len(gold))
        found = find_boxes(answer, limit)
        prediction = _as_text(found)
        if not found or not gold:
            if not gold and not found and says_none(answer):
                return Verdict(1.0, "[]")
            return Verdict(0.0, prediction, "surplus_box" if found else "no_box")
        if len(found) > limit:
            return Verdict(0.0, prediction, "too_many_boxes")
        boxes = [rescale(box, self.scale) for box in found] if self.scale != (1.0, 1.0) else found
        ious = iou_matrix(boxes, gold)
        labels_fit = True
        if gold[0].labels:
            fits = [_label_fits(box, gold, self.question) for box in boxes]
            labels_fit = all(map(any, fits))
            ious = [[iou * fit for iou, fit in zip(*rows, strict=True)] for rows in zip(ious, fits, strict=True)]
        kept = _without_copies(boxes, gold, ious)
        values = [ious[i] for i in kept]
        if self.config.mode != "raw":
            values = [[self._value(boxes[i], box, iou) for box, iou in zip(gold, ious[i], strict=True)] for i in kept]
        acc = _rounded(_best_sum(values) / max(len(boxes), len(gold)))
        return Verdict(acc, prediction, _reason(acc, boxes, len(kept), gold, labels_fit))

    def _value(self, box: Box, target: GoldBox, iou: float) -> float:
        """What a pair is worth; 0 in every mode if it does not overlap."""
        config = self.config
        if config.mode == "giou":
            return max(0.0, box_giou(box, target)) if iou else 0.0
        steps = (config.threshold,) if config.mode == "threshold" else config.steps
        return sum(_rounded(iou) >= step for step in steps) / len(steps)


def iou_reward(
    answer: str,
    ground_truth: str,
    *,
    width: int | None = None,
    height: int | None = None,
    box_frame: str | None = None,
    question: str = "",
    config: IoUConfig = IoUConfig(),
) -> Verdict:
    """Scores the boxes of one answer; the formula and the rules stand at the top of this module.

    Args:
        answer: the text inside `<answer>`.
        ground_truth: JSON boxes in pixels of the original image; see `parse_ground_truth`.
        width, height: of the original image in pixels; only the frame `pixel` does without.
        box_frame: the frame in which the answer gives boxes; None takes the configuration's.
        question: read only if all gold boxes have the same label, to accept the question's own words for it.
        config: mode, thresholds and limits.

    Returns:
        `acc` in [0, 1]; `prediction` is the JSON list of the boxes read, in the answer's frame; `reason` is one of
        `no_box`, `too_many_boxes`, `malformed_box`, `degenerate_box`, `wrong_label`, `duplicate_box`, `surplus_box`,
        `missing_box`, `inexact_box` or empty.

    Raises:
        GroundTruthError: if the row's ground truth or frame cannot be read.

    >>> iou_reward("[10, 10, 20, 20]", "[[10, 10, 20, 30]]")
    Verdict(acc=0.5, prediction='[[10, 10, 20, 20]]', reason='inexact_box')
    >>> iou_reward("[[0,0,10,10], [50,50,60,60]]", "[[0,0,10,10]]").acc
    0.5
    >>> iou_reward("<box>[[100, 100, 500, 500]]</box>", "[[64, 48, 320, 240]]",
    ...            width=640, height=480, box_frame="norm1000").acc
    1.0
    """
    row = {"width": width, "height": height, "box_frame": box_frame, "question": question}
    return _gold(ground_truth, row, config).score(answer)


_targets_of = lru_cache(maxsize=4096)(parse_ground_truth)  # the responses of a group come one after another


def _gold(ground_truth: str, extra_info: Mapping[str, Any], config: IoUConfig) -> BoxesGold:
    targets = _targets_of(ground_truth)
    width, height = size_of(extra_info)
    frame = str(extra_info.get("box_frame") or config.box_frame)
    limits = {"min_pixels": config.min_pixels, "max_pixels": config.max_pixels}
    try:
        scale = frame_scale(frame, width, height, family=config.family, **limits)
    except FrameError as error:
        raise GroundTruthError(str(error)) from error
    extent = (width or 1000) / scale[0], (height or 1000) / scale[1]
    return BoxesGold(targets, scale, str(extra_info.get("question") or ""), config, extent)


def _rounded(acc: float) -> float:
    """1 for what differs from it by the rounding of a change of frame only."""
    return 1.0 if acc > 1 - 1e-9 else acc


def _as_text(boxes: Sequence[Box]) -> str:
    shown = ", ".join(f"[{box[0]:.6g}, {box[1]:.6g}, {box[2]:.6g}, {box[3]:.6g}]" for box in boxes[:16])
    return f"[{shown}{', ...' if len(boxes) > 16 else ''}]" if boxes else ""


def _as_json(boxes: Sequence[Box], across: float, down: float) -> str:
    """Boxes as a model would write them, in another frame."""
    shown: list[Any] = []
    for box in boxes:
        corners = [float(f"{number:.15g}") for number in rescale(box, (across, down))[:4]]
        shown.append({"bbox_2d": corners, "label": box.label} if box.label else corners)
    return json.dumps(shown, ensure_ascii=False)


def _label_fits(box: Box, gold: Sequence[GoldBox], question: str) -> list[bool]:
    """For each gold box, all of which have labels: may this prediction be paid for it?"""
    one_label = len({target.labels for target in gold}) == 1
    name = box.label if one_label else box.label or box.caption
    if not name:
        return [one_label] * len(gold)
    label = normalise_label(name)
    if one_label and label and f" {label} " in f" {normalise_label(question)} ":
        return [True] * len(gold)
    return [label in target.labels for target in gold]


def _without_copies(boxes: Sequence[Box], gold: Sequence[GoldBox], ious: list[list[float]]) -> list[int]:
    """Indices of the predictions without those that repeat another one; of two copies the better one stays.

    Which boxes stay does not depend on the order of either list.
    """
    if len(boxes) == 1:
        return [0]
    order = sorted(range(len(boxes)), key=lambda i: (-max(ious[i]), boxes[i][:4], boxes[i].label or ""))
    overlaps = iou_matrix(boxes, boxes)
    kept: list[int] = []
    closest_gold = cache(lambda: max((box_iou(a, b) for a, b in combinations(gold, 2)), default=0.0))
    for i in order:
        overlap = max((overlaps[i][k] for k in kept), default=0.0)
        if overlap < SAME_BOX_IOU or overlap <= closest_gold() + FRAME_ROUNDING:
            kept.append(i)
    return kept


def _best_sum(values: list[list[float]]) -> float:
    """The largest sum over one-to-one pairs of rows (predictions) and columns (gold boxes)."""
    if len(values) == 1 or len(values[0]) == 1:
        return max(map(max, values))
    bests = [max(row) for row in values]
    wanted = [row.index(best) for row, best in zip(values, bests, strict=True) if best > 0]
    if len(wanted) == len(set(wanted)):  # no two predictions are best for the same gold box: no need to choose
        return math.fsum(bests)
    from scipy.optimize import linear_sum_assignment  # 0.1 s to import; most answers do without

    rows, columns = linear_sum_assignment(values, maximize=True)
    return math.fsum(values[row][column] for row, column in zip(rows, columns, strict=True))


def _reason(acc: float, boxes: Sequence[Box], distinct: int, gold: Sequence[GoldBox], labels_fit: bool) -> str:
    if acc == 1.0:
        return ""
    if not all(box.x1 < box.x2 and box.y1 < box.y2 for box in boxes):
        return "malformed_box" if any(math.isnan(box.x1) for box in boxes) else "degenerate_box"
    if not labels_fit:
        return "wrong_label"
    if distinct < len(boxes):
        return "duplicate_box"
    if len(boxes) != len(gold):
        return "surplus_box" if len(boxes) > len(gold) else "missing_box"
    return "inexact_box"


# --- what an audit tries ----------------------------------------------------------------------------------------------


def _grid(target: Target, count: int) -> str:
    width, height = target.extent[0] / count, target.extent[1] / count
    cells = [(column, row) for row in range(count) for column in range(count)]
    return _answer([[c * width, r * height, (c + 1) * width, (r + 1) * height] for c, r in cells])


def _centred(target: Target, *shares: float) -> str:
    width, height = target.extent
    return _answer(
        [[width * (1 - s) / 2, height * (1 - s) / 2, width * (1 + s) / 2, height * (1 + s) / 2] for s in shares]
    )


def _random_boxes(target: Target, count: int, times: int = 1) -> str:
    draw, boxes = random.Random(target.seed), []
    for _ in range(count):
        (left, right), (top, bottom) = (sorted((draw.uniform(0, e), draw.uniform(0, e))) for e in target.extent)
        boxes.append([left, top, right, bottom])
    return _answer(boxes * times)


def _answer(boxes: Sequence[Sequence[float]]) -> str:
    return json.dumps([[round(number, 3) for number in box] for box in boxes])


_CHEATS = (
    say("whole_image", lambda target: _centred(target, 1.0)),
    say("beyond_the_image", "[[-1000000, -1000000, 1000000, 1000000]]"),
    say("infinite_box", "[[-inf, -inf, inf, inf]]"),
    say("nan_box", "[[nan, nan, nan, nan]]"),
    say("no_box", "[]"),
    say("zero_box", "[[0, 0, 0, 0]]"),
    say("swapped_box", lambda target: _answer([[*target.extent, 0, 0]])),
    say("unit_box", "[[0, 0, 1, 1]]"),
    say("grid_2", lambda target: _grid(target, 2)),
    say("grid_8", lambda target: _grid(target, 8)),
    say("nested_boxes", lambda target: _centred(target, *(i / 10 for i in range(1, 11)))),
    say("random_boxes", lambda target: _random_boxes(target, 60)),
    say("flood", lambda target: _random_boxes(target, 1000)),
    say("flood_of_one_box", lambda target: _random_boxes(target, 1, 60)),
    say("whole_image_copies", lambda target: _answer([[0, 0, *target.extent]] * 20)),
    say("numbers_to_1000", ", ".join(map(str, range(1001)))),
    say("list_of_numbers", json.dumps(list(range(1000)))),
    say("points", "(0,0),(1,1),(2,2),(3,3),(4,4),(5,5),(6,6)"),
    say("gold_five_times", lambda target: target.honest * 5, sort="padded"),
    say("gold_in_a_flood", lambda target: f"{target.honest} {_random_boxes(target, 50)}", sort="padded"),
)


_PLAIN = "Answer with a JSON list of boxes [[x1,y1,x2,y2]]."
_LABELLED = 'Answer with a JSON list of objects {"bbox_2d": [x1,y1,x2,y2], "label": "name"}.'

KIND = RewardKind(
    "iou",
    lambda ground_truth, extra_info, scoring: _gold(ground_truth, extra_info, scoring.options),
    lambda ground_truth, choices: _LABELLED if '"label"' in ground_truth else _PLAIN,
    columns=("question", "width", "height", "box_frame"),
    config=IoUConfig,
    answers="boxes",
    cheats=_CHEATS,
)
