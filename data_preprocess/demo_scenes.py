"""Rendered scenes with known truth: bar charts (chart), shapes with boxes (iou), descriptions (open_ended), and
questions with options (matching).

Source: drawn by `mixed_r1_verl.data.scenes` from a seed; there is no raw folder and `--input` is not read. Licence:
that of this package.

Raw row: a `Scene` (a picture and a `Question` about it), see `mixed_r1_verl.data.scenes`.

What each field becomes: `question.text` the question, `question.answer` the ground truth, `question.choices` the
choices, the rendered picture a PNG in the row. `split` is part of the seed, so train and validation are drawn apart.
"""

import io
import json
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from mixed_r1_verl.data.convert import Converter
from mixed_r1_verl.data.raw import RawFolder, Row
from mixed_r1_verl.data.scenes import make_scene
from mixed_r1_verl.data.schema import Example

KINDS = ("chart", "iou", "open_ended", "matching")
ROWS_OF_KIND = 1000


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    """A thousand scenes of each kind, kinds taking turns."""
    for number in range(ROWS_OF_KIND):
        for kind in KINDS:
            yield Row(f"{kind}#{number}", {"kind": kind, "seed": f"{split}-{number}"})


def convert(row: Row) -> Example:
    return scene_example(row.data["kind"], row.data["seed"])


def scene_example(kind: str, seed: str) -> Example:
    """The example of one scene.

    Args:
        kind: reward kind.
        seed: any string; the same kind and seed give the same example.
    """
    scene = make_scene(kind, seed)
    question = scene.question
    return Example(
        id=seed,
        question=question.text,
        reward=question.reward,
        answer="" if kind == "iou" else question.answer,
        boxes=tuple(tuple(box) for box in json.loads(question.answer)) if kind == "iou" else (),
        choices=question.choices,
        images=(png(scene.picture.render()),),
        # One source a kind: verl reports validation by source.
        data_source=f"scenes_{kind}",
    )


def png(image: Image.Image) -> bytes:
    """A picture as PNG bytes."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def no_folder() -> Path:
    """Stands for the raw folder that scenes do not have."""
    return Path(__file__).parent


CONVERTERS = (
    Converter(
        "demo_scenes",
        rows,
        convert,
        ("train", "val"),
        "Apache-2.0",
        "drawn by mixed_r1_verl.data.scenes",
        no_folder,
    ),
)
