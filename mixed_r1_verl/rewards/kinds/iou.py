"""The IoU reward of grounding: how well the boxes of an answer cover those of the ground truth.

    acc = sum of v(p, g) over the matched pairs / max(number of predicted boxes, number of gold boxes)

The pairs are the one-to-one assignment with the largest sum (Hungarian algorithm). v is the IoU itself (`raw`), 1 from
a threshold up (`threshold`), the share of a ladder of thresholds that the IoU reaches (`stepped`), or the positive part
of GIoU (`giou`; Rezatofighi et al. 2019, arXiv 1902.09630). A missing box and a surplus box cost the same; k guesses at
one gold box can never earn more than one of the k guesses drawn at random is expected to earn.

Coordinates are continuous: a box from 10 to 20 is 10 wide, not 11. IoU is therefore the same in every frame.

Rules:

- A predicted box with swapped or equal corners, a non-finite number or a list of numbers that is no box earns nothing
  and still counts as predicted.
- The same box given twice counts twice and earns once. Two predictions are "the same" from an IoU of 0.9, unless some
  two gold boxes overlap as much as they do.
- Boxes are not clipped to the image; what lies outside it costs.
- Labels matter only if the ground truth has them. A pair whose labels differ earns nothing. A prediction without a
  label fits every gold box if the ground truth has one label only (the question has then named it), and none otherwise;
  the words before a box (`cat: [...]`) count as its label there. Labels are compared without case, punctuation,
  articles and plural s. With one gold label, words that stand in the question are accepted too.
- More predicted boxes than `max_boxes` and than twice the gold boxes earn nothing (flooding).
"""

import json
import math
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import combinations
from typing import Annotated, Any, Literal, NamedTuple, TypeAlias

from annotated_types import Ge, Interval

from mixed_r1_verl.core.boxes import Box, BoxFrame, FrameError, box_iou, frame_scale, rescale
from mixed_r1_verl.core.config import ConfigError, check_bounds
from mixed_r1_verl.rewards.answer.boxes import find_boxes
from mixed_r1_verl.rewards.kind import Gold, RewardKind, Scoring, size_of
from mixed_r1_verl.rewards.verdict import GroundTruthError, Verdict

MAX_GOLD_BOXES = 256
"""More gold boxes than this are refused: pairing them would take longer than a reward may."""

SAME_BOX_IOU = 0.9
"""Two predictions that overlap this much are one prediction given twice."""

FRAME_ROUNDING = 0.02
"""What a change of frame may add to the overlap of two boxes; gold boxes can be as close to each other as copies."""


