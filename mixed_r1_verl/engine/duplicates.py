"""Stage duplicates: of rows that ask the same of the same picture, the first stays.

The same question is the same normalised text, the same picture is a near perceptual hash and mean colour; rows with
several pictures must agree in all of them. Where the ground truths differ, near is not enough: pictures that look alike
but have another answer are other pictures, so their hashes must be equal. "First" is by the order of sources in the
configuration and of rows in them, so a source that is trusted more stands higher. A row is compared with rows that
stay, not with rows that have left: chains of small changes do not drag a whole set along.
"""

from collections.abc import Collection, Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa

from mixed_r1_verl.engine.config import NearConfig
from mixed_r1_verl.engine.near import Looks, NearIndex, same_looks
from mixed_r1_verl.engine.rows import Drop, drop


def drop_duplicates(table: pa.Table, near: NearConfig) -> pa.Table:
    """Drops repeated ids and near-duplicates: `duplicate_id`, `duplicate` and, where answers differ, `contradiction`.

    Takes time in proportion to the rows, but for many rows that ask the same question of pictures alike.
    """
    drops: dict[int, Drop] = {}
    # Two sources may hold the same published split; verl and the card tell rows by id.
    first_of: dict[str, int] = {}
    ids = table["id"].to_pylist()
    for row, identity in enumerate(ids):
        first = first_of.setdefault(identity, row)
        if first != row:
            drops[row] = Drop("duplicate_id", f"row {first} has it too")
    truth = table["truth"].to_numpy()
    for row, first, distance in list(near_duplicates(table, near, drops)):
        reason = "duplicate" if truth[row] == truth[first] else "contradiction"
        drops[row] = Drop(reason, f"of {ids[first]}, {distance} of 64 bits differ")
    return drop(table, drops)


def near_duplicates(table: pa.Table, near: NearConfig, gone: Collection[int]) -> Iterator[tuple[int, int, int]]:
    """Rows that repeat an earlier row which stays: (row, earlier row, differing bits of the first picture)."""
    looks = Looks(table)
    question, truth = table["question"].to_numpy(), table["truth"].to_numpy()
    order = np.lexsort((looks.counts, question))
    # A new block begins where the question or the number of pictures changes; rows are in their order within it.
    edges = np.flatnonzero((np.diff(question[order]) != 0) | (np.diff(looks.counts[order]) != 0)) + 1
    for start, end in pairwise([0, *edges.tolist(), table.num_rows]):
        if end - start == 1:
            continue
        index = NearIndex(near.max_distance)
        for row in (row for row in order[start:end].tolist() if row not in gone):
            pictures = looks[row]
            phash = pictures[0][0] if pictures else 0
            for first, distance in index.find(phash):
                bits = near.max_distance if truth[row] == truth[first] else 0
                if same_looks(pictures, looks[first], bits, near.max_colour):
                    yield row, first, distance
                    break
            else:
                index.add(phash, row)
