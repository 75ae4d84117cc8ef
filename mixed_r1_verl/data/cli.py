"""`mixed-r1 data …` and `mixed-r1 check`: the command line of this package's data part."""

from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.data.check import check_files
from mixed_r1_verl.data.convert import Options, Summary, convert_dataset
from mixed_r1_verl.data.converter import Converter
from mixed_r1_verl.data.raw import RawFolder
from mixed_r1_verl.data.registry import broken_entry_points, converters, documentation, get_converter, markdown_table

FAILED, BAD_USAGE = 1, 2

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="Build training data: parquet files that verl reads, from published datasets.",
)
_out = Console(soft_wrap=True)
_err = Console(stderr=True, soft_wrap=True)


class ImageForm(str, Enum):
    """Where pictures are kept."""

    bytes = "bytes"
    path = "path"


def _fail(message: str, code: int) -> NoReturn:
    _err.print(f"error: {message}", markup=False, highlight=False)
    raise typer.Exit(code)


@app.command("list")
def list_command(
    name: Annotated[str | None, typer.Argument(help="Show all about this converter.")] = None,
    markdown: Annotated[bool, typer.Option(help="Print the table of docs/data.md.")] = False,
) -> None:
    """List the converters, or show what one of them reads and makes of it.

    Example: mixed-r1 data list chartqa
    """
    if markdown:
        typer.echo(markdown_table(), nl=False)
        return
    if name is not None:
        try:
            converter = get_converter(name)
        except DataError as error:
            _fail(str(error), BAD_USAGE)
        typer.echo(f"{documentation(name)}\n\nSplits: {', '.join(converter.splits)}. Source: {converter.source}")
        return
    table = Table("name", "data", box=None)
    for known in converters():
        table.add_row(known, " ".join(documentation(known).split("\n\n")[0].split()))
    _out.print(table, markup=False)
    for line in broken_entry_points():
        _err.print(f"not loaded: {line}", markup=False, highlight=False)


