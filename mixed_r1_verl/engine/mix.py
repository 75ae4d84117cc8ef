"""Stage mix: validation is split off, and training rows get an order in which every batch holds what was asked for.

Rows are tied together when they have a picture in common (the same bytes, or the same perceptual hash and near mean
colour) or the same `group`; whatever is tied, directly or through others, goes to one side.

Rewards take turns by Tijdeman's rule for the chairman assignment problem (Discrete Mathematics 32, 1980), which never
lets a reward be a whole row ahead of or behind its share.
"""

from collections import Counter
from collections.abc import Mapping
from fractions import Fraction
from math import lcm

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from mixed_r1_verl.engine.config import MixConfig
from mixed_r1_verl.engine.rows import Drop, by_label, draw, drawn_order, drop, list_column, set_column

COLOUR_STEP = 16


def split_and_mix(table: pa.Table, config: MixConfig, validation: float, seed: int) -> pa.Table:
    """Sets `validation`, and mixes the rows of either side; nobody is dropped from validation."""
    chosen = validation_rows(table, validation, seed)
    table = set_column(table, "validation", chosen)
    sides = [(~chosen, config), (chosen, MixConfig())]
    return pa.concat_tables([mix(table.filter(pa.array(side)), own, seed) for side, own in sides])


def mix(table: pa.Table, config: MixConfig, seed: int) -> pa.Table:
    """Orders rows; drops what is left when a weighted reward has run out (`surplus`) or has no weight (`no_weight`)."""
    queues = by_label(drawn_order(table, seed, "mix"), table["reward"].to_pylist())
    drops: dict[int, Drop] = {}
    for reward in [reward for reward in queues if config.weights and reward not in config.weights]:
        drops |= dict.fromkeys(queues.pop(reward), Drop("no_weight", f"mix.weights has no {reward}"))
    weights = {kind: config.weights.get(kind, float(len(rows))) for kind, rows in sorted(queues.items())}
    turns = take_turns(weights, {reward: len(rows) for reward, rows in queues.items()})
    waiting = {reward: iter(rows) for reward, rows in queues.items()}
    order = [next(waiting[reward]) for reward in turns]
    left = {reward: list(rows) for reward, rows in waiting.items()}
    ended = [reward for reward, rows in left.items() if not rows]
    for rows in left.values():
        drops |= dict.fromkeys(rows, Drop("surplus", f"{', '.join(ended)} ran out after {len(order)} rows"))
    return drop(table, drops).take(np.array([*order, *sorted(drops)], np.int64))


def take_turns(weights: Mapping[str, float], counts: Mapping[str, int]) -> list[str]:
    """Who is next, until the one whose turn it is has nothing left.

    Args:
        weights: share of each, in any unit, above 0.
        counts: how many each has.

    >>> "".join(take_turns({"a": 2, "b": 1}, {"a": 4, "b": 2}))
    'abaaba'
    """
    names = list(weights)
    if len(names) < 2:
        return names * counts[names[0]] if names else []
    shares = [Fraction(weights[name]).limit_denominator(1 << 20) for name in names]
    scale = lcm(*(share.denominator for share in shares))
    whole = [int(share * scale) for share in shares]
    total = sum(whole)
    # Everything times total × slack, so that all of it is whole numbers.
    slack = 2 * len(names) - 2
    urgency = [lcm(*whole) // weight for weight in whole]
    lead = [0] * len(names)  # share of the turns so far, minus turns taken
    left = [counts[name] for name in names]
    turns: list[str] = []
    while True:
        lead = [own + slack * weight for own, weight in zip(lead, whole, strict=True)]
        # Of those that may be served without getting too far ahead, the one that would first fall too far behind.
        ready = [i for i, own in enumerate(lead) if own >= total]
        turn = min(ready, key=lambda i: (((slack - 1) * total - lead[i]) * urgency[i], i))
        if not left[turn]:
            return turns
        left[turn] -= 1
        lead[turn] -= slack * total
        turns.append(names[turn])


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
