"""`mixed-r1 score`: what the rewards say to files of responses, by source and reward.

A file is JSONL or parquet with one row a response:

| field | where it is looked for |
| --- | --- |
| response | the column of `--response-column`, else `response`, `solution_str`, `output`, `responses`; a list of strings is as many responses |
| ground truth | `ground_truth`, `gts`, `reward_model.ground_truth` |
| source | `data_source`; may be missing |
| reward | `extra_info.reward`, `reward_kind`, the route of the source (`--set routes.NAME=KIND`), `--reward` |
| what the reward reads besides | `extra_info`, or columns of the same names: `choices`, `question`, `width`, `height`, `box_frame` |

So a parquet of training rows with a column of responses can be scored as it is, and so can the JSONL that verl dumps at
validation (`trainer.validation_data_dir`). Such a dump holds neither option texts nor questions nor image sizes: an
option that is named by its text is then not recognised, and boxes must be in pixels of the original image.

Rows that cannot be read go to a rejects file, each with its reason; a row that can be read but not scored (an unreadable
ground truth, a timeout) counts with score 0 and `error` 1, as it does in training.
"""  # noqa: E501

import contextlib
import dataclasses
import json
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TextIO

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from mixed_r1_verl.audit import ReportFormat, parse_settings
from mixed_r1_verl.rewards.config import ConfigError, MixedRewardConfig
from mixed_r1_verl.rewards.mixed import MixedReward, UnknownRewardError
from mixed_r1_verl.rewards.pool import Sample, ScoringPool

RESPONSE_COLUMNS = ("response", "solution_str", "output", "responses")
TRUTH_COLUMNS = ("ground_truth", "gts")
EXTRA_COLUMNS = ("reward", "choices", "question", "width", "height", "box_frame")

IN_FLIGHT = 4096
"""Responses that are read ahead of the one whose result is waited for."""

ROWS_PER_PROCESS = 256
"""Below this many rows a further process costs more time to start than it saves."""

FAILED, BAD_USAGE, INTERRUPTED = 1, 2, 130


class ScoreError(ValueError):
    """The files cannot be scored as asked."""


class Response(NamedTuple):
    """One response that can be scored.

    Attributes:
        file, row: where it comes from; the line from 1 for JSONL, the row from 0 for parquet.
        sample: which of the row's responses it is.
        id: the row's own id, or empty.
        scored: what `MixedReward.score` is given.
    """

    file: str
    row: int
    sample: int
    id: str
    scored: Sample


class Reject(NamedTuple):
    """A row that cannot be read, and why."""

    file: str
    row: int
    reason: str


class RowError(ValueError):
    """A row cannot be read."""


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


# --- reading ----------------------------------------------------------------------------------------------------------


def read_responses(
    path: str | Path,
    config: MixedRewardConfig | None = None,
    *,
    response_column: str | None = None,
    reward: str | None = None,
) -> Iterator[Response | Reject]:
    """The responses of a JSONL or parquet file, in order; see the top of this module for its columns.

    Args:
        path: a file whose name ends in `.parquet`, or JSONL.
        config: knows the reward kinds and the routes of sources.
        response_column: the column of the response; None tries the usual names.
        reward: kind of the rows that name none and whose source has no route.

    Raises:
        ScoreError: the file cannot be read, or has no such column.
    """
    path = Path(path)
    if not path.is_file():
        raise ScoreError(f"{path}: no such file")
    router = MixedReward(config)
    columns = RESPONSE_COLUMNS if response_column is None else (response_column,)
    records = _parquet_records(path, columns) if path.suffix == ".parquet" else _jsonl_records(path)
    first = True
    for row, record in records:
        if isinstance(record, str):
            yield Reject(str(path), row, record)
            continue
        if first and not any(column in record for column in columns):
            raise ScoreError(_no_column(path, columns, record))
        first = False
        try:
            yield from _responses(str(path), row, record, columns, router, reward)
        except RowError as error:
            yield Reject(str(path), row, str(error))


def _no_column(path: Path, columns: Sequence[str], found: Iterable[str]) -> str:
    return f"{path}: no column {' or '.join(columns)}; it has {', '.join(found) or 'none'} (--response-column names it)"


