"""The command `mixed-r1 score`."""

import dataclasses
import json
import os
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mixed_r1_verl.core import console
from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.core.files import write_text
from mixed_r1_verl.core.rows import DataError, count_records
from mixed_r1_verl.responses.answers import Row, answer_row, score_responses, write_answers
from mixed_r1_verl.responses.join import Matcher, read_candidates
from mixed_r1_verl.responses.read import RESPONSE_COLUMNS, Response, Unreadable, read_responses
from mixed_r1_verl.responses.summary import Group, Summary
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.mixed import MixedReward

ROWS_PER_PROCESS = 256  # below this many rows a further process costs more time to start than it saves

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
    embedding_model: console.EmbeddingModel = None,
    set_: console.Settings = None,
    processes: Annotated[int | None, typer.Option(min=1, help="Scoring processes; default: one for each core.")] = None,
    format: console.PrintedAs = "table",
) -> None:
    """Score files of responses and print what they earned, by source and reward.

    Example: mixed-r1 score outputs/val/0.jsonl --output scored.parquet --set chart.tolerance=0.1

    Exits with 1 if a row could not be read or scored, or there was none.
    """
    with console.command_errors(RuntimeError):  # scoring processes that do not start were asked for what is not there
        config = MixedRewardConfig.from_mapping(console.parse_settings(set_, embedding_model=embedding_model))
        _check_targets(files, output, rejects)
        total = sum(map(count_records, files))
        count = processes or len(os.sched_getaffinity(0))
        config = dataclasses.replace(config, processes=max(1, min(count, -(-total // ROWS_PER_PROCESS))))
        matcher = Matcher(read_candidates(dict.fromkeys(data or (), "")))
        join = matcher.attach if data else None
        router, rejected, summary = MixedReward(config), list[Unreadable](), Summary()

        def responses() -> Iterator[Response]:
            for path in files:
                read = read_responses(path, router, response_column=response_column, kind=reward or "", join=join)
                for item in read:
                    if isinstance(item, Response):
                        yield item
                    else:
                        rejected.append(item)

        def rows() -> Iterator[Row]:
            with console.progress_bar() as progress:
                task = progress.add_task("scoring", total=total or None)
                for response, result in score_responses(responses(), config):
                    row = answer_row(response, result)
                    summary.add(row)
                    yield row
                    progress.advance(task, response.sample == 0)

        if output is None:
            deque(rows(), maxlen=0)
        else:
            write_answers(output, rows())
        rejects = rejects or (output or Path(files[0].name)).with_name(f"{(output or files[0]).stem}.rejects.jsonl")
        if rejected:
            write_text(rejects, "".join(json.dumps(reject._asdict()) + "\n" for reject in rejected))
    if format == "json":
        console.print_json(_as_dict(summary, len(rejected)))
    else:
        summary.print(("rows", *MEANS), console.terminal())
    if join:
        found = matcher.counts
        console.say(f"{found['missing']:,} of {found.total():,} responses were not found in the data")
    if rejected:
        console.say(f"{len(rejected)} rows cannot be read; see {rejects}", "red")
    if failures := summary.total.failures:
        console.say(f"{failures.total()} rows could not be scored", "red")
        for reason, number in failures.most_common(3):
            console.say(f"  {number} x {reason}")
    if not summary.groups:
        console.say("no response was scored", "red")
    raise typer.Exit(console.FAILED if rejected or failures or not summary.groups else console.OK)


def _check_targets(files: Sequence[Path], output: Path | None, rejects: Path | None) -> None:
    for path in files:
        if not path.is_file():
            raise DataError(f"{path}: no such file")
    for target in (output, rejects):
        if target is not None and not target.parent.is_dir():
            raise ConfigError(f"{target}: the folder {target.parent} does not exist")
        if target is not None and any(target.resolve() == path.resolve() for path in files):
            raise ConfigError(f"{target}: would overwrite a file that is to be scored")


def _as_dict(summary: Summary, rejected: int) -> dict[str, Any]:
    """The report as plain data; the commonest ten reasons of each group."""

    def means(group: Group) -> dict[str, Any]:
        return {"rows": group.responses} | {name: group.mean(name) if group.responses else 0.0 for name in MEANS}

    groups = [
        {"data_source": source, "reward": kind, **means(group), "reasons": dict(group.reasons.most_common(10))}
        for (source, kind), group in sorted(summary.groups.items())
    ]
    return {"groups": groups, "total": means(summary.total), "rejected": rejected}
