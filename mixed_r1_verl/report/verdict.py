"""What the curves of a run say at a glance: which rewards learn, which may be gamed, and what keeps them from learning.

The thresholds are ours, and `docs/report.md` says each of them.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from mixed_r1_verl.report.history import TRAINER, Curves, Point
from mixed_r1_verl.report.run import TRAIN, VALIDATION

Level = Literal["good", "warning", "bad"]
LEVELS: tuple[tuple[Level, str], ...] = (("good", ""), ("warning", "warning"), ("bad", "alarm"))

CERTAIN = 2.0  # standard errors beyond which a difference is a rise or a fall

ENOUGH_STEPS = 8
"""Points that a line without standard errors needs to be judged: its first and its last quarter are compared."""

SOLVED = 0.9  # a score that need not rise any more

LIMITS: tuple[tuple[str, float, Level, str], ...] = (
    ("error", 0.01, "bad", "of its samples cannot be scored; the rollouts say why"),
    ("malformed", 0.2, "warning", "of its responses are malformed"),
    ("truncated", 0.2, "warning", "of its responses end at data.max_response_length"),
    ("zero_variance", 0.8, "warning", "of its groups score all alike and teach nothing"),
)
"""Curves of a reward: the share over the last quarter beyond which it is told, how grave it is, and what is said."""

STARVED = 0.25  # a reward whose share of the gradient is less than this part of its share of the samples is told


class Finding(NamedTuple):
    """One sentence about a run, and how grave it is."""

    level: Level
    text: str


class Change(NamedTuple):
    """A line from its start to its end: means of the two, and their difference in standard errors."""

    first: float
    last: float
    errors: float

    def __str__(self) -> str:
        return f"{self.first:.2f} → {self.last:.2f}"


def judge(curves: Curves) -> list[Finding]:
    """The verdict on a run: its headline, then what is bad, what is doubtful and what is good.

    >>> score = {"chart": [(0, 0.2, 0.01), (9, 0.5, 0.01)], "iou": [(0, 0.3, 0.01), (9, 0.3, 0.01)]}
    >>> for finding in judge({("validation", "reward", "score"): score}):
    ...     print(*finding)
    warning 1 of 2 rewards learns; 1 warning
    warning iou does not learn: its score in validation 0.30 → 0.30
    good chart learns: its score in validation 0.20 → 0.50
    """
    lines = {(split, metric): found for (split, by, metric), found in curves.items() if by == "reward"}
    kinds = sorted({kind for (_, metric), found in lines.items() if metric == "score" for kind in found})
    learning = [finding for kind in kinds if (finding := _learning(kind, lines))]
    findings = learning + [finding for kind in kinds for finding in _troubles(kind, lines)]
    entropy = change(curves.get((TRAINER, "", "entropy"), {}).get("", ()))
    if entropy and 0 < entropy.last < entropy.first / 10:
        findings.append(Finding("warning", f"the policy hardly explores any more: its entropy {entropy}"))
    learned = sum(finding.level == "good" for finding in learning)
    headline = f"{learned} of {len(learning)} rewards {'learns' if learned == 1 else 'learn'}"
    if learned == len(learning):
        headline = "every reward learns" if learning else "too few steps to say whether anything learns"
    rank = {level: number for number, (level, _) in enumerate(LEVELS)}
    worst: Level = "good" if learning else "warning"
    for level, name in LEVELS[:0:-1]:
        if count := sum(finding.level == level for finding in findings):
            headline += f"; {count} {name}{'s' * (count > 1)}"
            worst = max(worst, level, key=rank.__getitem__)
    return [Finding(worst, headline), *sorted(findings, key=lambda finding: -rank[finding.level])]


def change(points: Sequence[Point]) -> Change | None:
    """From the first to the last quarter of a line; of a short line of known errors from its first to its last point.

    >>> change([(0, 0.2, 0.03), (50, 0.7, 0.04)]).errors.__round__(6)
    10.0
    >>> change([(0, 0.2, None), (50, 0.7, None)]) is None
    True
    """
    if len(points) >= ENOUGH_STEPS:
        values, part = np.array([value for _, value, _ in points]), len(points) // 4
        start, end = values[:part], values[-part:]
        noise = math.sqrt((start.var(ddof=1) + end.var(ddof=1)) / part)
        first, last = float(start.mean()), float(end.mean())
    else:
        if len(points) < 2:
            return None
        (_, first, before), (_, last, after) = points[0], points[-1]
        if before is None or after is None:
            return None
        noise = math.hypot(before, after)
    errors = (last - first) / max(noise, 1e-9)
    return Change(first, last, errors) if math.isfinite(errors) else None


Lines = Mapping[tuple[str, str], Mapping[str, Sequence[Point]]]


def _learning(kind: str, lines: Lines) -> Finding | None:
    """Whether a reward learns: where it was validated, there, else in training. None where nothing can be said."""
    found = {
        (split, metric): moved
        for split in (VALIDATION, TRAIN)
        for metric in ("score", "acc")
        if (moved := change(lines.get((split, metric), {}).get(kind, ())))
    }
    split = VALIDATION if (VALIDATION, "score") in found else TRAIN
    score, accuracy = found.get((split, "score")), found.get((split, "acc"))
    if score is None:
        return None
    paid = found.get((TRAIN, "score"), score)
    if accuracy and paid.errors > CERTAIN and accuracy.errors < -CERTAIN:
        return Finding("bad", f"{kind} may be gamed: its score rises ({paid}) while its accuracy falls ({accuracy})")
    where = f"its score in {'training' if split == TRAIN else 'validation'} {score}"
    if score.errors < -CERTAIN:
        return Finding("bad", f"{kind} gets worse: {where}")
    if score.errors > CERTAIN:
        return Finding("good", f"{kind} learns: {where}")
    if score.last >= SOLVED:
        return Finding("good", f"{kind} has learned: {where}")
    return Finding("warning", f"{kind} does not learn: {where}")


def _troubles(kind: str, lines: Lines) -> Iterator[Finding]:
    def latest(metric: str, splits: Sequence[str] = (TRAIN, VALIDATION)) -> float:
        points = next((line for split in splits if (line := lines.get((split, metric), {}).get(kind))), ())
        return float(np.mean([value for _, value, _ in points[-max(len(points) // 4, 1) :]])) if points else 0.0

    for metric, limit, level, what in LIMITS:
        if (share := latest(metric)) > limit:
            yield Finding(level, f"{kind}: {share:.0%} {what}")
    every = sum(float(line[-1][1]) for line in lines.get((TRAIN, "samples"), {}).values())
    samples, gradient = latest("samples") / (every or 1.0), latest("gradient_share")
    if 0 < gradient < STARVED * samples:
        yield Finding("warning", f"{kind}: {gradient:.0%} of the gradient with {samples:.0%} of the samples")
