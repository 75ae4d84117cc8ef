"""Stage duplicates: of rows that ask the same of the same picture, the first stays.

The same question is the same normalised text, the same picture is a near perceptual hash and mean colour; rows with
several pictures must agree in all of them. Where the ground truths differ, near is not enough: pictures that look alike
but have another answer are other pictures, so their hashes must be equal. "First" is by the order of sources in the
configuration and of rows in them, so a source that is trusted more stands higher. A row is compared with rows that
stay, not with rows that have left: chains of small changes do not drag a whole set along.
"""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from mixed_r1_verl.engine.config import NearConfig
from mixed_r1_verl.engine.near import NearIndex, same_colour
from mixed_r1_verl.engine.rows import Drop, Outcome, drop_rows, list_column, numbers_of

STAGE = "duplicates"


def drop_duplicates(table: pa.Table, near: NearConfig, sources: list[str]) -> Outcome:
    """Drops repeated ids and near-duplicates: `duplicate_id`, `duplicate` and, where answers differ, `contradiction`.

    Takes time in proportion to the rows, but for many rows that ask the same question of pictures alike.
    """
    drops = _repeated_ids(table)
    ids, truth = table["id"], numbers_of(table, "truth")
    for row, first, distance in near_duplicates(table, near, set(drops)):
        reason = "duplicate" if truth[row] == truth[first] else "contradiction"
        drops[row] = Drop(reason, f"of {ids[first].as_py()}, {distance} of 64 bits differ")
    return drop_rows(table, drops, STAGE, sources)


def _repeated_ids(table: pa.Table) -> dict[int, Drop]:
    """Two sources may hold the same published split; verl and the card tell rows by id."""
    codes = table["id"].combine_chunks().dictionary_encode().indices.to_numpy()
    first = np.full(codes.max(initial=-1) + 1, -1)
    # The first place of each id: later places are overwritten by earlier ones.
    first[codes[::-1]] = np.arange(len(codes))[::-1]
    repeated = np.flatnonzero(first[codes] != np.arange(len(codes)))
    return {row: Drop("duplicate_id", f"row {first[codes[row]]} has it too") for row in repeated.tolist()}


def near_duplicates(table: pa.Table, near: NearConfig, gone: set[int]) -> Iterator[tuple[int, int, int]]:
    """Rows that repeat an earlier row which stays: (row, earlier row, differing bits of the first picture)."""
    offsets, phash = list_column(table, "phash")
    colour = list_column(table, "colour")[1]
    pictures = np.diff(offsets)
    question, truth = numbers_of(table, "question"), numbers_of(table, "truth")
    order = np.lexsort((np.arange(table.num_rows), pictures, question))
    # A new block begins where the question or the number of pictures changes; rows are in their order within it.
    changes = np.flatnonzero((np.diff(question[order]) != 0) | (np.diff(pictures[order]) != 0)) + 1
    edges = np.concatenate([[0], changes, [table.num_rows]])
    for block in np.flatnonzero(np.diff(edges) > 1).tolist():
        rows = [row for row in order[edges[block] : edges[block + 1]].tolist() if row not in gone]
        if not rows:
            continue
        if pictures[rows[0]] == 0:
            yield from ((row, rows[0], 0) for row in rows[1:])
            continue
        index = NearIndex(near.max_distance)
        for row in rows:
            start, count = int(offsets[row]), int(pictures[row])
            for first, distance in index.find(int(phash[start])):
                bits = near.max_distance if truth[row] == truth[first] else 0
                if _same_pictures(phash, colour, start, int(offsets[first]), count, bits, near.max_colour):
                    yield row, first, distance
                    break
            else:
                index.add(int(phash[start]), row)


def _same_pictures(
    phash: np.ndarray, colour: np.ndarray, left: int, right: int, count: int, bits: int, max_colour: int
) -> bool:
    return all(
        (int(phash[left + i]) ^ int(phash[right + i])).bit_count() <= bits
        and same_colour(int(colour[left + i]), int(colour[right + i]), max_colour)
        for i in range(count)
    )
