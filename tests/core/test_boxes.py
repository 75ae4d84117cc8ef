"""Overlaps of boxes and their frames; tables named after where the cases come from."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixed_r1_verl.core.boxes import Box, FrameError, box_giou, box_iou, frame_scale, iou_matrix, rescale

# Documentation of torchmetrics.functional.detection.intersection_over_union; the diagonal is what it prints.
TORCHMETRICS = [
    ((296.55, 93.96, 314.97, 152.79), (300.00, 100.00, 315.00, 150.00), 0.6898),
    ((328.94, 97.05, 342.49, 122.98), (330.00, 100.00, 350.00, 125.00), 0.5086),
    ((356.62, 95.47, 372.33, 147.55), (350.00, 100.00, 375.00, 150.00), 0.5654),
]

PEERS_DEFECTS = [
    ((0.1, 0.1, 0.4, 0.4), (0.1, 0.1, 0.4, 0.4), 1.0),  # inclusive pixels give 0 or more than 1
    ((10, 10, 11, 11), (10, 10, 11, 11), 1.0),
    ((0, 0, 0, 0), (0, 0, 0, 0), 0.0),
    ((30, 40, 10, 20), (10, 20, 30, 40), 0.0),
    ((30, 40, 10, 20), (30, 40, 10, 20), 0.0),
    ((10.5, 10.5, 20.5, 20.5), (10.5, 10.5, 20.5, 20.5), 1.0),
    ((-10, -10, 10, 10), (-10, -10, 10, 10), 1.0),
]

BY_HAND = [
    ((0, 0, 10, 10), (5, 0, 15, 10), 1 / 3),
    ((0, 0, 10, 10), (10, 0, 20, 10), 0.0),  # they touch
    ((0, 0, 10, 10), (0, 10, 10, 20), 0.0),
    ((0, 0, 10, 10), (2, 2, 8, 8), 0.36),
    ((0, 0, 10, 10), (0, 0, 10, 5), 0.5),
    ((0, 0, 1, 1), (0, 0, 1000, 1000), 1e-6),
    ((0, 0, 1e6, 1e6), (0, 0, 1e6, 1e6), 1.0),
    ((0, 0, 1e-6, 1e-6), (0, 0, 1e-6, 1e-6), 1.0),
    ((0, 0, 1e200, 1e200), (0, 0, 1e200, 1e200), 0.0),  # the area is not finite
    ((0, 0, 1e-200, 1e-200), (0, 0, 1e-200, 1e-200), 0.0),  # the area is not a positive number
    ((math.nan, 0, 10, 10), (0, 0, 10, 10), 0.0),
    ((0, 0, math.nan, 10), (0, 0, 10, 10), 0.0),
    ((-math.inf, -math.inf, math.inf, math.inf), (0, 0, 10, 10), 0.0),
]


@pytest.mark.parametrize(("a", "b", "iou"), TORCHMETRICS + PEERS_DEFECTS + BY_HAND)
def test_box_iou(a: tuple[float, ...], b: tuple[float, ...], iou: float) -> None:
    assert box_iou(a, b) == box_iou(b, a) == pytest.approx(iou, abs=5e-5, rel=1e-4 if iou < 0.01 else 5e-4)


@pytest.mark.parametrize("count", [1, 3, 7, 8, 9, 40])
def test_iou_matrix_is_box_iou_of_each_pair(count: int) -> None:
    draw = random.Random(count)
    boxes = [tuple(draw.choice([*range(12), 1e200, -3.5, math.nan, math.inf]) for _ in range(4)) for _ in range(count)]
    boxes += [case[0] for case in PEERS_DEFECTS + BY_HAND]
    assert iou_matrix(boxes[:count], boxes) == [[box_iou(a, b) for b in boxes] for a in boxes[:count]]


def test_box_iou_against_torchmetrics() -> None:
    import torch
    from torchmetrics.functional.detection import generalized_intersection_over_union, intersection_over_union

    draw = random.Random(0)
    boxes = [[draw.uniform(0, 50), draw.uniform(0, 50), draw.uniform(51, 99), draw.uniform(51, 99)] for _ in range(200)]
    tensor = torch.tensor(boxes, dtype=torch.float64)
    ious = intersection_over_union(tensor, tensor, aggregate=False)
    gious = generalized_intersection_over_union(tensor, tensor, aggregate=False)
    assert torch.tensor([[box_iou(a, b) for b in boxes] for a in boxes], dtype=torch.float64).allclose(
        ious, atol=1e-9, rtol=0
    )
    assert torch.tensor([[box_giou(a, b) for b in boxes] for a in boxes], dtype=torch.float64).allclose(
        gious, atol=1e-9, rtol=0
    )


GIOU = [
    ((0, 0, 10, 10), (0, 0, 10, 10), 1.0),
    ((0, 0, 10, 10), (10, 10, 20, 20), -0.5),
    ((0, 0, 10, 10), (5, 0, 15, 10), 1 / 3),
    ((0, 0, 10, 10), (5, 5, 15, 15), 1 / 7 - 50 / 225),
    ((0, 0, 1, 1), (999, 999, 1000, 1000), 2e-6 - 1),
    ((0, 0, 0, 0), (0, 0, 10, 10), -1.0),
    ((10, 10, 0, 0), (0, 0, 10, 10), -1.0),
    ((math.nan, 0, 1, 1), (0, 0, 10, 10), -1.0),
]


@pytest.mark.parametrize(("a", "b", "giou"), GIOU)
def test_box_giou(a: tuple[float, ...], b: tuple[float, ...], giou: float) -> None:
    assert box_giou(a, b) == box_giou(b, a) == pytest.approx(giou)


corner = st.integers(0, 100)
side = st.integers(1, 60)
box = st.builds(lambda x, y, w, h: (x, y, x + w, y + h), corner, corner, side, side)


@given(box, box)
def test_iou_is_symmetric_and_in_range(a: tuple[int, ...], b: tuple[int, ...]) -> None:
    assert 0.0 <= box_iou(a, b) == box_iou(b, a) <= 1.0
    assert box_giou(a, b) <= box_iou(a, b)
    assert (box_iou(a, b) == 1.0) == (a == b)


@given(box, box, st.floats(1e-3, 1e3), st.floats(1e-3, 1e3))
def test_iou_does_not_depend_on_the_scale_of_either_axis(
    a: tuple[int, ...], b: tuple[int, ...], across: float, down: float
) -> None:
    def scaled(box: tuple[int, ...]) -> tuple[float, ...]:
        return box[0] * across, box[1] * down, box[2] * across, box[3] * down

    assert box_iou(scaled(a), scaled(b)) == pytest.approx(box_iou(a, b), abs=1e-9)


@pytest.mark.parametrize(
    ("frame", "size", "scale"),
    [
        ("pixel", (None, None), (1, 1)),
        ("pixel", (640, 480), (1, 1)),
        ("norm1000", (640, 480), (0.64, 0.48)),
        ("norm1", (640, 480), (640, 480)),
        ("resized", (640, 480), (640 / 644, 480 / 476)),
    ],
)
def test_frames(frame: str, size: tuple[int | None, int | None], scale: tuple[float, float]) -> None:
    assert frame_scale(frame, *size) == pytest.approx(scale)


@pytest.mark.parametrize(
    ("frame", "size", "family", "message"),
    [
        ("norm1000", (None, None), "qwen2_vl", "needs the image's width and height"),
        ("norm1000", (640, None), "qwen2_vl", "needs the image's width and height"),
        ("norm1", (0, 480), "qwen2_vl", "needs the image's width and height"),
        ("resized", (-640, 480), "qwen2_vl", "needs the image's width and height"),
        ("resized", (1, 480), "qwen2_vl", "at most 200"),
        ("resized", (640, 480), "llava", "unknown model family"),
        ("xywh", (640, 480), "qwen2_vl", "unknown box frame 'xywh'"),
        ("", (640, 480), "qwen2_vl", "unknown box frame"),
    ],
)
def test_frames_that_cannot_be_worked_out(
    frame: str, size: tuple[int | None, int | None], family: str, message: str
) -> None:
    with pytest.raises(FrameError, match=message):
        frame_scale(frame, *size, family=family)


def test_rescale_keeps_the_label_and_malformed_boxes() -> None:
    assert rescale(Box(1, 2, 3, 4, "dog"), (10, 100)) == Box(10, 200, 30, 400, "dog")
    assert all(math.isnan(number) for number in rescale(Box(*[math.nan] * 4), (2, 2))[:4])
