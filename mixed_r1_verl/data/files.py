"""Writing parquet in small row groups."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mixed_r1_verl.data.schema import ImageForm, row_schema, rows_to_table

# verl cannot read a row group with more than 2 GiB of nested bytes; small groups also keep random access cheap.
ROW_GROUP_BYTES = 32 << 20
ROW_GROUP_ROWS = 256


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
    schema = row_schema(images)
    bulk = "images.list.element.bytes"
    columns = [column for column in _leaf_columns(schema) if column != bulk]
    return pq.ParquetWriter(
        path,
        schema,
        compression={column: "ZSTD" for column in columns} | ({bulk: "NONE"} if images == "bytes" else {}),
        use_dictionary=[column for column in columns if not column.startswith("images.")],
        write_statistics=[column for column in columns if not column.startswith("images.")],
    )


def _leaf_columns(schema: pa.Schema) -> list[str]:
    """Names of the parquet leaf columns, `images.list.element.bytes` and the like."""

    def leaves(prefix: str, kind: pa.DataType) -> Iterator[str]:
        if pa.types.is_list(kind):
            yield from leaves(f"{prefix}.list.element", kind.value_type)
        elif pa.types.is_struct(kind):
            for i in range(kind.num_fields):
                yield from leaves(f"{prefix}.{kind.field(i).name}", kind.field(i).type)
        else:
            yield prefix

    return [leaf for column in schema for leaf in leaves(column.name, column.type)]
