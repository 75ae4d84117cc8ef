"""Scored rows as a file."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from mixed_r1_verl.score.responses import Response


class RowWriter:
    """Writes scored rows to JSONL, or parquet where the name says so; the file appears when all of it is there.

    Used as a context manager: an exception leaves what stood there before.
    """

    def __init__(self, path: Path):
        self.path = path
        self._partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        self._rows: list[dict[str, Any]] = []
        self._parquet: Any = None
        self._lines: TextIO | None = None

    def __enter__(self) -> "RowWriter":
        if self.path.suffix == ".parquet":
            import pyarrow.parquet as pq

            self._parquet = pq.ParquetWriter(self._partial, _output_schema())
        else:
            self._lines = self._partial.open("w", encoding="utf-8", errors="backslashreplace")
        return self

    def write(self, response: Response, result: Mapping[str, Any]) -> None:
        """Add one row."""
        row = {
            "file": response.file,
            "row": response.row,
            "sample": response.sample,
            "id": response.id,
            "data_source": response.scored.data_source,
            **result,
            "ground_truth": response.scored.ground_truth,
            "response": response.scored.solution_str,
        }
        if self._lines is not None:
            self._lines.write(json.dumps(row, ensure_ascii=False) + "\n")
            return
        # Half of a surrogate pair, which JSON can hold, is no text for parquet.
        self._rows.append({name: _encodable(value) for name, value in row.items()})
        if len(self._rows) >= 1024:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        self._parquet.write_table(pa.Table.from_pylist(self._rows, schema=_output_schema()))
        self._rows.clear()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if self._lines is not None:
                self._lines.close()
            else:
                if kind is None and self._rows:
                    self._flush()
                self._parquet.close()
            if kind is None:
                self._partial.replace(self.path)
        finally:
            self._partial.unlink(missing_ok=True)


def _encodable(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode("utf-8") if isinstance(value, str) else value


def _output_schema() -> Any:
    import pyarrow as pa

    text, number, whole = pa.string(), pa.float64(), pa.int64()
    types = {"row": whole, "sample": whole} | dict.fromkeys(("score", "acc", "format", "error"), number)
    names = (
        *("file", "row", "sample", "id", "data_source", "score", "acc", "format", "error"),
        *("reward_kind", "prediction", "reason", "ground_truth", "response"),
    )
    return pa.schema([(name, types.get(name, text)) for name in names])
