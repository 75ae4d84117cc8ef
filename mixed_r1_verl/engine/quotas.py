"""Stage quotas: at most so many rows of a source, then at most so many of a reward."""

from collections import Counter

import pyarrow as pa

from mixed_r1_verl.engine.config import QuotaConfig
from mixed_r1_verl.engine.rows import Drop, drawn_order, drop


def apply_quotas(table: pa.Table, config: QuotaConfig, seed: int) -> pa.Table:
    """Drops rows beyond the quotas, drawn by the seed: `source_quota` and `reward_quota`."""
    order = drawn_order(table, seed, "quotas")
    drops: dict[int, Drop] = {}
    for column, quotas in (("source", config.sources), ("reward", config.rewards)):
        labels, taken = table[column].to_pylist(), Counter[str]()
        for row in order:
            label = labels[row]
            if label in quotas and row not in drops:
                taken[label] += 1
                if taken[label] > quotas[label]:
                    drops[row] = Drop(f"{column}_quota", f"{label}: {quotas[label]} rows asked for")
    return drop(table, drops)


def shortfalls(table: pa.Table, config: QuotaConfig) -> list[str]:
    """What was asked for and is not there, one line for each."""
    lines = []
    for column, quotas in (("source", config.sources), ("reward", config.rewards)):
        left = Counter(table[column].to_pylist())
        for label, quota in quotas.items():
            if left[label] < quota:
                lines.append(f"{column} {label}: {quota:,} rows asked for, {left[label]:,} are left")
    return lines
