"""Image and prompt tokens of a data file, as the model's processor makes them in verl."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mixed_r1_verl.core.rows import BadRecord, DataError, read_records
from mixed_r1_verl.data.images import cell_bytes, opened
from mixed_r1_verl.data.tokens import TokenCounter


@dataclass(frozen=True)
class DataStatistics:
    """What a data file holds, per row."""

    rows: int
    image: tuple[int, int, int]  # tokens of all pictures of a row: p50, p99 and the largest
    largest_picture: int  # tokens of the largest single picture
    prompt: tuple[int, int, int]  # tokens of a prompt with its pictures: p50, p99 and the largest
    mean_image: float  # mean of the image tokens
    mean_prompt: float  # mean of the prompt tokens
    too_long: int  # rows whose prompt is longer than `data.max_prompt_length`
    counted: bool  # text was counted with the model's tokenizer, not estimated from characters


def read_data(path: Path, counter: TokenCounter, max_prompt: int) -> DataStatistics:
    """Statistics of one file in the project's schema; pictures are opened for their size only.

    Raises:
        DataError: naming the file, and the row and the picture that cannot be read.
    """
    images: list[int] = []
    prompts: list[int] = []
    largest = 0
    for number, record in read_records(path, ("prompt", "images")):
        where = f"{path}: row {number}"
        if isinstance(record, BadRecord):
            raise DataError(f"{where}: {record.reason}")
        if "prompt" not in record:
            raise DataError(f"{path}: no column `prompt`")
        cells = record.get("images") or []
        if not isinstance(cells, list):
            raise DataError(f"{where}: images is not a list")
        sizes: list[int] = []
        for cell in cells:
            try:
                with opened(cell_bytes(cell)) as picture:
                    sizes.append(counter.picture(picture.size, cell))
            except (ValueError, TypeError) as error:
                raise DataError(f"{where}: picture {len(sizes)}: {error}") from None
        try:
            text = "\n".join(str(message["content"]) for message in record["prompt"])
        except (TypeError, KeyError):
            raise DataError(f"{where}: prompt is not a list of messages") from None
        images.append(sum(sizes))
        prompts.append(counter.prompt(text, sizes))
        largest = max(largest, *sizes, 0)
    if not images:
        raise DataError(f"{path} holds no rows")
    image, prompt = (tuple(np.percentile(each, [50, 99, 100], method="nearest").tolist()) for each in (images, prompts))
    return DataStatistics(
        rows=len(images),
        image=image,
        largest_picture=largest,
        prompt=prompt,
        mean_image=sum(images) / len(images),
        mean_prompt=sum(prompts) / len(prompts),
        too_long=sum(tokens > max_prompt for tokens in prompts),
        counted=counter.tokenizer is not None,
    )
