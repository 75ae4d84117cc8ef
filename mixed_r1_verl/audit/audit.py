"""`mixed-r1 audit`: can the reward be earned without looking at the picture?

Over a file of real rows, every reward kind is paid three ways, always through `MixedReward.score`:

- **honest**: the ground truth itself, in the form in which a model would write it. For open-ended rows with several
  references it is the first of them, scored against the others.
- **unrelated**: the honest answers of three other rows of the kind (boxes are moved to this row's image size).
- **constant**: the best single answer, taken from the data, given to every row of the same form (same number of
  options, yes/no, other). No reward can keep a policy from this, so it is no fault of the reward.

Then the attacks of `mixed_r1_verl.audit.attacks` are paid. An attack **pays** when its mean `acc` is above its bar:

| reward | bar of blind and smuggled attacks |
| --- | --- |
| matching, chart, math | the higher of unrelated and constant, + 0.02: nothing may beat a lucky guess |
| iou | the higher of constant and a quarter of the way from unrelated to honest |
| open_ended, custom | a quarter of the way from unrelated to honest |

A *fitted* attack is the likeliest text for such data, or its most frequent words. Similarity of texts cannot but pay
something for them, as equality does for the commonest letter; it pays when it comes half the way from unrelated to
honest.
A *padded* attack is the honest answer made worse; it pays when it loses less than a quarter of the way from honest down
to unrelated. For `format`, honest is a well-formed response, unrelated a bare answer, and any mean above 0 pays.

A kind whose rows cannot tell honest from unrelated (one row, one answer for all rows, or less than 0.05 between them)
is not audited, and the audit fails for it: a gate must not pass what it has not looked at.
"""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mixed_r1_verl.audit.attacks import ATTACKS, FORMAT_ATTACKS, Attack, reply
from mixed_r1_verl.audit.cases import (
    CLOSED_KINDS,
    Case,
    frequent_words,
    moved,
    partners_of,
    readable_cases,
    score,
    target_of,
)
from mixed_r1_verl.audit.rows import AuditError, AuditRow, read_rows
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.mixed import MixedReward

QUARTER, HALF = 0.25, 0.5
CLOSED_MARGIN = 0.02
LEAST_CONTRAST = 0.05
CONSTANTS_TRIED = 12


@dataclass(frozen=True)
class AttackResult:
    """One attack on one reward kind.

    Attributes:
        name: the attack.
        sort: `blind`, `fitted`, `smuggled` or `padded`; see `mixed_r1_verl.audit.attacks`.
        mean: mean `acc` (`format` for the format reward) over the rows, in [0, 1].
        bar: the mean from which on it would pay.
        pays: whether `mean` is above `bar`.
    """

    name: str
    sort: str
    mean: float
    bar: float
    pays: bool


@dataclass(frozen=True)
class KindAudit:
    """All results of one reward kind.

    Attributes:
        kind: the reward kind, or `format`.
        rows: rows that were scored.
        broken: rows that were left out because their ground truth cannot be scored.
        honest: mean of the honest answers.
        unrelated: mean of other rows' honest answers.
        constant: mean of the best constant answer, None where it does not enter the bar.
        not_audited: why the kind could not be audited, or empty.
        attacks: the attacks, best paid first.
    """

    kind: str
    rows: int
    broken: int
    honest: float
    unrelated: float
    constant: float | None
    not_audited: str
    attacks: tuple[AttackResult, ...]


