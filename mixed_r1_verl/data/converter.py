"""What a conversion is told and what it tells: the converter of a dataset, its options, its summary.

A converter is two plain functions: `rows` walks the raw folder and yields one `Row` for each parquet row that could
come of it, `convert` makes an `Example` of one row or raises `RowError`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mixed_r1_verl.data.raw import RawFolder, Row
from mixed_r1_verl.data.schema import Example, ImageForm


@dataclass(frozen=True)
class Converter:
    """How one published dataset becomes examples.

    Attributes:
        name: what the user types; also the `data_source` column unless an example says otherwise.
        rows: `(raw, split) -> iterator of Row`; each `Row` becomes one parquet row or one reject. Raises `DataError`
            when a file as a whole cannot be used.
        convert: `row -> Example`; raises `RowError`. Both are module-level functions, so that workers can import them.
        splits: names that `--split` accepts; the first is the default.
        licence: licence of the raw data.
        source: where the raw data comes from.
        default_input: the raw folder when the user names none, for data that comes with a Python package.
    """

    name: str
    rows: Callable[[RawFolder, str], Iterator[Row]]
    convert: Callable[[Row], Example]
    splits: tuple[str, ...]
    licence: str
    source: str
    default_input: Callable[[], Path | None] | None = None


@dataclass(frozen=True)
class Options:
    """What the command line can say about a conversion.

    Attributes:
        split: which split to read.
        limit: take at most this many rows, drawn by `seed` and kept in the source's order; None takes all.
        images: `bytes` embeds pictures, `path` writes them into a folder beside the output.
        max_pixels: reduce larger pictures (and their boxes) to this many pixels; None leaves them.
        workers: processes; 1 works in this process.
        seed: draws the rows of `limit`.
        check_gold: also score each row's ground truth, wrapped in the template, and reject rows where it is not right.
        chunk_rows: rows of the source in a chunk, the unit of resuming and of sharding.
    """

    split: str = "train"
    limit: int | None = None
    images: ImageForm = "bytes"
    max_pixels: int | None = None
    workers: int = 1
    seed: int = 0
    check_gold: bool = True
    chunk_rows: int = 1024


@dataclass(frozen=True)
class Summary:
    """What came of a conversion; also written as JSON beside the output.

    Attributes:
        source_rows: rows in the source; more than `read` only with `limit`.
        read, written, rejected: `read = written + rejected`.
        reasons: number of rejects by `stage/reason`.
        rewards: number of written rows by reward kind.
        files: name, rows and SHA-256 of each parquet file.
        resumed_chunks: chunks that an earlier, interrupted run had finished.
    """

    converter: str
    split: str
    source_rows: int
    read: int
    written: int
    rejected: int
    reasons: dict[str, int]
    rewards: dict[str, int]
    files: list[dict[str, Any]]
    resumed_chunks: int = 0


@dataclass(frozen=True)
class Job:
    """All that a worker needs besides the rows."""

    converter: Converter
    raw: RawFolder
    options: Options
    image_folder: Path
