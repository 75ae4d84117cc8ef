"""The demo set: four rewards in every batch, nothing to download.

Matching questions are real ones (easy-VQA, from its PyPI package); charts, boxes and descriptions are rendered scenes.
Kinds take turns row by row, so that consecutive rows hold all four rewards in equal parts. Rows pass the same core as
every other dataset.
"""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.data.convert import Converter, Options, Summary, convert_dataset
from mixed_r1_verl.data.raw import RawFolder, Row
from mixed_r1_verl.data.scenes import make_scene
from mixed_r1_verl.data.schema import Example
from mixed_r1_verl.data_preprocess import easy_vqa
from mixed_r1_verl.data_preprocess.demo_scenes import scene_example

KINDS = ("matching", "chart", "iou", "open_ended")
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
            source="the package easy-vqa, and mixed_r1_verl.data.scenes",
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
