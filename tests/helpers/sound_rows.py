"""Sound parquet rows of every reward, to be broken one place at a time."""

import copy
import io
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from mixed_r1_verl.data import Example
from mixed_r1_verl.data.schema import build_row, rows_to_table


def png(size=(40, 20)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, "PNG")
    return buffer.getvalue()


def sound(identity: str, reward: str = "matching", truth: str = "yes", choices=(), **changes) -> dict:
    example = Example(id=identity, question="Is it black?", reward=reward, choices=choices)
    arguments = {"images": [{"bytes": png(), "path": ""}], "width": 40, "height": 20, "ground_truth": truth}
    return build_row(example, data_source="toy", split="train", index=0, **(arguments | changes))


SOUND = [
    sound("1"),
    sound("2", choices=("cat", "dog"), truth="B"),
    sound("3", "iou", "[[0,0,40,20],[1,1,2,2]]"),
    sound("4", "open_ended", '["A dark picture.", "Darkness."]'),
    sound("5", "chart", "[2013, 2016]"),
    sound("6", "math", "$\\frac{1}{2}$"),
]


def write(path: Path, rows: list[dict], form: str = "bytes") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(rows_to_table(rows, form), path)
    return path


def changed(*keys, value, base=0) -> dict:
    """A sound row with one place in it changed."""
    row = copy.deepcopy(SOUND[base])
    place = row
    for key in keys[:-1]:
        place = place[key]
    place[keys[-1]] = value
    return row


def retyped(table: pa.Table, column: str, value: pa.Array) -> pa.Table:
    """A table with other values, and so another type, in one column."""
    return table.set_column(table.schema.get_field_index(column), column, value)
