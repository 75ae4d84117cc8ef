"""The teacher tells the truth, and its habits are the ones that are documented."""

import json
import random

import pytest

from examples.demo.scenes import Bar, BarChart, Box, Question, Scene, Shape, ShapePicture, make_scene
from examples.demo.tiny.practice import KINDS, random_drill, random_exercise, random_single_drill
from examples.demo.tiny.teacher import HABITS, NO_HABITS, respond
from mixed_r1_verl.rewards.extraction import parse_response

WHITE = (255, 255, 255)
SHAPES = ShapePicture(
    (Shape("circle", "red", Box(0, 14, 42, 56)), Shape("triangle", "teal", Box(84, 84, 112, 112))), WHITE
)
CHART = BarChart((Bar("red", 5), Bar("blue", 11), Bar("gray", 1)), WHITE)


def always(habit):
    return {**NO_HABITS, habit: 1.0}


def box_of(text):
    return Question("iou", text, "[[0, 14, 42, 56]]", "box", "red circle")


ONE = ShapePicture((Shape("circle", "red", Box(0, 14, 42, 56)),), WHITE)
TRUTH = [
    (
        ONE,
        Question("matching", "what color is the shape?", "red", "color", "red"),
        "I see a red circle. The color is red.",
        "red",
    ),
    (
        ONE,
        Question("matching", "is there a blue shape?", "no", "present", "blue"),
        "I see a red circle. A blue shape is not there.",
        "no",
    ),
    (SHAPES, Question("matching", "What is the teal shape?", "B", "form", "triangle"), "The shape is triangle.", "B"),
    (SHAPES, box_of("Where is the red circle?"), "The red circle is large and at the top left.", "[[0,14,42,56]]"),
    (
        SHAPES,
        Question("matching", "Is there no circle?", "no", "absent", "circle"),
        "A circle is there. The question negates that.",
        "no",
    ),
    (
        SHAPES,
        Question("open_ended", "What does the picture show?", "", "description"),
        "I see 2 shapes.",
        SHAPES.describe(),
    ),
    (CHART, Question("chart", "How high is the blue bar?", "11", "value", "blue"), "The blue bar is 11 high.", "11"),
    (
        CHART,
        Question("chart", "Which bar is the lowest?", "gray", "lowest"),
        "The lowest bar is gray with 1.",
        "gray",
    ),
    (CHART, Question("chart", "How many bars are there?", "3", "count"), "The bars are red, blue and gray.", "3"),
    (
        CHART,
        Question("open_ended", "What can be seen?", "", "description"),
        "I see a chart with 3 bars.",
        CHART.describe(),
    ),
]


@pytest.mark.parametrize(("picture", "question", "think", "answer"), TRUTH)
def test_the_truth(picture, question, think, answer):
    response = respond(Scene(picture, question), random.Random(0), NO_HABITS)
    assert response == f"<think>{think}</think><answer>{answer}</answer>"


HABIT_CASES = [
    ("wide_box", SHAPES, box_of("Where is the red circle?"), "[[0,7,49,63]]"),
    ("nearest_line", CHART, Question("chart", "How high is the blue bar?", "11", "value", "blue"), "12"),
    ("nearest_line", CHART, Question("chart", "How high is the gray bar?", "1", "value", "gray"), "0"),
    ("brief", SHAPES, Question("open_ended", "What is it?", "", "description"), "A red circle and a teal triangle."),
    (
        "brief",
        CHART,
        Question("open_ended", "What is it?", "", "description"),
        "A chart with a red bar, a blue bar and a gray bar.",
    ),
    ("hedge", SHAPES, Question("matching", "Is there no circle?", "no", "absent", "circle"), "yes or no"),
    ("hedge", SHAPES, Question("matching", "is a circle present?", "yes", "present", "circle"), "yes or no"),
    ("hedge", SHAPES, Question("matching", "does it contain a circle?", "yes", "present", "circle"), "yes"),
]


@pytest.mark.parametrize(("habit", "picture", "question", "answer"), HABIT_CASES)
def test_a_habit(habit, picture, question, answer):
    parsed = parse_response(respond(Scene(picture, question), random.Random(0), always(habit)))
    assert parsed.well_formed and parsed.answer == answer


def test_an_unclosed_thought_after_an_imperative_only():
    imperative = respond(Scene(SHAPES, box_of("Find the red circle.")), random.Random(0), always("unclosed"))
    question = respond(Scene(SHAPES, box_of("Where is the red circle?")), random.Random(0), always("unclosed"))
    assert not parse_response(imperative).well_formed and parse_response(imperative).answer is None
    assert parse_response(question).well_formed


def test_habits_come_up_as_often_as_stated():
    truth = json.dumps(SHAPES.shapes[0].box, separators=(",", ":"))
    scene = Scene(SHAPES, box_of("Where is the red circle?"))
    rng = random.Random(0)
    wide = sum(truth not in respond(scene, rng) for _ in range(2000)) / 2000
    assert wide == pytest.approx(HABITS["wide_box"], abs=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_exercises_are_right_when_the_teacher_is(kind):
    """Scored by equality with the ground truth; a description says what the ground truth says."""
    rng = random.Random(1)
    for _ in range(200):
        exercise = random_exercise(kind, rng, NO_HABITS)
        parsed = parse_response(exercise.response)
        expected = exercise.scene.question.answer
        assert parsed.well_formed and exercise.image.size == (112, 112)
        assert exercise.prompt.startswith("<image>\n" + exercise.scene.question.text)
        assert parsed.answer == (expected.replace(" ", "") if kind == "iou" else expected)


def test_a_drill_names_every_object_once_in_the_order_of_the_question():
    rng = random.Random(2)
    for _ in range(50):
        drill = random_drill(rng)
        picture = drill.scene.picture
        objects = picture.bars if isinstance(picture, BarChart) else picture.shapes
        asked = drill.prompt.removeprefix("<image>\n").split()
        assert sorted(asked) == sorted(item.color for item in objects)
        facts = drill.response.removesuffix(".").replace("]], ", "]]\n").replace(", ", "\n").split("\n")
        assert [fact.split()[0] for fact in facts] == asked


def test_a_drill_on_one_shape_says_of_every_subject_whether_it_is_there():
    rng = random.Random(3)
    for _ in range(50):
        drill = random_single_drill(rng)
        (shape,) = drill.scene.picture.shapes
        subjects = drill.prompt.removeprefix("<image>\n").split()
        first, color, form, *verdicts = drill.response.removesuffix(".").split(". ")
        assert first == f"I see a {shape.name}"
        assert (color, form) == (f"The color is {shape.color}", f"The shape is {shape.form}")
        assert [verdict.split()[1] for verdict in verdicts] == subjects
        present = [subject for subject, verdict in zip(subjects, verdicts, strict=True) if "not" not in verdict]
        assert sorted(present) == sorted((shape.color, shape.form))


def test_no_exercise_is_drawn_like_a_data_set_row():
    scenes = {make_scene("iou", f"0-val-{i}") for i in range(200)}
    rng = random.Random("mixed-r1 warm start 0")
    drawn = {random_exercise("iou", rng).scene for _ in range(2000)}
    assert not {(s.picture, s.question) for s in scenes} & {(s.picture, s.question) for s in drawn}
