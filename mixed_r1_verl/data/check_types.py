"""What is wrong with the column types of parquet files, each alone and all together."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from mixed_r1_verl.data.schema import IMAGE_TYPES, image_form, row_schema, same_type


class Problem(NamedTuple):
    """One thing that is wrong.

    Attributes:
        file: the parquet file.
        row: number of the row in the file, from 0; None for the file as a whole.
        field: column or field at fault.
        message: what is wrong.
    """

    file: str
    row: int | None
    field: str
    message: str

    def __str__(self) -> str:
        place = self.file if self.row is None else f"{self.file}: row {self.row}"
        return f"{place}: {self.field}: {self.message}"


def schema_problems(path: Path, schema: pa.Schema) -> list[Problem]:
    """Columns that are missing or have another type than the contract's; further columns and fields are allowed.

    Example:
        >>> schema_problems(Path("x.parquet"), row_schema("path"))
        []
    """
    problems = []
    form = image_form(schema)
    if form is None:
        index = schema.get_field_index("images")
        found = schema.field(index).type if index >= 0 else "no such column"
        problems.append(
            Problem(str(path), None, "images", f"must be {IMAGE_TYPES['bytes']} or {IMAGE_TYPES['path']}, is {found}")
        )
    for wanted in row_schema(form or "bytes"):
        index = schema.get_field_index(wanted.name)
        if wanted.name == "images":
            continue
        if index < 0:
            problems.append(Problem(str(path), None, wanted.name, "the column is missing"))
        elif pa.types.is_struct(wanted.type):
            problems += _struct_problems(path, wanted, schema.field(index).type)
        elif not same_type(wanted.type, schema.field(index).type):
            message = f"must be {wanted.type}, is {schema.field(index).type}"
            problems.append(Problem(str(path), None, wanted.name, message))
    return problems


def _struct_problems(path: Path, wanted: pa.Field, found: pa.DataType) -> Iterator[Problem]:
    if not pa.types.is_struct(found):
        yield Problem(str(path), None, wanted.name, f"must be a struct, is {found}")
        return
    types = {found.field(i).name: found.field(i).type for i in range(found.num_fields)}
    for i in range(wanted.type.num_fields):
        inner = wanted.type.field(i)
        name = f"{wanted.name}.{inner.name}"
        if inner.name not in types:
            yield Problem(str(path), None, name, "the field is missing")
        elif not same_type(inner.type, types[inner.name]):
            yield Problem(str(path), None, name, f"must be {inner.type}, is {types[inner.name]}")


def compare_schemas(schemas: Mapping[Path, pa.Schema]) -> list[Problem]:
    """Columns whose type differs between files: verl concatenates them and refuses that."""
    problems = []
    first: Path | None = None
    for path, schema in schemas.items():
        if first is None:
            first = path
            continue
        reference = schemas[first]
        for name in dict.fromkeys([*reference.names, *schema.names]):
            if name not in schema.names or name not in reference.names:
                missing, other = (path, first) if name not in schema.names else (first, path)
                problems.append(Problem(str(missing), None, name, f"the column is missing here, but is in {other}"))
            elif not same_type(schema.field(name).type, reference.field(name).type):
                message = f"is {schema.field(name).type} here, but {reference.field(name).type} in {first}"
                problems.append(Problem(str(path), None, name, message))
    return problems
