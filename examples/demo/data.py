"""The demo set: four rewards in every batch, nothing to download.

    python -m examples.demo.data --output outputs/demo/data

Matching questions are real ones (easy-VQA, from its PyPI package); charts, boxes and descriptions are rendered scenes.
Kinds take turns row by row, so that consecutive rows hold all four rewards in equal parts. Rows pass the same core as
every other dataset.
"""

import hashlib
import io
import json
import random
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from mixed_r1_verl.data_preprocess import easy_vqa
from PIL import Image

from examples.demo.scenes import make_scene
from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.data.convert import Converter, Options, Summary, convert_dataset
from mixed_r1_verl.data.raw import RawFolder, Row
from mixed_r1_verl.data.schema import Example

KINDS = ("matching", "chart", "iou", "open_ended")
SCENES_OF_KIND = 1000
# Validation comes from easy-VQA's own test split.
REAL_SPLIT = {"train": "train", "val": "test"}


def build_demo(
    output: Path, *, rows: int = 4096, val_rows: int = 256, seed: int = 0, workers: int = 1
) -> tuple[Summary, Summary]:
    """Writes `train.parquet` and `val.parquet` of the demo set.

    Args:
        output: folder for the two files.
        rows, val_rows: number of rows of each; both at least 4.
        seed: draws questions and scenes; another seed gives another set.
        workers: processes.

    Returns:
        The summaries of the train and of the validation file.

    Raises:
        DataError: easy-VQA is not installed, has fewer questions than asked for, or the folder cannot be written.
    """
    folder = easy_vqa.installed_data()
    if folder is None:
        raise DataError("the demo set needs the package easy-vqa; run `pip install easy-vqa`")
    if min(rows, val_rows) < len(KINDS):
        raise DataError(f"the demo set needs at least {len(KINDS)} rows of each file, one of each reward")
    raw = RawFolder(folder)
    summaries = []
    for split, count in (("train", rows), ("val", val_rows)):
        converter = Converter(
            name="demo",
            rows=partial(demo_rows, count=count, val_count=val_rows, seed=seed),
            convert=demo_example,
            splits=("train", "val"),
            licence="MIT (easy-VQA), Apache-2.0 (scenes)",
            source="the package easy-vqa, and our own renderer",
        )
        # The seed and the counts are part of the split's rows, so a change of them is noticed when a run is resumed.
        options = Options(split=split, workers=workers, seed=seed)
        summaries.append(convert_dataset(converter, raw, output / f"{split}.parquet", options))
    return summaries[0], summaries[1]


def demo_rows(raw: RawFolder, split: str, *, count: int, val_count: int, seed: int) -> Iterator[Row]:
    """`count` rows of a split, kinds taking turns; training rows share no picture with the validation rows.

    Raises:
        DataError: easy-VQA has too few questions.
    """
    held_out = set() if split == "val" else set(_pictures(raw, "val", val_count, seed))
    sources = {kind: _rows_of_kind(raw, split, kind, seed) for kind in KINDS}
    for number in range(count):
        kind = KINDS[number % len(KINDS)]
        for row in sources[kind]:
            if not held_out or _picture(raw, row) not in held_out:
                yield row
                break
        else:
            raise DataError(f"easy-VQA has too few questions for {count} rows; ask for fewer")


def demo_example(row: Row) -> Example:
    """The example of one row of `demo_rows`."""
    if row.data["kind"] == "matching":
        return replace(easy_vqa.convert(Row(row.where, row.data["real"])), data_source=easy_vqa.EASY_VQA.name)
    return scene_example(row.data["kind"], row.data["seed"])


def scene_rows(raw: RawFolder, split: str) -> Iterator[Row]:
    """A thousand scenes of each kind, kinds taking turns; the split is part of the seed."""
    for number in range(SCENES_OF_KIND):
        for kind in KINDS:
            yield Row(f"{kind}#{number}", {"kind": kind, "seed": f"{split}-{number}"})


def scene_example(kind: str, seed: str) -> Example:
    """The example of one scene.

    Args:
        kind: reward kind.
        seed: any string; the same kind and seed give the same example.
    """
    scene = make_scene(kind, seed)
    question = scene.question
    return Example(
        id=seed,
        question=question.text,
        reward=question.reward,
        answer="" if kind == "iou" else question.answer,
        boxes=tuple(tuple(box) for box in json.loads(question.answer)) if kind == "iou" else (),
        choices=question.choices,
        images=(png(scene.picture.render()),),
        # One source a kind: verl reports validation by source.
        data_source=f"scenes_{kind}",
    )


def scene_of_row(row: Row) -> Example:
    """The example of one row of `scene_rows`."""
    return scene_example(row.data["kind"], row.data["seed"])


def png(image: Image.Image) -> bytes:
    """A picture as PNG bytes."""
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


SCENES = Converter(
    name="demo_scenes",
    rows=scene_rows,
    convert=scene_of_row,
    splits=("train", "val"),
    licence="Apache-2.0",
    source="drawn by examples.demo.scenes",
)
"""Rendered scenes alone, of all four kinds."""


def _rows_of_kind(raw: RawFolder, split: str, kind: str, seed: int) -> Iterator[Row]:
    if kind != "matching":
        number = 0
        while True:
            yield Row(f"{kind}#{number}", {"kind": kind, "seed": f"{seed}-{split}-{number}"})
            number += 1
    real = list(easy_vqa.rows(raw, REAL_SPLIT[split]))
    random.Random(f"demo {seed} {split}").shuffle(real)
    for row in real:
        yield Row(row.where, {"kind": kind, "real": row.data})


def _pictures(raw: RawFolder, split: str, count: int, seed: int) -> Iterator[str]:
    for row in demo_rows(raw, split, count=count, val_count=count, seed=seed):
        yield _picture(raw, row)


def _picture(raw: RawFolder, row: Row) -> str:
    """What tells one picture from another: the bytes of a file, or the numbers from which a scene is drawn."""
    if row.data["kind"] == "matching":
        path = raw.image(easy_vqa.convert(Row(row.where, row.data["real"])).images[0])  # type: ignore[arg-type]
        return hashlib.sha256(path.read_bytes()).hexdigest()
    return repr(make_scene(row.data["kind"], row.data["seed"]).picture)


def main(
    output: Annotated[Path, typer.Option(help="Folder for train.parquet and val.parquet.")],
    rows: Annotated[int, typer.Option(min=4, help="Rows of the training file.")] = 4096,
    val_rows: Annotated[int, typer.Option(min=4, help="Rows of the validation file.")] = 256,
    seed: Annotated[int, typer.Option(help="Draws questions and scenes.")] = 0,
    workers: Annotated[int, typer.Option(min=1, max=256, help="Processes.")] = 1,
) -> None:
    """Write the demo set: four rewards in every batch, nothing to download.

    Example: python -m examples.demo.data --output outputs/demo/data
    """
    try:
        summaries = build_demo(output, rows=rows, val_rows=val_rows, seed=seed, workers=workers)
    except (DataError, OSError) as error:
        typer.echo(f"error: {error}", err=True)
        raise typer.Exit(1) from None
    for summary, name in zip(summaries, ("train", "val"), strict=True):
        counts = ", ".join(f"{count} {reward}" for reward, count in summary.rewards.items())
        typer.echo(f"{output / name}.parquet: written {summary.written}, rejected {summary.rejected}: {counts}")


if __name__ == "__main__":
    typer.run(main)
