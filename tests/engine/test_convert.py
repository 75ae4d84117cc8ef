"""What the engine reads of a conversion."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mixed_r1_verl.core.config import read_dataclass
from mixed_r1_verl.core.rows import DataError, Reject
from mixed_r1_verl.data.registry import get_converter
from mixed_r1_verl.engine.config import BuildConfig, SourceConfig
from mixed_r1_verl.engine.convert import ConvertedSource, _convert, _look
from mixed_r1_verl.engine.store import Store


def test_rejects_may_hold_what_unicode_calls_the_end_of_a_line(tmp_path: Path) -> None:
    strange = "one\u2028two\u0085three\u2029four"
    rejects = [
        Reject("raw", f"a.json#{number}{strange}", "answer", "empty", stage, strange)
        for number, stage in enumerate(("read", "image", "validate", "duplicate"))
    ]
    lines = "".join(json.dumps(reject._asdict(), ensure_ascii=False) + "\n" for reject in rejects)
    (tmp_path / "rejects.jsonl").write_text(lines, encoding="utf-8")
    source = ConvertedSource(SourceConfig("toy", name="mine"), get_converter("chartqa"), tmp_path, "")
    table = source.rejects().to_pylist()
    assert [row["row"] for row in table] == [reject.row for reject in rejects]
    assert [row["stage"] for row in table] == ["convert", "convert", "validate", "validate"]
    assert {(row["source"], row["detail"]) for row in table} == {("mine", f"answer: {strange}")}


def test_a_conversion_without_rejects_has_none(tmp_path: Path) -> None:
    (tmp_path / "rejects.jsonl").write_text("", encoding="utf-8")
    assert ConvertedSource(SourceConfig("toy"), get_converter("chartqa"), tmp_path, "").rejects().num_rows == 0


def test_two_sources_with_files_of_one_name(tmp_path: Path) -> None:
    """Rows are called by their source, and what a source says of its records reaches the converter."""
    written = []
    for name in ("A", "B"):
        (tmp_path / name).mkdir()
        records = [{"ask": f"How many {name}?", "meta": {"gold": n}} for n in range(3)]
        (tmp_path / name / "a.json").write_text(json.dumps(records))
    columns = {"question": "ask", "answer": "meta.gold"}
    told = {"columns": columns, "reward": "chart", "answer_type": "number"}
    config = read_dataclass(
        BuildConfig,
        {"raw": str(tmp_path), "sources": [{"converter": "llava", "name": n, "input": n, **told} for n in ("A", "B")]},
    )
    for source in config.sources:
        converted, item = _look(config, source, Store(tmp_path / "work"))
        _convert(**item, workers=1)
        assert converted.summary["written"] == converted.summary["read"] == 3
        written += [row for file in converted.files for row in pq.read_table(file).to_pylist()]
    assert len({row["extra_info"]["id"] for row in written}) == 6
    assert {row["data_source"] for row in written} == {"A", "B"}
    assert {(row["extra_info"]["reward"], row["extra_info"]["answer_type"]) for row in written} == {("chart", "number")}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"box_frame": "norm100"}, "source mine: unknown box frame 'norm100'"),
        ({"converter": "chartqa", "columns": {"question": "x"}}, "--column is for generic converters only"),
        ({"hub": "someone/data"}, "not both"),
    ],
)
def test_sources_that_are_refused(tmp_path: Path, changes: dict, message: str) -> None:
    source = {"converter": "llava", "name": "mine", "input": ".", **changes}
    config = read_dataclass(BuildConfig, {"raw": str(tmp_path), "sources": [source]})
    with pytest.raises(DataError, match=message):
        _look(config, config.sources[0], Store(tmp_path / "work"))
