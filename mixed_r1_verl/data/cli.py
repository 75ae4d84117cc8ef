"""`mixed-r1 data list`, `mixed-r1 data convert` and `mixed-r1 check`."""

from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import TextColumn
from rich.table import Table

from mixed_r1_verl.core.console import FAILED, command_errors, parse_settings, progress_bar, resumable
from mixed_r1_verl.core.rows import DataError, count_records

if TYPE_CHECKING:
    from mixed_r1_verl.data.converter import Converter
    from mixed_r1_verl.data.raw import RawFolder

_out = Console(soft_wrap=True, highlight=False, markup=False)
_err = Console(stderr=True, soft_wrap=True, highlight=False, markup=False)

RewardSettings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", help="Setting of the reward block as KEY=VALUE, repeatable: custom.mine=my_package.rewards:mine."
    ),
]


class ImageForm(str, Enum):
    """Where pictures are kept."""

    bytes = "bytes"
    path = "path"


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
        _err.print(f"not loaded: {line}")


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
    settings: RewardSettings = None,
) -> None:
    """Convert one dataset.

    Example: mixed-r1 data convert chartqa --input ChartQA --split train --output chartqa.parquet

    Rows that cannot be used go to NAME.rejects.jsonl; a run that was interrupted goes on when it is started again.
    """
    from mixed_r1_verl.data.convert import Options, convert_dataset
    from mixed_r1_verl.data.registry import get_converter
    from mixed_r1_verl.data.truth import reward_with

    with command_errors():
        converter = get_converter(name)
        if split is not None and split not in converter.splits:
            raise DataError(f"{name} has no split {split!r}; it has {', '.join(converter.splits)}")
        raw = _raw_folder(converter, input, hub, tuple(image_root or ()))
        if column:
            raw = replace(raw, columns=_columns(name, column))
        options = Options(
            split=split or converter.splits[0],
            limit=limit,
            images=images.value,  # type: ignore[arg-type]
            max_pixels=max_pixels,
            workers=workers,
            seed=seed,
            check_gold=check_gold,
            reward=parse_settings(settings or ()),
        )
        reward_with(options.reward)
    with resumable(output), progress_bar(_err, TextColumn("{task.fields[note]}")) as progress:
        task = progress.add_task(name, total=limit, note="")

        def show(written: int, rejected: int) -> None:
            progress.update(task, completed=written + rejected, note=f"rejected {rejected}")

        summary = convert_dataset(converter, raw, output, options, on_progress=show)
    source = f" (of {summary.source_rows} in the source)" if summary.source_rows != summary.read else ""
    _out.print(f"{output}: read {summary.read}, written {summary.written}, rejected {summary.rejected}{source}")
    for reason, count in summary.reasons.items():
        _out.print(f"  rejected {count} x {reason}")
    _out.print("  " + ", ".join(f"{count} {reward}" for reward, count in summary.rewards.items()))


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

    with command_errors(), progress_bar(_err) as progress:
        reward = reward_with(parse_settings(settings or ()))
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


def _raw_folder(
    converter: "Converter", input: Path | None, hub: str | None, image_roots: tuple[Path, ...]
) -> "RawFolder":
    from mixed_r1_verl.data.raw import RawFolder

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


def download(repository: str, image_roots: tuple[Path, ...] = ()) -> "RawFolder":
    """Downloads a dataset repository of the Hugging Face hub, or finds it in the hub's cache.

    Raises:
        DataError: the repository cannot be had.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    from mixed_r1_verl.data.raw import RawFolder

    try:
        folder = Path(snapshot_download(repository, repo_type="dataset"))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise DataError(f"cannot download dataset {repository!r}: {str(error).splitlines()[0]}") from None
    # Files of a snapshot are links into the blob store beside it.
    return RawFolder(folder, image_roots, trusted=(folder.parent.parent / "blobs",))
