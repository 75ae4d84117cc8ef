"""Stage duplicates: of rows that ask the same of the same picture, the first stays.

The same question is the same normalised text, the same picture is a near perceptual hash and mean colour; rows with
several pictures must agree in all of them. Where the ground truths differ, hashes must be equal: pictures that look
alike but have another answer are other pictures. A row is compared with rows that stay, not with rows that have left:
chains of small changes do not drag a whole set along.

Perceptual hashes within a Hamming distance are found exactly, by banding: a hash is cut into d + 1 pieces. Two hashes
that differ in at most d bits agree in at least one piece, so it is enough to compare those that share a piece.
"""

from array import array
from collections.abc import Collection, Iterator
from itertools import pairwise

import numpy as np
import pyarrow as pa

from mixed_r1_verl.engine.config import NearConfig
from mixed_r1_verl.engine.rows import Drop, drop, list_column

SMALL = 24

Look = tuple[int, int]  # perceptual hash and mean colour 0xRRGGBB of a picture


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


class Looks:
    """The looks of the pictures of each row of a table: `looks[row]` lists them.

    Attributes:
        counts: number of pictures of each row.
    """

    def __init__(self, table: pa.Table) -> None:
        offsets, phash = list_column(table, "phash")
        self.counts = np.diff(offsets)
        # Plain lists: rows are looked at one by one, which is slow with arrays.
        self._offsets = offsets.tolist()
        self._looks = list(zip(phash.tolist(), list_column(table, "colour")[1].tolist(), strict=True))

    def __getitem__(self, row: int) -> list[Look]:
        return self._looks[self._offsets[row] : self._offsets[row + 1]]


class NearIndex:
    """Hashes with a number each, found again where at most `max_distance` bits differ.

    >>> index = NearIndex(2)
    >>> index.add(0b1111, 7)
    >>> index.find(0b1100), index.find(0b1000)
    ([(7, 2)], [])
    """

    def __init__(self, max_distance: int) -> None:
        self.max_distance = max_distance
        edges = [round(64 * piece / (max_distance + 1)) for piece in range(max_distance + 2)]
        self._bands = [(low, (1 << high - low) - 1) for low, high in pairwise(edges)]
        self._buckets: list[dict[int, tuple[array[int], array[int]]]] = [{} for _ in self._bands]

    def add(self, value: int, number: int) -> None:
        """Stores a hash under a number."""
        for (low, mask), buckets in zip(self._bands, self._buckets, strict=True):
            values, numbers = buckets.setdefault(value >> low & mask, (array("Q"), array("q")))
            values.append(value)
            numbers.append(number)

    def find(self, value: int) -> list[tuple[int, int]]:
        """Numbers and distances of all stored hashes that are near, by number."""
        found: dict[int, int] = {}
        for (low, mask), buckets in zip(self._bands, self._buckets, strict=True):
            bucket = buckets.get(value >> low & mask)
            if bucket is None:
                continue
            values, numbers = bucket
            if len(values) <= SMALL:
                for other, number in zip(values, numbers, strict=True):
                    distance = (value ^ other).bit_count()
                    if distance <= self.max_distance:
                        found[number] = distance
            else:
                distances = np.bitwise_count(np.frombuffer(values, np.uint64) ^ np.uint64(value))
                for place in np.flatnonzero(distances <= self.max_distance).tolist():
                    found[numbers[place]] = int(distances[place])
        return sorted(found.items())


def same_colour(left: int, right: int, max_colour: int) -> bool:
    """Whether two mean colours 0xRRGGBB differ by at most `max_colour` in each channel."""
    return all(abs((left >> shift & 255) - (right >> shift & 255)) <= max_colour for shift in (16, 8, 0))


def same_looks(left: list[Look], right: list[Look], bits: int, max_colour: int) -> bool:
    """Whether two rows of as many pictures show the same, picture by picture."""
    return all(
        (a ^ b).bit_count() <= bits and same_colour(colour_a, colour_b, max_colour)
        for (a, colour_a), (b, colour_b) in zip(left, right, strict=True)
    )