@dataclass(frozen=True)
class IoUConfig:
    """IoU reward.

    Attributes:
        mode: `raw` pays the IoU itself, `threshold` pays 1 from `threshold` up, `stepped` pays the share of
            `steps` that the IoU reaches, `giou` pays max(0, GIoU).
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
    min_pixels: Annotated[int, Ge(1)] | None = None
    max_pixels: Annotated[int, Ge(1)] | None = None
    max_boxes: Annotated[int, Interval(ge=1, le=10_000)] = 64

    def __post_init__(self) -> None:
        check_bounds(self, "iou")
        if not self.steps:
            raise ConfigError("iou.steps is (); it needs at least one threshold in (0, 1]")


class GoldBox(NamedTuple):
    """One box of the ground truth in pixels of the original image, and the normalised names that fit it (or none)."""

    x1: float
    y1: float
    x2: float
    y2: float
    labels: tuple[str, ...] = ()


Corners: TypeAlias = Sequence[Any]
Value: TypeAlias = Callable[[Corners, Corners], float]


def iou_matrix(rows: Sequence[Corners], columns: Sequence[Corners]) -> list[list[float]]:
    """IoU of each box of `rows` with each of `columns`, as `box_iou` has it; with NumPy where that is faster.

    Example:
        >>> iou_matrix([(0, 0, 10, 10)], [(0, 0, 10, 10), (5, 0, 15, 10)])
        [[1.0, 0.3333333333333333]]
    """
    if len(rows) * len(columns) < 64:
        return [[box_iou(a, b) for b in columns] for a in rows]
    import numpy as np

    ax1, ay1, ax2, ay2 = np.array([row[:4] for row in rows], dtype=np.float64).T[:, :, None]
    bx1, by1, bx2, by2 = np.array([column[:4] for column in columns], dtype=np.float64).T[:, None, :]
    with np.errstate(all="ignore"):
        shared = np.maximum(np.minimum(ax2, bx2) - np.maximum(ax1, bx1), 0.0)
        shared = shared * np.maximum(np.minimum(ay2, by2) - np.maximum(ay1, by1), 0.0)
        union = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - shared
        sound = (ax1 < ax2) & (ay1 < ay2) & (bx1 < bx2) & (by1 < by2) & (shared > 0) & (union > 0) & (union < np.inf)
        return np.where(sound, np.minimum(shared / union, 1.0), 0.0).tolist()


def box_giou(a: Corners, b: Corners) -> float:
    """Generalised IoU of two boxes, IoU - (hull - union) / hull, in [-1, 1]; -1 if a box has no area.

    Example:
        >>> box_giou((0, 0, 10, 10), (0, 0, 10, 10))
        1.0
        >>> box_giou((0, 0, 10, 10), (10, 10, 20, 20))
        -0.5
    """
    if not (a[0] < a[2] and a[1] < a[3] and b[0] < b[2] and b[1] < b[3]):
        return -1.0
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    shared = width * height
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    if not (0 < union < math.inf and 0 < hull < math.inf):
        return -1.0
    return max(-1.0, min(1.0, shared / union - (hull - union) / hull))


def _positive_giou(a: Corners, b: Corners) -> float:
    return max(0.0, box_giou(a, b))


def _threshold(a: Corners, b: Corners, *, threshold: float) -> float:
    return 1.0 if box_iou(a, b) >= threshold else 0.0


def _stepped(a: Corners, b: Corners, *, steps: tuple[float, ...]) -> float:
    iou = box_iou(a, b)
    return sum(iou >= step for step in steps) / len(steps)


def _value(config: IoUConfig) -> Value:
    if config.mode == "raw":
        return box_iou
    if config.mode == "giou":
        return _positive_giou
    if config.mode == "threshold":
        return partial(_threshold, threshold=config.threshold)
    return partial(_stepped, steps=config.steps)


def parse_ground_truth(ground_truth: str) -> list[GoldBox]:
    """The gold boxes of a row, in pixels of the original image.

    Args:
        ground_truth: JSON: a list of boxes `[[x1, y1, x2, y2], ...]`, or a list of objects
            `[{"bbox_2d": [x1, y1, x2, y2], "label": "cat"}, ...]` in which `label` may be missing, a string, or a list
            of names that are all right. One bare box `[x1, y1, x2, y2]` is read as a list of one.

    Raises:
        GroundTruthError: if it is something else, is empty, mixes labelled and unlabelled boxes, or holds a box
            without area or with a number that is not finite.

    Example:
        >>> parse_ground_truth("[[10, 20, 30, 40]]")
        [GoldBox(x1=10.0, y1=20.0, x2=30.0, y2=40.0, labels=())]
        >>> parse_ground_truth('[{"bbox_2d": [10, 20, 30, 40], "label": "The Cat"}]')
        [GoldBox(x1=10.0, y1=20.0, x2=30.0, y2=40.0, labels=('cat',))]
        >>> parse_ground_truth("[[30, 20, 10, 40]]")
        Traceback (most recent call last):
        ...
        mixed_r1_verl.rewards.verdict.GroundTruthError: box 0 of the ground truth has no area: [30, 20, 10, 40]
    """
    try:
        data = json.loads(ground_truth)
    except (TypeError, ValueError, RecursionError) as error:
        raise GroundTruthError(f"the ground truth is not JSON ({error}): {_short(ground_truth)}") from error
    if not isinstance(data, list) or not data:
        raise GroundTruthError(f"the ground truth must be a JSON list of boxes, got {_short(ground_truth)}")
    if len(data) == 4 and all(isinstance(item, int | float) for item in data):
        data = [data]
    if len(data) > MAX_GOLD_BOXES:
        raise GroundTruthError(f"the ground truth has {len(data)} boxes; at most {MAX_GOLD_BOXES} can be scored")
    boxes = [_gold_box(item, index) for index, item in enumerate(data)]
    if len({bool(box.labels) for box in boxes}) == 2:
        raise GroundTruthError(
            f"some boxes of the ground truth have a label and some have none: {_short(ground_truth)}"
        )
    return boxes


def _gold_box(item: object, index: int) -> GoldBox:
    labels: tuple[str, ...] = ()
    if isinstance(item, dict):
        names = item.get("label")
        if names is not None:
            labels = tuple(normalise_label(name) if isinstance(name, str) else "" for name in _as_list(names))
            if not labels or not all(labels):
                raise GroundTruthError(f"box {index} of the ground truth has an unreadable label: {_short(names)}")
        item = item.get("bbox_2d")
    if not (isinstance(item, list) and len(item) == 4 and all(_is_coordinate(number) for number in item)):
        raise GroundTruthError(f"box {index} of the ground truth is not four finite numbers: {_short(item)}")
    x1, y1, x2, y2 = map(float, item)
    if not (x1 < x2 and y1 < y2):
        raise GroundTruthError(f"box {index} of the ground truth has no area: {item}")
    return GoldBox(x1, y1, x2, y2, labels)


def _as_list(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _is_coordinate(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= 1e7


def _short(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return repr(text if len(text) <= 80 else text[:77] + "...")


_NOT_WORD = re.compile(r"[\W_]+")
_ARTICLES = frozenset(("a", "an", "the"))


@lru_cache(maxsize=4096)
def normalise_label(label: str) -> str:
    """A label without case, punctuation, articles and plural s.

    Example:
        >>> normalise_label("The Traffic-Lights")
        'traffic light'
    """
    words = _NOT_WORD.sub(" ", unicodedata.normalize("NFKC", label[:400]).casefold()).split()
    return " ".join(_singular(word) for word in words if word not in _ARTICLES) or " ".join(words)


def _singular(word: str) -> str:
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word


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
        width: width of the original image in pixels; only the frame `pixel` does without.
        height: its height in pixels.
        box_frame: the frame in which the answer gives boxes; None takes the configuration's.
        question: read only if all gold boxes have the same label, to accept the question's own words for it.
        config: mode, thresholds and limits.

    Returns:
        `acc` in [0, 1]; `prediction` is the JSON list of the boxes read, in the answer's frame; `reason` is one of
        `no_box`, `too_many_boxes`, `malformed_box`, `degenerate_box`, `wrong_label`, `duplicate_box`, `surplus_box`,
        `missing_box`, `inexact_box` or empty.

    Raises:
        GroundTruthError: if the row's ground truth or frame cannot be read.

    Example:
        >>> iou_reward("[10, 10, 20, 20]", "[[10, 10, 20, 30]]")
        Verdict(acc=0.5, prediction='[[10, 10, 20, 20]]', reason='inexact_box')
        >>> iou_reward("[[0,0,10,10], [50,50,60,60]]", "[[0,0,10,10]]").acc
        0.5
        >>> iou_reward("<box>[[100, 100, 500, 500]]</box>", "[[64, 48, 320, 240]]",
        ...            width=640, height=480, box_frame="norm1000").acc
        1.0
    """
    gold = parse_ground_truth(ground_truth)
    try:
        scale = frame_scale(
            box_frame or config.box_frame,
            width,
            height,
            family=config.family,
            min_pixels=config.min_pixels,
            max_pixels=config.max_pixels,
        )
    except FrameError as error:
        raise GroundTruthError(str(error)) from error
    limit = max(config.max_boxes, 2 * len(gold))
    found = find_boxes(answer, limit)
    prediction = _as_text(found)
    if not found:
        return Verdict(0.0, prediction, "no_box")
    if len(found) > limit:
        return Verdict(0.0, prediction, "too_many_boxes")
    boxes = [rescale(box, scale) for box in found] if scale != (1.0, 1.0) else found
    fits = [_label_fits(box, gold, question) for box in boxes] if gold[0].labels else None
    labels_fit = fits is None or all(map(any, fits))
    if len(boxes) == 1 and len(gold) == 1:
        acc = _rounded(_value(config)(boxes[0], gold[0]) if labels_fit else 0.0)
        return Verdict(acc, prediction, _reason(acc, boxes, 1, gold, labels_fit))
    ious = iou_matrix(boxes, gold)
    if fits is not None:
        ious = [[iou * fit for iou, fit in zip(*rows, strict=True)] for rows in zip(ious, fits, strict=True)]
    kept = _without_copies(boxes, gold, ious)
    values = [ious[i] for i in kept]
    if config.mode != "raw":
        value = _value(config)  # of a pair that does not overlap it is 0 in every mode
        values = [
            [value(boxes[i], target) if iou else 0.0 for target, iou in zip(gold, ious[i], strict=True)] for i in kept
        ]
    acc = _rounded(_best_sum(values) / max(len(boxes), len(gold)))
    return Verdict(acc, prediction, _reason(acc, boxes, len(kept), gold, labels_fit))