@app.command("convert")
def convert_command(
    name: Annotated[str, typer.Argument(help="Converter; `mixed-r1 data list` shows all.")],
    output: Annotated[Path, typer.Option(help="NAME.parquet for one file, any other name for a folder of shards.")],
    input: Annotated[Path | None, typer.Option(help="Folder with the raw dataset, or one record file.")] = None,
    hub: Annotated[str | None, typer.Option(help="Hugging Face dataset repository to download instead.")] = None,
    image_root: Annotated[list[Path] | None, typer.Option(help="Further folder with pictures, repeatable.")] = None,
    column: Annotated[
        list[str] | None, typer.Option(help="Column of a table as FIELD=COLUMN, repeatable (converter parquet only).")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Split to read; default: the converter's first.")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Take at most this many rows, drawn by the seed.")] = None,
    images: Annotated[ImageForm, typer.Option(help="Embed pictures, or write them beside the output.")] = (
        ImageForm.bytes
    ),
    max_pixels: Annotated[int | None, typer.Option(min=16, help="Reduce larger pictures and their boxes.")] = None,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes.")] = 1,
    seed: Annotated[int, typer.Option(help="Seed of --limit.")] = 0,
    check_gold: Annotated[
        bool, typer.Option(help="Reject rows whose own ground truth does not earn acc 1 from its reward.")
    ] = True,
) -> None:
    """Convert one dataset.

    Example: mixed-r1 data convert chartqa --input ChartQA --split train --output chartqa.parquet

    Rows that cannot be used go to NAME.rejects.jsonl; a run that was interrupted goes on when it is started again.
    """
    try:
        converter = get_converter(name)
        if split is not None and split not in converter.splits:
            raise DataError(f"{name} has no split {split!r}; it has {', '.join(converter.splits)}")
        raw = _raw_folder(converter, input, hub, tuple(image_root or ()))
        if column:
            raw = replace(raw, columns=_columns(name, column))
    except DataError as error:
        _fail(str(error), BAD_USAGE)
    options = Options(
        split=split or converter.splits[0],
        limit=limit,
        images=images.value,  # type: ignore[arg-type]
        max_pixels=max_pixels,
        workers=workers,
        seed=seed,
        check_gold=check_gold,
    )
    try:
        with _progress() as progress:
            task = progress.add_task(name, total=limit, note="")

            def show(written: int, rejected: int) -> None:
                progress.update(task, completed=written + rejected, note=f"rejected {rejected}")

            summary = convert_dataset(converter, raw, output, options, on_progress=show)
    except DataError as error:
        _fail(str(error), FAILED)
    except OSError as error:  # a full disk, a folder that was taken away
        _fail(f"cannot write {output}: {error.strerror or error}; run the same command again to go on", FAILED)
    except KeyboardInterrupt:
        _fail("interrupted; run the same command again to go on", 130)
    _print_summary(summary, output)


@app.command("build")
def build_command(
    config: Annotated[str, typer.Argument(help="YAML file, or the name of one that comes along: mixed_45k.")],
    output: Annotated[Path | None, typer.Option(help="Folder of the result, in place of the file's.")] = None,
    raw: Annotated[Path | None, typer.Option(help="Folder of the raw datasets, in place of the file's.")] = None,
) -> None:
    """Build a selected, mixed training set from several datasets.

    Example: mixed-r1 data build mixed_45k --raw data/raw --output data/mixed_45k

    Writes train.parquet, val.parquet, rejects.jsonl, card.html and card.json. A run that was interrupted goes on when
    it is started again; a changed setting repeats only the stages that it concerns.
    """
    from mixed_r1_verl.engine.build import Step, Watch, build
    from mixed_r1_verl.engine.config import read_config

    try:
        settings = read_config(config, output=str(output) if output else None, raw=str(raw) if raw else None)
    except DataError as error:
        _fail(str(error), BAD_USAGE)

    def show(step: Step) -> None:
        gone = f"−{step.entered - step.kept:,}" if step.kept < step.entered else ""
        _out.print(f"{step.stage:14} {step.kept:>10,} {gone:>9} {step.seconds:8.1f} s", markup=False, highlight=False)

    try:
        with _progress() as progress:
            tasks = {}

            def advance(stage: str, done: int, of: int) -> None:
                if stage not in tasks:
                    tasks[stage] = progress.add_task(stage, total=of, rejected=0)
                progress.update(tasks[stage], completed=done)

            card = build(settings, Watch(show, advance))
    except DataError as error:
        _fail(str(error), FAILED)
    except OSError as error:
        _fail(f"cannot write {settings.output}: {error.strerror or error}; run the same command again to go on", FAILED)
    except KeyboardInterrupt:
        _fail("interrupted; run the same command again to go on", 130)
    rows = card["rows"]
    _out.print(
        f"read {rows['read']:,} = train {rows['train']:,} + validation {rows['validation']:,} "
        f"+ rejected {rows['rejected']:,}",
        highlight=False,
    )
    for note in card["notes"]:
        _out.print(note, markup=False, highlight=False)
    for name, file in card["files"].items():
        _out.print(f"{settings.output}/{name}  sha256 {file['sha256']}", markup=False, highlight=False)
    _out.print(f"{settings.output}/card.html", markup=False, highlight=False)


def check_command(
    files: Annotated[list[Path], typer.Argument(help="Parquet files, checked together.")],
    family: Annotated[str, typer.Option(help="Model family whose image tokens are counted.")] = "qwen2_5_vl",
    max_problems: Annotated[int, typer.Option(min=1, help="Stop printing after this many problems.")] = 50,
    gold: Annotated[bool, typer.Option(help="Also score each row's own ground truth.")] = True,
    tokenizer: Annotated[
        Path | None, typer.Option(help="Model folder with tokenizer.json: count prompt tokens too.")
    ] = None,
) -> None:
    """Check parquet files before training.

    Example: mixed-r1 check train.parquet val.parquet --family qwen2_5_vl

    Prints one line for each problem (file, row, field) and exits with 1 if there is any.
    """
    try:
        with _progress() as progress:
            task = progress.add_task("check", total=None, note="rows")

            def show(rows: int) -> None:
                progress.update(task, completed=rows)

            report = check_files(files, family=family, gold=gold, tokenizer=tokenizer, on_progress=show)
    except DataError as error:
        _fail(str(error), BAD_USAGE)
    for problem in report.problems[:max_problems]:
        _out.print(str(problem), markup=False, highlight=False)
    if len(report.problems) > max_problems:
        _out.print(f"… and {len(report.problems) - max_problems} more problems")
    sources = Table("source", "reward", "rows", box=None)
    for (source, reward), count in sorted(report.sources.items()):
        sources.add_row(source, reward, f"{count:,}")
    _out.print(sources, markup=False)
    table = Table("per row", "p50", "p90", "p99", "max", box=None, title=f"{report.rows} rows, {family}")
    for name, values in report.statistics.items():
        table.add_row(name, *(f"{value:,.0f}" for value in values))
    _out.print(table)
    for line in report.notes:
        _out.print(line, markup=False, highlight=False)
    if report.problems:
        _out.print(f"{len(report.problems)} problems")
        raise typer.Exit(FAILED)
    _out.print("no problems")


def _raw_folder(converter: Converter, input: Path | None, hub: str | None, image_roots: tuple[Path, ...]) -> RawFolder:
    if input is not None and hub is not None:
        raise DataError("give --input or --hub, not both")
    if hub is not None:
        return download(hub, image_roots)
    if input is None and converter.default_input is not None:
        input = converter.default_input()
    if input is None:
        raise DataError(f"{converter.name} needs --input FOLDER or --hub ID; the data is at {converter.source}")
    if input.is_file():
        return RawFolder(input.parent, image_roots, only=input.name)
    return RawFolder(input, image_roots)


def _columns(converter: str, pairs: list[str]) -> tuple[tuple[str, str], ...]:
    if converter != "parquet":
        raise DataError(f"{converter} knows its columns; --column goes with the converter parquet")
    split = [pair.partition("=") for pair in pairs]
    if not all(field and column for field, _, column in split):
        raise DataError("give --column as FIELD=COLUMN, such as --column question=prompt_text")
    return tuple((field, column) for field, _, column in split)


def download(repository: str, image_roots: tuple[Path, ...] = ()) -> RawFolder:
    """Downloads a dataset repository of the Hugging Face hub, or finds it in the hub's cache.

    Raises:
        DataError: the repository cannot be had.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        folder = Path(snapshot_download(repository, repo_type="dataset"))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise DataError(f"cannot download dataset {repository!r}: {str(error).splitlines()[0]}") from None
    # Files of a snapshot are links into the blob store beside it.
    return RawFolder(folder, image_roots, trusted=(folder.parent.parent / "blobs",))


def _progress() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        console=_err,
        disable=not _err.is_terminal,
        transient=True,
    )


def _print_summary(summary: Summary, output: Path) -> None:
    _out.print(
        f"{output}: read {summary.read}, written {summary.written}, rejected {summary.rejected}"
        + (f" (of {summary.source_rows} in the source)" if summary.source_rows != summary.read else ""),
        markup=False,
        highlight=False,
    )
    for reason, count in summary.reasons.items():
        _out.print(f"  rejected {count} x {reason}", markup=False, highlight=False)
    _out.print(
        "  " + ", ".join(f"{count} {reward}" for reward, count in summary.rewards.items()),
        markup=False,
        highlight=False,
    )
