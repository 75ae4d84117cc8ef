"""The one reader of rows: every container gives the same records, and what is broken comes back in its place."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mixed_r1_verl.core.rows import (
    BadRecord,
    DataError,
    DataRow,
    Reject,
    RowError,
    count_records,
    leaf,
    read_records,
    read_rows,
    row_of,
)

ODD_TEXT = "one\u2028two\u0085three\x0bfour\x1cfive"
RECORD = {
    "data_source": "toy",
    "reward_model": {"style": "rule", "ground_truth": ODD_TEXT},
    "extra_info": {"reward": "open_ended", "question": ODD_TEXT, "choices": [], "box_frame": None},
}


def write(path: Path, records: list[Any]) -> Path:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(records), path)
    elif path.suffix == ".json":
        path.write_text(json.dumps(records, ensure_ascii=False), encoding="utf-8")
    else:
        lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        path.write_text(lines, encoding="utf-8-sig" if "bom" in path.name else "utf-8")
    return path


@pytest.mark.parametrize("name", ["a.parquet", "a.json", "a.jsonl", "bom.jsonl"])
def test_every_container_gives_the_same_rows(tmp_path: Path, name: str) -> None:
    rows = list(read_rows(write(tmp_path / name, [RECORD, RECORD])))
    assert len(rows) == 2
    for row in rows:
        assert isinstance(row, DataRow)
        assert (row.data_source, row.ground_truth, row.extra_info["question"]) == ("toy", ODD_TEXT, ODD_TEXT)
        assert "box_frame" not in row.extra_info  # null is left out
    first = 1 if name.endswith(".jsonl") else 0
    assert [row.number for row in rows if isinstance(row, DataRow)] == [first, first + 1]


def test_a_broken_line_comes_back_in_its_place(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    good = json.dumps(RECORD).encode()
    path.write_bytes(good + b"\n{broken\n\n" + b'"text"\n' + b'{"a": "\xff"}\n' + b"[" * 100_000 + b"\n" + good)
    found = list(read_records(path))
    assert [number for number, _ in found] == [1, 2, 4, 5, 6, 7]
    assert [isinstance(record, BadRecord) for _, record in found] == [False, True, True, True, True, False]
    rejects = [row for row in read_rows(path) if isinstance(row, Reject)]
    assert [reject.row for reject in rejects] == [f"{path}: row {number}" for number in (2, 4, 5, 6)]


@pytest.mark.parametrize("content", [b"no parquet", b""])
def test_a_file_that_is_none_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    for path in (tmp_path / "a.parquet", tmp_path / "absent.jsonl"):
        with pytest.raises(DataError, match=path.name):
            list(read_records(path))
    assert count_records(tmp_path / "a.parquet") == 0


@pytest.mark.parametrize("member", ["element", "item", "array"])
def test_a_leaf_is_found_whatever_lists_call_their_members(tmp_path: Path, member: str) -> None:
    kind = pa.list_(pa.field(member, pa.struct([("bytes", pa.binary()), ("path", pa.string())])))
    table = pa.table({"images": pa.array([[{"bytes": b"x", "path": "a.png"}]], kind)})
    pq.write_table(table, tmp_path / "a.parquet", use_compliant_nested_type=False)
    with pq.ParquetFile(tmp_path / "a.parquet") as file:
        name = leaf(file, "images", "path")
        assert name == f"images.list.{member}.path"
        assert leaf(file, "images", "image") is None
    ((_, record),) = read_records(tmp_path / "a.parquet", [name])
    assert record == {"images": [{"path": "a.png"}]}


@pytest.mark.parametrize(
    ("record", "truth", "reward"),
    [
        ({"reward_model": {"ground_truth": "a"}, "extra_info": {"reward": "chart"}}, "a", "chart"),
        ({"ground_truth": "a", "reward": "chart"}, "a", "chart"),
        ({"gts": "a", "reward": 0.5, "reward_kind": "chart"}, "a", "chart"),  # verl's dump of a rollout
        ({"gts": "a", "reward_kind": "chart", "extra_info": {"reward": "math"}}, "a", "math"),
        ({"ground_truth": "a"}, "a", None),
    ],
)
def test_where_ground_truth_and_reward_are_looked_for(record: dict[str, Any], truth: str, reward: str | None) -> None:
    row = row_of("f", 0, record)
    assert (row.ground_truth, row.extra_info.get("reward")) == (truth, reward)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"data_source": 3}, "data_source"),
        ({"reward_model": {"ground_truth": 3}}, "reward_model.ground_truth"),
        ({"reward_model": None}, "ground_truth"),
        ({"reward_model": "text"}, "ground_truth"),
        ({"extra_info": [1]}, "extra_info"),
        ({"extra_info": {"choices": "A"}}, "choices"),
        ({"extra_info": {"reward": ["iou"]}}, "reward"),
        ({"extra_info": {"reward": {"a": 1}}}, "reward"),
        ({"extra_info": {"choices": ["a", None]}}, "choices"),
        ({"extra_info": {"width": "abc"}}, "width"),
        ({"extra_info": {"height": True}}, "height"),
    ],
)
def test_a_field_at_fault_is_named(change: dict[str, Any], field: str) -> None:
    with pytest.raises(RowError) as caught:
        row_of("f", 0, {**RECORD, **change})
    assert caught.value.field == field


def test_further_columns_of_extra_info_are_kept() -> None:
    record = {**RECORD, "difficulty": 3, "extra_info": {"reward": "mine", "steps": [1, 2]}}
    assert row_of("f", 0, record).extra_info == {"difficulty": 3, "reward": "mine", "steps": [1, 2]}


def test_a_column_whose_name_is_no_text(tmp_path: Path) -> None:
    """Found by tests/test_hostile_files.py: pyarrow raises UnicodeDecodeError when such a file is opened."""
    path = tmp_path / "rows.parquet"
    pq.write_table(pa.table({"data_source": ["toy"], "wrong": [{"name": 1}]}), path)
    path.write_bytes(path.read_bytes().replace(b"name", b"n\xf3me"))
    assert count_records(path) == 0
    with pytest.raises(DataError, match="cannot be read as parquet"):
        list(read_records(path))
