"""The one reader of rows: parquet, JSON lines and JSON lists, each record with its number, and what a row says.

A file is read record by record. What cannot be read comes back as a `BadRecord` in its place, so that whoever reads
decides whether it is a reject, a problem or the end. JSON lines end at `\\n` and nowhere else: U+2028 and U+0085 are
text, although `str.splitlines` cuts there.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

__all__ = [
    "BadRecord",
    "DataError",
    "DataRow",
    "Reject",
    "RowError",
    "count_records",
    "leaf",
    "opened_parquet",
    "read_records",
    "read_rows",
    "row_of",
    "rows_of",
    "shown",
]

BATCH_ROWS = 256
TRUTH_COLUMNS = ("ground_truth", "gts")


class DataError(Exception):
    """The input as a whole cannot be used; the message says what, where, and what to do."""


class RowError(ValueError):
    """One record cannot become, or be read as, a row.

    Attributes:
        field: name of the field at fault.
        reason: short snake_case code, the same for the same kind of fault (`missing`, `image_missing`).
        detail: the particulars, for a person.
    """

    def __init__(self, field: str, reason: str, detail: str = "") -> None:
        super().__init__(f"{field}: {reason}" + (f" ({detail})" if detail else ""))
        self.field, self.reason, self.detail = field, reason, detail

    def __reduce__(self) -> tuple[type["RowError"], tuple[str, str, str]]:
        # The default pickling of exceptions would call the constructor with the message alone.
        return RowError, (self.field, self.reason, self.detail)


class Reject(NamedTuple):
    """A record that was left out, as it stands in a rejects file; field, reason and detail are those of `RowError`."""

    source: str  # name of the data source, or the file
    row: str  # file and position
    field: str
    reason: str
    stage: str  # `read`, `convert`, `image`, `boxes`, `validate` or `duplicate`
    detail: str = ""


class BadRecord(NamedTuple):
    """A record that is none, and why."""

    reason: str


Records = Iterator[tuple[int, dict[str, Any] | BadRecord]]


@dataclass(frozen=True)
class DataRow:
    """What everybody who scores or shows a row needs of it; pictures are not read."""

    file: str  # where it comes from
    number: int  # the row from 0 in parquet and JSON lists, the line from 1 in JSON lines
    data_source: str
    ground_truth: str
    extra_info: Mapping[str, Any]  # what is null left out

    @property
    def id(self) -> str:
        """The row's own id, or empty."""
        return str(self.extra_info.get("id") or "")


def read_records(path: Path, columns: Collection[str] | None = None) -> Records:
    """The records of a file with their numbers: rows from 0 of parquet and JSON lists, lines from 1 of JSON lines.

    Args:
        path: `….parquet`, or JSON lines, or a JSON list (a file that begins with `[`).
        columns: columns of a parquet file to read, those that it has; leaves are named `images.list.element.path`
            (see `leaf`). None reads all, pictures included.

    Raises:
        DataError: the file is not there or cannot be read.
    """
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    yield from _parquet(path, columns) if path.suffix == ".parquet" else _json(path)


def _parquet(path: Path, columns: Collection[str] | None) -> Records:
    row = 0
    with opened_parquet(path) as file:
        names = set(file.schema_arrow.names)
        wanted = None if columns is None else [name for name in columns if name.partition(".")[0] in names]
        for batch in file.iter_batches(BATCH_ROWS, columns=wanted):
            for record in rows_of(batch):
                yield row, record
                row += 1


