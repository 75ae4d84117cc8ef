"""`mixed-r1 audit`: can the reward be earned without looking at the picture?

Over a file of real rows, every reward kind is paid three ways, always through `MixedReward.score`:

- **honest**: the ground truth itself, in the form in which a model would write it. For open-ended rows with several
  references it is the first of them, scored against the others.
- **unrelated**: the honest answers of three other rows of the kind (boxes are moved to this row's image size).
- **constant**: the best single answer, taken from the data, given to every row of the same form (same number of
  options, yes/no, other). No reward can keep a policy from this, so it is no fault of the reward.

Then the attacks of `mixed_r1_verl.attacks` are paid. An attack **pays** when its mean `acc` is above its bar:

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

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from mixed_r1_verl.attacks import ATTACKS, FORMAT_ATTACKS, Attack, Target, reply
from mixed_r1_verl.rewards.boxes import Box, frame_scale, rescale
from mixed_r1_verl.rewards.config import ConfigError, MixedRewardConfig
from mixed_r1_verl.rewards.mixed import MixedReward
from mixed_r1_verl.rewards.verdict import GroundTruthError

QUARTER, HALF = 0.25, 0.5
CLOSED_MARGIN = 0.02
LEAST_CONTRAST = 0.05
CLOSED_KINDS = ("matching", "chart", "math")
CONSTANTS_TRIED = 12
DEMO_ROWS = 60
_DEFAULT_EXTENT = (1000, 1000)


class AuditError(ValueError):
    """The file cannot be audited."""


@dataclass(frozen=True)
class AuditRow:
    """What the audit needs of a row of the data."""

    data_source: str
    ground_truth: str
    extra_info: Mapping[str, Any]


@dataclass(frozen=True)
class AttackResult:
    """One attack on one reward kind.

    Attributes:
        name: the attack.
        sort: `blind`, `fitted`, `smuggled` or `padded`; see `mixed_r1_verl.attacks`.
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
        cases = _readable_cases(kind, drawn, reward)
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


# --- rows -------------------------------------------------------------------------------------------------------------

_COLUMNS = ("data_source", "reward_model", "extra_info")


def read_rows(path: str | Path) -> list[AuditRow]:
    """The rows of a parquet file (pictures are not read) or of a JSONL file with the same columns.

    Raises:
        AuditError: naming the file, and the line where there is one.
    """
    path = Path(path)
    if not path.is_file():
        raise AuditError(f"{path}: no such file")
    if path.suffix == ".parquet":
        return [_row(record, f"{path}, row {number}") for number, record in enumerate(_parquet_records(path))]
    rows = []
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if line.strip():
                try:
                    record = json.loads(line)
                except ValueError as error:
                    raise AuditError(f"{path}, line {number}: not JSON ({error})") from error
                rows.append(_row(record, f"{path}, line {number}"))
    return rows


