"""What stages know of a row: a table of small columns. A stage says of each row that leaves why it does.

A million rows take a few hundred megabytes. Pictures are not among the columns: `source`, `file`, `row_group` and `row`
say where the whole row lies.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mixed_r1_verl.core.files import atomic
from mixed_r1_verl.data.schema import row_schema

ROWS = pa.schema(
    [
        ("source", pa.string()),  # name of the source in the configuration
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
        ("validation", pa.bool_()),  # null before the split
        ("reason", pa.string()),  # why the row leaves; null while it stays
        ("detail", pa.string()),
    ]
)
PAIRS = {word: pair for pair in (("yes", "no"), ("true", "false")) for word in pair}
"""What an answer is one of two with."""
REJECTS = pa.schema([(name, pa.string()) for name in ("source", "row", "stage", "reason", "detail")])


@dataclass(frozen=True)
class Step:
    """One stage after it has run."""

    stage: str  # its name
    # entered, kept: rows before and after
    entered: int
    kept: int
    seconds: float = 0.0  # wall time since the stage before; near 0 when it had run before
    rejects: pa.Table = field(default_factory=REJECTS.empty_table)  # the rows that left
    path: Path | None = None  # file of all rows, those that left with their reason; None of stages that make rows

    def table(self) -> pa.Table:
        """All rows, those that left with their reason."""
        return pq.read_table(self.path)

    def rows(self) -> pa.Table:
        """The rows that go on."""
        return staying(self.table())


class Drop(NamedTuple):
    """Why a row leaves."""

    reason: str
    detail: str = ""


def set_column(table: pa.Table, name: str, values: Any) -> pa.Table:
    """The rows with other values in one column."""
    number = ROWS.get_field_index(name)
    return table.set_column(number, ROWS.field(number), pa.array(values, ROWS.field(number).type))


def drop(table: pa.Table, drops: Mapping[int, Drop]) -> pa.Table:
    """All rows, those whose numbers are in `drops` with their reason."""
    for place, name in enumerate(Drop._fields):
        values = np.full(table.num_rows, None, object)
        values[np.fromiter(drops, np.int64, len(drops))] = [reason[place] for reason in drops.values()]
        table = set_column(table, name, values)
    return table


def staying(table: pa.Table) -> pa.Table:
    """The rows that go on."""
    return table.filter(pc.is_null(table["reason"])).combine_chunks()


def leaving(table: pa.Table, stage: str) -> pa.Table:
    """The rows that do not, as `rejects.jsonl` has them."""
    gone = table.filter(pc.is_valid(table["reason"]))
    values = {"source": gone["source"], "row": gone["id"], "stage": pa.array([stage] * gone.num_rows, pa.string())}
    return pa.table({**values, **{name: gone[name] for name in Drop._fields}}, schema=REJECTS)


def draw(seed: int, purpose: str, identity: str) -> int:
    """A number in [0, 2**64) that depends on nothing else: the order of a shuffle, the seed of a sample.

    >>> draw(0, "quota", "a") == draw(0, "quota", "a") != draw(1, "quota", "a")
    True
    """
    digest = hashlib.blake2b(f"{seed}\n{purpose}\n{identity}".encode(errors="backslashreplace"), digest_size=8)
    return int.from_bytes(digest.digest(), "big")


def drawn_order(table: pa.Table, seed: int, purpose: str) -> list[int]:
    """The row numbers, shuffled by the seed and the rows' ids alone."""
    draws = [draw(seed, purpose, identity) for identity in table["id"].to_pylist()]
    return sorted(range(table.num_rows), key=draws.__getitem__)


def by_label(rows: Iterable[int], labels: Sequence[Any]) -> dict[Any, list[int]]:
    """The rows of each label, both in the order in which they come; rows without one (None) are left out.

    >>> by_label([2, 0, 1], ["a", None, "b"])
    {'b': [2], 'a': [0]}
    """
    found: dict[Any, list[int]] = {}
    for row in rows:
        if labels[row] is not None:
            found.setdefault(labels[row], []).append(row)
    return found


def list_column(table: pa.Table, column: str) -> tuple[np.ndarray, np.ndarray]:
    """A list column as offsets and flat values: row i has `values[offsets[i]:offsets[i + 1]]`."""
    lists = table[column].combine_chunks()
    return np.concatenate([[0], np.cumsum(pc.list_value_length(lists).to_numpy())]), lists.flatten().to_numpy()


def whole_rows(table: pa.Table, files: Mapping[str, Sequence[Path]]) -> Iterator[tuple[list[int], pa.Table]]:
    """Row numbers of `table` and their whole rows, pictures and all, out of the converted files of each source; each
    converted row group is read once."""
    places = list(zip(*(table[name].to_pylist() for name in ("source", "file", "row_group")), strict=True))
    rows = table["row"].to_pylist()
    for (source, file, group), positions in sorted(by_label(range(len(places)), places).items()):
        with pq.ParquetFile(files[source][file]) as opened:
            found = opened.read_row_group(group).take([rows[position] for position in positions])
        yield positions, found.cast(row_schema("bytes"))


def write_rows(path: Path, table: pa.Table) -> None:
    """Writes a table of rows whole or not at all, the same bytes for the same rows."""
    with atomic(path, "wb") as file:
        pq.write_table(table.combine_chunks(), file, compression="zstd", row_group_size=1 << 17)


def count_by(table: pa.Table, outer: str, inner: str) -> dict[str, dict[str, int]]:
    """Number of rows by the values of two columns, `{"chartqa": {"duplicate": 3}}`, sorted."""
    counts: dict[str, dict[str, int]] = {}
    pairs = Counter(zip(table[outer].to_pylist(), table[inner].to_pylist(), strict=True))
    for (one, other), count in sorted(pairs.items()):
        counts.setdefault(one, {})[other] = count
    return counts
