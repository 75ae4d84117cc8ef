"""Stage mix: the order of the training file, in which every batch holds the rewards as asked.

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
from mixed_r1_verl.engine.rows import Drop, Outcome, drop_rows
from mixed_r1_verl.engine.store import draw

STAGE = "mix"


def mix(table: pa.Table, config: MixConfig, seed: int, sources: list[str]) -> Outcome:
    """Orders rows; drops what is left when a weighted reward has run out (`surplus`) or has no weight (`no_weight`)."""
    rewards, ids = table["reward"].to_pylist(), table["id"].to_pylist()
    queues: dict[str, list[int]] = {}
    for row in sorted(range(table.num_rows), key=lambda row: draw(seed, "mix", ids[row])):
        queues.setdefault(rewards[row], []).append(row)
    drops: dict[int, Drop] = {}
    if config.weights:
        for reward in [reward for reward in queues if reward not in config.weights]:
            drops |= dict.fromkeys(queues.pop(reward), Drop("no_weight", f"mix.weights has no {reward}"))
    weights = {kind: config.weights.get(kind, float(len(rows))) for kind, rows in sorted(queues.items())}
    turns = take_turns(weights, {reward: len(rows) for reward, rows in queues.items()})
    order: list[int] = []
    taken = dict.fromkeys(queues, 0)
    for reward in turns:
        order.append(queues[reward][taken[reward]])
        taken[reward] += 1
    for reward, rows in queues.items():
        ended = [kind for kind in queues if taken[kind] == len(queues[kind])]
        detail = f"{', '.join(ended)} ran out after {len(order)} rows"
        drops |= dict.fromkeys(rows[taken[reward] :], Drop("surplus", detail))
    rejects = drop_rows(table, drops, STAGE, sources).rejects
    return Outcome(table.take(np.array(order, np.int64)).combine_chunks(), rejects)


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
