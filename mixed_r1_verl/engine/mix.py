"""Stage mix: validation is split off, and training rows get an order in which every batch holds what was asked for.

Each reward's rows are shuffled by the seed; then rewards take turns by Tijdeman's rule for the chairman assignment
problem (Discrete Mathematics 32, 1980), which never lets a reward be a whole row ahead of or behind its share. So after
any number of rows at which the shares are whole numbers, they are met exactly: with equal weights of four rewards and
batches of 256, every batch has 64 of each.
"""

from collections.abc import Mapping
from fractions import Fraction
from math import lcm

import numpy as np
import pyarrow as pa

from mixed_r1_verl.engine.config import MixConfig
from mixed_r1_verl.engine.rows import Drop, by_label, drawn_order, drop, set_column
from mixed_r1_verl.engine.split import validation_rows


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
