"""Scenes: what is drawn is what is said."""

import json
import random

import numpy as np
import pytest

from examples.demo.scenes import (
    COLORS,
    GRID,
    SIZE,
    Bar,
    BarChart,
    Box,
    Question,
    Shape,
    ShapePicture,
    ask_chart,
    ask_matching,
    make_scene,
    random_chart,
    random_shapes,
)

WHITE = (255, 255, 255)


def pixels(picture):
    return np.asarray(picture.render())


def bounding_box(image, color):
    rows, columns = np.nonzero((image == COLORS[color]).all(-1))
    return Box(int(columns.min()), int(rows.min()), int(columns.max()) + 1, int(rows.max()) + 1)


@pytest.mark.parametrize("form", ["circle", "rectangle", "triangle"])
@pytest.mark.parametrize("box", [Box(0, 0, 28, 28), Box(56, 56, 112, 112), Box(14, 42, 56, 84)])
def test_a_shape_fills_its_box_exactly(form, box):
    assert bounding_box(pixels(ShapePicture((Shape(form, "red", box),), WHITE)), "red") == box


def test_forms_differ_in_what_they_cover():
    box = Box(14, 14, 70, 70)
    covered = {
        form: int((pixels(ShapePicture((Shape(form, "blue", box),), WHITE)) == COLORS["blue"]).all(-1).sum())
        for form in ("circle", "rectangle", "triangle")
    }
    area = 56 * 56
    assert covered["rectangle"] == area
    assert covered["circle"] == pytest.approx(area * np.pi / 4, rel=0.03)
    assert covered["triangle"] == pytest.approx(area / 2, rel=0.05)


@pytest.mark.parametrize("seed", range(20))
def test_random_shapes_are_apart_on_the_grid_and_in_reading_order(seed):
    picture = random_shapes(random.Random(seed))
    image = pixels(picture)
    assert 1 <= len(picture.shapes) <= 3
    assert len({shape.color for shape in picture.shapes}) == len(picture.shapes)
    for shape in picture.shapes:
        assert all(edge % GRID == 0 and 0 <= edge <= SIZE for edge in shape.box)
        assert bounding_box(image, shape.color) == shape.box
    middles = [(s.box.y1 + s.box.y2, s.box.x1 + s.box.x2) for s in picture.shapes]
    assert middles == sorted(middles)


@pytest.mark.parametrize("seed", range(20))
def test_bars_are_as_high_as_their_values(seed):
    chart = random_chart(random.Random(seed))
    image = pixels(chart)
    for bar, box in zip(chart.bars, chart.boxes(), strict=True):
        assert bounding_box(image, bar.color) == box
        assert box.y2 - box.y1 == 7 * bar.value


@pytest.mark.parametrize(
    ("box", "size", "place"),
    [
        (Box(0, 0, 28, 28), "small", "top left"),
        (Box(42, 0, 84, 42), "large", "top"),
        (Box(84, 0, 112, 28), "small", "top right"),
        (Box(0, 42, 28, 70), "small", "left"),
        (Box(28, 28, 84, 84), "large", "center"),
        (Box(84, 84, 112, 112), "small", "bottom right"),
        (Box(42, 84, 98, 112), "small", "bottom"),
    ],
)
def test_size_and_place_of_a_box(box, size, place):
    shape = Shape("circle", "teal", box)
    assert (shape.size, shape.place) == (size, place)


def test_description_of_several_shapes():
    shapes = (
        Shape("triangle", "gray", Box(0, 0, 28, 28)),
        Shape("rectangle", "teal", Box(56, 28, 112, 84)),
        Shape("circle", "black", Box(0, 84, 28, 112)),
    )
    assert ShapePicture(shapes, WHITE).describe() == (
        "A small gray triangle at the top left, a large teal rectangle at the right and a small black circle at the "
        "bottom left."
    )


@pytest.mark.parametrize("seed", range(40))
def test_chart_answers_follow_from_the_bars(seed):
    chart = BarChart((Bar("red", 5), Bar("blue", 11), Bar("gray", 2)), WHITE)
    question = ask_chart(chart, random.Random(seed))
    expected = {
        "value": {"red": "5", "blue": "11", "gray": "2"}.get(question.subject),
        "highest": "blue",
        "lowest": "gray",
        "count": "3",
    }
    assert question.answer == expected[question.topic]


@pytest.mark.parametrize("seed", range(60))
def test_matching_answers_follow_from_the_shapes(seed):
    picture = random_shapes(random.Random(seed))
    question = ask_matching(picture, random.Random(-seed))
    words = {word for shape in picture.shapes for word in (shape.color, shape.form)}
    if question.choices:
        assert question.choices[ord(question.answer) - ord("A")] == question.subject
        assert question.subject in words and len(set(question.choices)) == len(question.choices)
    else:
        assert question.answer == ("yes" if (question.subject in words) == (question.topic == "present") else "no")


@pytest.mark.parametrize("reward", ["matching", "chart", "iou", "open_ended"])
def test_a_seed_gives_the_same_scene_and_another_seed_another(reward):
    first, again = make_scene(reward, "train-3"), make_scene(reward, "train-3")
    assert first == again and first.picture.render().tobytes() == again.picture.render().tobytes()
    assert len({make_scene(reward, f"train-{i}") for i in range(50)}) > 45
    assert first.question.reward == reward


def test_scenes_are_the_same_on_every_machine():
    """`random` and the order of the draws decide every committed figure; a change here changes every data set."""
    question = make_scene("iou", 0).question
    assert question == Question(
        "iou", "Give the box around the yellow triangle.", "[[84, 84, 112, 112]]", "box", "yellow triangle"
    )


def test_boxes_are_asked_for_one_shape_of_the_picture():
    for index in range(30):
        scene = make_scene("iou", index)
        (box,) = json.loads(scene.question.answer)
        assert [tuple(box)] == [tuple(s.box) for s in scene.picture.shapes if s.name == scene.question.subject]


def test_an_unknown_reward_is_refused():
    with pytest.raises(ValueError, match="no scenes for reward 'math'"):
        make_scene("math", 1)
