"""Raw folders and a converter to test the core of conversion with, and reading of what it wrote."""

import hashlib
import json
import random
from pathlib import Path

import pyarrow.parquet as pq
from PIL import Image

from mixed_r1_verl.data import Converter, Example, RawFolder
from mixed_r1_verl.data.fields import record, text_field

COLOURS = {"red": (255, 0, 0), "blue": (0, 0, 255), "green": (0, 128, 0)}


def make_easy_vqa(folder: Path, count: int = 30, seed: int = 0) -> RawFolder:
    """A raw folder in easy-VQA's layout; every tenth record has a fault."""
    rng = random.Random(seed)
    images = folder / "train" / "images"
    images.mkdir(parents=True)
    questions = []
    for number in range(count):
        colour = rng.choice(sorted(COLOURS))
        noise = Image.effect_noise((64, 64), 60).convert("RGB") if seed else None
        picture = noise or Image.new("RGB", (64, 64), COLOURS[colour])
        picture.putpixel((number % 64, number // 64), (1, 2, 3))
        picture.save(images / f"{number}.png")
        questions.append(["what color is the shape?", colour, number])
    for number in range(5, count, 10):
        questions[number][2] = 10_000 + number
    (folder / "train" / "questions.json").write_text(json.dumps(questions))
    return RawFolder(folder)


def rows_of(path: Path) -> list[dict]:
    return pq.read_table(path).to_pylist()


def rejects_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def list_rows(raw, split):
    yield from raw.json_lines("rows.jsonl")


def list_convert(row):
    value = record(row.data)
    if "explode" in value:
        raise KeyError("a value that the converter did not foresee")
    return Example(
        id=text_field(value, "id"),
        question=text_field(value, "question"),
        reward=value.get("reward", "matching"),
        answer=value.get("answer", ""),
        images=tuple(value.get("images", ["a.png"])),
        choices=tuple(value.get("choices", ())),
        boxes=tuple(tuple(box) for box in value.get("boxes", ())),
        data_source=value.get("source", ""),
    )


LISTED = Converter("listed", list_rows, list_convert, ("train",), "none", "this test")


def good(identity: str, **changes) -> dict:
    return {"id": identity, "question": "Is it grey?", "answer": "yes"} | changes


SCRIPT = """
import sys
from pathlib import Path
from mixed_r1_verl.data.convert import Options, convert_dataset
from mixed_r1_verl.data.raw import RawFolder
from mixed_r1_verl.data_preprocess.easy_vqa import EASY_VQA
convert_dataset(EASY_VQA, RawFolder(Path(sys.argv[1])), Path(sys.argv[2]), Options(chunk_rows=20))
"""
