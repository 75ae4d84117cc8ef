"""Stage quotas: at most so many rows of a source, then at most so many of a reward."""

from collections.abc import Mapping

import pyarrow as pa

from mixed_r1_verl.engine.config import QuotaConfig
from mixed_r1_verl.engine.rows import Drop, Outcome, drop_rows, numbers_of
from mixed_r1_verl.engine.store import draw

STAGE = "quotas"


def apply_quotas(table: pa.Table, config: QuotaConfig, seed: int, sources: list[str]) -> Outcome:
    """Drops rows beyond the quotas, drawn by the seed: `source_quota` and `reward_quota`."""
    ids = table["id"].to_pylist()
    order = sorted(range(table.num_rows), key=lambda row: draw(seed, "quotas", ids[row]))
    owners = [sources[number] for number in numbers_of(table, "source").tolist()]
    rewards = table["reward"].to_pylist()
    drops: dict[int, Drop] = {}
    for labels, quotas, reason in (
        (owners, config.sources, "source_quota"),
        (rewards, config.rewards, "reward_quota"),
    ):
        taken: dict[str, int] = {}
        for row in order:
            label = labels[row]
            if label not in quotas or row in drops:
                continue
            taken[label] = taken.get(label, 0) + 1
            if taken[label] > quotas[label]:
                drops[row] = Drop(reason, f"{label}: {quotas[label]} rows asked for")
    return drop_rows(table, drops, STAGE, sources)


def shortfalls(table: pa.Table, config: QuotaConfig, sources: list[str]) -> list[str]:
    """What was asked for and is not there, one line for each."""
    owners = [sources[number] for number in numbers_of(table, "source").tolist()]
    lines = []
    columns: tuple[tuple[str, list[str], Mapping[str, int]], ...] = (
        ("source", owners, config.sources),
        ("reward", table["reward"].to_pylist(), config.rewards),
    )
    for kind, labels, quotas in columns:
        for label, quota in quotas.items():
            there = labels.count(label)
            if there < quota:
                lines.append(f"{kind} {label}: {quota:,} rows asked for, {there:,} are left")
    return lines
