"""`mixed-r1 data list`, `mixed-r1 data convert` and `mixed-r1 check`."""

from pathlib import Path
from textwrap import indent
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.progress import TextColumn
from rich.table import Table

from mixed_r1_verl.core.console import FAILED, command_errors, parse_settings, progress_bar, resumable, say, terminal
from mixed_r1_verl.core.rows import DataError, Reject, count_records

if TYPE_CHECKING:
    from mixed_r1_verl.data.convert import Options
    from mixed_r1_verl.data.converter import Converter
    from mixed_r1_verl.data.raw import RawFolder

_out = terminal(soft_wrap=True, highlight=False, markup=False)

RewardSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Setting of the reward block as KEY=VALUE, repeatable: custom.mine=my_package.rewards:mine."
    ),
]


def list_command(
    name: Annotated[str | None, typer.Argument(help="Show all about this converter.")] = None,
    markdown: Annotated[bool, typer.Option(help="Print the table of docs/data.md.")] = False,
) -> None:
    """List the converters, or show what one of them reads and makes of it.

    Example: mixed-r1 data list chartqa
    """
    from mixed_r1_verl.data import registry

    if markdown:
        typer.echo(registry.markdown_table(), nl=False)
        return
    if name is not None:
        with command_errors():
            converter = registry.get_converter(name)
        splits = ", ".join(converter.splits)
        typer.echo(f"{registry.documentation(name)}\n\nSplits: {splits}. Source: {converter.source}")
        return
    table = Table("name", "data", box=None)
    for known in registry.converters():
        table.add_row(known, " ".join(registry.documentation(known).split("\n\n")[0].split()))
    _out.print(table)
    for line in registry.broken_entry_points():
        say(f"not loaded: {line}")


def convert_command(
    name: Annotated[str, typer.Argument(help="Converter; `mixed-r1 data list` shows all.")],
    output: Annotated[
        Path | None, typer.Option(help="NAME.parquet for one file, any other name for a folder of shards.")
    ] = None,
    input: Annotated[Path | None, typer.Option(help="Folder with the raw dataset, or one record file.")] = None,
    hub: Annotated[str | None, typer.Option(help="Hugging Face dataset repository to download instead.")] = None,
    image_root: Annotated[list[Path] | None, typer.Option(help="Further folder with pictures, repeatable.")] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="FIELD=COLUMN, repeatable; nested ones as answer=meta.gold (generic only).")
    ] = None,
    box_frame: Annotated[
        str, typer.Option(help="pixel, norm1, norm1000, resized[:FAMILY] or padded_square (generic only).")
    ] = "",
    box_format: Annotated[
        Literal["xyxy", "xywh"] | None, typer.Option(help="Corners or x, y, width, height (generic only).")
    ] = None,
    reward: Annotated[str, typer.Option(help="Reward kind of every row.")] = "",
    answer_type: Annotated[
        str,
        typer.Option(help="Type of every answer: number, year, label, set, …."),
    ] = "",
    data_source: Annotated[str, typer.Option(help="Name of the source; default: the converter's.")] = "",
    turns: Annotated[
        Literal["first", "all"] | None, typer.Option(help="Exchanges of a talk that become rows (generic only).")
    ] = None,
    explain: Annotated[
        int | None, typer.Option(min=1, help="Show what the first N rows become; write nothing.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split to read; default: the converter's first.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Take at most this many rows, drawn by the seed.")] = None,
    images: Annotated[
        Literal["bytes", "path"], typer.Option(help="Embed pictures, or write them beside the output.")
    ] = "bytes",
    max_pixels: Annotated[int | None, typer.Option(min=16, help="Reduce larger pictures and their boxes.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of --limit.")] = 0,
    check_gold: Annotated[
        bool, typer.Option(help="Reject rows whose own ground truth does not earn acc 1 from its reward.")
    ] = True,
    settings: RewardSettings = None,
) -> None:
    """Convert one dataset.

    Example: mixed-r1 data convert chartqa --input ChartQA --split train --output chartqa.parquet

    Rows that cannot be used go to NAME.rejects.jsonl; a run that was interrupted goes on when it is started again.
    """
    from mixed_r1_verl.data.convert import Options, convert_dataset
    from mixed_r1_verl.data.raw import Told
    from mixed_r1_verl.data.registry import get_converter
    from mixed_r1_verl.data.source import open_raw
    from mixed_r1_verl.data.truth import reward_with

    with command_errors():
        converter = get_converter(name)
        converter.check_split(split or converter.splits[0])
        pairs = [pair.partition("=") for pair in column or ()]
        if not all(field and name for field, _, name in pairs):
            raise DataError("give --column as FIELD=COLUMN, such as --column question=prompt_text")
        told = Told(
            columns=tuple((field, name) for field, _, name in pairs),
            box_frame=box_frame,
            box_format=box_format or "",
            reward=reward,
            answer_type=answer_type,
            data_source=data_source,
            turns=turns or "",
        )
        raw = open_raw(converter, input, hub, image_root or (), told)
        options = Options(
            split=split or converter.splits[0],
            limit=limit,
            images=images,
            max_pixels=max_pixels,
            workers=workers,
            seed=seed,
            check_gold=check_gold,
            reward=parse_settings(settings),
        )
        reward_with(options.reward)
        if explain is not None:
            _explain(converter, raw, options, explain)
            return
        if output is None:
            raise DataError("give --output NAME.parquet, or --explain N to look at the first rows")
    with resumable(output), progress_bar(TextColumn("{task.fields[note]}")) as progress:
        task = progress.add_task(name, total=limit, note="")

        def show(written: int, rejected: int) -> None:
            progress.update(task, completed=written + rejected, note=f"rejected {rejected}")

        summary = convert_dataset(converter, raw, output, options, on_progress=show)
    source = f" (of {summary.source_rows} in the source)" if summary.source_rows != summary.read else ""
    _out.print(f"{output}: read {summary.read}, written {summary.written}, rejected {summary.rejected}{source}")
    for reason, count in summary.reasons.items():
        _out.print(f"  rejected {count} x {reason}")
    _out.print("  " + ", ".join(f"{count} {reward}" for reward, count in summary.rewards.items()))
    for how, count in summary.how.items():
        _out.print(f"  {count} by {how}")
    if summary.dropped_turns:
        _out.print(f"  {summary.dropped_turns} later turns of conversations left out; --turns all makes rows of them")


