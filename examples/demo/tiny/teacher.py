"""The teacher of the warm start: what a tiny model is taught to answer about a rendered scene.

The teacher knows the truth and thinks in a short sentence before it answers. The sentence names what was asked for
before it says anything about it: a small transformer finds in the picture what the token before it names, but needs far
longer to learn to carry it over from the question. Of a picture with one shape it says first what that shape is, so
that whatever is asked then can be read in its own words; and where the question is negated, it says so last, beside the
answer that depends on it. The teacher is also sloppy in ways that are common in vision-language models, so that
reinforcement learning finds both room above the warm start and, among its samples, the better behaviour to reinforce:

- it draws boxes that are too wide by 7 pixels on every side;
- it reads the value of a bar at the nearest line of the axis;
- it describes things without their size and place;
- asked whether something "is" there, it does not commit itself and answers "yes or no";
- told to find, name, count or describe something, it begins to think and never closes its thought, so that its answer
  does not count.

Each habit comes up at random in a fixed share of the responses in which it can. The shares of `HABITS` are above one
half, so that the greedy answer has the habit, and far from one, so that samples without it are common.
"""

import json
import random
from collections.abc import Mapping
from types import MappingProxyType

from examples.demo.scenes import COLORS, GRIDLINES, SIZE, BarChart, Box, Question, Scene, ShapePicture

# Share of the responses in which a habit comes up where it can.
HABITS: Mapping[str, float] = MappingProxyType(
    {"wide_box": 0.6, "nearest_line": 0.6, "brief": 0.6, "hedge": 0.6, "unclosed": 0.75}
)
NO_HABITS: Mapping[str, float] = MappingProxyType(dict.fromkeys(HABITS, 0.0))

# First words of the questions on which `unclosed` can come up.
IMPERATIVES = ("Find ", "Name ", "Count ", "Describe ")

# First words of the questions on which `hedge` can come up.
HEDGED = ("Is ", "is ")

_MARGIN = 7


def respond(scene: Scene, rng: random.Random, habits: Mapping[str, float] = HABITS) -> str:
    """The teacher's response to the question of a scene, tags included.

    Args:
        scene: picture and question.
        rng: decides which habits show.
        habits: share of each habit; `NO_HABITS` gives the truth.

    Example:
        >>> from examples.demo.scenes import Bar
        >>> chart = BarChart((Bar("red", 5), Bar("blue", 11)), (255, 255, 255))
        >>> scene = Scene(chart, Question("chart", "How high is the red bar?", "5", "value", "red"))
        >>> respond(scene, random.Random(0), NO_HABITS)
        '<think>The red bar is 5 high.</think><answer>5</answer>'
    """
    think, answer = think_and_answer(scene, rng, habits)
    question = scene.question
    if question.text.startswith(IMPERATIVES) and rng.random() < habits["unclosed"]:
        return f"<think>{think}<answer>{answer}</answer>"
    return f"<think>{think}</think><answer>{answer}</answer>"


def think_and_answer(scene: Scene, rng: random.Random, habits: Mapping[str, float]) -> tuple[str, str]:
    """Thought and answer without tags."""
    picture, question = scene.picture, scene.question
    if question.reward == "open_ended":
        return _describe(picture, rng.random() < habits["brief"])
    if isinstance(picture, BarChart):
        return _read_chart(picture, question, rng.random() < habits["nearest_line"])
    if question.reward == "iou":
        shape = next(s for s in picture.shapes if s.name == question.subject)
        box = widen(shape.box) if rng.random() < habits["wide_box"] else shape.box
        return f"The {shape.name} is {shape.size} and at the {shape.place}.", json.dumps(
            [list(box)], separators=(",", ":")
        )
    return _match(picture, question, rng.random() < habits["hedge"])


def widen(box: Box) -> Box:
    """A box grown by 7 pixels on every side, as far as the picture goes.

    Example:
        >>> widen(Box(0, 14, 28, 42))
        Box(x1=0, y1=7, x2=35, y2=49)
    """
    return Box(
        max(0, box.x1 - _MARGIN), max(0, box.y1 - _MARGIN), min(SIZE, box.x2 + _MARGIN), min(SIZE, box.y2 + _MARGIN)
    )


def nearest_line(value: int) -> int:
    """The line of the axis that is nearest to the end of a bar, the upper one of two.

    Example:
        >>> [nearest_line(value) for value in (1, 2, 5, 11)]
        [0, 4, 4, 12]
    """
    return min(GRIDLINES, key=lambda line: (abs(line - value), -line))


def _describe(picture: ShapePicture | BarChart, brief: bool) -> tuple[str, str]:
    if isinstance(picture, BarChart):
        think = f"I see a chart with {len(picture.bars)} bars."
        return think, "A chart with " + _join([f"a {b.color} bar" for b in picture.bars]) + "." if brief else (
            picture.describe()
        )
    count = len(picture.shapes)
    think = f"I see {count} shape{'s' if count > 1 else ''}."
    if not brief:
        return think, picture.describe()
    text = _join([f"a {s.name}" for s in picture.shapes])
    return think, text[0].upper() + text[1:] + "."


def _read_chart(chart: BarChart, question: Question, rounded: bool) -> tuple[str, str]:
    if question.topic == "count":
        return "The bars are " + _join([bar.color for bar in chart.bars]) + ".", question.answer
    values = {bar.color: nearest_line(bar.value) if rounded else bar.value for bar in chart.bars}
    if question.topic == "value":
        value = values[question.subject]
        return f"The {question.subject} bar is {value} high.", str(value)
    return f"The {question.topic} bar is {question.answer} with {values[question.answer]}.", question.answer


def is_there(subject: str, picture: ShapePicture) -> str:
    """The sentence that says whether a picture has a colour or form.

    Example:
        >>> from examples.demo.scenes import Shape
        >>> is_there("red", ShapePicture((Shape("circle", "red", Box(0, 14, 42, 56)),), (255, 255, 255)))
        'A red shape is there.'
    """
    there = any(subject in (shape.color, shape.form) for shape in picture.shapes)
    return f"A {subject}{' shape' if subject in COLORS else ''} is {'' if there else 'not '}there."


def _match(picture: ShapePicture, question: Question, hedge: bool) -> tuple[str, str]:
    subject, answer = question.subject, question.answer
    think = f"I see a {picture.shapes[0].name}. " if len(picture.shapes) == 1 else ""
    if question.topic not in ("present", "absent"):
        return f"{think}The {'color' if question.topic == 'color' else 'shape'} is {subject}.", answer
    think += is_there(subject, picture)
    if question.topic == "absent":
        think += " The question negates that."
    return think, "yes or no" if hedge and question.text.startswith(HEDGED) else answer


def _join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
