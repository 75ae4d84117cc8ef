"""Means by source and reward with 95 % confidence intervals.

The interval of a 0/1 reward with one response to each prompt is Wilson's score interval (Wilson 1927), which holds also
for few prompts and for shares near 0 and 1. Otherwise it is a percentile bootstrap: 2,000 times as many prompts are
drawn with replacement as there are, each with all of its responses, because responses to one prompt are not
independent. The bootstrap's seed is fixed, so the same answers give the same interval.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

Z = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""

RESAMPLES = 2000


def wilson(successes: float, trials: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share.

    Example:
        >>> [round(bound, 4) for bound in wilson(8, 10)]
        [0.4902, 0.9433]
        >>> [round(bound, 4) for bound in wilson(0, 10)]
        [0.0, 0.2775]
    """
    if not trials:
        return math.nan, math.nan
    share = successes / trials
    middle = (share + Z * Z / (2 * trials)) / (1 + Z * Z / trials)
    half = Z / (1 + Z * Z / trials) * math.sqrt(share * (1 - share) / trials + Z * Z / (4 * trials * trials))
    return max(0.0, middle - half), min(1.0, middle + half)


def bootstrap(values: Sequence[Sequence[float]], seed: int = 0) -> tuple[float, float]:
    """The 95 % percentile bootstrap interval of a mean over prompts.

    Args:
        values: for each prompt the values of its responses.
        seed: of the resampling.

    Example:
        >>> [round(bound, 2) for bound in bootstrap([[0.2], [0.4], [0.6], [0.8]] * 25)]
        [0.46, 0.54]
    """
    prompts = len(values)
    if not prompts:
        return math.nan, math.nan
    sums = np.array([math.fsum(own) for own in values])
    sizes = np.array([len(own) for own in values])
    random = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    block = max(1, 4_000_000 // prompts)  # rows of the drawn indices that fit in memory with ease
    for start in range(0, RESAMPLES, block):
        drawn = random.integers(0, prompts, (min(block, RESAMPLES - start), prompts))
        means[start : start + len(drawn)] = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.percentile(means, (2.5, 97.5))
    return float(low), float(high)


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % confidence interval, and how that was made: `wilson` or `bootstrap`."""

    mean: float
    low: float
    high: float
    method: str

    @classmethod
    def of(cls, values: Sequence[Sequence[float]]) -> "Estimate":
        """The estimate of values by prompt; see the top of this module."""
        flat = [value for own in values for value in own]
        mean = math.fsum(flat) / len(flat) if flat else math.nan
        if len(flat) == len(values) and all(value in (0.0, 1.0) for value in flat):
            return cls(mean, *wilson(math.fsum(flat), len(flat)), "wilson")
        return cls(mean, *bootstrap(values), "bootstrap")


@dataclass(frozen=True)
class Line:
    """One line of the summary.

    Attributes:
        data_source, reward: of the group; empty for all together.
        prompts, responses: how many.
        acc, score: mean with interval.
        format, error, truncated: means over the responses.
        tokens: mean length of the responses.
    """

    data_source: str
    reward: str
    prompts: int
    responses: int
    acc: Estimate
    score: Estimate
    format: float
    error: float
    truncated: float
    tokens: float

    def as_dict(self) -> dict[str, Any]:
        """The line as plain data."""
        plain = {**vars(self), "acc": self.acc.mean, "score": self.score.mean}
        for name, estimate in (("acc", self.acc), ("score", self.score)):
            plain[f"{name}_95"] = [estimate.low, estimate.high]
            plain[f"{name}_interval"] = estimate.method
        return plain


def summarise(rows: Sequence[Mapping[str, Any]]) -> list[Line]:
    """A line for each source and reward, and one for all rows.

    Args:
        rows: as `mixed-r1 eval` writes them: `file`, `row`, `data_source`, `reward_kind`, the score's components,
            `tokens` and `truncated`.
    """
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        groups.setdefault((row["data_source"], row["reward_kind"]), []).append(row)
    lines = [_line(source, kind, members) for (source, kind), members in sorted(groups.items())]
    return [*lines, _line("all", "", rows)] if len(lines) > 1 else lines


def _line(source: str, kind: str, rows: Sequence[Mapping[str, Any]]) -> Line:
    prompts: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for row in rows:
        prompts.setdefault((row["file"], row["row"]), []).append(row)
    means = {
        name: math.fsum(row[name] for row in rows) / len(rows) for name in ("format", "error", "truncated", "tokens")
    }
    acc, score = (
        Estimate.of([[float(row[name]) for row in own] for own in prompts.values()]) for name in ("acc", "score")
    )
    return Line(source, kind, len(prompts), len(rows), acc, score, **means)


def print_summary(lines: Sequence[Line], console: Console) -> None:
    """The summary as a table, in the style of `mixed-r1 score`."""
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column("source")
    table.add_column("reward")
    for name in ("prompts", "n", "acc", "95 % interval", "score", "format", "error", "truncated", "tokens"):
        table.add_column(name, justify="right", no_wrap=True)
    for line in lines:
        numbers = (line.score.mean, line.format, line.error, line.truncated)
        table.add_row(
            line.data_source or "(none)",
            line.reward,
            f"{line.prompts:,}",
            f"{line.responses / line.prompts:.0f}",
            f"{line.acc.mean:.4f}",
            f"{line.acc.low:.4f}–{line.acc.high:.4f}",
            *(f"{number:.4f}" for number in numbers),
            f"{line.tokens:.0f}",
            style="red" if line.error else None,
        )
    console.print(table, markup=False)
