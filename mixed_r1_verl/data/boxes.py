"""From published boxes to boxes in pixels of the stored picture."""

import math
from collections.abc import Sequence

from mixed_r1_verl.core.boxes import Box
from mixed_r1_verl.core.rows import RowError
from mixed_r1_verl.data.converter import Example
from mixed_r1_verl.data.images import StoredImage

# A box may stick out of the picture by this many pixels and is then cut: published boxes are often rounded outwards.
OVERHANG_PIXELS = 1.0
SHAPE_TOLERANCE = 0.01


def place_boxes(example: Example, images: Sequence[StoredImage]) -> list[Box]:
    """The boxes of an example in pixels of its first image as it is stored.

    Raises:
        RowError: `missing`, `size_mismatch`, `not_finite`, `outside_image` or `no_area`.

    Example:
        >>> picture = StoredImage(b"", "PNG", width=50, height=50, source_width=100, source_height=100, changed=True)
        >>> place_boxes(Example("1", "Where?", "iou", boxes=((0.1, 0.1, 0.5, 1.0),), box_frame="norm1"), [picture])
        [Box(x1=5.0, y1=5.0, x2=25.0, y2=50.0, label=None, caption=None)]
    """
    if not example.boxes:
        raise RowError("boxes", "missing")
    if not images:
        raise RowError("image", "missing", "boxes need a picture")
    picture = images[0]
    if example.box_frame == "pixel":
        frame_width, frame_height = example.box_size or (picture.source_width, picture.source_height)
        stated = example.box_size
        if stated and (min(stated) <= 0 or not _same_shape(stated, (picture.source_width, picture.source_height))):
            raise RowError(
                "boxes",
                "size_mismatch",
                f"drawn on {stated[0]}x{stated[1]}, but the upright picture has "
                f"{picture.source_width}x{picture.source_height}",
            )
    else:
        frame_width = frame_height = 1 if example.box_frame == "norm1" else 1000
    scale_x, scale_y = picture.width / frame_width, picture.height / frame_height
    placed: list[Box] = []
    for box in example.boxes:
        if not all(math.isfinite(side) for side in box[:4]):
            raise RowError("boxes", "not_finite", str(list(box[:4])))
        x1, y1, x2, y2 = box[0] * scale_x, box[1] * scale_y, box[2] * scale_x, box[3] * scale_y
        margin = OVERHANG_PIXELS
        if min(x1, y1) < -margin or x2 > picture.width + margin or y2 > picture.height + margin:
            raise RowError("boxes", "outside_image", f"{list(box[:4])} in {picture.width}x{picture.height}")
        x1, y1, x2, y2 = max(x1, 0.0), max(y1, 0.0), min(x2, float(picture.width)), min(y2, float(picture.height))
        if round(x2, 2) <= round(x1, 2) or round(y2, 2) <= round(y1, 2):
            raise RowError("boxes", "no_area", str(list(box[:4])))
        placed.append(Box(x1, y1, x2, y2))
    return placed


def _same_shape(stated: tuple[int, int], actual: tuple[int, int]) -> bool:
    return abs(stated[0] * actual[1] - stated[1] * actual[0]) <= SHAPE_TOLERANCE * stated[0] * actual[1]
