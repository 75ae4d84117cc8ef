"""`mixed-r1 audit`: can the reward be earned without looking at the picture?

Over a file of real rows, every reward kind is paid three ways, always through `MixedReward.score`:

- **honest**: the ground truth itself, in the form in which a model would write it. For open-ended rows with several
  references it is the first of them, scored against the others. To one that stands alone no answer comes
  near, but itself: a person's comes a third of the way from unrelated (`PERSON`), and there honest lies.
- **unrelated**: the honest answers of three other rows of the kind (boxes are moved to this row's image size).
- **constant**: the best single answer, taken from the data, given to every row of the same form (same number of
  options, yes/no, other). No reward can keep a policy from this, so it is no fault of the reward.

Then the attacks of `mixed_r1_verl.audit.attacks` are paid. An attack **pays** when its mean `acc` is above its bar:

| answers of the kind | bar of blind and smuggled attacks |
| --- | --- |
| closed (matching, chart, math) | the higher of unrelated and constant, + 0.02: nothing may beat a lucky guess |
| boxes (iou) | the higher of constant and a quarter of the way from unrelated to honest |
| texts (open_ended, functions of a user's own) | a quarter of the way from unrelated to honest |

A *fitted* attack is the likeliest text for such data, or its most frequent words. Similarity of texts cannot but pay
something for them, as equality does for the commonest letter; it pays when it comes half the way from unrelated to
honest, and against single references when it earns what a person does. So does *found_by_search*, the text that an
optimiser (`mixed_r1_verl.audit.search`) builds on one half of the rows from their words; it is paid on the other half.
A *padded* attack is the honest answer made worse; it pays when it loses less than a quarter of the way from honest down
to unrelated. For `format`, honest is a well-formed response, unrelated a bare answer, and any mean above 0 pays.

A kind whose rows cannot tell honest from unrelated (one row, one answer for all rows, or less than 0.05 between them)
is not audited, and the audit fails for it: a gate must not pass what it has not looked at.
"""

import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mixed_r1_verl.audit.attacks import FORMAT_ATTACKS, attacks_on
from mixed_r1_verl.audit.cases import Case, frequent_words, partners_of, readable_cases
from mixed_r1_verl.audit.search import search_text
from mixed_r1_verl.core.rows import DataError, DataRow, Reject, read_rows
from mixed_r1_verl.rewards.cheats import Cheat, reply
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.kind import RewardKind
from mixed_r1_verl.rewards.mixed import MixedReward, UnknownRewardError

__all__ = ["AttackResult", "AuditReport", "KindAudit", "attack_bar", "audit_file", "audit_rows", "read_audit_rows"]

QUARTER, HALF = 0.25, 0.5
PERSON = 1 / 3
"""Measured on captions: 0.35 on Flickr8k and 0.33 on PASCAL-50S by the default reward, 0.34 and 0.27 by plain BMAS."""

CLOSED_MARGIN = 0.02
LEAST_CONTRAST = 0.05
CONSTANTS_TRIED = 12
# The optimiser tries so many texts, and no longer than this.
SEARCH_STEPS, SEARCH_SECONDS = 150, 20.0


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


def attack_bar(answers: str, sort: str, honest: float, unrelated: float, constant: float | None) -> float:
    """The mean above which an attack pays; the rules stand at the top of this module.

    Args:
        answers: of the kind: `closed`, `boxes` or `text`.
        sort: of the attack.
        honest, unrelated, constant: means in [0, 1].

    Example:
        >>> attack_bar("text", "blind", honest=1.0, unrelated=0.5, constant=None)
        0.625
        >>> attack_bar("closed", "blind", honest=1.0, unrelated=0.25, constant=0.5)
        0.52
        >>> attack_bar("boxes", "padded", honest=1.0, unrelated=0.5, constant=0.5)
        0.875
    """
    if sort == "padded":
        return honest - QUARTER * (honest - unrelated)
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
        if len(drawn) > rows_per_kind:
            drawn = draw.sample(drawn, rows_per_kind)
        cases = readable_cases(kind, drawn, reward)
        tried = attacks_on(reward.kinds[kind]) if attacks is None else attacks
        audits.append(_audit_kind(reward.kinds[kind], cases, len(drawn) - len(cases), reward, tried))
        format_cases += cases[:20]
    if format_cases and (reward.config.format.think_tags or reward.config.format.answer_tags):
        audits.append(_audit_format(format_cases, reward))
    return AuditReport(tuple(audits))


def read_audit_rows(path: Path) -> list[DataRow]:
    """The rows of a parquet or JSONL file; pictures are not read.

    Raises:
        DataError: if the file cannot be read, or one of its rows cannot.
    """
    rows = []
    for row in read_rows(path):
        if isinstance(row, Reject):
            raise DataError(f"{row.row}: {row.field}: {row.reason} ({row.detail})")
        rows.append(row)
    return rows


def audit_file(
    path: str | Path, config: MixedRewardConfig | None = None, *, rows_per_kind: int = 200, seed: int = 0
) -> AuditReport:
    """Audits Mixed-Reward on a parquet or JSONL file; see `audit_rows`.

    Raises:
        DataError: if the file cannot be read or has no rows.
    """
    return audit_rows(read_audit_rows(Path(path)), config, rows_per_kind=rows_per_kind, seed=seed)


