"""What the engine reads of a conversion."""

import json
from pathlib import Path

from mixed_r1_verl.core.rows import Reject
from mixed_r1_verl.data.registry import get_converter
from mixed_r1_verl.engine.config import SourceConfig
from mixed_r1_verl.engine.convert import ConvertedSource


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
