"""Rows of every shape that a mixture has: text alone, one picture, two pictures, a very wide picture, gold lists."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from mixed_r1_verl.data.schema import row_schema

SHAPES = ("one", "none", "two", "wide")
WIDE = (2000, 20)


def shape_of(number: int) -> str:
    """Of the row of that number: each eight consecutive rows hold every shape, with kinds of reward taking turns."""
    return SHAPES[(number // 2 + number // 8) % len(SHAPES)]


def with_every_shape(source: Path, target: Path) -> Path:
    """A copy of a file of the demo set in which the rows have every shape."""
    rows = [reshaped(row, shape_of(number)) for number, row in enumerate(pq.read_table(source).to_pylist())]
    pq.write_table(pa.Table.from_pylist(rows, row_schema("bytes")), target)
    return target


def reshaped(row: dict[str, Any], shape: str) -> dict[str, Any]:
    info, [message], truth = row["extra_info"], row["prompt"], row["reward_model"]
    if info["reward"] == "open_ended":
        truth["ground_truth"] = json.dumps([truth["ground_truth"], "A picture of one shape."])
    if shape == "none":
        row["images"], message["content"] = [], message["content"].removeprefix("<image>\n")
    elif shape == "two":
        row["images"], message["content"] = row["images"] * 2, "<image>" + message["content"]
    elif shape == "wide":
        file = io.BytesIO()
        Image.linear_gradient("L").resize(WIDE).convert("RGB").save(file, "PNG")
        row["images"] = [{"bytes": file.getvalue(), "path": ""}]
        info["width"], info["height"] = WIDE
        if info["reward"] == "iou":
            truth["ground_truth"] = "[[42, 2, 84, 18]]"
    return row
