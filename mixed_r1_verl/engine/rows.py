"""What stages know of a row: a table of small columns, and how rows leave it.

A million rows take a few hundred megabytes. Pictures are not among the columns: `source`, `file`, `row_group` and `row`
say where the whole row lies.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

ROWS = pa.schema(
    [
        ("source", pa.int32()),  # number of the source in the configuration
        ("file", pa.int32()),  # number of the converted file of the source
        ("row_group", pa.int32()),
        ("row", pa.int32()),  # number of the row in its row group
        ("id", pa.string()),
        ("reward", pa.string()),
        ("answer", pa.string()),  # a letter, yes, no, true or false; empty for all else
        ("choices", pa.int32()),  # number of options
        ("movable", pa.bool_()),  # whether options may change places
        ("question", pa.uint64()),  # hash of the normalised question
        ("truth", pa.uint64()),  # hash of the ground truth
        ("pictures", pa.list_(pa.uint64())),  # hash of the bytes of each picture
        ("phash", pa.list_(pa.uint64())),  # perceptual hash of each picture
        ("colour", pa.list_(pa.uint32())),  # mean colour of each picture, 0xRRGGBB
        ("bytes", pa.int64()),  # size of the pictures
        ("group", pa.string()),  # what else must stay on one side of the split; null for none
        ("mean", pa.float64()),  # mean metric of the responses; null when difficulty was not measured
        ("spread", pa.float64()),
        ("swap", pa.int32()),  # number of the option with which the right one changes places; null for none
    ]
)

REJECTS = pa.schema(
    [(name, pa.string()) for name in ("source", "row", "stage", "reason", "detail")],
)


class Drop(NamedTuple):
    """Why a row leaves."""

    reason: str
    detail: str = ""


class Outcome(NamedTuple):
    """What a stage makes of its rows: those that go on and those that do not, together all that came."""

    rows: pa.Table
    rejects: pa.Table


def drop_rows(table: pa.Table, drops: Mapping[int, Drop], stage: str, sources: list[str]) -> Outcome:
    """Takes rows out of a table.

    Args:
        table: rows.
        drops: row number to reason.
        stage: name of the stage.
        sources: names of the sources, in the order of the configuration.
    """
    keep = np.ones(table.num_rows, bool)
    numbers = np.fromiter(sorted(drops), np.int64, len(drops))
    keep[numbers] = False
    gone = table.take(numbers).select(["source", "id"])
    names = pa.array(sources).take(gone["source"].combine_chunks())
    reasons = [drops[number] for number in numbers.tolist()]
    rejects = pa.table(
        {
            "source": names,
            "row": gone["id"],
            "stage": [stage] * len(reasons),
            "reason": [drop.reason for drop in reasons],
            "detail": [drop.detail for drop in reasons],
        },
        schema=REJECTS,
    )
    return Outcome(table.filter(pa.array(keep)).combine_chunks(), rejects)


def numbers_of(table: pa.Table, column: str) -> np.ndarray:
    """A numeric column as a NumPy array; nulls are NaN."""
    return table[column].to_numpy()


def list_column(table: pa.Table, column: str) -> tuple[np.ndarray, np.ndarray]:
    """A list column as offsets and flat values: row i has `values[offsets[i]:offsets[i + 1]]`."""
    lists = table[column].combine_chunks()
    return np.concatenate([[0], np.cumsum(pc.list_value_length(lists).to_numpy())]), lists.flatten().to_numpy()


def write_rows(path: Path | IO[bytes], table: pa.Table) -> None:
    """Writes a table of rows or rejects, the same bytes for the same rows."""
    pq.write_table(table.combine_chunks(), path, compression="zstd", row_group_size=1 << 17)


def count_by(rejects: pa.Table) -> dict[str, dict[str, int]]:
    """Number of rejects by source and reason, `{"chartqa": {"duplicate": 3}}`, sorted."""
    counts: dict[str, dict[str, int]] = {}
    grouped = rejects.group_by(["source", "reason"]).aggregate([([], "count_all")])
    for row in sorted(grouped.to_pylist(), key=lambda row: (row["source"], row["reason"])):
        counts.setdefault(row["source"], {})[row["reason"]] = row["count_all"]
    return counts
