"""What the responses of each source and reward earned: means, with 95 % confidence intervals where they are asked for.

The interval of a 0/1 reward with one response to each prompt is Wilson's score interval (Wilson 1927), which holds also
for few prompts and for shares near 0 and 1. Otherwise it is a percentile bootstrap: 2,000 times as many prompts are
drawn with replacement as there are, each with all of its responses, because responses to one prompt are not
independent. The bootstrap's seed is fixed, so the same answers give the same interval.
"""

import math
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

RESAMPLES = 2000
MEANS = ("score", "acc", "format", "error", "malformed", "truncated", "tokens")


@dataclass(frozen=True)
class Estimate:
    """A mean with its 95 % confidence interval, and how that was made: `wilson` or `bootstrap`."""

    mean: float
    low: float
    high: float
    method: str

    @classmethod
    def of(cls, values: Sequence[float], sizes: Sequence[int] | None = None) -> "Estimate":
        """The estimate of the values of all responses; see the top of this module.

        Args:
            values: of the responses, those to the same prompt side by side.
            sizes: responses to each prompt; None is one to each.

        >>> Estimate.of([1.0] * 8 + [0.0] * 2).method
        'wilson'
        """
        count = len(values)
        mean = math.fsum(values) / count if count else math.nan
        sizes = [1] * count if sizes is None else sizes
        if count and len(sizes) == count and all(value in (0.0, 1.0) for value in values):
            from scipy.stats import binomtest

            interval = binomtest(round(math.fsum(values)), count).proportion_ci(0.95, method="wilson")
            return cls(mean, float(interval.low), float(interval.high), "wilson")
        if len(sizes) < 2:
            return cls(mean, mean, mean, "bootstrap")
        return cls(mean, *_bootstrap(values, sizes), "bootstrap")


def _bootstrap(values: Sequence[float], sizes: Sequence[int]) -> tuple[float, float]:
    import numpy as np
    from scipy import stats

    counts = np.asarray(sizes)
    sums = np.add.reduceat(np.asarray(values, float), np.cumsum(counts) - counts)
    interval = stats.bootstrap(
        (sums, counts),
        lambda own, many, axis: own.sum(axis) / many.sum(axis),
        n_resamples=RESAMPLES,
        batch=max(1, 4_000_000 // len(counts)),  # drawn indices that fit in memory with ease
        paired=True,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(interval.low), float(interval.high)


@dataclass
class Group:
    """What the responses of one source and reward earned."""

    # of each response, in order, by the names of `MEANS`: `error` is 1 where it could not be scored, `malformed` where
    # it could but breaks the format
    values: "dict[str, array[float]]" = field(default_factory=lambda: {name: array("d") for name in MEANS})
    sizes: "array[int]" = field(default_factory=lambda: array("q"))  # responses to each prompt
    # how often each reason was given; failures are those of responses that could not be scored
    reasons: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    _last: object = None

    def add(self, row: Mapping[str, Any]) -> None:
        """Count one response, a row of `answers.answer_row`; responses to the same prompt follow each other."""
        prompt = (row["file"], row["row"])
        if prompt != self._last:
            self.sizes.append(0)
            self._last = prompt
        self.sizes[-1] += 1
        error, reason = bool(row["error"]), row.get("reason")
        told = {**row, "error": error, "malformed": not error and row["format"] < 1.0}
        for name, values in self.values.items():
            values.append(told.get(name, 0))
        if reason:
            self.reasons[reason] += 1
        if error:
            self.failures[str(reason)] += 1

    @property
    def responses(self) -> int:
        """How many."""
        return len(self.values["acc"])

    def mean(self, name: str) -> float:
        """Mean over all responses of one of `MEANS`; NaN where there are none."""
        return math.fsum(self.values[name]) / self.responses if self.responses else math.nan

    def estimate(self, name: str) -> Estimate:
        """Mean of one of `MEANS` with its interval."""
        return Estimate.of(self.values[name], self.sizes)


class Summary:
    """What responses, rows of `answers.answer_row`, earned by source and reward, and together."""

    def __init__(self, rows: Iterable[Mapping[str, Any]] = ()) -> None:
        self.total = Group()
        self.groups: dict[tuple[str, str], Group] = {}
        for row in rows:
            self.add(row)

    def add(self, row: Mapping[str, Any]) -> None:
        """Count one response."""
        self.groups.setdefault((row["data_source"], row["reward_kind"]), Group()).add(row)
        self.total.add(row)

    @property
    def lines(self) -> list[tuple[str, str, Group]]:
        """Source, reward and group, in order; several are followed by all together."""
        lines = [(*key, group) for key, group in sorted(self.groups.items())]
        return [*lines, ("all", "", self.total)] if len(lines) > 1 else lines

    def print(self, columns: Sequence[str], console: "Console") -> None:
        """A table by source and reward, with columns of `COLUMNS` or `MEANS`; lines with errors are red."""
        table = plain_table("source", "reward", numbers=columns)
        for source, kind, group in self.lines:
            cells = [COLUMNS[name](group) if name in COLUMNS else f"{group.mean(name):.4f}" for name in columns]
            table.add_row(source or "(none)", kind, *cells, style="red" if group.failures else None)
        console.print(table, markup=False)


COLUMNS: Mapping[str, Callable[[Group], str]] = {
    "rows": lambda group: f"{group.responses:,}",
    "prompts": lambda group: f"{len(group.sizes):,}",
    "n": lambda group: f"{group.responses / len(group.sizes):.0f}",
    "95 % interval": lambda group: "{0.low:.4f}–{0.high:.4f}".format(group.estimate("acc")),
    "tokens": lambda group: f"{group.mean('tokens'):.0f}",
}


def plain_table(*texts: str, numbers: Sequence[str]) -> "Table":
    """A table of rich without lines: columns of text, then columns of numbers, which are never broken."""
    from rich.table import Table

    table = Table(*texts, box=None, pad_edge=False, padding=(0, 1))
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table