@contextmanager
def opened_parquet(path: Path) -> Iterator["pq.ParquetFile"]:
    """A parquet file, to be read within.

    Raises:
        DataError: it is not there, or damaged where it is read.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        with pq.ParquetFile(path) as file:
            yield file
    except (OSError, pa.ArrowException, UnicodeDecodeError) as error:  # names of columns may be any bytes
        raise DataError(f"{path}: cannot be read as parquet: {shown(error)}") from error


def rows_of(batch: "pa.RecordBatch") -> Iterator[dict[str, Any] | BadRecord]:
    """The rows of a batch; one with text that is not UTF-8 is a bad record."""
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        for number in range(batch.num_rows):
            try:
                yield batch.slice(number, 1).to_pylist()[0]
            except UnicodeDecodeError as error:
                yield BadRecord(f"text that is not UTF-8: {error}"[:200])


def _json(path: Path) -> Records:
    first = True
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.strip():
                continue
            if first and line.lstrip()[:1] == b"[":
                yield from _json_list(path)
                return
            first = False
            try:
                record = json.loads(line.decode("utf-8"))
            except (ValueError, RecursionError) as error:
                yield number, BadRecord(f"not JSON in UTF-8: {error}")
            else:
                yield number, _object(record)


def _json_list(path: Path) -> Records:
    try:
        records = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not a JSON list: {error}") from error
    yield from enumerate(map(_object, records))


def _object(record: Any) -> dict[str, Any] | BadRecord:
    return record if isinstance(record, dict) else BadRecord(f"not a JSON object: {shown(record)}")


def count_records(path: Path) -> int:
    """Rows of a parquet file, lines of any other: what a progress bar needs to know; 0 where it cannot be told."""
    if path.suffix != ".parquet":
        with path.open("rb") as file:
            return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
    try:
        with opened_parquet(path) as parquet:
            return int(parquet.metadata.num_rows)
    except DataError:  # said by whoever reads it
        return 0


def leaf(file: "pq.ParquetFile", column: str, name: str) -> str | None:
    """The full name of the leaf `name` below a column, whatever its lists call their members (`element`, `item`)."""
    paths = (file.schema.column(number).path for number in range(len(file.schema)))
    return next((path for path in paths if path.split(".")[0] == column and path.split(".")[-1] == name), None)


def row_of(file: str, number: int, record: Mapping[str, Any] | BadRecord) -> DataRow:
    """What a record says as a row.

    The ground truth is looked for in `reward_model.ground_truth`, `ground_truth` and `gts`; the reward in
    `extra_info.reward`, `reward` (if it is a text: verl's dumps keep a number there) and `reward_kind`; everything else
    in `extra_info`, then in columns of the same names.

    Raises:
        RowError: naming the field at fault.
    """
    if isinstance(record, BadRecord):
        raise RowError("record", "bad_record", record.reason)
    model = record.get("reward_model")
    truths = {"reward_model.ground_truth": model.get("ground_truth") if isinstance(model, Mapping) else None}
    truths |= {name: record.get(name) for name in TRUTH_COLUMNS}
    source = _typed("data_source", record.get("data_source"), str, "text", "a string")
    name, truth = next((found for found in truths.items() if found[1] is not None), ("", None))
    if truth is None:
        raise RowError("ground_truth", "missing", f"there is no {', '.join(truths)}")
    return DataRow(file, number, source or "", _typed(name, truth, str, "text", "a string"), _extra_info(record))


def _typed(field: str, value: Any, kind: Any, word: str, wanted: str) -> Any:
    """A value that is of a type or null; else a `RowError` with the reason `not_…`."""
    if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
        raise RowError(field, f"not_{word}", f"must be {wanted}, not {shown(value)}")
    return value


# Columns of a record that are no property of its row: what is read elsewhere, and what verl's dumps hold of a response.
_NO_INFO = frozenset(
    (
        *("data_source", "prompt", "images", "ability", "reward_model", "extra_info", "reward_kind", *TRUTH_COLUMNS),
        *("input", "output", "score", "acc", "format", "error", "prediction", "reason", "step"),
    )
)


def _extra_info(record: Mapping[str, Any]) -> dict[str, Any]:
    extra = _typed("extra_info", record.get("extra_info"), Mapping, "object", "an object") or {}
    info = {name: value for name, value in record.items() if name not in _NO_INFO and value is not None}
    if not isinstance(info.get("reward"), str):
        info.pop("reward", None)
    if "reward" not in info and isinstance(record.get("reward_kind"), str):
        info["reward"] = record["reward_kind"]
    info |= {name: value for name, value in extra.items() if value is not None}
    _typed("reward", info.get("reward"), str, "text", "a string")
    for name in ("width", "height"):
        _typed(name, info.get(name), int | float, "number", "a number")
    choices = info.get("choices", [])
    if not isinstance(choices, list) or not all(isinstance(choice, str) for choice in choices):
        raise RowError("choices", "not_list", f"must be a list of strings, not {shown(choices)}")
    return info


def read_rows(path: Path) -> Iterator[DataRow | Reject]:
    """The rows of a file; what is no row comes back as a reject in its place."""
    columns = ("data_source", "reward_model", "extra_info", *TRUTH_COLUMNS)
    for number, record in read_records(path, columns):
        try:
            yield row_of(str(path), number, record)
        except RowError as error:
            yield Reject(str(path), f"{path}: row {number}", error.field, error.reason, "read", error.detail)


def shown(value: object) -> str:
    """A value in a message: its type and the beginning of what it is, on one line.

    >>> shown([1, 2]), shown(ValueError("first line\\nsecond"))
    ('list [1, 2]', 'ValueError first line')
    """
    text = (str(value).splitlines() or [""])[0] if isinstance(value, Exception) else repr(value)
    return f"{type(value).__name__} {text[:60]}{'…' if len(text) > 60 else ''}"
