"""The command `mixed-r1 score`."""

import dataclasses
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any

import typer

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.core.console import (
    FAILED,
    OK,
    EmbeddingModel,
    PrintedAs,
    ReportFormat,
    Settings,
    command_errors,
    parse_settings,
    print_json,
    progress_bar,
    terminal,
)
from mixed_r1_verl.core.files import write_text
from mixed_r1_verl.core.rows import DataError, count_records
from mixed_r1_verl.responses.answers import answer_row, answer_writer
from mixed_r1_verl.responses.join import Matcher, read_candidates
from mixed_r1_verl.responses.read import RESPONSE_COLUMNS, Response, Unreadable, read_responses
from mixed_r1_verl.responses.scoring import score_responses
from mixed_r1_verl.responses.summary import Group, Summary
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.mixed import MixedReward

ROWS_PER_PROCESS = 256
"""Below this many rows a further process costs more time to start than it saves."""

MEANS = ("score", "acc", "format", "error", "malformed")


def score_command(
    files: Annotated[list[Path], typer.Argument(help="JSONL or parquet files with responses.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option(help="Write one row for each response; parquet if it ends so, else JSONL.")
    ] = None,
    rejects: Annotated[
        Path | None, typer.Option(help="Where rows that cannot be read go; default: beside OUTPUT, or in this folder.")
    ] = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(help="Parquet file with the rows that were answered, for what a dump of verl lacks; repeatable."),
    ] = None,
    response_column: Annotated[
        str | None, typer.Option(help=f"Column of the response; default: {', '.join(RESPONSE_COLUMNS)}.")
    ] = None,
    reward: Annotated[str | None, typer.Option(help="Reward kind of rows that name none.")] = None,
    embedding_model: EmbeddingModel = None,
    set_: Settings = None,
    processes: Annotated[int | None, typer.Option(min=1, help="Scoring processes; default: one for each core.")] = None,
    format: PrintedAs = ReportFormat.table,
) -> None:
    """Score files of responses and print what they earned, by source and reward.

    Example: mixed-r1 score outputs/val/0.jsonl --output scored.parquet --set chart.tolerance=0.1

    Exits with 1 if a row could not be read or scored, or there was none.
    """
    with command_errors(RuntimeError):  # scoring processes that do not start were asked for what is not there
        model = {} if embedding_model is None else {"embedding_model": embedding_model}
        config = MixedRewardConfig.from_mapping(parse_settings(set_ or []) | model)
        _check_targets(files, output, rejects)
        rows = sum(map(count_records, files))
        count = processes or len(os.sched_getaffinity(0))
        config = dataclasses.replace(config, processes=max(1, min(count, -(-rows // ROWS_PER_PROCESS))))
        matcher = Matcher(read_candidates(dict.fromkeys(data or (), "")))
        join = matcher.attach if data else None
        router, rejected = MixedReward(config), list[Unreadable]()

        def responses() -> Iterator[Response]:
            for path in files:
                read = read_responses(path, router, response_column=response_column, kind=reward or "", join=join)
                for item in read:
                    if isinstance(item, Response):
                        yield item
                    else:
                        rejected.append(item)

        summary = _score(responses(), config, rows, output)
        rejects = rejects or (output or Path(files[0].name)).with_name(f"{(output or files[0]).stem}.rejects.jsonl")
        if rejected:
            write_text(rejects, "".join(json.dumps(reject._asdict()) + "\n" for reject in rejected))
    if format is ReportFormat.json:
        print_json(_as_dict(summary, len(rejected)))
    else:
        summary.print(("rows", *MEANS), terminal())
    total = summary.total
    say = terminal(stderr=True, soft_wrap=True, markup=False, highlight=False).print
    if join:
        say(f"{matcher.counts['missing']:,} of {matcher.counts.total():,} responses were not found in the data")
    _print_troubles(total, len(rejected), rejects, say)
    raise typer.Exit(OK if total.responses and not total.failures and not rejected else FAILED)


def _check_targets(files: Sequence[Path], output: Path | None, rejects: Path | None) -> None:
    for path in files:
        if not path.is_file():
            raise DataError(f"{path}: no such file")
    for target in (output, rejects):
        if target is not None and not target.parent.is_dir():
            raise ConfigError(f"{target}: the folder {target.parent} does not exist")
        if target is not None and any(target.resolve() == path.resolve() for path in files):
            raise ConfigError(f"{target}: would overwrite a file that is to be scored")


def _score(responses: Iterator[Response], config: MixedRewardConfig, rows: int, output: Path | None) -> Summary:
    summary = Summary()
    with ExitStack() as stack:
        write = stack.enter_context(answer_writer(output)) if output is not None else None
        progress = stack.enter_context(progress_bar(terminal(stderr=True)))
        task = progress.add_task("scoring", total=rows or None)
        for response, result in score_responses(responses, config):
            row = answer_row(response, result)
            summary.add(row)
            if write is not None:
                write(row)
            if response.sample == 0:
                progress.advance(task)
    return summary


def _as_dict(summary: Summary, rejected: int) -> dict[str, Any]:
    """The report as plain data; the commonest ten reasons of each group."""

    def means(group: Group) -> dict[str, Any]:
        return {"rows": group.responses} | {name: group.mean(name) if group.responses else 0.0 for name in MEANS}

    groups = [
        {"data_source": source, "reward": kind, **means(group), "reasons": dict(group.reasons.most_common(10))}
        for (source, kind), group in summary.groups.items()
    ]
    return {"groups": groups, "total": means(summary.total), "rejected": rejected}


def _print_troubles(total: Group, rejected: int, rejects: Path, say: Callable[..., None]) -> None:
    if rejected:
        say(f"{rejected} rows cannot be read; see {rejects}", style="red")
    if total.failures:
        say(f"{total.failures.total()} rows could not be scored", style="red")
        for reason, number in total.failures.most_common(3):
            say(f"  {number} x {reason}")
    if not total.responses:
        say("no response was scored", style="red")
