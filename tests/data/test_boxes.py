"""Published boxes against the stored picture."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mixed_r1_verl.data_preprocess import generic

from mixed_r1_verl.core.boxes import box_iou, format_boxes
from mixed_r1_verl.core.rows import DataError, RowError
from mixed_r1_verl.data import Example
from mixed_r1_verl.data.boxes import _to_pixels, check_frame, place_boxes
from mixed_r1_verl.data.images import StoredImage
from mixed_r1_verl.data.raw import Row, Told
from mixed_r1_verl.data.truth import gold_acc, reward_with


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
        ({"boxes": ((10, 10, 10.9, 20),)}, "under_a_pixel"),
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


SIDES = st.floats(0.02, 0.9)
FRAMES_OF_BOXES = ("pixel", "norm1", "norm1000", "resized:qwen2_5_vl", "resized:qwen3_vl", "padded_square")
MARKUPS = (
    "[{}]",
    "[[{}]]",
    '{{"bbox_2d": [{}]}}',
    '```json\n[{{"bbox_2d": [{}], "label": "cat"}}]\n```',
    "[{{'bbox_2d': [{}], 'label': 'cat'}}]",
    "<ref>cat</ref><box>[[{}]]</box>",
    "<|box_start|>({}, {}),({}, {})<|box_end|>",
)


@pytest.mark.parametrize("markup", MARKUPS)
@pytest.mark.parametrize("box_format", ["xyxy", "xywh"])
@pytest.mark.parametrize("frame", FRAMES_OF_BOXES)
@settings(max_examples=8, deadline=None)
@given(corner=st.tuples(SIDES, SIDES), share=st.tuples(st.floats(0.05, 1), st.floats(0.05, 1)))
@example(corner=(0.0, 0.0), share=(1.0, 1.0))
@example(corner=(0.5, 0.75), share=(1.0, 0.0546875))
@example(corner=(0.5, 0.8125), share=(1.0, 0.0625))
def test_a_box_comes_out_as_the_same_pixels(frame, box_format, markup, corner, share):
    """Every frame, format and markup: IoU of at least 0.99 with the box that went in, and a score of 1."""
    width, height = 1280, 853
    x1, y1 = corner[0] * width, corner[1] * height
    wanted = (x1, y1, x1 + share[0] * (width - x1), y1 + share[1] * (height - y1))
    scale, shift = _to_pixels(frame, width, height)
    sides = [(side + shift[number % 2]) / scale[number % 2] for number, side in enumerate(wanted)]
    if box_format == "xywh":
        sides = [sides[0], sides[1], sides[2] - sides[0], sides[3] - sides[1]]
    digits = 6 if max(sides) <= 1 else 2  # a ten-thousandth of 1280 pixels is too much of a box 10 pixels high
    numbers = [str(round(side, digits)) for side in sides]
    text = markup.format(*numbers) if markup.count("{}") == 4 else markup.format(", ".join(numbers))
    record = {"question": "Where is the cat?", "answer": text}
    told = Told(box_frame=frame, box_format=box_format)
    read = generic.convert(Row("a:1", {"record": record, "folder": "", "turn": 0}), told)
    (box,) = placed = place_boxes(read, [stored(width, height, width, height)])
    assert box_iou(box, wanted) >= 0.99
    truth = format_boxes(placed)
    extra = {"width": width, "height": height, "question": "Where is the cat?"}
    assert gold_acc(reward_with({}), "iou", truth, extra) == 1.0


@pytest.mark.parametrize(
    ("changes", "cure"),
    [
        ({"boxes": ((0.1, 0.1, 0.5, 0.5),)}, "--box-frame norm1"),
        ({"boxes": ((100, 10, 900, 40),)}, "--box-frame norm1000"),
        ({"boxes": ((50, 20, 10, 10),)}, "--box-format xywh"),
        ({"boxes": ((10, 10, 99, 45),), "box_format": "xywh"}, "--box-format xyxy"),
        ({"boxes": ((10, 10, 20, 20),), "box_frame": "norm1"}, "--box-frame pixel"),
        ({"boxes": ((0.1, 0.1, 0.5, 0.5),), "box_frame": "norm1000"}, "--box-frame norm1"),
        ({"boxes": ((10, 10, 20, 20),), "box_format": "either"}, "--box-format xyxy or xywh"),
        ({"boxes": ((1000, 10, 2000, 40),)}, "--box-frame"),
    ],
)
def test_the_likely_frame_is_named(changes, cure):
    with pytest.raises(RowError) as caught:
        place_boxes(Example("1", "Q?", "iou", **changes), [stored()])
    assert cure in caught.value.detail


@pytest.mark.parametrize("frame", ["norm100", "resized:none", "norm1:qwen2_5_vl"])
def test_unknown_frames(frame):
    with pytest.raises(DataError, match=r"frame|family"):
        check_frame(frame)
