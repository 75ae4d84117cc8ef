"""One row, from the raw record to the parquet row or the reject: read it from top to bottom."""

import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from mixed_r1_verl.core.boxes import format_boxes
from mixed_r1_verl.core.rows import Reject, RowError
from mixed_r1_verl.data.boxes import place_boxes
from mixed_r1_verl.data.converter import Converter, Example
from mixed_r1_verl.data.images import StoredImage, read_image_file, store_image, write_image
from mixed_r1_verl.data.raw import RawFolder, Row
from mixed_r1_verl.data.schema import ImageForm, build_row, check_types
from mixed_r1_verl.data.truth import GOLD_ACC, gold_acc, reward_with
from mixed_r1_verl.rewards.answer.units import measure
from mixed_r1_verl.rewards.kind import RewardKind
from mixed_r1_verl.rewards.verdict import GroundTruthError

CACHED_IMAGES = 8

# Letters after a number or a bracket: a unit, if the reward cannot read the answer.
_UNIT = re.compile(r"[\d})\]]\s{0,4}([^\W\d_]{1,30})\s*$")

ImageCache = OrderedDict[Path, StoredImage]


@dataclass(frozen=True)
class Options:
    """What the command line can say about a conversion."""

    split: str = "train"  # which split to read
    # take at most this many rows, drawn by `seed` and kept in the source's order; None takes all
    limit: int | None = None
    images: ImageForm = "bytes"  # `bytes` embeds pictures, `path` writes them into a folder beside the output
    max_pixels: int | None = None  # reduce larger pictures (and their boxes) to this many pixels; None leaves them
    workers: int = 1  # processes; 1 works in this process
    seed: int = 0  # draws the rows of `limit`
    # also score each row's honest answer, wrapped in the template, and reject rows where it is not right
    check_gold: bool = True
    # what the reward block says that will score the rows, above all its `custom` kinds
    reward: Mapping[str, Any] = field(default_factory=dict)
    chunk_rows: int = 1024  # rows of the source in a chunk, the unit of resuming and of sharding


@dataclass(frozen=True)
class Job:
    """All that a worker needs besides the rows."""

    converter: Converter
    raw: RawFolder
    options: Options
    image_folder: Path


def example_of(job: Job, row: Row) -> Example:
    """What the converter makes of a row, with what the user says of all rows.

    Raises:
        RowError: see the converter.
    """
    told = job.raw.told
    example = job.converter.convert(row, told) if job.converter.generic else job.converter.convert(row)
    given = {name: getattr(told, name) for name in ("reward", "data_source", "answer_type") if getattr(told, name)}
    return replace(example, **given) if given else example


class Converted(NamedTuple):
    """The parquet row that came of a row of the source, and the example in between."""

    row: dict[str, Any]
    example: Example


def convert_row(job: Job, index: int, row: Row, cache: ImageCache) -> Converted | Reject:
    """The parquet row that comes of a row of the source, or why none does.

    Args:
        job: the conversion.
        index: number of the row in the source.
        row: the row.
        cache: the pictures read last, since neighbouring rows often share one.
    """
    stage = "read"
    source = job.converter.name
    try:
        if isinstance(row.data, RowError):
            raise row.data
        stage = "convert"
        example = example_of(job, row)
        source = example.data_source or source
        stage = "image"
        found = [_stored_image(job, image, cache) for image in example.images]
        stored = [picture for _, picture in found]
        width, height = (stored[0].width, stored[0].height) if stored else (0, 0)
        stage = "boxes"
        ground_truth = example.answer
        if example.reward == "iou":
            ground_truth = format_boxes(place_boxes(example, stored))
        stage = "validate"
        kind = _check_truth(job.options, example, ground_truth, width, height)
        cells = [_image_cell(job, name, picture) for name, picture in found]
        built = build_row(
            example,
            data_source=source,
            split=job.options.split,
            index=index,
            images=cells,
            width=width,
            height=height,
            ground_truth=ground_truth,
            kind=kind,
            format=reward_with(job.options.reward).config.format,
        )
        # Whatever Arrow refuses must be found here, where it costs one row, and not when the row group is written.
        check_types(built)
        return Converted(built, example)
    except RowError as error:
        return Reject(source, row.where, error.field, error.reason, stage, error.detail)
    except UnicodeEncodeError as error:
        return Reject(source, row.where, "text", "broken_text", stage, f"a lone surrogate at {error.start}")
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        # A value of a type that the converter did not foresee: the row is lost, the run is not.
        detail = f"{type(error).__name__}: {error}"[:200]
        return Reject(source, row.where, "record", "unexpected_value", stage, detail)


def _stored_image(job: Job, image: str | bytes | tuple[str, ...], cache: ImageCache) -> tuple[str, StoredImage]:
    """Name and content of a picture: the first of several names under which one is there."""
    if isinstance(image, bytes):
        return "", store_image(image, max_pixels=job.options.max_pixels)
    name, path = job.raw.find(*([image] if isinstance(image, str) else image))
    if path not in cache:
        cache[path] = read_image_file(path, max_pixels=job.options.max_pixels)
        while len(cache) > CACHED_IMAGES:
            cache.popitem(last=False)
    return name, cache[path]


def _check_truth(options: Options, example: Example, ground_truth: str, width: int, height: int) -> RewardKind:
    """The kind that will score the row; it can read the ground truth and, with `check_gold`, would pay for it.

    Raises:
        RowError: `unknown_reward`, `empty`, `ground_truth` or `gold_not_right`.
    """
    reward = reward_with(options.reward)
    if example.reward not in reward.kinds:
        raise RowError("reward", "unknown_reward", f"{example.reward!r} is none of {', '.join(reward.kinds)}")
    if not ground_truth.strip():
        raise RowError("answer", "empty")
    if not example.question.strip():
        raise RowError("question", "empty")
    extra_info: dict[str, Any] = {"choices": example.choices, "question": example.question}
    extra_info |= {"width": width, "height": height, "answer_type": example.answer_type}
    try:
        if not options.check_gold:
            reward.parse(example.reward, ground_truth, extra_info)
        elif (acc := gold_acc(reward, example.reward, ground_truth, extra_info)) < GOLD_ACC:
            raise RowError("answer", "gold_not_right", f"{ground_truth[:80]!r} itself scores acc {acc:.3f}")
    except GroundTruthError as error:
        unit = _UNIT.search(ground_truth)
        unknown = f"; its unit {unit[1]!r} is in no table" if unit and measure(unit[1]) is None else ""
        raise RowError("answer", "ground_truth", str(error)[:200] + unknown) from None
    return reward.kinds[example.reward]


def _image_cell(job: Job, name: str, stored: StoredImage) -> dict[str, Any]:
    if job.options.images == "path":
        return {"image": str(write_image(job.image_folder, stored))}
    return {"bytes": stored.data, "path": name}
