"""The command `mixed-r1 score`."""

import contextlib
import dataclasses
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.core.console import ReportFormat, parse_settings, progress_bar
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.score.output import RowWriter
from mixed_r1_verl.score.responses import RESPONSE_COLUMNS, Reject, Response, ScoreError, count_rows
from mixed_r1_verl.score.scoring import ScoreReport, score_files

ROWS_PER_PROCESS = 256
"""Below this many rows a further process costs more time to start than it saves."""
FAILED, BAD_USAGE, INTERRUPTED = 1, 2, 130


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
        progress = stack.enter_context(progress_bar(console))
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