def _jsonl_records(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except (ValueError, RecursionError) as error:
                yield number, f"not JSON in UTF-8: {error}"
                continue
            yield number, record if isinstance(record, dict) else f"not a JSON object but {type(record).__name__}"


def _parquet_records(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        names = file.schema_arrow.names
        if not any(column in names for column in columns):
            raise ScoreError(_no_column(path, columns, names))
        wanted = {*columns, *TRUTH_COLUMNS, *EXTRA_COLUMNS, "data_source", "reward_kind", "reward_model", "extra_info"}
        row = 0
        # Pictures are the bulk of such a file, and are not read.
        for batch in file.iter_batches(256, columns=[name for name in names if name in wanted]):
            for record in batch.to_pylist():
                yield row, record
                row += 1
    except pa.ArrowException as error:
        raise ScoreError(f"{path}: not a parquet file that can be read ({error})") from error


def _responses(
    file: str, row: int, record: Mapping[str, Any], columns: Sequence[str], router: MixedReward, reward: str | None
) -> Iterator[Response]:
    texts = next((record[column] for column in columns if record.get(column) is not None), None)
    if isinstance(texts, str):
        texts = [texts]
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise RowError(f"{' or '.join(columns)}: must be a string or a list of strings, not {_shown(texts)}")
    truth = _ground_truth(record)
    info = _extra_info(record)
    source = record.get("data_source")
    if source is not None and not isinstance(source, str):
        raise RowError(f"data_source: must be a string, not {_shown(source)}")
    info.setdefault("reward", router.config.routes.get(source or "") or reward)
    try:
        router.route(source or "", info)
    except UnknownRewardError as error:
        raise RowError(f"extra_info.reward: {error}") from error
    for sample, text in enumerate(texts):
        yield Response(file, row, sample, str(info.get("id") or ""), Sample(source or "", text, truth, info))


def _ground_truth(record: Mapping[str, Any]) -> str:
    for column in TRUTH_COLUMNS:
        if record.get(column) is not None:
            truth = record[column]
            break
    else:
        column, model = "reward_model.ground_truth", record.get("reward_model")
        truth = model.get("ground_truth") if isinstance(model, Mapping) else None
        if truth is None:
            raise RowError(f"there is no {', '.join(TRUTH_COLUMNS)} or reward_model.ground_truth")
    if not isinstance(truth, str):
        raise RowError(f"{column}: must be a string, not {_shown(truth)}")
    return truth


def _extra_info(record: Mapping[str, Any]) -> dict[str, Any]:
    extra = record.get("extra_info")
    if extra is not None and not isinstance(extra, Mapping):
        raise RowError(f"extra_info: must be an object, not {_shown(extra)}")
    info = {name: record[name] for name in EXTRA_COLUMNS if record.get(name) is not None}
    # verl's dumps have the number that the response earned under `reward`.
    if not isinstance(info.get("reward"), str):
        info.pop("reward", None)
    if "reward" not in info and isinstance(record.get("reward_kind"), str):
        info["reward"] = record["reward_kind"]
    info |= {name: value for name, value in (extra or {}).items() if value is not None}
    if not isinstance(info.get("choices", []), list):
        raise RowError(f"choices: must be a list of strings, not {_shown(info['choices'])}")
    for name in ("width", "height"):
        if name in info and (isinstance(info[name], bool) or not isinstance(info[name], int | float)):
            raise RowError(f"{name}: must be a number, not {_shown(info[name])}")
    return info


def _shown(value: object) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text[:60]}{'…' if len(text) > 60 else ''}"


def count_rows(path: str | Path) -> int:
    """Rows of a parquet file, lines of any other: what a progress bar needs to know."""
    path = Path(path)
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        with contextlib.suppress(Exception):  # said by whoever reads it
            return int(pq.ParquetFile(path).metadata.num_rows)
        return 0
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))


# --- scoring ----------------------------------------------------------------------------------------------------------


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


# --- writing ----------------------------------------------------------------------------------------------------------


