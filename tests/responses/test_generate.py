"""Rows as questions, and what sampling may be; how a model answers them is tested with the command, in test_eval."""

import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sound_rows import SOUND, write

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.data.schema import rows_to_table
from mixed_r1_verl.plugin.rollout import Prompt
from mixed_r1_verl.responses.generate import Sampling, read_questions


def prompts(record: dict[str, Any]) -> Prompt:
    """In place of verl's: the text of the row and the bytes of its pictures."""
    return Prompt(record["prompt"][0]["content"], [cell["bytes"] for cell in record["images"]])


@pytest.mark.parametrize(
    "change",
    [
        {"n": 0},
        {"temperature": -0.1},
        {"temperature": math.inf},
        {"top_p": 0.0},
        {"top_p": 1.5},
        {"top_p": math.nan},
        {"max_tokens": 0},
        {"seed": -1},
        {"seed": 1 << 32},
    ],
)
def test_sampling_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(change))):
        Sampling(**change)


@pytest.mark.parametrize("member", ["element", "item"])
def test_questions_are_read_whatever_lists_call_their_members(tmp_path: Path, member: str) -> None:
    path = tmp_path / "val.parquet"
    pq.write_table(rows_to_table(SOUND), path, use_compliant_nested_type=member == "element")
    assert pq.ParquetFile(path).schema.column(3).path == f"images.list.{member}.bytes"
    questions = list(read_questions(path, {1, 4}, prompts, 7))
    assert [(one.row.number, one.row.ground_truth, len(one.prompt.images)) for one in questions] == [
        (1, "B", 1),
        (4, "[2013, 2016]", 1),
    ]
    assert questions[0].row.extra_info["choices"] == ["cat", "dog"]
    again = {one.row.number: one.seed for one in read_questions(path, range(6), prompts, 7)}
    assert len(set(again.values())) == 6
    assert [again[one.row.number] for one in questions] == [one.seed for one in questions]
    assert questions[0].seed not in {one.seed for one in read_questions(path, range(6), prompts, 8)}


def test_a_row_that_cannot_be_asked_is_named(tmp_path: Path) -> None:
    path = tmp_path / "val.parquet"
    broken = SOUND[0] | {"images": [{"bytes": b"no picture", "path": ""}], "prompt": []}
    pq.write_table(pa.Table.from_pylist([SOUND[0], broken], schema=pq.read_schema(write(path, SOUND))), path)
    with pytest.raises(DataError, match=r"val\.parquet, row 1: IndexError"):
        list(read_questions(path, {0, 1}, prompts, 0))