def _rounded(acc: float) -> float:
    """1 for what differs from it by the rounding of a change of frame only."""
    return 1.0 if acc > 1 - 1e-9 else acc


def _as_text(boxes: Sequence[Box]) -> str:
    shown = ", ".join(f"[{box[0]:.6g}, {box[1]:.6g}, {box[2]:.6g}, {box[3]:.6g}]" for box in boxes[:16])
    return f"[{shown}{', ...' if len(boxes) > 16 else ''}]" if boxes else ""


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
    order = sorted(range(len(boxes)), key=lambda i: (-max(ious[i]), boxes[i][:4], boxes[i].label or ""))
    overlaps = iou_matrix(boxes, boxes)
    kept: list[int] = []
    closest_gold: float | None = None
    for i in order:
        overlap = max((overlaps[i][k] for k in kept), default=0.0)
        if overlap >= SAME_BOX_IOU:
            if closest_gold is None:
                closest_gold = max((box_iou(a, b) for a, b in combinations(gold, 2)), default=0.0)
            if overlap > closest_gold + FRAME_ROUNDING:
                continue
        kept.append(i)
    return kept


def _best_sum(values: list[list[float]]) -> float:
    """The largest sum over one-to-one pairs of rows (predictions) and columns (gold boxes)."""
    bests = [max(row) for row in values]
    wanted = [row.index(best) for row, best in zip(values, bests, strict=True) if best > 0]
    if len(wanted) == len(set(wanted)):  # no two predictions are best for the same gold box: no need to choose
        return math.fsum(bests)
    if len(values[0]) == 1:
        return max(bests)
    from scipy.optimize import linear_sum_assignment  # 0.1 s to import; most answers do without

    rows, columns = linear_sum_assignment(values, maximize=True)
    return math.fsum(values[row][column] for row, column in zip(rows, columns, strict=True))


