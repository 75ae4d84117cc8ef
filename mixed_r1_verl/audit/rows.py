"""Rows that are audited: of a parquet or JSONL file, or about rendered scenes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

DEMO_ROWS = 60
_COLUMNS = ("data_source", "reward_model", "extra_info")


class AuditError(ValueError):
    """The file cannot be audited."""


@dataclass(frozen=True)
class AuditRow:
    """What the audit needs of a row of the data."""

    data_source: str
    ground_truth: str
    extra_info: Mapping[str, Any]


def read_rows(path: str | Path) -> list[AuditRow]:
    """The rows of a parquet file (pictures are not read) or of a JSONL file with the same columns.

    Raises:
        AuditError: naming the file, and the line where there is one.
    """
    path = Path(path)
    if not path.is_file():
        raise AuditError(f"{path}: no such file")
    if path.suffix == ".parquet":
        return [_row(record, f"{path}, row {number}") for number, record in enumerate(_parquet_records(path))]
    rows = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    record = json.loads(line)
                except ValueError as error:
                    raise AuditError(f"{path}, line {number}: not JSON ({error})") from error
                rows.append(_row(record, f"{path}, line {number}"))
    return rows


def _parquet_records(path: Path) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        missing = [name for name in _COLUMNS if name not in file.schema_arrow.names]
        if missing:
            raise AuditError(f"{path}: no column {', '.join(missing)}")
        return file.read(columns=list(_COLUMNS)).to_pylist()
    except pa.ArrowInvalid as error:
        raise AuditError(f"{path}: not a parquet file ({error})") from error


def _row(record: Any, place: str) -> AuditRow:
    try:
        return AuditRow(str(record["data_source"]), record["reward_model"]["ground_truth"], dict(record["extra_info"]))
    except (KeyError, TypeError, ValueError) as error:
        raise AuditError(f"{place}: needs data_source, reward_model.ground_truth and extra_info") from error


def demo_rows(count: int = DEMO_ROWS) -> list[AuditRow]:
    """Rows about rendered scenes: matching, chart, iou and open-ended, `count` of each, at most 60."""
    rows = read_rows(Path(__file__).parent / "assets" / "rows.jsonl")
    return [row for number, row in enumerate(rows) if number % DEMO_ROWS < count]
