"""Published boxes against the stored picture."""

import pytest

from mixed_r1_verl.core.rows import RowError
from mixed_r1_verl.data import Example
from mixed_r1_verl.data.boxes import place_boxes
from mixed_r1_verl.data.images import StoredImage


def stored(width=100, height=50, source_width=100, source_height=50) -> StoredImage:
    return StoredImage(b"", "PNG", width, height, source_width, source_height, False)


@pytest.mark.parametrize(
    ("changes", "picture", "wanted"),
    [
        ({"boxes": ((0, 0, 100, 50),)}, stored(), [(0, 0, 100, 50)]),
        ({"boxes": ((0.5, 0.5, 1, 1),), "box_frame": "norm1"}, stored(), [(50, 25, 100, 50)]),
        ({"boxes": ((500, 500, 1000, 1000),), "box_frame": "norm1000"}, stored(), [(50, 25, 100, 50)]),
        ({"boxes": ((10, 10, 20, 20),)}, stored(50, 25), [(5, 5, 10, 10)]),
        ({"boxes": ((10, 10, 20, 20),), "box_size": (200, 100)}, stored(), [(5, 5, 10, 10)]),
        ({"boxes": ((10, 10, 20, 20),), "box_size": (200, 100)}, stored(50, 25), [(2.5, 2.5, 5, 5)]),
        ({"boxes": ((-0.6, 0, 100.9, 50.5),)}, stored(), [(0, 0, 100, 50)]),
        ({"boxes": ((0, 0, 10, 10),), "box_size": (101, 50)}, stored(), [(0, 0, 1000 / 101, 10)]),
    ],
    ids=["pixel", "norm1", "norm1000", "reduced", "drawn_larger", "drawn_larger_then_reduced", "rounded", "near_size"],
)
def test_boxes_follow_the_stored_picture(changes, picture, wanted):
    placed = place_boxes(Example("1", "Q?", "iou", **changes), [picture])
    assert [box[:4] for box in placed] == [pytest.approx(box) for box in wanted]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"boxes": ()}, "missing"),
        ({"boxes": ((0, 0, 102, 50),)}, "outside_image"),
        ({"boxes": ((-2, 0, 10, 10),)}, "outside_image"),
        ({"boxes": ((10, 10, 5, 20),)}, "no_area"),
        ({"boxes": ((10, 10, 10.001, 20),)}, "no_area"),
        ({"boxes": ((0, 0, 10, 10),), "box_size": (50, 100)}, "size_mismatch"),
        ({"boxes": ((0, 0, 10, 10),), "box_size": (0, 0)}, "size_mismatch"),
    ],
)
def test_boxes_that_are_refused(changes, reason):
    with pytest.raises(RowError) as caught:
        place_boxes(Example("1", "Q?", "iou", **changes), [stored()])
    assert caught.value.reason == reason


def test_boxes_need_a_picture():
    with pytest.raises(RowError):
        place_boxes(Example("1", "Q?", "iou", boxes=((0, 0, 1, 1),)), [])