@dataclass(frozen=True)
class AuditReport:
    """The result of an audit; `asdict` gives what `--format json` prints, but for `passed`."""

    kinds: tuple[KindAudit, ...]

    @property
    def paying(self) -> tuple[tuple[str, AttackResult], ...]:
        """(kind, attack) of every attack that pays."""
        return tuple((audit.kind, attack) for audit in self.kinds for attack in audit.attacks if attack.pays)

    @property
    def passed(self) -> bool:
        """Whether every kind was audited and no attack pays."""
        return bool(self.kinds) and not self.paying and not any(audit.not_audited for audit in self.kinds)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data."""
        return {"passed": self.passed, **asdict(self)}


def attack_bar(kind: str, sort: str, honest: float, unrelated: float, constant: float | None) -> float:
    """The mean above which an attack pays; the rules stand at the top of this module.

    Example:
        >>> attack_bar("open_ended", "blind", honest=1.0, unrelated=0.5, constant=None)
        0.625
        >>> attack_bar("matching", "blind", honest=1.0, unrelated=0.25, constant=0.5)
        0.52
        >>> attack_bar("iou", "padded", honest=1.0, unrelated=0.5, constant=0.5)
        0.875
    """
    if kind == "format":
        return 0.0
    if sort == "padded":
        return honest - QUARTER * (honest - unrelated)
    if sort == "fitted":
        return unrelated + HALF * (honest - unrelated)
    best_guess = max(unrelated, constant or 0.0)
    if kind in CLOSED_KINDS:
        return best_guess + CLOSED_MARGIN
    quarter = unrelated + QUARTER * (honest - unrelated)
    return max(quarter, constant or 0.0) if kind == "iou" else quarter


def audit_rows(
    rows: Sequence[AuditRow],
    config: MixedRewardConfig | None = None,
    *,
    rows_per_kind: int = 200,
    seed: int = 0,
    attacks: Sequence[Attack] = ATTACKS,
) -> AuditReport:
    """Audits Mixed-Reward on rows of data.

    Args:
        rows: rows of any kinds.
        config: how the rewards are set.
        rows_per_kind: at most this many rows of each kind are drawn.
        seed: of the draw and of the attacks that use chance.
        attacks: what is tried on the task rewards; the format reward has its own suite.

    Returns:
        One `KindAudit` for each kind that occurs, and one for the format reward.

    Raises:
        AuditError: if there is no row, or a row names no known reward.
    """
    if not rows:
        raise AuditError("there are no rows to audit")
    reward = MixedReward(config)
    by_kind: dict[str, list[AuditRow]] = {}
    for number, row in enumerate(rows):
        try:
            by_kind.setdefault(reward.route(row.data_source, row.extra_info), []).append(row)
        except ValueError as error:
            raise AuditError(f"row {number}: {error}") from error
    draw = random.Random(seed)
    audits, format_cases = [], []
    for kind in sorted(by_kind):
        drawn = by_kind[kind]
        if len(drawn) > rows_per_kind:
            drawn = draw.sample(drawn, rows_per_kind)
        cases = readable_cases(kind, drawn, reward)
        audits.append(_audit_kind(kind, cases, len(drawn) - len(cases), reward, attacks))
        format_cases += cases[:20]
    if format_cases:
        audits.append(_audit_format(format_cases, reward))
    return AuditReport(tuple(audits))


def audit_file(
    path: str | Path,
    config: MixedRewardConfig | None = None,
    *,
    rows_per_kind: int = 200,
    seed: int = 0,
    attacks: Sequence[Attack] = ATTACKS,
) -> AuditReport:
    """Audits Mixed-Reward on a parquet or JSONL file; see `audit_rows`.

    Raises:
        AuditError: if the file cannot be read, lacks a column, or has no rows.
    """
    return audit_rows(read_rows(path), config, rows_per_kind=rows_per_kind, seed=seed, attacks=attacks)


def _audit_kind(
    kind: str, cases: Sequence[Case], broken: int, reward: MixedReward, attacks: Sequence[Attack]
) -> KindAudit:
    def acc(case: Case, response: str) -> float:
        return float(score(reward, case, response)["acc"])

    if len({case.row.ground_truth for case in cases}) < 2:
        reason = "fewer than two different ground truths" if cases else "no row can be scored"
        return KindAudit(kind, len(cases), broken, 0.0, 0.0, None, reason, ())
    partners = partners_of(kind, cases)
    honest = _mean([acc(case, reply(case.honest)) for case in cases])
    unrelated = _mean(
        [
            acc(case, reply(moved(other.honest, other, case)))
            for case, others in zip(cases, partners, strict=True)
            for other in others
        ]
    )
    constant = _best_constant(cases, acc) if kind == "iou" or kind in CLOSED_KINDS else None
    contrast = honest - unrelated
    if contrast < LEAST_CONTRAST:
        reason = f"honest answers earn {honest:.3f} and unrelated ones {unrelated:.3f}: nothing to tell apart"
        return KindAudit(kind, len(cases), broken, honest, unrelated, constant, reason, ())
    frequent = frequent_words([case.honest for case in cases])
    targets = [
        target_of(kind, case, moved(others[0].honest, others[0], case), frequent, number)
        for number, (case, others) in enumerate(zip(cases, partners, strict=True))
    ]
    results = []
    for attack in attacks:
        if attack.suits(kind):
            mean = _mean([acc(case, attack.respond(target)) for case, target in zip(cases, targets, strict=True)])
            bar = attack_bar(kind, attack.sort, honest, unrelated, constant)
            results.append(AttackResult(attack.name, attack.sort, mean, bar, mean > bar + 1e-9))
    return KindAudit(kind, len(cases), broken, honest, unrelated, constant, "", _best_paid_first(results))


def _audit_format(cases: Sequence[Case], reward: MixedReward) -> KindAudit:
    def format_of(case: Case, response: str) -> float:
        return float(score(reward, case, response)["format"])

    results = []
    for attack in FORMAT_ATTACKS:
        mean = _mean([format_of(case, attack.respond(target_of("format", case, "other"))) for case in cases])
        results.append(AttackResult(attack.name, attack.sort, mean, 0.0, mean > 0.0))
    honest = _mean([format_of(case, reply(case.honest)) for case in cases])
    unrelated = _mean([format_of(case, case.honest) for case in cases])
    reason = "" if honest - unrelated >= LEAST_CONTRAST else "well-formed responses earn no more than bare answers"
    return KindAudit("format", len(cases), 0, honest, unrelated, None, reason, _best_paid_first(results))


def _best_paid_first(results: Sequence[AttackResult]) -> tuple[AttackResult, ...]:
    return tuple(sorted(results, key=lambda result: (not result.pays, result.bar - result.mean)))


def _best_constant(cases: Sequence[Case], acc: Callable[[Case, str], float]) -> float:
    """Mean of the best single answer to all rows of a form, over all forms."""
    total = 0.0
    for form in {case.form for case in cases}:
        members = [case for case in cases if case.form == form]
        first_with: dict[str, Case] = {}
        for case in members:
            first_with.setdefault(case.honest, case)
        likely = [answer for answer, _ in Counter(case.honest for case in members).most_common(CONSTANTS_TRIED)]
        total += max(
            sum(acc(case, reply(moved(answer, first_with[answer], case))) for case in members) for answer in likely
        )
    return total / len(cases)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
