"""Validation rows share no picture with training rows.

Rows are tied together when they have a picture in common (the same bytes, or the same perceptual hash and near mean
colour) or the same `group`; whatever is tied, directly or through others, goes to one side.
"""

from collections import Counter

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mixed_r1_verl.engine.rows import by_label, draw, list_column

COLOUR_STEP = 16


def validation_rows(table: pa.Table, share: float, seed: int) -> np.ndarray:
    """Which rows go to validation: whole groups, drawn by the seed, until each reward has its share.

    A group that would overfill a reward is passed over, so validation may fall short but never takes more.
    """
    chosen = np.zeros(table.num_rows, bool)
    ids, rewards = table["id"].to_pylist(), table["reward"].to_pylist()
    room = {reward: round(share * count) for reward, count in Counter(rewards).items()}
    groups = by_label(range(table.num_rows), tied_groups(table).tolist()).values()
    # A group is drawn by the least draw of its rows, so that it does not matter in which order they stand.
    for rows in sorted(groups, key=lambda rows: min(draw(seed, "split", ids[row]) for row in rows)):
        wanted = Counter(rewards[row] for row in rows)
        if all(count <= room[reward] for reward, count in wanted.items()):
            chosen[rows] = True
            for reward, count in wanted.items():
                room[reward] -= count
    return chosen


def tied_groups(table: pa.Table) -> np.ndarray:
    """Number of the group of each row."""
    count = table.num_rows
    offsets, pictures = list_column(table, "pictures")
    owner = np.repeat(np.arange(count), np.diff(offsets))
    phash, colour = list_column(table, "phash")[1], list_column(table, "colour")[1]
    named = [row for row, name in enumerate(table["group"].to_pylist()) if name is not None]
    names = table.select(["source", "group"]).take(np.array(named, np.int64))
    groups = [f"{source}\n{group}" for source, group in zip(*(column.to_pylist() for column in names), strict=True)]
    # Two mean colours that differ a little may fall on two sides of a step: a second grid, half a step away, ties them.
    looks = [phash ^ _coarse(colour, shift) for shift in (0, COLOUR_STEP // 2)]
    edges: list[tuple[np.ndarray, np.ndarray]] = []
    nodes = count
    for members, keys in [(owner, pictures), *((owner, look) for look in looks), (np.array(named, int), groups)]:
        values, codes = np.unique(keys, return_inverse=True)
        edges.append((members, nodes + codes))
        nodes += len(values)
    left, right = (np.concatenate(side) for side in zip(*edges, strict=True))
    graph = coo_array((np.ones(len(left), np.int8), (left, right)), shape=(nodes, nodes))
    return connected_components(graph, directed=False)[1][:count]


def _coarse(colour: np.ndarray, shift: int) -> np.ndarray:
    """A 64-bit value for each coarse mean colour, different for the two grids."""
    code = np.full(len(colour), shift, np.uint64)
    for bits in (16, 8, 0):
        channel = colour.astype(np.uint64) >> np.uint64(bits) & np.uint64(255)
        code = code * np.uint64(64) + (channel + np.uint64(shift)) // np.uint64(COLOUR_STEP)
    return code * np.uint64(0x9E3779B97F4A7C15)
