"""`mixed-r1 data build`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mixed_r1_verl.core.console import command_errors, progress_bar, resumable, terminal

if TYPE_CHECKING:
    from mixed_r1_verl.engine.build import Step


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
    from mixed_r1_verl.engine.build import Watch, build
    from mixed_r1_verl.engine.config import read_config

    console = terminal(soft_wrap=True, highlight=False, markup=False)
    with command_errors():
        settings = read_config(config, output=str(output) if output else None, raw=str(raw) if raw else None)

    def show(step: "Step") -> None:
        gone = f"−{step.entered - step.kept:,}" if step.kept < step.entered else ""
        console.print(f"{step.stage:14} {step.kept:>10,} {gone:>9} {step.seconds:8.1f} s")

    with resumable(Path(settings.output)), progress_bar() as progress:
        tasks = {}

        def advance(stage: str, done: int, of: int) -> None:
            if stage not in tasks:
                tasks[stage] = progress.add_task(stage, total=of)
            progress.update(tasks[stage], completed=done)

        card = build(settings, Watch(show, advance))
    rows = card["rows"]
    console.print(
        f"read {rows['read']:,} = train {rows['train']:,} + validation {rows['validation']:,} "
        f"+ rejected {rows['rejected']:,}"
    )
    for note in card["notes"]:
        console.print(note)
    for name, file in card["files"].items():
        console.print(f"{settings.output}/{name}  sha256 {file['sha256']}")
    console.print(f"{settings.output}/card.html")
