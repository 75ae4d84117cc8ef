"""Rows that an audit is tried on, and files of them."""

import json
from pathlib import Path
from typing import Any

from mixed_r1_verl.audit.cli import DEMO_ROWS
from mixed_r1_verl.core.rows import DataRow
from mixed_r1_verl.responses.read import sound_rows


def row(reward: str, ground_truth: str, **info: Any) -> DataRow:
    return DataRow(
        "tests", 0, "tests", ground_truth, {"reward": reward, "question": "What is it?", "choices": [], **info}
    )


MATCHING_ROWS = [
    *(row("matching", letter, choices=["cat", "dog", "bird", "fish"]) for letter in "ABCDABCD"),
    *(row("matching", answer) for answer in ("yes", "no", "yes", "no")),
]
CHART_ROWS = [row("chart", answer) for answer in ("41", "1,200", "7%", "2008", "0", "blue", "Yes", "$5", "-3.5", "12")]
IOU_ROWS = [
    row("iou", json.dumps([[x, x, x + 100, x + 80]]), width=640, height=480) for x in (0, 60, 120, 200, 300, 380)
]
CAPTIONS = [
    ("A brown dog runs across the snow.", "The dog is running through snow."),
    ("Two women drink coffee in a kitchen.", "Women sit with coffee cups in the kitchen."),
    ("A yellow train arrives at the station.", "The train is yellow and stops at a platform."),
    ("Children fly a kite on the beach.", "On a beach, kids play with a kite."),
    ("An old man repairs a wooden boat.", "A boat of wood is being repaired by an elderly man."),
    ("Fresh bread lies on the bakery shelf.", "Loaves of bread on a shelf of a bakery."),
]
TEXT_ROWS = [row("open_ended", json.dumps(pair)) for pair in CAPTIONS]
ALL_ROWS = [*MATCHING_ROWS, *CHART_ROWS, *IOU_ROWS]


def record(one: DataRow) -> dict[str, Any]:
    """The row as it stands in a file."""
    return {
        "data_source": one.data_source,
        "reward_model": {"style": "rule", "ground_truth": one.ground_truth},
        "extra_info": dict(one.extra_info),
    }


def write_jsonl(path: Path, rows: list[DataRow]) -> Path:
    path.write_text("\n".join(json.dumps(record(one)) for one in rows) + "\n\n", encoding="utf-8")
    return path


def demo_rows(count: int) -> list[DataRow]:
    """So many of the sixty rows of each of the four kinds that are audited without a file."""
    return [one for number, one in enumerate(sound_rows(DEMO_ROWS)) if number % 60 < count]
