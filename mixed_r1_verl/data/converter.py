"""What the author of a converter writes, and what the core of conversion asks of it.

A converter is two plain functions: `rows` walks the raw folder and yields one `Row` for each parquet row that could
come of it, `convert` makes an `Example` of one row or raises `RowError`. Everything else is done by
`mixed_r1_verl.data.convert`, the same for all.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mixed_r1_verl.core.config import suggestion
from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.data.raw import RawFolder, Row, Told
from mixed_r1_verl.rewards.answer.types import ANSWER_TYPES

BoxFormat = Literal["xyxy", "xywh", "either"]


@dataclass(frozen=True)
class Example:
    """One question of a published dataset, before its images are read.

    Attributes:
        id: unique in the data source and stable over runs; the core puts `<data_source>/<split>/` in front.
        question: the question as published.
        reward: reward kind that scores it.
        answer: ground truth as text, a JSON list of strings for several references. For `iou` empty, or `[]` where
            the dataset says that nothing in the picture is what was asked for.
        images: path of each image relative to the raw folder (or to `--image-root`), or several of which the first
            that is there counts, or its encoded bytes.
        choices: option texts in order A, B, C, ….
        boxes: ground truth of `iou`: (x1, y1, x2, y2), x1 < x2, y1 < y2. Labels stay where they differ.
        box_frame: frame of `boxes`, see `mixed_r1_verl.data.boxes`; `pixel` is pixels of the first image, 0-based,
            right and lower edge exclusive.
        box_format: what four numbers mean; with `either` a row where corners and x, y, width, height fit is refused.
        box_size: (width, height) of the picture on which the boxes were drawn, where the dataset states it. Boxes are
            rescaled when the picture was stored in another size of like shape, and rejected when shapes differ.
        ability: verl's `ability` column; the reward kind when empty.
        data_source: overrides the converter's own name, for converters that read several datasets.
        answer_type: what the answer is (`choice`, `number`, …), where the dataset knows; empty leaves it to the reward.
        how: what a generic converter went by; a run counts its rows by it.
        dropped_turns: turns of the record that became no row.
    """

    id: str
    question: str
    reward: str
    answer: str = ""
    images: tuple[str | bytes | tuple[str, ...], ...] = ()
    choices: tuple[str, ...] = ()
    boxes: tuple[Sequence[float], ...] = ()
    box_frame: str = "pixel"
    box_format: BoxFormat = "xyxy"
    box_size: tuple[int, int] | None = None
    ability: str = ""
    data_source: str = ""
    answer_type: str = ""
    how: str = ""
    dropped_turns: int = 0


@dataclass(frozen=True)
class Converter:
    """How one published dataset becomes examples.

    Attributes:
        name: what the user types; also the `data_source` column unless an example says otherwise.
        rows: `(raw, split) -> iterator of Row`; each `Row` becomes one parquet row or one reject. Raises `DataError`
            when a file as a whole cannot be used.
        convert: `row -> Example`; raises `RowError`. Both are module-level functions, so that workers can import them.
        splits: names that `--split` accepts, the first is the default; `*` among them stands for any other.
        licence: licence of the raw data.
        source: where the raw data comes from.
        default_input: the raw folder when the user names none, for data that comes with a Python package.
        generic: reads records of any layout: the user may name columns and say what boxes mean, and `convert` is
            `(row, raw.told) -> Example`.
        about: what it reads and makes of it; the docstring of its module where it is empty.
        home: module of the table that `rows` and `convert` go by, where they are those of another module.
    """

    name: str
    rows: Callable[[RawFolder, str], Iterator[Row]]
    convert: Callable[..., Example]
    splits: tuple[str, ...]
    licence: str
    source: str
    default_input: Callable[[], Path | None] | None = None
    generic: bool = False
    about: str = ""
    home: str = ""

    def check_split(self, split: str) -> None:
        """Refuses a split that the dataset does not have.

        Raises:
            DataError: naming those that it has.
        """
        if split not in self.splits and "*" not in self.splits:
            raise DataError(f"{self.name} has no split {split!r}; it has {', '.join(self.splits)}")

    def check_told(self, told: Told) -> None:
        """Refuses what cannot be told to a converter that knows its dataset.

        Raises:
            DataError: naming the option.
        """
        given = [name for name in ("columns", "box_frame", "box_format", "turns") if getattr(told, name)]
        if given and not self.generic:
            option = given[0].removesuffix("s").replace("_", "-")
            raise DataError(f"{self.name} knows its columns and boxes; --{option} is for generic converters only")
        if told.answer_type and told.answer_type not in ANSWER_TYPES:
            raise DataError(f"unknown answer type {told.answer_type!r}{suggestion(told.answer_type, ANSWER_TYPES)}")


def references_json(references: Sequence[str]) -> str:
    """The ground truth of `open_ended`: the text itself when there is one, a JSON list when there are several.

    Example:
        >>> references_json(["A cat."]), references_json(["A cat.", "Eine Kätzin."])
        ('A cat.', '["A cat.", "Eine Kätzin."]')
    """
    if len(references) == 1 and not references[0].lstrip().startswith("["):
        return references[0]
    return json.dumps(list(references), ensure_ascii=False)
