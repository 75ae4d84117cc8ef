"""What a tiny model practises on in its warm start: prompt, picture and the teacher's response.

Charts, boxes and descriptions are the rendered scenes of `examples.demo.scenes`, drawn from other seeds than any
data set. Matching also has pictures that look like those of easy-VQA (one shape of any size and place, 64×64 pixels)
with questions in its wording, but no picture of easy-VQA itself.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from PIL import Image

from examples.demo.scenes import (
    COLORS,
    FORMS,
    SIZE,
    BarChart,
    Box,
    Question,
    Scene,
    Shape,
    ShapePicture,
    ask_box,
    ask_chart,
    ask_description,
    ask_matching,
    random_chart,
    random_shapes,
)
from examples.demo.tiny.teacher import HABITS, is_there, respond
from mixed_r1_verl.data.prompt import build_prompt

KINDS = ("matching", "chart", "iou", "open_ended")

# easy-VQA's pictures, and the size to which verl's image loader brings them before the processor enlarges them.
_SMALL = 64
_LOADED = 56

_PRESENT = ("is there a {}?", "is there a {} in the image?", "does the image contain a {}?", "is a {} present?")
_ABSENT = (
    "is there not a {}?",
    "is there not a {} in the image?",
    "does the image not contain a {}?",
    "is no {} present?",
)
_COLOR = ("what color is the {}?", "what is the color of the {}?")
_FORM = ("what shape is in the image?", "what shape does the image contain?", "what shape is present?")


@dataclass(frozen=True)
class Exercise:
    """One exercise.

    Attributes:
        image: the picture as the model's processor gets it, 112×112 RGB.
        scene: what it shows and what is asked.
        prompt: the user message, `<image>` marker first.
        response: what the teacher answers.
    """

    image: Image.Image
    scene: Scene
    prompt: str
    response: str


def random_exercise(kind: str, rng: random.Random, habits: Mapping[str, float] = HABITS) -> Exercise:
    """Draws an exercise of a reward kind.

    Args:
        kind: `matching`, `chart`, `iou` or `open_ended`.
        rng: source of all randomness.
        habits: see `examples.demo.tiny.teacher`.
    """
    small = kind == "matching" and rng.random() < 0.8
    if kind == "chart":
        chart = random_chart(rng)
        scene = Scene(chart, ask_chart(chart, rng))
    elif kind == "open_ended":
        picture = random_picture(rng)
        scene = Scene(picture, ask_description(picture, rng))
    elif kind == "iou":
        shapes = random_shapes(rng)
        scene = Scene(shapes, ask_box(shapes, rng))
    elif small:
        shapes = random_single_shape(rng)
        scene = Scene(shapes, ask_like_easy_vqa(shapes.shapes[0], rng))
    else:
        shapes = random_shapes(rng)
        scene = Scene(shapes, ask_matching(shapes, rng))
    question = scene.question
    prompt = build_prompt(question.text, kind, choices=question.choices, answer=question.answer)[0]["content"]
    image = render_small(scene.picture) if small else scene.picture.render()
    return Exercise(image, scene, prompt, respond(scene, rng, habits))


def random_drill(rng: random.Random) -> Exercise:
    """Draws a dense exercise: to say of every colour, in the order in which they are named, what has it."""
    picture = random_picture(rng)
    if isinstance(picture, BarChart):
        facts = {bar.color: f"{bar.color} {bar.value}" for bar in picture.bars}
    else:
        facts = {
            s.color: f"{s.color} {s.size} {s.form} at the {s.place} [[{s.box.x1},{s.box.y1},{s.box.x2},{s.box.y2}]]"
            for s in picture.shapes
        }
    colors = rng.sample(sorted(facts), len(facts))
    question = Question("open_ended", " ".join(colors), "", "drill")
    response = ", ".join(facts[color] for color in colors) + "."
    return Exercise(picture.render(), Scene(picture, question), f"<image>\n{question.text}", response)


def random_single_drill(rng: random.Random) -> Exercise:
    """Draws a dense exercise on one shape: which of five colours and forms it has; two of them are its own."""
    picture = random_single_shape(rng)
    shape = picture.shapes[0]
    own = [shape.color, shape.form]
    subjects = own + rng.sample([other for other in (*COLORS, *FORMS) if other not in own], 3)
    rng.shuffle(subjects)
    question = Question("matching", " ".join(subjects), "", "drill")
    response = f"I see a {shape.name}. The color is {shape.color}. The shape is {shape.form}. "
    response += " ".join(is_there(subject, picture) for subject in subjects)
    return Exercise(render_small(picture), Scene(picture, question), f"<image>\n{question.text}", response)


def random_picture(rng: random.Random) -> ShapePicture | BarChart:
    """Draws one of the pictures that descriptions are asked for: three of four show shapes."""
    return random_chart(rng) if rng.random() < 0.25 else random_shapes(rng)


def random_single_shape(rng: random.Random) -> ShapePicture:
    """Draws one shape of any place and size, as in easy-VQA; its box is not on the grid of the scenes."""
    form = rng.choice(FORMS)
    width = rng.randint(14, 56)
    height = rng.randint(14, 56) if form == "rectangle" else width
    x, y = rng.randint(0, SIZE - width), rng.randint(0, SIZE - height)
    background = (rng.randint(225, 255), rng.randint(225, 255), rng.randint(225, 255))
    return ShapePicture((Shape(form, rng.choice(sorted(COLORS)), Box(x, y, x + width, y + height)),), background)


def render_small(picture: ShapePicture | BarChart) -> Image.Image:
    """Renders a picture with the loss of sharpness that one of 64×64 pixels has when it reaches the model."""
    image = picture.render().resize((_SMALL, _SMALL), Image.Resampling.NEAREST)
    return image.resize((_LOADED, _LOADED), Image.Resampling.BICUBIC).resize((SIZE, SIZE), Image.Resampling.BICUBIC)


def ask_like_easy_vqa(shape: Shape, rng: random.Random) -> Question:
    """Asks about the only shape in easy-VQA's wording, in about its shares of topics."""
    topic = rng.choice(("color", "form", "present", "present", "present", "absent", "absent", "absent"))
    if topic == "color":
        text = rng.choice(_COLOR).format(rng.choice(("shape", shape.form)))
        return Question("matching", text, shape.color, topic, shape.color)
    if topic == "form":
        text = rng.choice((*_FORM, f"what is the {shape.color} shape?"))
        return Question("matching", text, shape.form, topic, shape.form)
    there = rng.random() < 0.5
    own, others = (shape.color, COLORS) if rng.random() < 0.7 else (shape.form, FORMS)
    subject = own if there else rng.choice([other for other in others if other != own])
    noun = f"{subject} shape" if subject in COLORS else subject
    text = rng.choice(_ABSENT if topic == "absent" else _PRESENT).format(noun)
    return Question("matching", text, "no" if there == (topic == "absent") else "yes", topic, subject)
