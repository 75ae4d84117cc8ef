"""Image and prompt tokens of a data file, as the model's processor makes them in verl."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mixed_r1_verl.core.families import ModelFamily
from mixed_r1_verl.core.rows import BadRecord, DataError, read_records
from mixed_r1_verl.data.check import TEMPLATE_TOKENS
from mixed_r1_verl.data.images import cell_bytes, opened
from mixed_r1_verl.plan import PlanError

ENGLISH_CHARS_PER_TOKEN = 3.0
"""Characters of English text in one token, on the low side; used where the model's tokenizer is not at hand."""


@dataclass(frozen=True)
class DataStatistics:
    """What a data file holds, per row.

    Attributes:
        rows: number of rows.
        image: tokens of all pictures of a row: p50, p99 and the largest.
        largest_picture: tokens of the largest single picture.
        prompt: tokens of a prompt with its pictures: p50, p99 and the largest.
        mean_image: mean of the image tokens.
        mean_prompt: mean of the prompt tokens.
        too_long: rows whose prompt is longer than `data.max_prompt_length`.
        counted: text was counted with the model's tokenizer, not estimated from characters.
    """

    rows: int
    image: tuple[int, int, int]
    largest_picture: int
    prompt: tuple[int, int, int]
    mean_image: float
    mean_prompt: float
    too_long: int
    counted: bool


def read_data(path: Path, family: ModelFamily, max_prompt: int, tokenizer_dir: Path | None = None) -> DataStatistics:
    """Statistics of one file in the project's schema; pictures are opened for their size only.

    Raises:
        PlanError: naming the file, and the row and the picture that cannot be read.
    """
    tokenizer = None
    if tokenizer_dir is not None and (tokenizer_dir / "tokenizer.json").is_file():
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(tokenizer_dir / "tokenizer.json"))
    images: list[int] = []
    prompts: list[int] = []
    largest = 0
    try:
        for number, record in read_records(path, ("prompt", "images")):
            where = f"{path}: row {number}"
            if isinstance(record, BadRecord):
                raise PlanError(f"{where}: {record.reason}")
            if "prompt" not in record:
                raise PlanError(f"{path}: no column `prompt`")
            cells = record.get("images") or []
            if not isinstance(cells, list):
                raise PlanError(f"{where}: images is not a list")
            sizes = [_picture_tokens(cell, family, f"{where}: picture {place}") for place, cell in enumerate(cells)]
            try:
                text = "\n".join(str(message["content"]) for message in record["prompt"])
            except (TypeError, KeyError):
                raise PlanError(f"{where}: prompt is not a list of messages") from None
            words = len(tokenizer.encode(text).ids) if tokenizer else math.ceil(len(text) / ENGLISH_CHARS_PER_TOKEN)
            images.append(sum(sizes))
            prompts.append(words + TEMPLATE_TOKENS + sum(sizes) + 2 * len(sizes))
            largest = max(largest, *sizes, 0)
    except DataError as error:
        raise PlanError(str(error)) from None
    if not images:
        raise PlanError(f"{path} holds no rows")
    image, prompt = (tuple(np.percentile(each, [50, 99, 100], method="nearest").tolist()) for each in (images, prompts))
    too_long = sum(tokens > max_prompt for tokens in prompts)
    mean_image, mean_prompt = sum(images) / len(images), sum(prompts) / len(prompts)
    return DataStatistics(
        len(images), image, largest, prompt, mean_image, mean_prompt, too_long, counted=tokenizer is not None
    )


def _picture_tokens(cell: Any, family: ModelFamily, where: str) -> int:
    """Tokens of one cell, which may bring pixel limits of its own."""
    own = cell if isinstance(cell, Mapping) else {}
    limits = {name: own[name] for name in ("min_pixels", "max_pixels") if own.get(name)}
    try:
        with opened(cell_bytes(cell)) as image:
            return family.verl_image_tokens(*image.size, **limits)
    except (ValueError, TypeError) as error:  # TypeError: a limit that is no number
        raise PlanError(f"{where}: {error}") from None


def processor_limits(folder: Path) -> tuple[int, int] | None:
    """The least and the largest area in pixels that a model directory's own processor sets.

    None where the directory holds no processor file, or that of a tiled family.
    """
    for name in ("processor_config.json", "preprocessor_config.json"):
        try:
            found = json.loads((folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        size = (found.get("image_processor") or found).get("size") or {}
        if {"shortest_edge", "longest_edge"} <= size.keys():
            return int(size["shortest_edge"]), int(size["longest_edge"])
    return None