def _audit_kind(
    kind: RewardKind, cases: Sequence[Case], broken: int, reward: MixedReward, attacks: Sequence[Cheat]
) -> KindAudit:
    def acc(case: Case, response: str) -> float:
        return float(case.score(reward, response)["acc"])

    def audited(reason: str, results: Sequence[AttackResult] = ()) -> KindAudit:
        return KindAudit(kind.name, len(cases), broken, honest, unrelated, constant, reason, _best_paid_first(results))

    honest, unrelated, constant = 0.0, 0.0, None
    if len({case.row.ground_truth for case in cases}) < 2:
        return audited("fewer than two different ground truths" if cases else "no row can be scored")
    partners = partners_of(kind, cases)
    honest = _mean([acc(case, reply(case.honest)) for case in cases])
    unrelated = _mean(
        [
            acc(case, reply(other.answer_to(case)))
            for case, others in zip(cases, partners, strict=True)
            for other in others
        ]
    )
    copied = honest  # what padded attacks begin with
    singles = sum(len(case.gold.references) == 1 for case in cases) / len(cases)
    honest -= singles * (1 - PERSON) * max(0.0, honest - unrelated)
    bests = {"padded": copied, "fitted": min(copied, 2 * honest - unrelated)}
    constant = None if kind.answers == "text" else _best_constant(cases, acc)
    if honest - unrelated < LEAST_CONTRAST:
        return audited(f"honest answers earn {honest:.3f} and unrelated ones {unrelated:.3f}: nothing to tell apart")
    frequent = frequent_words([case.honest for case in cases])
    targets = [
        case.target(others[0].answer_to(case), frequent, number)
        for number, (case, others) in enumerate(zip(cases, partners, strict=True))
    ]
    results = []
    for attack in attacks:
        said = [attack.respond(target) for target in targets]
        if all(case.allows(reward, response) for case, response in zip(cases, said, strict=True)):
            continue
        mean = _mean([acc(case, response) for case, response in zip(cases, said, strict=True)])
        bar = attack_bar(kind.answers, attack.sort, bests.get(attack.sort, honest), unrelated, constant)
        results.append(AttackResult(attack.name, attack.sort, mean, bar, mean > bar + 1e-9))
    if kind.answers == "text" and len(cases) > 3:
        mean = _mean_of_searched(cases, acc)
        bar = attack_bar(kind.answers, "fitted", bests["fitted"], unrelated, constant)
        results.append(AttackResult("found_by_search", "fitted", mean, bar, mean > bar + 1e-9))
    return audited("", results)


def _mean_of_searched(cases: Sequence[Case], acc: Callable[[Case, str], float]) -> float:
    """What the text pays on one half of the rows that the optimiser found with the other half and its words."""
    seen, unseen = cases[::2], cases[1::2]
    counts = Counter(word for case in seen for word in set(re.findall(r"\w+", case.honest.lower())))
    words = [word for word, _ in counts.most_common() if len(word) > 2]
    text = search_text(
        len(seen),
        lambda row, text: acc(seen[row], reply(text)),
        words or ["thing"],
        seed=len(cases),
        seconds=SEARCH_SECONDS,
        steps=SEARCH_STEPS,
    )
    return _mean([acc(case, reply(text)) for case in unseen])


def _audit_format(cases: Sequence[Case], reward: MixedReward) -> KindAudit:
    def mean_format(responses: Iterable[str]) -> float:
        return _mean([float(case.score(reward, text)["format"]) for case, text in zip(cases, responses, strict=True)])

    targets = [case.target("other") for case in cases]
    results = []
    for attack in FORMAT_ATTACKS:
        said = [attack.respond(target) for target in targets]
        if all(case.allows(reward, response) for case, response in zip(cases, said, strict=True)):
            continue
        mean = mean_format(said)
        results.append(AttackResult(attack.name, attack.sort, mean, 0.0, mean > 0.0))
    honest = mean_format(reply(case.honest) for case in cases)
    unrelated = mean_format(case.honest for case in cases)
    reason = "" if honest - unrelated >= LEAST_CONTRAST else "well-formed responses earn no more than bare answers"
    return KindAudit("format", len(cases), 0, honest, unrelated, None, reason, _best_paid_first(results))


def _best_paid_first(results: Sequence[AttackResult]) -> tuple[AttackResult, ...]:
    return tuple(sorted(results, key=lambda result: (not result.pays, result.bar - result.mean)))


def _best_constant(cases: Sequence[Case], acc: Callable[[Case, str], float]) -> float:
    """Mean of the best single answer to all rows of a form, over all forms."""
    total = 0.0
    for form in {case.gold.form for case in cases}:
        members = [case for case in cases if case.gold.form == form]
        first_with: dict[str, Case] = {}
        for case in members:
            first_with.setdefault(case.honest, case)
        likely = [answer for answer, _ in Counter(case.honest for case in members).most_common(CONSTANTS_TRIED)]
        total += max(sum(acc(case, reply(first_with[answer].answer_to(case))) for case in members) for answer in likely)
    return total / len(cases)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0