def _explain(converter: "Converter", raw: "RawFolder", options: "Options", count: int) -> None:
    """Prints what comes of the first rows, and why."""
    from mixed_r1_verl.data.convert import explain_rows
    from mixed_r1_verl.data.prompt import option_lines

    for where, outcome in explain_rows(converter, raw, options, count):
        if isinstance(outcome, Reject):
            detail = f": {outcome.detail}" if outcome.detail else ""
            _out.print(f"{where}: rejected, {outcome.field}: {outcome.reason}{detail}")
            continue
        row, example = outcome
        truth, size = row["reward_model"]["ground_truth"][:200], row["extra_info"]
        how = example.how.partition(": ")[2] or "the converter knows"
        pictures = f"{len(row['images'])}, the first {size['width']}x{size['height']}" if row["images"] else "none"
        _out.print(f"{where}: {example.reward} by {how}, ground truth: {truth}, pictures: {pictures}")
        _out.print(indent("\n".join((example.question[:200], *option_lines(example.choices))), "    "))


def check_command(
    files: Annotated[list[Path], typer.Argument(help="Parquet files, checked together.")],
    family: Annotated[str, typer.Option(help="Model family whose image tokens are counted.")] = "qwen2_5_vl",
    max_problems: Annotated[int, typer.Option(min=1, help="Stop printing after this many problems.")] = 50,
    gold: Annotated[bool, typer.Option(help="Also score each row's own ground truth.")] = True,
    tokenizer: Annotated[
        Path | None, typer.Option(help="Model folder with tokenizer.json: count prompt tokens too.")
    ] = None,
    settings: RewardSettings = None,
) -> None:
    """Check parquet files before training.

    Example: mixed-r1 check train.parquet val.parquet --family qwen2_5_vl

    Prints one line for each problem (file, row, field) and exits with 1 if there is any.
    """
    from mixed_r1_verl.data.check import check_files
    from mixed_r1_verl.data.truth import reward_with

    with command_errors(), progress_bar() as progress:
        reward = reward_with(parse_settings(settings))
        task = progress.add_task("check", total=sum(map(count_records, filter(Path.is_file, files))) or None)

        def show(rows: int) -> None:
            progress.update(task, completed=rows)

        report = check_files(files, family=family, gold=gold, tokenizer=tokenizer, reward=reward, on_progress=show)
    for problem in report.problems[:max_problems]:
        _out.print(str(problem))
    if len(report.problems) > max_problems:
        _out.print(f"… and {len(report.problems) - max_problems} more problems")
    sources = Table("source", "reward", "rows", box=None)
    for (source, kind), count in sorted(report.sources.items()):
        sources.add_row(source, kind, f"{count:,}")
    _out.print(sources)
    table = Table("per row", "p50", "p90", "p99", "max", box=None, title=f"{report.rows} rows, {family}")
    for name, values in report.statistics.items():
        table.add_row(name, *(f"{value:,.0f}" for value in values))
    _out.print(table)
    for line in report.notes:
        _out.print(line)
    if report.problems:
        _out.print(f"{len(report.problems)} problems")
        raise typer.Exit(FAILED)
    _out.print("no problems")
