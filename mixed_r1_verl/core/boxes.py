"""Boxes in pictures: one type, the frames in which their coordinates are given, and how far two of them overlap.

Coordinates are continuous: a box from 10 to 20 is 10 wide, not 11. IoU is therefore the same in every frame.
"""

import json
import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

from mixed_r1_verl.core.families import ImageSizeError, get_family

__all__ = [
    "FRAMES",
    "Box",
    "BoxFrame",
    "FrameError",
    "box_giou",
    "box_iou",
    "format_boxes",
    "format_number",
    "frame_scale",
    "iou_matrix",
    "rescale",
]

BoxFrame = Literal["pixel", "norm1000", "norm1", "resized"]
Corners = Sequence[Any]
"""x1, y1, x2, y2, and what else a box has."""

FRAMES: tuple[BoxFrame, ...] = ("pixel", "norm1000", "norm1", "resized")
"""Pixels of the original picture, 0-1000, 0-1, and pixels of the picture as the model's processor resizes it."""


class FrameError(ValueError):
    """The frame of a row's boxes cannot be worked out."""


class Box(NamedTuple):
    """One box.

    Attributes:
        x1, y1: the first corner, left and top if the box is right.
        x2, y2: the second corner.
        label: the name that the box is given in a place meant for it, or None.
        caption: the words before the box on its line in an answer, or None.
    """

    x1: float
    y1: float
    x2: float
    y2: float
    label: str | None = None
    caption: str | None = None


def box_iou(a: Corners, b: Corners) -> float:
    """Intersection over union of two boxes (x1, y1, x2, y2) in continuous coordinates, in [0, 1].

    A box without area, with swapped corners or with a number that is not finite has IoU 0 with everything.

    >>> box_iou((0, 0, 10, 10), (5, 0, 15, 10))
    0.3333333333333333
    >>> box_iou((0.1, 0.1, 0.2, 0.2), (0.1, 0.1, 0.2, 0.2))
    1.0
    >>> box_iou((0, 0, 0, 0), (0, 0, 0, 0))
    0.0
    """
    ax1, ay1, ax2, ay2 = a[0], a[1], a[2], a[3]
    bx1, by1, bx2, by2 = b[0], b[1], b[2], b[3]
    if not (ax1 < ax2 and ay1 < ay2 and bx1 < bx2 and by1 < by2):
        return 0.0
    width = (ax2 if ax2 < bx2 else bx2) - (ax1 if ax1 > bx1 else bx1)
    height = (ay2 if ay2 < by2 else by2) - (ay1 if ay1 > by1 else by1)
    if not (width > 0 and height > 0):
        return 0.0
    shared = width * height
    union = (ax2 - ax1) * (ay2 - ay1) + (bx2 - bx1) * (by2 - by1) - shared
    if not 0 < union < math.inf:
        return 0.0
    return min(1.0, shared / union)


def iou_matrix(rows: Sequence[Corners], columns: Sequence[Corners]) -> list[list[float]]:
    """IoU of each box of `rows` with each of `columns`, as `box_iou` has it; with NumPy where that is faster.

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


def frame_scale(
    frame: str,
    width: int | None,
    height: int | None,
    *,
    family: str = "qwen2_5_vl",
    min_pixels: int | None = None,
    max_pixels: int | None = None,
) -> tuple[float, float]:
    """Pixels of the original image, across and down, that one unit of a frame stands for.

    Args:
        frame: `pixel`, `norm1000` (0-1000), `norm1` (0-1) or `resized` (pixels of the resized image).
        width, height: of the original image in pixels; only the frame `pixel` does without.
        family: whose resize rule the frame `resized` follows.
        min_pixels, max_pixels: the image processor's limits if they are not the family's defaults.

    Raises:
        FrameError: if the frame is unknown, or the size is missing, not positive, or refused by the family's processor.

    >>> frame_scale("norm1000", 640, 480)
    (0.64, 0.48)
    >>> frame_scale("resized", 1288, 952, max_pixels=644 * 476)
    (2.0, 2.0)
    """
    if frame == "pixel":
        return 1.0, 1.0
    if frame not in FRAMES:
        raise FrameError(f"unknown box frame {frame!r}; known: {', '.join(FRAMES)}")
    if not width or not height or width < 0 or height < 0:
        raise FrameError(f"box frame {frame!r} needs the image's width and height, got {width!r} and {height!r}")
    if frame == "norm1000":
        return width / 1000, height / 1000
    if frame == "norm1":
        return float(width), float(height)
    try:
        resized_width, resized_height = get_family(family).limited(min_pixels, max_pixels).resized_size(width, height)
    except (ImageSizeError, KeyError) as error:
        raise FrameError(f"box frame 'resized': {error}") from error
    return width / resized_width, height / resized_height


def rescale(box: Box, scale: tuple[float, float]) -> Box:
    """The box with x multiplied by `scale[0]` and y by `scale[1]`.

    >>> rescale(Box(100, 200, 300, 400), (0.5, 2.0))[:4]
    (50.0, 400.0, 150.0, 800.0)
    """
    across, down = scale
    return box._replace(x1=box.x1 * across, y1=box.y1 * down, x2=box.x2 * across, y2=box.y2 * down)


def format_number(value: float) -> str:
    """A coordinate as JSON text with at most two decimals and no needless ones.

    >>> format_number(3.0), format_number(17.456), format_number(-0.001)
    ('3', '17.46', '0')
    """
    return f"{round(value, 2) + 0.0:.2f}".rstrip("0").removesuffix(".")  # 0 is added for -0


def format_boxes(boxes: Sequence[Sequence[Any]]) -> str:
    """Boxes as the JSON text that is the ground truth of `iou`; a `Box` with a label as an object.

    Raises:
        ValueError: a coordinate that is not finite, or a box that has not four of them.

    >>> format_boxes([(1, 2.5, 3, 4)]), format_boxes([Box(1, 2, 3, 4, "cat")])
    ('[[1,2.5,3,4]]', '[{"bbox_2d":[1,2,3,4],"label":"cat"}]')
    """
    texts = []
    for box in boxes:
        corners, label = (box[:4], box.label) if isinstance(box, Box) else (box, None)
        if len(corners) != 4 or not all(math.isfinite(value) for value in corners):
            raise ValueError(f"not a box: {list(box)}")
        text = "[" + ",".join(format_number(value) for value in corners) + "]"
        texts.append(f'{{"bbox_2d":{text},"label":{json.dumps(label, ensure_ascii=False)}}}' if label else text)
    return "[" + ",".join(texts) + "]"
