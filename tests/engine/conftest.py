"""Rows for the stages that read columns only, and a small build whose raw data is made on the spot."""

import io
import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from PIL import Image, ImageDraw

from examples.demo.data import SCENES
from mixed_r1_verl.data.convert import Options, convert_dataset
from mixed_r1_verl.data.raw import RawFolder
from mixed_r1_verl.engine.rows import ROWS

DEFAULTS: dict[str, Any] = {
    "source": "s",
    "file": 0,
    "row_group": 0,
    "row": 0,
    "reward": "matching",
    "answer": "",
    "choices": 0,
    "movable": False,
    "question": 1,
    "truth": 1,
    "pictures": [1],
    "phash": [0],
    "colour": [0],
    "bytes": 100,
    "group": None,
    "mean": None,
    "spread": None,
    "swap": None,
    "validation": None,
    "reason": None,
    "detail": None,
}


@pytest.fixture(scope="session")
def table_of() -> Callable[..., pa.Table]:
    """Makes a table of rows from dicts; what is not given has a default, ids are `r0`, `r1`, …."""

    def make(*rows: dict[str, Any]) -> pa.Table:
        whole = [{**DEFAULTS, "id": f"r{number}", **row} for number, row in enumerate(rows)]
        return pa.Table.from_pylist(whole, schema=ROWS)

    return make


def draw_picture(seed: int) -> Image.Image:
    """A picture with large shapes, another for each seed."""
    chance = random.Random(seed)
    image = Image.new("RGB", (96, 96), tuple(chance.randrange(256) for _ in range(3)))
    pen = ImageDraw.Draw(image)
    for _ in range(6):
        x, y = chance.randrange(72), chance.randrange(72)
        box = (x, y, x + chance.randrange(12, 40), y + chance.randrange(12, 40))
        pen.rectangle(box, fill=tuple(chance.randrange(256) for _ in range(3)))
    return image


@pytest.fixture(scope="session")
def picture() -> Callable[[int], Image.Image]:
    """`draw_picture`, as a fixture, since test modules cannot import each other."""
    return draw_picture


@pytest.fixture(scope="session")
def encoded() -> Callable[..., bytes]:
    """A picture as bytes."""

    def encode(image: Image.Image, format: str = "PNG", **options: Any) -> bytes:
        buffer = io.BytesIO()
        image.save(buffer, format, **options)
        return buffer.getvalue()

    return encode


@pytest.fixture(scope="session")
def raw_chats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A raw folder in LLaVA's form: 12 questions, a repeated one, a re-encoded one, one of an evaluation picture, and
    one whose picture is missing; beside it rendered scenes as a verl parquet."""
    folder = tmp_path_factory.mktemp("raw") / "chats"
    folder.mkdir()
    records = []

    def add(name: str, question: str, answer: str) -> None:
        talk = [{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": answer}]
        records.append({"id": str(len(records)), "image": name, "conversations": talk})

    for number in range(12):
        draw_picture(number).save(folder / f"{number}.png")
        add(f"{number}.png", "Is there a square?", ("Yes", "No")[number % 2])
    add("0.png", "is there a SQUARE", "Yes")
    draw_picture(1).resize((192, 192)).save(folder / "1-again.jpg", quality=90)
    add("1-again.jpg", "Is there a square?", "No")
    add("absent.png", "Is there a square?", "No")
    (folder / "talks.json").write_text(json.dumps(records), encoding="utf-8")
    scenes = folder.parent / "scenes" / "train.parquet"
    convert_dataset(SCENES, RawFolder(folder), scenes, Options(limit=400))
    evaluation = folder.parent / "evaluation"
    evaluation.mkdir()
    draw_picture(2).resize((60, 60)).save(evaluation / "held-out.png")
    return folder.parent


@pytest.fixture
def small_config(raw_chats: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes the configuration of a small build and returns its path."""

    def write(output: str = "set", **changes: Any) -> Path:
        config: dict[str, Any] = {
            "output": str(tmp_path / output),
            "raw": str(raw_chats),
            "seed": 3,
            "validation": 0.1,
            "chunk_rows": 8,
            "pictures": 2,
            "sources": [
                {"converter": "llava", "name": "chats", "input": "chats", "split": "train"},
                {"converter": "parquet", "name": "scenes", "input": "scenes", "limit": 56},
                {"converter": "parquet", "name": "twins", "input": "scenes", "limit": 24},
            ],
            "evaluation": [{"path": str(raw_chats / "evaluation")}],
            "balance": {"letters": None, "yes_no": None},
            "quotas": {"rewards": {"chart": 8}},
            "mix": {"batch_size": 8},
            "ray": {"cpus": 2},
        }
        path = tmp_path / f"{output}.yaml"
        path.write_text(yaml.safe_dump({**config, **changes}), encoding="utf-8")
        return path

    return write