class RowWriter:
    """Writes scored rows to JSONL, or parquet where the name says so; the file appears when all of it is there.

    Used as a context manager: an exception leaves what stood there before.
    """

    def __init__(self, path: Path):
        self.path = path
        self._partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
        self._rows: list[dict[str, Any]] = []
        self._parquet: Any = None
        self._lines: TextIO | None = None

    def __enter__(self) -> "RowWriter":
        if self.path.suffix == ".parquet":
            import pyarrow.parquet as pq

            self._parquet = pq.ParquetWriter(self._partial, _output_schema())
        else:
            self._lines = self._partial.open("w", encoding="utf-8", errors="backslashreplace")
        return self

    def write(self, response: Response, result: Mapping[str, Any]) -> None:
        """Add one row."""
        row = {
            "file": response.file,
            "row": response.row,
            "sample": response.sample,
            "id": response.id,
            "data_source": response.scored.data_source,
            **result,
            "ground_truth": response.scored.ground_truth,
            "response": response.scored.solution_str,
        }
        if self._lines is not None:
            self._lines.write(json.dumps(row, ensure_ascii=False) + "\n")
            return
        # Half of a surrogate pair, which JSON can hold, is no text for parquet.
        self._rows.append({name: _encodable(value) for name, value in row.items()})
        if len(self._rows) >= 1024:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa

        self._parquet.write_table(pa.Table.from_pylist(self._rows, schema=_output_schema()))
        self._rows.clear()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        try:
            if self._lines is not None:
                self._lines.close()
            else:
                if kind is None and self._rows:
                    self._flush()
                self._parquet.close()
            if kind is None:
                self._partial.replace(self.path)
        finally:
            self._partial.unlink(missing_ok=True)


