"""From published boxes to boxes in pixels of the stored picture.

Frames are those of `mixed_r1_verl.core.boxes` and two more: `resized:FAMILY` names the model family whose processor
resized the picture, and `padded_square` is LLaVA's: 0-1 of the picture after it was padded to a centred square.
"""

import math
from collections.abc import Sequence

from mixed_r1_verl.core import boxes as core
from mixed_r1_verl.core.boxes import Box, FrameError, frame_scale
from mixed_r1_verl.core.rows import DataError, RowError
from mixed_r1_verl.data.converter import Example
from mixed_r1_verl.data.images import StoredImage

FRAMES = (*core.FRAMES, "padded_square")
NO_BOX = "[]"  # the answer of an example of which the dataset says that it has no box
DEFAULT_FAMILY = "qwen2_5_vl"
# A box may stick out of the picture by this many pixels and is then cut: published boxes are often rounded outwards.
OVERHANG_PIXELS = 1.0
# Of the frames with a fixed extent, what rounding may add to it.
OVERHANG_SHARE = 0.002
SHAPE_TOLERANCE = 0.01


def check_frame(frame: str) -> None:
    """Refuses a frame that nobody knows.

    Raises:
        DataError: naming the frames.
    """
    name, _, family = frame.partition(":")
    try:
        if name not in FRAMES or (family and name != "resized"):
            raise FrameError(f"unknown box frame {frame!r}; known: {', '.join(FRAMES)}")
        if name == "resized":
            frame_scale("resized", 640, 480, family=family or DEFAULT_FAMILY)
    except FrameError as error:
        raise DataError(str(error)) from None


def place_boxes(example: Example, images: Sequence[StoredImage]) -> list[Box]:
    """The boxes of an example in pixels of its first image as it is stored; labels stay where they differ.

    Raises:
        RowError: `missing`, `size_mismatch`, `not_finite`, `format_unknown`, `outside_image`, `under_a_pixel` or
            `no_area`; where another frame or format would do, the detail names it.

    Example:
        >>> picture = StoredImage(b"", "PNG", width=50, height=50, source_width=100, source_height=100, changed=True)
        >>> place_boxes(Example("1", "Where?", "iou", boxes=((0.1, 0.1, 0.5, 1.0),), box_frame="norm1"), [picture])
        [Box(x1=5.0, y1=5.0, x2=25.0, y2=50.0, label=None, caption=None)]
    """
    if not example.boxes:
        if example.answer == NO_BOX:
            return []
        raise RowError("boxes", "missing")
    if not images:
        raise RowError("image", "missing", "boxes need a picture")
    picture = images[0]
    size = (picture.source_width, picture.source_height)
    drawn = example.box_size or size
    if drawn != size and (min(drawn) <= 0 or abs(drawn[0] * size[1] - drawn[1] * size[0]) > _tolerance(drawn, size)):
        stated = f"drawn on {drawn[0]}x{drawn[1]}, but the upright picture has {size[0]}x{size[1]}"
        raise RowError("boxes", "size_mismatch", stated)
    for box in example.boxes:
        if not all(math.isfinite(side) for side in box[:4]):
            raise RowError("boxes", "not_finite", str(list(box[:4])))
    wanted = ("xyxy", "xywh") if example.box_format == "either" else (example.box_format,)
    placed = [_placed(example, kind == "xywh", drawn) for kind in wanted]
    fitting = [boxes for boxes in placed if not isinstance(boxes, RowError)]
    if len(fitting) > 1:
        detail = f"{list(example.boxes[0][:4])} may be corners or x, y, width, height; say --box-format xyxy or xywh"
        raise RowError("boxes", "format_unknown", detail)
    if not fitting:
        assert isinstance(placed[0], RowError)
        raise placed[0]
    labels = {box.label for box in fitting[0]}
    across, down = picture.width / drawn[0], picture.height / drawn[1]
    return [
        Box(box.x1 * across, box.y1 * down, box.x2 * across, box.y2 * down, box.label if len(labels) > 1 else None)
        for box in fitting[0]
    ]


def _tolerance(stated: tuple[int, int], actual: tuple[int, int]) -> float:
    return SHAPE_TOLERANCE * stated[0] * actual[1]


def _placed(example: Example, sized: bool, picture: tuple[int, int]) -> list[Box] | RowError:
    """The boxes in pixels of the picture on which they were drawn, cut to it; or why they cannot be that."""
    width, height = picture
    try:
        scale, shift = _to_pixels(example.box_frame, width, height)
    except FrameError as error:
        return RowError("boxes", "frame", str(error))
    margin = max(OVERHANG_PIXELS, 0 if example.box_frame == "pixel" else OVERHANG_SHARE * max(width, height))
    boxes = []
    for box in example.boxes:
        sides = [box[0], box[1], box[0] + box[2], box[1] + box[3]] if sized else box[:4]
        x1, x2 = (side * scale[0] - shift[0] for side in (sides[0], sides[2]))
        y1, y2 = (side * scale[1] - shift[1] for side in (sides[1], sides[3]))
        shown = f"{list(box[:4])} in {width}x{height}"
        if min(x1, x2, y1, y2) < -margin or max(x1, x2) > width + margin or max(y1, y2) > height + margin:
            return RowError("boxes", "outside_image", shown + _likely(example, sized, picture))
        x1, y1, x2, y2 = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
        if round(x2, 2) <= round(x1, 2) or round(y2, 2) <= round(y1, 2):
            return RowError("boxes", "no_area", shown + _likely(example, sized, picture))
        if min(x2 - x1, y2 - y1) < 1 - 1e-6:
            return RowError("boxes", "under_a_pixel", shown + _likely(example, sized, picture))
        boxes.append(Box(x1, y1, x2, y2, getattr(box, "label", None)))
    return boxes


def _to_pixels(frame: str, width: int, height: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Pixels of the picture that one unit of a frame stands for, and what is taken off then, across and down."""
    name, _, family = frame.partition(":")
    if name == "padded_square":
        side = max(width, height)
        return (side, side), ((side - width) / 2, (side - height) / 2)
    return frame_scale(name, width, height, family=family or DEFAULT_FAMILY), (0.0, 0.0)


def _likely(example: Example, sized: bool, picture: tuple[int, int]) -> str:
    """Which frame or format the boxes of a row are probably given in, as the end of a message."""
    boxes, frame = [box[:4] for box in example.boxes], example.box_frame.partition(":")[0]
    numbers = [number for box in boxes for number in box]
    if not sized and any(box[2] <= box[0] or box[3] <= box[1] for box in boxes):
        return "; they may be x, y, width, height: --box-format xywh"
    if sized and all(box[0] < box[2] and box[1] < box[3] for box in boxes) and max(numbers) > 1:
        return "; they may be corners: --box-format xyxy"
    if min(numbers) >= 0 and max(numbers) <= 1 and frame not in ("norm1", "padded_square"):
        return "; they look like shares of the picture: --box-frame norm1 (LLaVA's own data: padded_square)"
    across, down = max(box[2] for box in boxes), max(box[3] for box in boxes)
    if frame != "pixel" and max(numbers) > 1 and across <= picture[0] and down <= picture[1]:
        return "; they look like pixels: --box-frame pixel"
    if frame != "norm1000" and 1 < max(numbers) <= 1000 and min(numbers) >= 0:
        return "; they look like 0-1000: --box-frame norm1000"
    return "; say in which frame they are with --box-frame, such as resized:qwen2_5_vl"
