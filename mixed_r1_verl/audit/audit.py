"""`mixed-r1 audit`: can the reward be earned without looking at the picture?

Over a file of real rows, every reward kind is paid for honest answers, for those of other rows, for the best constant
one, and for attacks, always through `MixedReward.score`. An attack *pays* when its mean `acc`, over the rows in which
it has something to say, is above its bar; the bars and what they are made of stand in docs/rewards.md.

A kind whose rows cannot tell honest from unrelated (one row, one answer for all rows, or less than 0.05 between them)
is not audited, and the audit fails for it: a gate must not pass what it has not looked at.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any

from mixed_r1_verl.audit.attacks import FORMAT_ATTACKS, attacks_on
from mixed_r1_verl.audit.cases import Case, frequent_words, partners_of, readable_cases
from mixed_r1_verl.audit.search import search_text
from mixed_r1_verl.core.rows import DataError, DataRow
from mixed_r1_verl.rewards.cheats import Cheat, Target, reply
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.kind import RewardKind
from mixed_r1_verl.rewards.mixed import MixedReward, UnknownRewardError

TWENTIETH, QUARTER, HALF = 0.05, 0.25, 0.5
PERSON = 0.25
"""Measured on captions, one against one other: 0.31 on Flickr8k and PASCAL-50S, 0.17 on Multi30k, by the default reward
with its built-in table."""

CLOSED_MARGIN = 0.02
LEAST_CONTRAST = 0.05
CONSTANTS_TRIED = 12
# The optimiser tries so many texts, and no longer than this.
SEARCH_STEPS, SEARCH_SECONDS = 150, 20.0


@dataclass(frozen=True)
class AttackResult:
    """One attack on one reward kind: its name and sort (see `rewards.cheats`), the mean that it earned of `acc` (of
    `format` for the format reward), and the bar above which it pays."""

    name: str
    sort: str
    mean: float
    bar: float
    pays: bool


@dataclass(frozen=True)
class KindAudit:
    """All results of one reward kind."""

    kind: str  # the reward kind, or `format`
    # rows, broken: rows that were scored, and that were left out because their ground truth cannot be
    rows: int
    broken: int
    # honest, unrelated, constant: means of honest answers, of other rows' and of the best constant one; None where that
    # does not enter the bar
    honest: float = 0.0
    unrelated: float = 0.0
    constant: float | None = None
    not_audited: str = ""  # why the kind could not be audited, or empty
    attacks: tuple[AttackResult, ...] = ()  # the attacks, best paid first


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


def attack_bar(answers: str, sort: str, honest: float, unrelated: float, constant: float | None) -> float:
    """The mean above which an attack pays.

    Args:
        answers: of the kind: `closed`, `boxes` or `text`.
        sort: of the attack.
        honest, unrelated, constant: means in [0, 1].

    >>> attack_bar("text", "blind", honest=1.0, unrelated=0.5, constant=None)
    0.625
    >>> attack_bar("closed", "blind", honest=1.0, unrelated=0.25, constant=0.5)
    0.52
    """
    if sort in ("padded", "worsened"):
        return honest - (QUARTER if sort == "padded" else TWENTIETH) * (honest - unrelated)
    if sort == "fitted":
        return unrelated + HALF * (honest - unrelated)
    best_guess = max(unrelated, constant or 0.0)
    if answers == "closed":
        return best_guess + CLOSED_MARGIN
    quarter = unrelated + QUARTER * (honest - unrelated)
    return max(quarter, constant or 0.0) if answers == "boxes" else quarter


def audit_rows(
    rows: Sequence[DataRow],
    config: MixedRewardConfig | None = None,
    *,
    rows_per_kind: int = 200,
    seed: int = 0,
    attacks: Sequence[Cheat] | None = None,
) -> AuditReport:
    """Audits Mixed-Reward on rows of data.

    Args:
        rows: rows of any kinds.
        config: how the rewards are set.
        rows_per_kind: at most this many rows of each kind are drawn.
        seed: of the draw and of the attacks that use chance.
        attacks: what is tried on the task rewards; None tries on each kind what `attacks_on` gives. The format reward
            has its own suite.

    Returns:
        One `KindAudit` for each kind that occurs, and one for the format reward.

    Raises:
        DataError: if there is no row, or a row names no known reward.
    """
    if not rows:
        raise DataError("there are no rows to audit")
    reward = MixedReward(config)
    by_kind: dict[str, list[DataRow]] = {}
    for row in rows:
        try:
            by_kind.setdefault(reward.route(row.data_source, row.extra_info), []).append(row)
        except UnknownRewardError as error:
            raise DataError(f"{row.file}: row {row.number}: {error}") from error
    draw = random.Random(seed)
    audits, format_cases = [], []
    for kind in sorted(by_kind):
        drawn = by_kind[kind]
        drawn = draw.sample(drawn, rows_per_kind) if len(drawn) > rows_per_kind else drawn
        cases = readable_cases(kind, drawn, reward)
        tried = attacks_on(reward.kinds[kind]) if attacks is None else attacks
        audits.append(_audit_kind(reward.kinds[kind], cases, len(drawn) - len(cases), reward, tried))
        format_cases += cases[:20]
    if format_cases and (reward.config.format.think_tags or reward.config.format.answer_tags):
        audits.append(_audit_format(format_cases, reward))
    return AuditReport(tuple(audits))


def _audit_kind(
    kind: RewardKind, cases: Sequence[Case], broken: int, reward: MixedReward, attacks: Sequence[Cheat]
) -> KindAudit:
    def acc(case: Case, response: str) -> float:
        return float(case.score(reward, response)["acc"])

    audit = KindAudit(kind.name, len(cases), broken)
    if len({case.row.ground_truth for case in cases}) < 2:
        reason = "fewer than two different ground truths" if cases else "no row can be scored"
        return replace(audit, not_audited=reason)
    partners = partners_of(kind, cases)
    copied = honest = fmean(acc(case, reply(case.honest)) for case in cases)
    unrelated = fmean(
        acc(case, reply(other.answer_to(case)))
        for case, others in zip(cases, partners, strict=True)
        for other in others
    )
    singles = fmean(len(case.gold.references) == 1 for case in cases)
    honest -= singles * (1 - PERSON) * max(0.0, honest - unrelated)
    # Padded attacks begin with the copy. Against single references a fitted one may come as far as a person does.
    bests = {"padded": copied, "fitted": min(copied, 2 * honest - unrelated)}
    if kind.answers == "text":
        bests["worsened"] = fmean(acc(case.alone, reply(case.honest)) for case in cases)
    constant = None if kind.answers == "text" else _best_constant(cases, acc)
    audit = replace(audit, honest=honest, unrelated=unrelated, constant=constant)
    if honest - unrelated < LEAST_CONTRAST:
        reason = f"honest answers earn {honest:.3f} and unrelated ones {unrelated:.3f}: nothing to tell apart"
        return replace(audit, not_audited=reason)
    frequent = frequent_words([case.honest for case in cases])
    targets = [
        case.target(others[0].answer_to(case), frequent, number)
        for number, (case, others) in enumerate(zip(cases, partners, strict=True))
    ]

    def bar(sort: str) -> float:
        return attack_bar(kind.answers, sort, bests.get(sort, honest), unrelated, constant)

    results = _attacked(cases, targets, attacks, reward, "acc", bar)
    if kind.answers == "text" and len(cases) > 3:
        results.append(_result("found_by_search", "fitted", _mean_of_searched(cases, acc), bar("fitted")))
    return replace(audit, attacks=_best_paid_first(results))


def _audit_format(cases: Sequence[Case], reward: MixedReward) -> KindAudit:
    honest, unrelated = (
        fmean(float(case.score(reward, said(case.honest))["format"]) for case in cases) for said in (reply, str)
    )
    results = _attacked(
        cases, [case.target("other") for case in cases], FORMAT_ATTACKS, reward, "format", lambda _: 0.0
    )
    reason = "" if honest - unrelated >= LEAST_CONTRAST else "well-formed responses earn no more than bare answers"
    return KindAudit("format", len(cases), 0, honest, unrelated, None, reason, _best_paid_first(results))


def _attacked(
    cases: Sequence[Case],
    targets: Sequence[Target],
    attacks: Sequence[Cheat],
    reward: MixedReward,
    measure: str,
    bar: Callable[[str], float],
) -> list[AttackResult]:
    """What attacks earn of `acc` or `format`, each over the rows in which it says something."""
    results = []
    for attack in attacks:
        said = list(zip(cases, map(attack.respond, targets), strict=True))
        if all(case.allows(reward, response) for case, response in said):
            continue
        said = [(case, response) for case, response in said if response != reply("")] or said
        if attack.sort == "worsened":
            said = [(case.alone, response) for case, response in said]
        mean = fmean(float(case.score(reward, response)[measure]) for case, response in said)
        results.append(_result(attack.name, attack.sort, mean, bar(attack.sort)))
    return results


def _result(name: str, sort: str, mean: float, bar: float) -> AttackResult:
    return AttackResult(name, sort, mean, bar, mean > bar + 1e-9)


def _mean_of_searched(cases: Sequence[Case], acc: Callable[[Case, str], float]) -> float:
    """What the text pays on one half of the rows that the optimiser found with the other half and its words."""
    seen, unseen = cases[::2], cases[1::2]
    counts = Counter(word for case in seen for word in set(re.findall(r"\w+", case.honest.lower())))
    words = [word for word, _ in counts.most_common() if len(word) > 2] or ["thing"]

    def paid(row: int, text: str) -> float:
        return acc(seen[row], reply(text))

    text = search_text(len(seen), paid, words, seed=len(cases), seconds=SEARCH_SECONDS, steps=SEARCH_STEPS)
    return fmean(acc(case, reply(text)) for case in unseen)


def _best_paid_first(results: Sequence[AttackResult]) -> tuple[AttackResult, ...]:
    return tuple(sorted(results, key=lambda result: (not result.pays, result.bar - result.mean)))


def _best_constant(cases: Sequence[Case], acc: Callable[[Case, str], float]) -> float:
    """Mean of the best single answer to all rows of a form, over all forms."""
    total = 0.0
    for form in {case.gold.form for case in cases}:
        members = [case for case in cases if case.gold.form == form]
        first_with = {case.honest: case for case in reversed(members)}
        likely = [answer for answer, _ in Counter(case.honest for case in members).most_common(CONSTANTS_TRIED)]
        total += max(sum(acc(case, reply(first_with[answer].answer_to(case))) for case in members) for answer in likely)
    return total / len(cases)