def _encodable(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode("utf-8") if isinstance(value, str) else value


def _output_schema() -> Any:
    import pyarrow as pa

    text, number, whole = pa.string(), pa.float64(), pa.int64()
    types = {"row": whole, "sample": whole} | dict.fromkeys(("score", "acc", "format", "error"), number)
    names = (
        *("file", "row", "sample", "id", "data_source", "score", "acc", "format", "error"),
        *("reward_kind", "prediction", "reason", "ground_truth", "response"),
    )
    return pa.schema([(name, types.get(name, text)) for name in names])


# --- command line -----------------------------------------------------------------------------------------------------


def print_report(report: ScoreReport, console: Console) -> None:
    """The report as a table by source and reward."""
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    table.add_column("source")
    table.add_column("reward")
    for name in ("rows", "score", "acc", "format", "error", "malformed"):
        table.add_column(name, justify="right", no_wrap=True)
    lines = [(source or "(none)", kind, group) for (source, kind), group in sorted(report.groups.items())]
    if len(lines) > 1:
        lines.append(("all", "", report.total))
    for source, kind, group in lines:
        means = [f"{value:.4f}" for value in group.means().values()]
        table.add_row(source, kind, f"{group.rows:,}", *means, style="red" if group.errors else None)
    console.print(table, markup=False)


def score_command(
    files: Annotated[list[Path], typer.Argument(help="JSONL or parquet files with responses.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option(help="Write one row for each response; parquet if it ends so, else JSONL.")
    ] = None,
    rejects: Annotated[
        Path | None, typer.Option(help="Where rows that cannot be read go; default: beside OUTPUT, or in this folder.")
    ] = None,
    response_column: Annotated[
        str | None, typer.Option(help=f"Column of the response; default: {', '.join(RESPONSE_COLUMNS)}.")
    ] = None,
    reward: Annotated[str | None, typer.Option(help="Reward kind of rows that name none.")] = None,
    embedding_model: Annotated[
        str | None, typer.Option(help="Model whose input embeddings the open-ended reward reads; default: built in.")
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="A key of the reward block, repeatable: chart.tolerance=0.1"),
    ] = None,
    processes: Annotated[int | None, typer.Option(min=1, help="Scoring processes; default: one for each core.")] = None,
    format: Annotated[ReportFormat, typer.Option(help="How the report is printed.")] = ReportFormat.table,
) -> None:
    """Score files of responses and print what they earned, by source and reward.

    Example: mixed-r1 score outputs/val/0.jsonl --output scored.parquet --set chart.tolerance=0.1

    Exits with 1 if a row could not be read or scored, or there was none.
    """
    errors = Console(stderr=True, soft_wrap=True)
    try:
        config = _config(set_ or [], embedding_model)
        _check_targets(files, output, rejects)
        rows = sum(count_rows(path) for path in files)
        count = processes or len(os.sched_getaffinity(0))
        config = dataclasses.replace(config, processes=max(1, min(count, -(-rows // ROWS_PER_PROCESS))))
        rejects = rejects or _rejects_path(files[0], output)
        report = _run(files, config, rows, output, rejects, response_column, reward)
    except (ScoreError, ConfigError, RuntimeError) as error:
        errors.print(f"error: {error}", markup=False, highlight=False)
        raise typer.Exit(BAD_USAGE) from error
    except OSError as error:  # a full disk, a folder that may not be written
        errors.print(f"error: {error}", markup=False, highlight=False)
        raise typer.Exit(FAILED) from error
    except KeyboardInterrupt:
        errors.print("interrupted; nothing was written")
        raise typer.Exit(INTERRUPTED) from None
    if format is ReportFormat.json:
        typer.echo(json.dumps(report.as_dict(), indent=2, ensure_ascii=False))
    else:
        print_report(report, Console())
    _print_troubles(report, rejects, errors)
    raise typer.Exit(0 if report.sound else FAILED)


def _config(settings: Sequence[str], embedding_model: str | None) -> MixedRewardConfig:
    mapping = parse_settings(settings)
    if embedding_model is not None:
        mapping["embedding_model"] = embedding_model
    return MixedRewardConfig.from_mapping(mapping)


def _check_targets(files: Sequence[Path], output: Path | None, rejects: Path | None) -> None:
    for path in files:
        if not path.is_file():
            raise ScoreError(f"{path}: no such file")
    for target in (output, rejects):
        if target is not None and not target.parent.is_dir():
            raise ScoreError(f"{target}: the folder {target.parent} does not exist")
        if target is not None and any(target.resolve() == path.resolve() for path in files):
            raise ScoreError(f"{target}: would overwrite a file that is to be scored")


def _rejects_path(file: Path, output: Path | None) -> Path:
    return output.with_name(f"{output.stem}.rejects.jsonl") if output else Path(f"{file.stem}.rejects.jsonl")


def _run(
    files: Sequence[Path],
    config: MixedRewardConfig,
    rows: int,
    output: Path | None,
    rejects: Path,
    response_column: str | None,
    reward: str | None,
) -> ScoreReport:
    console = Console(stderr=True)
    rejected: list[Reject] = []
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(RowWriter(output)) if output is not None else None
        progress = stack.enter_context(_progress(console))
        task = progress.add_task("scoring", total=rows or None)

        def on_result(response: Response, result: Mapping[str, Any]) -> None:
            if writer is not None:
                writer.write(response, result)
            if response.sample == 0:
                progress.advance(task)

        report = score_files(
            files,
            config,
            response_column=response_column,
            reward=reward,
            on_result=on_result,
            on_reject=rejected.append,
        )
        if rejected:
            partial = rejects.with_name(f".{rejects.name}.{os.getpid()}.partial")
            lines = "".join(json.dumps(reject._asdict()) + "\n" for reject in rejected)
            partial.write_text(lines, encoding="utf-8")
            partial.replace(rejects)
    return report


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _print_troubles(report: ScoreReport, rejects: Path, console: Console) -> None:
    total = report.total
    if report.rejected:
        console.print(f"{report.rejected} rows cannot be read; see {rejects}", style="red", highlight=False)
    if total.errors:
        console.print(f"{total.errors} rows could not be scored", style="red", highlight=False)
        for reason, number in total.failures.most_common(3):
            console.print(f"  {number} x {reason}", markup=False, highlight=False)
    if not total.rows:
        console.print("no response was scored", style="red")


__all__ = ["Response", "ScoreError", "ScoreReport", "read_responses", "score_command", "score_files"]