def _reason(acc: float, boxes: Sequence[Box], distinct: int, gold: Sequence[GoldBox], labels_fit: bool) -> str:
    if acc == 1.0:
        return ""
    if any(math.isnan(box.x1) for box in boxes):
        return "malformed_box"
    if not all(box.x1 < box.x2 and box.y1 < box.y2 for box in boxes):
        return "degenerate_box"
    if not labels_fit:
        return "wrong_label"
    if distinct < len(boxes):
        return "duplicate_box"
    if len(boxes) != len(gold):
        return "surplus_box" if len(boxes) > len(gold) else "missing_box"
    return "inexact_box"


@dataclass(frozen=True)
class BoxesGold(Gold):
    """The gold boxes of a row; what answers are given in is the frame with `scale` original pixels a unit."""

    ground_truth: str
    golds: tuple[GoldBox, ...]
    width: int | None
    height: int | None
    box_frame: str | None
    question: str
    config: IoUConfig

    @property
    def scale(self) -> tuple[float, float]:
        """Pixels of the original picture that one unit of the answer's frame stands for."""
        return frame_scale(
            self.box_frame or self.config.box_frame,
            self.width,
            self.height,
            family=self.config.family,
            min_pixels=self.config.min_pixels,
            max_pixels=self.config.max_pixels,
        )

    @property
    def boxes(self) -> tuple[Box, ...]:  # type: ignore[override]
        return tuple(Box(*gold[:4], label=gold.labels[0] if gold.labels else None) for gold in self.golds)

    @property
    def extent(self) -> tuple[float, float]:  # type: ignore[override]
        across, down = self.scale
        return (self.width or 1000) / across, (self.height or 1000) / down

    @property
    def honest(self) -> str:  # type: ignore[override]
        across, down = self.scale
        shown: list[Any] = []
        for box in self.boxes:
            corners = [round(number, 5) for number in rescale(box, (1 / across, 1 / down))[:4]]
            shown.append({"bbox_2d": corners, "label": box.label} if box.label else corners)
        return json.dumps(shown)

    def moved(self, answer: str, extent: tuple[float, float]) -> str:
        """Boxes keep their share of the picture."""
        across, down = extent[0] / self.extent[0], extent[1] / self.extent[1]
        moved: list[Any] = []
        for box in json.loads(answer):
            x1, y1, x2, y2 = box["bbox_2d"] if isinstance(box, dict) else box
            new = [x1 * across, y1 * down, x2 * across, y2 * down]
            moved.append({**box, "bbox_2d": new} if isinstance(box, dict) else new)
        return answer if extent == self.extent else json.dumps(moved)

    def score(self, answer: str) -> Verdict:
        return iou_reward(
            answer,
            self.ground_truth,
            width=self.width,
            height=self.height,
            box_frame=self.box_frame,
            question=self.question,
            config=self.config,
        )


def _parse(ground_truth: str, extra_info: Mapping[str, Any], scoring: Scoring) -> Gold:
    width, height = size_of(extra_info)
    frame, question = extra_info.get("box_frame") or None, str(extra_info.get("question") or "")
    golds = tuple(parse_ground_truth(ground_truth))
    gold = BoxesGold(ground_truth, golds, width, height, frame, question, scoring.options)
    try:
        _ = gold.scale
    except FrameError as error:
        raise GroundTruthError(str(error)) from error
    return gold


KIND = RewardKind(
    "iou",
    _parse,
    "Answer with a JSON list of boxes [[x1,y1,x2,y2]].",
    columns=("question", "width", "height", "box_frame"),
    config=IoUConfig,
    answers="boxes",
)