def _parquet_records(path: Path) -> list[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        missing = [name for name in _COLUMNS if name not in file.schema_arrow.names]
        if missing:
            raise AuditError(f"{path}: no column {', '.join(missing)}")
        return file.read(columns=list(_COLUMNS)).to_pylist()
    except pa.ArrowInvalid as error:
        raise AuditError(f"{path}: not a parquet file ({error})") from error


def _row(record: Any, place: str) -> AuditRow:
    try:
        return AuditRow(str(record["data_source"]), record["reward_model"]["ground_truth"], dict(record["extra_info"]))
    except (KeyError, TypeError, ValueError) as error:
        raise AuditError(f"{place}: needs data_source, reward_model.ground_truth and extra_info") from error


def demo_rows(count: int = DEMO_ROWS) -> list[AuditRow]:
    """Rows about rendered scenes: matching, chart, iou and open-ended, `count` of each. Nothing is drawn or read."""
    from mixed_r1_verl.data.scenes import SIZE, make_scene

    rows = []
    for kind in ("chart", "iou", "matching", "open_ended"):
        for number in range(count):
            question = make_scene(kind, f"audit-{number}").question
            info = {
                "reward": question.reward,
                "question": question.text,
                "choices": list(question.choices),
                "width": SIZE,
                "height": SIZE,
            }
            rows.append(AuditRow(f"scenes_{kind}", question.answer, info))
    return rows


# --- one kind ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Case:
    """A row that can be scored, its honest answer, and the size of its image in the frame of its boxes."""

    row: AuditRow
    honest: str
    extent: tuple[float, float]
    form: str


def _readable_cases(kind: str, rows: Sequence[AuditRow], reward: MixedReward) -> list[_Case]:
    cases = []
    for row in rows:
        try:
            case = _case(kind, row, reward.config)
        except (GroundTruthError, ValueError):
            continue
        if not _score(reward, case, reply(case.honest))["error"]:
            cases.append(case)
    return cases


def _case(kind: str, row: AuditRow, config: MixedRewardConfig) -> _Case:
    choices = row.extra_info.get("choices") or ()
    if kind == "iou":
        return _iou_case(row, config)
    if kind == "open_ended":
        from mixed_r1_verl.rewards.open_ended import parse_ground_truth

        first, *others = parse_ground_truth(row.ground_truth)
        if others:
            row = AuditRow(row.data_source, json.dumps(others, ensure_ascii=False), row.extra_info)
        return _Case(row, first, _DEFAULT_EXTENT, "")
    if kind == "matching" and len(choices):
        from mixed_r1_verl.rewards.matching import parse_ground_truth as parse_choice

        letter = str(parse_choice(row.ground_truth, tuple(choices)).expected)
        return _Case(row, letter, _DEFAULT_EXTENT, f"{len(choices)} options")
    polar = str(row.ground_truth).strip().casefold() in ("yes", "no", "true", "false")
    return _Case(row, str(row.ground_truth), _DEFAULT_EXTENT, "polar" if polar else "")


def _iou_case(row: AuditRow, config: MixedRewardConfig) -> _Case:
    from mixed_r1_verl.rewards.iou import parse_ground_truth

    info, iou = row.extra_info, config.iou
    width, height = info.get("width"), info.get("height")
    scale = frame_scale(
        info.get("box_frame") or iou.box_frame,
        width,
        height,
        family=iou.family,
        min_pixels=iou.min_pixels,
        max_pixels=iou.max_pixels,
    )
    boxes = []
    for gold in parse_ground_truth(row.ground_truth):
        box = rescale(Box(*gold[:4]), (1 / scale[0], 1 / scale[1]))
        corners = [round(number, 5) for number in box[:4]]
        boxes.append({"bbox_2d": corners, "label": gold.labels[0]} if gold.labels else corners)
    extent = ((width or _DEFAULT_EXTENT[0]) / scale[0], (height or _DEFAULT_EXTENT[1]) / scale[1])
    return _Case(row, json.dumps(boxes), extent, "")


def _moved(answer: str, source: _Case, target: _Case) -> str:
    """Another row's answer, as it would be given to this row: boxes keep their share of the picture."""
    if source.extent == target.extent:
        return answer
    across, down = target.extent[0] / source.extent[0], target.extent[1] / source.extent[1]
    moved = []
    for box in json.loads(answer):
        corners = box["bbox_2d"] if isinstance(box, dict) else box
        new = [corners[0] * across, corners[1] * down, corners[2] * across, corners[3] * down]
        moved.append({**box, "bbox_2d": new} if isinstance(box, dict) else new)
    return json.dumps(moved)


def _score(reward: MixedReward, case: _Case, response: str) -> dict[str, Any]:
    return reward.score(case.row.data_source, response, case.row.ground_truth, case.row.extra_info)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _audit_kind(
    kind: str, cases: Sequence[_Case], broken: int, reward: MixedReward, attacks: Sequence[Attack]
) -> KindAudit:
    def acc(case: _Case, response: str) -> float:
        return float(_score(reward, case, response)["acc"])

    if len({case.row.ground_truth for case in cases}) < 2:
        reason = "fewer than two different ground truths" if cases else "no row can be scored"
        return KindAudit(kind, len(cases), broken, 0.0, 0.0, None, reason, ())
    partners = _partners(kind, cases)
    honest = _mean([acc(case, reply(case.honest)) for case in cases])
    unrelated = _mean(
        [
            acc(case, reply(_moved(other.honest, other, case)))
            for case, others in zip(cases, partners, strict=True)
            for other in others
        ]
    )
    constant = _best_constant(cases, acc) if kind == "iou" or kind in CLOSED_KINDS else None
    contrast = honest - unrelated
    if contrast < LEAST_CONTRAST:
        reason = f"honest answers earn {honest:.3f} and unrelated ones {unrelated:.3f}: nothing to tell apart"
        return KindAudit(kind, len(cases), broken, honest, unrelated, constant, reason, ())
    frequent = _frequent_words([case.honest for case in cases])
    targets = [
        _target(kind, case, _moved(others[0].honest, others[0], case), frequent, number)
        for number, (case, others) in enumerate(zip(cases, partners, strict=True))
    ]
    results = []
    for attack in attacks:
        if attack.suits(kind):
            mean = _mean([acc(case, attack.respond(target)) for case, target in zip(cases, targets, strict=True)])
            bar = attack_bar(kind, attack.sort, honest, unrelated, constant)
            results.append(AttackResult(attack.name, attack.sort, mean, bar, mean > bar + 1e-9))
    return KindAudit(kind, len(cases), broken, honest, unrelated, constant, "", _best_paid_first(results))


def _audit_format(cases: Sequence[_Case], reward: MixedReward) -> KindAudit:
    def format_of(case: _Case, response: str) -> float:
        return float(_score(reward, case, response)["format"])

    results = []
    for attack in FORMAT_ATTACKS:
        mean = _mean([format_of(case, attack.respond(_target("format", case, "other"))) for case in cases])
        results.append(AttackResult(attack.name, attack.sort, mean, 0.0, mean > 0.0))
    honest = _mean([format_of(case, reply(case.honest)) for case in cases])
    unrelated = _mean([format_of(case, case.honest) for case in cases])
    reason = "" if honest - unrelated >= LEAST_CONTRAST else "well-formed responses earn no more than bare answers"
    return KindAudit("format", len(cases), 0, honest, unrelated, None, reason, _best_paid_first(results))


def _best_paid_first(results: Sequence[AttackResult]) -> tuple[AttackResult, ...]:
    return tuple(sorted(results, key=lambda result: (not result.pays, result.bar - result.mean)))


def _target(kind: str, case: _Case, unrelated: str, frequent: tuple[str, ...] = (), seed: int = 0) -> Target:
    info = case.row.extra_info
    return Target(
        kind=kind,
        question=str(info.get("question") or ""),
        choices=tuple(str(choice) for choice in info.get("choices") or ()),
        honest=case.honest,
        unrelated=unrelated,
        extent=case.extent,
        frequent=frequent,
        seed=seed,
    )


def _partners(kind: str, cases: Sequence[_Case]) -> list[list[_Case]]:
    """Three other rows for each row. Closed answers come from rows of the same form, whether they agree or not, so that
    the mean is the rate of a lucky guess; texts and boxes come from rows with another ground truth."""
    partners = []
    for number, case in enumerate(cases):
        rest = [*cases[number + 1 :], *cases[:number]]
        if kind in CLOSED_KINDS:
            suitable = [other for other in rest if other.form == case.form]
        else:
            suitable = [other for other in rest if other.row.ground_truth != case.row.ground_truth]
        suitable = suitable or rest
        step = max(1, len(suitable) // 3)
        partners.append(suitable[::step][:3])
    return partners


def _best_constant(cases: Sequence[_Case], acc: Callable[[_Case, str], float]) -> float:
    """Mean of the best single answer to all rows of a form, over all forms."""
    total = 0.0
    for form in {case.form for case in cases}:
        members = [case for case in cases if case.form == form]
        first_with: dict[str, _Case] = {}
        for case in members:
            first_with.setdefault(case.honest, case)
        likely = [answer for answer, _ in Counter(case.honest for case in members).most_common(CONSTANTS_TRIED)]
        total += max(
            sum(acc(case, reply(_moved(answer, first_with[answer], case))) for case in members) for answer in likely
        )
    return total / len(cases)


_WORD = re.compile(r"\w+")


def _frequent_words(texts: Sequence[str]) -> tuple[str, ...]:
    """The forty words that occur in most texts."""
    counts = Counter(word for text in texts for word in dict.fromkeys(_WORD.findall(text.lower())))
    return tuple(word for word, _ in counts.most_common(40))


# --- command line -----------------------------------------------------------------------------------------------------


class ReportFormat(str, Enum):
    """How the report is printed."""

    table = "table"
    json = "json"


def print_report(report: AuditReport, console: Console, shown: int = 8) -> None:
    """The report as a table: honest, unrelated and attack means side by side.

    Args:
        report: what to print.
        console: where to.
        shown: attacks of each kind that are shown, those nearest to their bar; those that pay are always shown.
    """
    for audit in report.kinds:
        _print_kind(audit, console, max(shown, sum(attack.pays for attack in audit.attacks)))
    if report.passed:
        console.print("no attack pays")
    for kind, attack in report.paying:
        console.print(f"{kind}: {attack.name} pays {attack.mean:.3f}, above its bar of {attack.bar:.3f}")


def _print_kind(audit: KindAudit, console: Console, shown: int) -> None:
    broken = f", {audit.broken} more cannot be scored (see `mixed-r1 check`)" if audit.broken else ""
    console.print(f"[bold]{audit.kind}[/bold]: {audit.rows} rows{broken}")
    if audit.not_audited:
        console.print(f"  not audited: {audit.not_audited}\n", style="red")
        return
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column("  attack", no_wrap=True)
    for name in ("honest", "unrelated", "constant", "attack", "bar", ""):
        table.add_column(name, justify="right", no_wrap=True)
    constant = "" if audit.constant is None else f"{audit.constant:.3f}"
    means = (f"{audit.honest:.3f}", f"{audit.unrelated:.3f}", constant)
    for attack in audit.attacks[:shown]:
        score, bar, verdict = f"{attack.mean:.3f}", f"{attack.bar:.3f}", "PAYS" if attack.pays else ""
        table.add_row(f"  {attack.name}", *means, score, bar, verdict, style="red" if attack.pays else None)
    console.print(table)
    if hidden := audit.attacks[shown:]:
        best = max(attack.mean for attack in hidden)
        console.print(f"  {len(hidden)} more attacks earn at most {best:.3f} (--all lists them)", style="dim")
    console.print()


def audit_command(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="Parquet or JSONL with data_source, reward_model and extra_info; default: rendered scenes."
        ),
    ] = None,
    rows: Annotated[int, typer.Option(min=2, help="Rows of each reward kind that are drawn.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the draw and of random attacks.")] = 0,
    embedding_model: Annotated[
        str | None, typer.Option(help="Model whose input embeddings the open-ended reward reads; default: built in.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="A key of the reward block, repeatable: open_ended.variant=bmas"
        ),
    ] = None,
    all_attacks: Annotated[
        bool, typer.Option("--all", help="List every attack, not only those nearest to paying.")
    ] = False,
    format: Annotated[ReportFormat, typer.Option(help="How the report is printed.")] = ReportFormat.table,
) -> None:
    """Attack the rewards: can they be earned without looking at the picture?

    Example: mixed-r1 audit train.parquet --embedding-model Qwen/Qwen2.5-VL-3B-Instruct

    Prints what honest, unrelated and attack answers earn, and exits with 1 if an attack pays or a kind of reward
    could not be audited.
    """
    errors = Console(stderr=True, soft_wrap=True)
    try:
        settings = parse_settings(set_ or [])
        if embedding_model is not None:
            settings["embedding_model"] = embedding_model
        config = MixedRewardConfig.from_mapping(settings)
        data = demo_rows() if file is None else read_rows(file)
        report = audit_rows(data, config, rows_per_kind=rows, seed=seed)
    except (AuditError, ConfigError, OSError) as error:
        errors.print(f"error: {error}", markup=False, highlight=False)
        raise typer.Exit(2) from error
    if format is ReportFormat.json:
        typer.echo(json.dumps(report.as_dict(), indent=2))
    else:
        print_report(report, Console(), shown=len(ATTACKS) if all_attacks else 8)
    raise typer.Exit(0 if report.passed else 1)


def parse_settings(settings: Sequence[str]) -> dict[str, Any]:
    """`KEY=VALUE` settings with dotted keys as a nested mapping; a value that is JSON is read as such.

    Raises:
        ConfigError: for a setting without `=`, or one that contradicts another.

    Example:
        >>> parse_settings(["open_ended.variant=bmas", "format_weight=0.2"])
        {'open_ended': {'variant': 'bmas'}, 'format_weight': 0.2}
    """
    result: dict[str, Any] = {}
    for setting in settings:
        key, sign, text = setting.partition("=")
        if not sign or not key.strip():
            raise ConfigError(f"--set {setting!r} is not KEY=VALUE")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        *path, last = key.strip().split(".")
        place = result
        for name in path:
            place = place.setdefault(name, {})
            if not isinstance(place, dict):
                raise ConfigError(f"--set {setting!r} contradicts an earlier value of {name!r}")
        place[last] = value
    return result
