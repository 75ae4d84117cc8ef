"""Five rows of every real sample against a table of what each of their fields was when a person last looked at it.

The samples' licences keep their texts out of the repository, so the table holds short facts as they are and texts and
pictures as digests. After a change that is meant, run this file with MIXED_R1_WRITE_GOLDEN=1 to write the table anew,
and look at the rows (`mixed-r1 data convert …`) before committing it.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from real_samples import SAMPLES, Sample, name_of

TABLE = Path(__file__).with_name("golden_rows.json")
ROWS = 5


def digest(value: str | bytes) -> str:
    return hashlib.sha256(value.encode() if isinstance(value, str) else value).hexdigest()[:16]


def facts(row: dict[str, Any]) -> dict[str, Any]:
    """Every field of a row, texts and pictures as digests."""
    extra = row["extra_info"]
    return {
        "data_source": row["data_source"],
        "prompt": [[message["role"], digest(message["content"])] for message in row["prompt"]],
        "markers": row["prompt"][0]["content"].count("<image>"),
        "images": [[digest(cell["bytes"]), digest(cell["path"])] for cell in row["images"]],
        "ability": row["ability"],
        "style": row["reward_model"]["style"],
        "ground_truth": digest(row["reward_model"]["ground_truth"]),
        "id": digest(extra["id"]),
        "choices": [digest(choice) for choice in extra["choices"]],
        "question": digest(extra["question"]),
        **{key: extra[key] for key in ("split", "index", "reward", "width", "height")},
    }


@pytest.fixture(scope="module")
def table():
    """The golden table; written back at the end where that was asked for."""
    found = json.loads(TABLE.read_text()) if TABLE.exists() else {}
    yield found
    if os.environ.get("MIXED_R1_WRITE_GOLDEN"):
        lines = []
        for name, rows in sorted(found.items()):
            lines.append(f"  {json.dumps(name)}: [\n    " + ",\n    ".join(map(json.dumps, rows)) + "\n  ]")
        TABLE.write_text("{\n" + ",\n".join(lines) + "\n}\n")


@pytest.mark.parametrize("sample", SAMPLES, ids=name_of)
def test_five_rows_field_by_field(converted, table, sample: Sample):
    path, summary = converted(sample)
    rows = pq.read_table(path).to_pylist()
    found = [facts(row) for row in rows[:: max(1, summary.written // ROWS)][:ROWS]]
    assert len(found) == min(ROWS, summary.written)
    if os.environ.get("MIXED_R1_WRITE_GOLDEN"):
        table[name_of(sample)] = found
    assert len(table[name_of(sample)]) == len(found)
    for row, golden in zip(found, table[name_of(sample)], strict=True):
        for field, value in golden.items():
            assert row[field] == value, f"{name_of(sample)} row {row['index']}: {field}"
