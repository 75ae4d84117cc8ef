"""Scores the responses of files with all cores, and sums up what each source and reward earned."""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.pool import ScoringPool
from mixed_r1_verl.score.responses import Reject, Response, read_responses

IN_FLIGHT = 4096
"""Responses that are read ahead of the one whose result is waited for."""


@dataclass
class Group:
    """What the responses of one source and reward earned."""

    rows: int = 0
    score: float = 0.0
    acc: float = 0.0
    format: float = 0.0
    errors: int = 0
    malformed: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)  # the reasons of rows that could not be scored

    def add(self, result: Mapping[str, Any]) -> None:
        """Count one result."""
        self.rows += 1
        self.score += result["score"]
        self.acc += result["acc"]
        self.format += result["format"]
        if result["error"]:
            self.errors += 1
            self.failures[result["reason"]] += 1
        elif result["format"] < 1.0:
            self.malformed += 1
        if result["reason"]:
            self.reasons[result["reason"]] += 1

    def merge(self, other: "Group") -> None:
        """Add another group's rows to this one."""
        for name in ("rows", "score", "acc", "format", "errors", "malformed"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.reasons.update(other.reasons)
        self.failures.update(other.failures)

    def means(self) -> dict[str, float]:
        """Means of score, acc and format over all rows; shares of rows that could not be scored, and that could but
        break the format."""
        rows = max(1, self.rows)
        return {
            "score": self.score / rows,
            "acc": self.acc / rows,
            "format": self.format / rows,
            "error": self.errors / rows,
            "malformed": self.malformed / rows,
        }


@dataclass
class ScoreReport:
    """The result of a run over files.

    Attributes:
        groups: by source and reward kind.
        rejected: rows that could not be read.
    """

    groups: dict[tuple[str, str], Group] = field(default_factory=dict)
    rejected: int = 0

    @property
    def total(self) -> Group:
        """All groups together."""
        total = Group()
        for group in self.groups.values():
            total.merge(group)
        return total

    @property
    def sound(self) -> bool:
        """Whether there were rows, and every one was read and scored."""
        total = self.total
        return bool(total.rows) and not total.errors and not self.rejected

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data; the commonest ten reasons of each group."""
        groups = [
            {
                "data_source": source,
                "reward": kind,
                "rows": group.rows,
                **group.means(),
                "reasons": dict(group.reasons.most_common(10)),
            }
            for (source, kind), group in sorted(self.groups.items())
        ]
        total = self.total
        return {"groups": groups, "total": {"rows": total.rows, **total.means()}, "rejected": self.rejected}


def score_responses(
    responses: Iterable[Response], config: MixedRewardConfig
) -> Iterator[tuple[Response, dict[str, Any]]]:
    """Score responses in `config.processes` processes that are killed when a sample takes too long.

    Returns:
        Each response with its result, in order; never more than `IN_FLIGHT` are held.

    Raises:
        RuntimeError: the processes do not start.
    """
    pool = ScoringPool(config)
    try:
        flying: deque[tuple[Response, Future[dict[str, Any]]]] = deque()
        source = iter(responses)
        flying.extend((response, pool.submit(response.scored)) for response in islice(source, IN_FLIGHT))
        while flying:
            response, future = flying.popleft()
            result = future.result()
            flying.extend((further, pool.submit(further.scored)) for further in islice(source, 1))
            yield response, result
    finally:
        pool.close()


def score_files(
    paths: Sequence[str | Path],
    config: MixedRewardConfig,
    *,
    response_column: str | None = None,
    reward: str | None = None,
    on_result: Callable[[Response, Mapping[str, Any]], None] | None = None,
    on_reject: Callable[[Reject], None] | None = None,
) -> ScoreReport:
    """Score all responses of some files.

    Args:
        paths: JSONL or parquet files; see `read_responses`.
        config: the reward block; `processes` says how many processes score.
        response_column, reward: see `read_responses`.
        on_result: is given each response with its result, in order.
        on_reject: is given each row that cannot be read.

    Raises:
        ScoreError: a file cannot be read.
        RuntimeError: the scoring processes do not start.
    """
    report = ScoreReport()

    def readable() -> Iterator[Response]:
        for path in paths:
            for item in read_responses(path, config, response_column=response_column, reward=reward):
                if isinstance(item, Response):
                    yield item
                    continue
                report.rejected += 1
                if on_reject is not None:
                    on_reject(item)

    for response, result in score_responses(readable(), config):
        key = (response.scored.data_source, result["reward_kind"])
        report.groups.setdefault(key, Group()).add(result)
        if on_result is not None:
            on_result(response, result)
    return report
