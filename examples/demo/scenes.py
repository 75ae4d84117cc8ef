"""Rendered scenes whose truth is known by construction: coloured shapes with boxes, and bar charts with values.

A picture is drawn from plain numbers (`ShapePicture`, `BarChart`), so what it shows, where and how much is known
exactly; a `Question` is asked about a picture and carries its ground truth in the form of the data contract.
Everything follows from a seed: nothing is downloaded and no font file is read.

Pictures are 112×112 pixels. Corners of boxes lie on a grid of 14 pixels (the patch of a Qwen2.5-VL vision tower),
bars have whole-number values with 7 pixels a unit. Colours and names of shapes are those of easy-VQA.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from PIL import Image, ImageDraw

SIZE = 112
GRID = 14

COLORS: dict[str, tuple[int, int, int]] = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "teal": (0, 128, 128),
    "brown": (165, 42, 42),
    "gray": (128, 128, 128),
    "black": (0, 0, 0),
}
FORMS = ("circle", "rectangle", "triangle")

MAX_VALUE = 12
GRIDLINES = (0, 4, 8, 12)
_UNIT = 7  # pixels of a bar for one unit of value
_BASELINE = 106  # row of pixels on which the bars stand
_PLOT_LEFT = 16
_BAR_WIDTH = 16
_AXIS_COLOR = (150, 150, 150)
# Digits of the axis, three columns by five rows of dots: a drawn font would differ from one Pillow build to the next.
_DOTS = {
    "0": ("111", "101", "101", "101", "111"),
    "1": ("010", "110", "010", "010", "111"),
    "2": ("111", "001", "111", "100", "111"),
    "4": ("101", "101", "111", "001", "001"),
    "8": ("111", "101", "111", "101", "111"),
}

_BOX_QUESTIONS = (
    "Where is the {}?",
    "Find the {}.",
    "What is the box of the {}?",
    "Give the box around the {}.",
)
_VALUE_QUESTIONS = (
    "What is the value of the {} bar?",
    "How high is the {} bar?",
    "Read the value of the {} bar.",
)
_EXTREME_QUESTIONS = {
    "highest": ("Which bar is the highest?", "What color is the highest bar?", "Name the highest bar."),
    "lowest": ("Which bar is the lowest?", "What color is the lowest bar?", "Name the lowest bar."),
}
_COUNT_QUESTIONS = ("How many bars are there?", "How many bars does the chart have?", "Count the bars.")
_DESCRIBE_QUESTIONS = (
    "What does the picture show?",
    "What can be seen in the picture?",
    "Describe the picture.",
)


class Box(NamedTuple):
    """A box in pixels, x to the right and y downwards, x2 and y2 exclusive."""

    x1: int
    y1: int
    x2: int
    y2: int


@dataclass(frozen=True)
class Shape:
    """One coloured shape that fills its box."""

    form: str
    color: str
    box: Box

    @property
    def name(self) -> str:
        """Colour and form: `red circle`."""
        return f"{self.color} {self.form}"

    @property
    def size(self) -> str:
        """`small` or `large`: whether the box covers at least 1,764 square pixels (42×42)."""
        return "large" if (self.box.x2 - self.box.x1) * (self.box.y2 - self.box.y1) >= 42 * 42 else "small"

    @property
    def place(self) -> str:
        """Which ninth of the picture holds the middle of the box: `top left`, `center`, …"""
        column = min(2, (self.box.x1 + self.box.x2) * 3 // (2 * SIZE))
        row = min(2, (self.box.y1 + self.box.y2) * 3 // (2 * SIZE))
        words = [("top", "", "bottom")[row], ("left", "", "right")[column]]
        return " ".join(word for word in words if word) or "center"


@dataclass(frozen=True)
class ShapePicture:
    """One to three shapes of different colours on a pale ground, in reading order."""

    shapes: tuple[Shape, ...]
    background: tuple[int, int, int]

    def render(self) -> Image.Image:
        """Draws the picture, 112×112 RGB."""
        image = Image.new("RGB", (SIZE, SIZE), self.background)
        draw = ImageDraw.Draw(image)
        for shape in self.shapes:
            # Pillow includes the last row and column, boxes do not.
            x1, y1, x2, y2 = shape.box.x1, shape.box.y1, shape.box.x2 - 1, shape.box.y2 - 1
            if shape.form == "circle":
                draw.ellipse((x1, y1, x2, y2), fill=COLORS[shape.color])
            elif shape.form == "rectangle":
                draw.rectangle((x1, y1, x2, y2), fill=COLORS[shape.color])
            else:
                draw.polygon(((x1, y2), (x2, y2), ((x1 + x2) / 2, y1)), fill=COLORS[shape.color])
        return image

    def describe(self) -> str:
        """One sentence with size, colour, form and place of every shape.

        Example:
            >>> ShapePicture((Shape("circle", "red", Box(0, 0, 42, 42)),), (255, 255, 255)).describe()
            'A large red circle at the top left.'
        """
        return _sentence([f"a {s.size} {s.name} at the {s.place}" for s in self.shapes])


@dataclass(frozen=True)
class Bar:
    """One bar; value in 1..12."""

    color: str
    value: int


@dataclass(frozen=True)
class BarChart:
    """Two to four bars of different colours, from left to right, over an axis with lines at 0, 4, 8 and 12."""

    bars: tuple[Bar, ...]
    background: tuple[int, int, int]

    def boxes(self) -> tuple[Box, ...]:
        """The box of each bar in pixels."""
        slot = (SIZE - _PLOT_LEFT) // len(self.bars)
        lefts = [_PLOT_LEFT + i * slot + (slot - _BAR_WIDTH) // 2 for i in range(len(self.bars))]
        return tuple(
            Box(x, _BASELINE - _UNIT * bar.value, x + _BAR_WIDTH, _BASELINE)
            for x, bar in zip(lefts, self.bars, strict=True)
        )

    def render(self) -> Image.Image:
        """Draws the chart, 112×112 RGB."""
        image = Image.new("RGB", (SIZE, SIZE), self.background)
        draw = ImageDraw.Draw(image)
        for value in GRIDLINES:
            y = _BASELINE - _UNIT * value
            draw.line((_PLOT_LEFT - 2, y, SIZE - 1, y), fill=_AXIS_COLOR)
            _draw_number(draw, str(value), right=_PLOT_LEFT - 4, middle=y)
        for bar, box in zip(self.bars, self.boxes(), strict=True):
            draw.rectangle((box.x1, box.y1, box.x2 - 1, box.y2 - 1), fill=COLORS[bar.color])
        return image

    def describe(self) -> str:
        """One sentence with colour and value of every bar.

        Example:
            >>> BarChart((Bar("red", 5), Bar("blue", 11)), (255, 255, 255)).describe()
            'A chart with a red bar of 5 and a blue bar of 11.'
        """
        return "A chart with " + _join([f"a {bar.color} bar of {bar.value}" for bar in self.bars]) + "."


@dataclass(frozen=True)
class Question:
    """A question about a picture.

    Attributes:
        reward: reward kind of the data contract.
        text: the question without the prompt template.
        answer: ground truth in the form of the data contract (boxes as a JSON list in pixels).
        topic: what is asked about: `value`, `highest`, `lowest`, `count`, `box`, `description`, `color`, `form`,
            `present` or `absent`.
        subject: colour, form or name of what is asked about, or empty.
        choices: option texts of a multiple-choice question.
    """

    reward: str
    text: str
    answer: str
    topic: str
    subject: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Scene:
    """A picture and one question about it."""

    picture: ShapePicture | BarChart
    question: Question


def random_shapes(rng: random.Random, *, least: int = 1, most: int = 3) -> ShapePicture:
    """Draws shapes that neither touch nor share a colour.

    Args:
        rng: source of randomness.
        least, most: number of shapes; a shape for which no room is found in 50 tries is left out.
    """
    shapes: list[Shape] = []
    colors = rng.sample(sorted(COLORS), rng.randint(least, most))
    for color in colors:
        for _ in range(50):
            form = rng.choice(FORMS)
            width = rng.choice((28, 42, 56))
            height = rng.choice((28, 42, 56)) if form == "rectangle" else width
            x1 = rng.randrange(0, SIZE - width + 1, GRID)
            y1 = rng.randrange(0, SIZE - height + 1, GRID)
            box = Box(x1, y1, x1 + width, y1 + height)
            if not any(_touch(box, shape.box) for shape in shapes):
                shapes.append(Shape(form, color, box))
                break
    shapes.sort(key=lambda s: (s.box.y1 + s.box.y2, s.box.x1 + s.box.x2))
    return ShapePicture(tuple(shapes), _pale(rng))


def random_chart(rng: random.Random) -> BarChart:
    """Draws two to four bars with different colours and different values."""
    count = rng.randint(2, 4)
    colors = rng.sample(sorted(COLORS), count)
    values = rng.sample(range(1, MAX_VALUE + 1), count)
    return BarChart(tuple(Bar(c, v) for c, v in zip(colors, values, strict=True)), _pale(rng))


def ask_box(picture: ShapePicture, rng: random.Random) -> Question:
    """Asks where one of the shapes is; the answer is its box."""
    shape = rng.choice(picture.shapes)
    text = rng.choice(_BOX_QUESTIONS).format(shape.name)
    return Question("iou", text, json.dumps([list(shape.box)]), "box", shape.name)


def ask_description(picture: ShapePicture | BarChart, rng: random.Random) -> Question:
    """Asks for a description; the answer is `describe()`."""
    return Question("open_ended", rng.choice(_DESCRIBE_QUESTIONS), picture.describe(), "description")


def ask_chart(chart: BarChart, rng: random.Random) -> Question:
    """Asks for a value (two of three questions), the highest or lowest bar, or the number of bars."""
    topic = rng.choice(("value",) * 6 + ("highest", "lowest", "count"))
    if topic == "value":
        bar = rng.choice(chart.bars)
        return Question("chart", rng.choice(_VALUE_QUESTIONS).format(bar.color), str(bar.value), topic, bar.color)
    if topic == "count":
        return Question("chart", rng.choice(_COUNT_QUESTIONS), str(len(chart.bars)), topic)
    ranked = sorted(chart.bars, key=lambda bar: bar.value)
    bar = ranked[-1] if topic == "highest" else ranked[0]
    return Question("chart", rng.choice(_EXTREME_QUESTIONS[topic]), bar.color, topic)


def ask_matching(picture: ShapePicture, rng: random.Random) -> Question:
    """Asks for the colour or form of a shape with four or three options, or whether a colour or form is there."""
    topic = rng.choice(("color", "form", "present", "present", "absent", "absent"))
    if topic in ("color", "form"):
        shape = rng.choice(picture.shapes)
        if topic == "color":
            others = rng.sample([c for c in COLORS if c != shape.color], 3)
            text, answer = f"What color is the {shape.form}?", shape.color
            if sum(s.form == shape.form for s in picture.shapes) > 1:
                text = f"What color is the {shape.form} at the {shape.place}?"
        else:
            others = [form for form in FORMS if form != shape.form]
            text, answer = f"What is the {shape.color} shape?", shape.form
        choices = [answer, *others]
        rng.shuffle(choices)
        letter = chr(ord("A") + choices.index(answer))
        return Question("matching", text, letter, topic, answer, tuple(choices))
    there = rng.random() < 0.5
    if rng.random() < 0.5:
        seen = {shape.color for shape in picture.shapes}
        subject = rng.choice(sorted(seen if there else set(COLORS) - seen))
        noun = f"{subject} shape"
    else:
        seen = {shape.form for shape in picture.shapes}
        rest = sorted(set(FORMS) - seen)
        there = there or not rest
        subject = rng.choice(sorted(seen) if there else rest)
        noun = subject
    negated = topic == "absent"
    text = f"Is there no {noun}?" if negated else f"Is there a {noun}?"
    return Question("matching", text, "no" if there == negated else "yes", topic, subject)


def make_scene(reward: str, seed: int | str) -> Scene:
    """One scene of a reward kind; the same arguments always give the same scene.

    Args:
        reward: `matching`, `chart`, `iou` or `open_ended`.
        seed: any number or string; train and validation sets use different ones.

    Raises:
        ValueError: a reward kind for which no scenes are drawn.

    Example:
        >>> scene = make_scene("chart", "train-1")
        >>> scene.question.reward, scene.picture.render().size
        ('chart', (112, 112))
    """
    # A string seeds `random` through SHA-512, the same in every Python process and version.
    rng = random.Random(f"mixed-r1 scene {reward} {seed}")
    if reward == "chart":
        chart = random_chart(rng)
        return Scene(chart, ask_chart(chart, rng))
    if reward == "open_ended":
        picture: ShapePicture | BarChart = random_chart(rng) if rng.random() < 0.25 else random_shapes(rng)
        return Scene(picture, ask_description(picture, rng))
    if reward in ("iou", "matching"):
        shapes = random_shapes(rng)
        return Scene(shapes, (ask_box if reward == "iou" else ask_matching)(shapes, rng))
    raise ValueError(f"no scenes for reward {reward!r}; known: chart, iou, matching, open_ended")


def _pale(rng: random.Random) -> tuple[int, int, int]:
    return rng.randint(225, 255), rng.randint(225, 255), rng.randint(225, 255)


def _touch(a: Box, b: Box) -> bool:
    return a.x1 <= b.x2 and b.x1 <= a.x2 and a.y1 <= b.y2 and b.y1 <= a.y2


def _join(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]


def _sentence(parts: Sequence[str]) -> str:
    text = _join(parts)
    return text[0].upper() + text[1:] + "."


def _draw_number(draw: ImageDraw.ImageDraw, text: str, *, right: int, middle: int) -> None:
    """Draws digits of 5×3 dots so that they end at column `right` and are centred on row `middle`."""
    for position, digit in enumerate(reversed(text)):
        left = right - 3 - 4 * position
        for row, dots in enumerate(_DOTS[digit]):
            for column, dot in enumerate(dots):
                if dot == "1":
                    draw.point((left + column, middle - 2 + row), fill=(60, 60, 60))
