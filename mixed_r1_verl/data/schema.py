"""The one schema of a parquet row, how an example becomes a row, and how rows are written.

verl concatenates train files and refuses column types that differ (a null column against a string column, int against
float), so every file of this package is written with the explicit Arrow types below, never with inferred ones.

The `images` column has two forms, one for a run:

- `bytes`: `list<struct<bytes: binary, path: string>>`. verl opens the bytes; `path` is informative (where the picture
  came from). A row of this form must have bytes: verl opens whatever stands under that key, null included.
- `path`: `list<struct<image: string>>` with absolute paths. verl hands the struct to `qwen_vl_utils.fetch_image`,
  which opens what stands under the key `image`. A struct with the key `path` alone would not work.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from mixed_r1_verl.data.converter import Example
from mixed_r1_verl.data.prompt import build_prompt
from mixed_r1_verl.rewards.formats import ResponseFormat
from mixed_r1_verl.rewards.kind import RewardKind

ImageForm = Literal["bytes", "path"]
_STANDARD = ResponseFormat()
# verl cannot read a row group with more than 2 GiB of nested bytes; small groups also keep random access cheap.
ROW_GROUP_BYTES = 32 << 20
ROW_GROUP_ROWS = 256

IMAGE_TYPES: dict[str, pa.DataType] = {
    "bytes": pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
    "path": pa.list_(pa.struct([("image", pa.string())])),
}

EXTRA_INFO_TYPE = pa.struct(
    [
        ("id", pa.string()),
        ("split", pa.string()),
        ("index", pa.int64()),
        ("reward", pa.string()),
        ("choices", pa.list_(pa.string())),
        ("question", pa.string()),
        ("width", pa.int64()),
        ("height", pa.int64()),
        ("answer_type", pa.string()),
    ]
)
# Columns that files of an earlier version lack; whoever reads rows does without them.
OPTIONAL = frozenset(("extra_info.answer_type",))


@lru_cache(maxsize=2)
def row_schema(images: ImageForm = "bytes") -> pa.Schema:
    """The Arrow schema of every parquet file of this package.

    Args:
        images: which form the `images` column has.

    >>> row_schema("path").names
    ['data_source', 'prompt', 'images', 'ability', 'reward_model', 'extra_info']
    >>> str(row_schema("path").field("images").type.value_type)
    'struct<image: string>'
    """
    return pa.schema(
        [
            ("data_source", pa.string()),
            ("prompt", pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))),
            ("images", IMAGE_TYPES[images]),
            ("ability", pa.string()),
            ("reward_model", pa.struct([("style", pa.string()), ("ground_truth", pa.string())])),
            ("extra_info", EXTRA_INFO_TYPE),
        ]
    )


def image_form(schema: pa.Schema) -> ImageForm | None:
    """Which form the `images` column of a schema has, or None where it is neither.

    >>> image_form(row_schema("path"))
    'path'
    """
    index = schema.get_field_index("images")
    for form in ("bytes", "path"):
        if index >= 0 and same_type(schema.field(index).type, IMAGE_TYPES[form]):
            return form  # type: ignore[return-value]
    return None


def same_type(left: pa.DataType, right: pa.DataType) -> bool:
    """Whether two Arrow types mean the same, whatever the list element is called (`item`, `element`) or may be null.

    >>> same_type(pa.list_(pa.field("item", pa.string())), pa.list_(pa.field("element", pa.string())))
    True
    """
    one, other = (re.sub(r"(?<=list<)[^:<>]*(?=: )| not null", "", str(kind)) for kind in (left, right))
    return one == other


def build_row(
    example: Example,
    *,
    data_source: str,
    split: str,
    index: int,
    images: Sequence[dict[str, Any]],
    width: int,
    height: int,
    ground_truth: str,
    kind: RewardKind | None = None,
    format: ResponseFormat = _STANDARD,
) -> dict[str, Any]:
    """Builds one row in the shape of `row_schema`.

    Args:
        example: the example; its `answer` and `boxes` are not used, `ground_truth` is.
        data_source: name of the source dataset.
        split: `train`, `val`, `test`, ….
        index: running number of the row in its source.
        images: cells of the `images` column, in the form that the file is written in.
        width, height: size in pixels of the first stored image, upright (EXIF rotation applied); 0 without an image.
        ground_truth: what the reward gets.
        kind: the reward kind of the example, where it is none of the built-in ones.
        format: what the reply looks like.

    Raises:
        ValueError: the prompt cannot be built (unknown reward, empty question, too many options).

    >>> example = Example(id="7", question="Is it red?", reward="matching", answer="yes")
    >>> row = build_row(example, data_source="toy", split="train", index=0, images=[], width=0, height=0,
    ...                 ground_truth="yes")
    >>> row["extra_info"]["id"], row["reward_model"]["ground_truth"]
    ('toy/train/7', 'yes')
    """
    prompt = build_prompt(
        example.question,
        kind or example.reward,
        choices=example.choices,
        n_images=len(images),
        answer=ground_truth,
        format=format,
    )
    return {
        "data_source": data_source,
        "prompt": prompt,
        "images": list(images),
        "ability": example.ability or example.reward,
        "reward_model": {"style": "rule", "ground_truth": ground_truth},
        "extra_info": {
            "id": f"{data_source}/{split}/{example.id}",
            "split": split,
            "index": index,
            "reward": example.reward,
            "choices": list(example.choices),
            "question": example.question,
            "width": width,
            "height": height,
            "answer_type": example.answer_type or ("choice" if example.choices else ""),
        },
    }


def check_types(row: dict[str, Any]) -> None:
    """Refuses a row of `build_row` with a value that Arrow would refuse, long before its row group is written.

    Raises:
        TypeError: a text that is no string, or a number that is no integer.
        OverflowError: an integer beyond 64 bits.
        UnicodeEncodeError: a lone surrogate.

    >>> check_types({"extra_info": {"width": 2.5}})
    Traceback (most recent call last):
        ...
    TypeError: 2.5 is a float
    """
    for value in row.values():
        kind = type(value)
        if kind is str:
            value.encode("utf-8")
        elif kind is dict:
            check_types(value)
        elif kind is list:
            for member in value:
                check_types({"": member})
        elif kind is int:
            value.to_bytes(8, "big", signed=True)
        elif kind is not bytes:
            raise TypeError(f"{value!r} is a {kind.__name__}")


def rows_to_table(rows: Sequence[dict[str, Any]], images: ImageForm = "bytes") -> pa.Table:
    """Rows as an Arrow table of exactly `row_schema`.

    Raises:
        pyarrow.ArrowInvalid or pyarrow.ArrowTypeError: a value that does not fit its column.
    """
    return pa.Table.from_pylist(list(rows), schema=row_schema(images))


class RowGroups:
    """Writes rows to a parquet file in small row groups."""

    def __init__(self, path: Path, images: ImageForm) -> None:
        self.path = path
        self.images = images
        self.rows: list[dict[str, Any]] = []
        self.bytes = 0
        self.writer: pq.ParquetWriter | None = None

    def __enter__(self) -> "RowGroups":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.flush()
        if self.writer is not None:
            self.writer.close()

    def add(self, row: dict[str, Any]) -> None:
        """Takes a row of `row_schema`; writes a row group when enough rows or bytes have come together."""
        self.rows.append(row)
        self.bytes += sum(len(cell["bytes"]) for cell in row["images"] if "bytes" in cell)
        if len(self.rows) >= ROW_GROUP_ROWS or self.bytes >= ROW_GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
        """Writes what has come together."""
        if self.rows:
            if self.writer is None:
                self.writer = parquet_writer(self.path, self.images)
            self.writer.write_table(rows_to_table(self.rows, self.images))
        self.rows, self.bytes = [], 0


def parquet_writer(path: Path, images: ImageForm) -> pq.ParquetWriter:
    """A writer with this package's schema; image bytes are stored as they are, since they are compressed already."""
    bulk = "images.list.element.bytes"
    columns = [column for column in _leaf_columns(images) if column != bulk]
    return pq.ParquetWriter(
        path,
        row_schema(images),
        compression={column: "ZSTD" for column in columns} | ({bulk: "NONE"} if images == "bytes" else {}),
        use_dictionary=[column for column in columns if not column.startswith("images.")],
        write_statistics=[column for column in columns if not column.startswith("images.")],
    )


@lru_cache(maxsize=2)
def _leaf_columns(images: ImageForm) -> list[str]:
    """Names of the parquet leaf columns, `images.list.element.bytes` and the like."""
    sink = pa.BufferOutputStream()
    pq.write_table(row_schema(images).empty_table(), sink)
    leaves = pq.read_metadata(pa.BufferReader(sink.getvalue())).schema
    return [leaves.column(number).path for number in range(len(leaves))]
