"""Records of invented content in public layouts, and what comes of one."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from mixed_r1_verl.data.convert import Options, explain_rows
from mixed_r1_verl.data.raw import RawFolder, Told
from mixed_r1_verl.data.registry import get_converter


def png(size: tuple[int, int] = (640, 480)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, (90, 120, 60)).save(buffer, "PNG")
    return buffer.getvalue()


def outcome_of(folder: Path, record: dict[str, Any], told: Told, converter: str = "llava") -> list[Any]:
    """What comes of one record: examples and rejects, as `--explain` has them."""
    (folder / "x.png").write_bytes(png())
    (folder / "y.png").write_bytes(png())
    if converter == "parquet":
        pq.write_table(pa.Table.from_pylist([record]), folder / "train.parquet")
    else:
        (folder / "a.jsonl").write_text(json.dumps(record) + "\n")
    rows = explain_rows(get_converter(converter), RawFolder(folder, told=told), Options(), 100)
    return [outcome for _, outcome in rows]


def talk(question: str, answer: str, **more: Any) -> dict[str, Any]:
    turns = [{"from": "human", "value": f"<image>\n{question}"}, {"from": "gpt", "value": answer}]
    return {"image": "x.png", "conversations": turns, **more}


def asked(question: str = "Which?", **more: Any) -> dict[str, Any]:
    return {"image": "x.png", "question": question, **more}


def swift(question: str, answer: str, objects: Any) -> dict[str, Any]:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return {"messages": turns, "images": ["x.png"], "objects": objects}


WHERE = "Where is the cat?"
NORM1 = {"box_frame": "norm1"}
FOUR = ["one", "two", "three", "four"]
VERL = {"images": ["x.png"], "prompt": [{"role": "user", "content": "<image>Find x."}]}
