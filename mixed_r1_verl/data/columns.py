"""What can be known to be wrong with parquet files without their pictures: column types, and what small columns hold.

`quick_check` is all of it, in short lines; training runs it before it starts.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from mixed_r1_verl.core.rows import BadRecord, DataError, leaf, opened_parquet, rows_of, shown
from mixed_r1_verl.data.prompt import IMAGE_MARKER, count_markers
from mixed_r1_verl.data.schema import IMAGE_TYPES, OPTIONAL, image_form, row_schema, same_type

BATCH_ROWS = 4096
ROWS_SHOWN = 3

Fault = tuple[str, str]  # field and message


class Problem(NamedTuple):
    """One thing that is wrong."""

    file: str  # the parquet file
    row: int | None  # number of the row in the file, from 0; None for the file as a whole
    field: str  # column or field at fault
    message: str  # what is wrong

    def __str__(self) -> str:
        place = self.file if self.row is None else f"{self.file}: row {self.row}"
        return f"{place}: {self.field}: {self.message}"


def schema_problems(path: Path, schema: pa.Schema) -> list[Problem]:
    """Columns that are missing or have another type than the contract's; further columns and fields are allowed.

    >>> schema_problems(Path("x.parquet"), row_schema("path"))
    []
    """
    form = image_form(schema)
    found = fields_of(schema)
    problems: dict[str, str] = {}
    for name, wanted in fields_of(row_schema(form or "bytes")).items():
        column = name.partition(".")[0]
        if name == "images" and form is None:
            problems[name] = f"must be {IMAGE_TYPES['bytes']} or {IMAGE_TYPES['path']}, is {found.get(name)}"
        elif name not in found and column not in schema.names:
            problems[column] = "the column is missing"
        elif name not in found and column in found:
            problems[column] = f"must be a struct, is {found[column]}"
        elif name not in found:
            if name not in OPTIONAL:
                problems[name] = "the field is missing"
        elif not same_type(wanted, found[name]):
            problems[name] = f"must be {wanted}, is {found[name]}"
    return [Problem(str(path), None, name, message) for name, message in problems.items()]


def fields_of(schema: pa.Schema) -> dict[str, pa.DataType]:
    """The columns of a schema, and in place of structs their fields.

    >>> fields_of(pa.schema([("a", pa.int64()), ("b", pa.struct([("c", pa.string())]))]))
    {'a': DataType(int64), 'b.c': DataType(string)}
    """
    types: dict[str, pa.DataType] = {}
    for column in schema:
        if pa.types.is_struct(column.type):
            types |= {f"{column.name}.{inner.name}": inner.type for inner in column.type.fields}
        else:
            types[column.name] = column.type
    return types


def compare_schemas(schemas: Mapping[Path, pa.Schema]) -> list[Problem]:
    """Columns whose type differs between files: verl concatenates them and refuses that."""
    problems: list[Problem] = []
    for path, schema in schemas.items():
        first, reference = next(iter(schemas.items()))
        for name in dict.fromkeys([*reference.names, *schema.names]):
            if name not in schema.names or name not in reference.names:
                missing, other = (path, first) if name not in schema.names else (first, path)
                problems.append(Problem(str(missing), None, name, f"the column is missing here, but is in {other}"))
            elif not same_type(schema.field(name).type, reference.field(name).type):
                message = f"is {schema.field(name).type} here, but {reference.field(name).type} in {first}"
                problems.append(Problem(str(path), None, name, message))
    return problems


def row_faults(row: Mapping[str, Any], kinds: Collection[str], routes: Mapping[str, str]) -> Iterator[Fault]:
    """What is wrong with a row as far as its small columns show; without the column `images` pictures are not counted.

    >>> row = {"data_source": "toy", "prompt": [], "reward_model": {"ground_truth": " "}, "extra_info": None}
    >>> list(row_faults(row, ["chart"], {"toy": "chart"}))
    [('reward_model.ground_truth', 'is empty')]
    """
    truth = (row["reward_model"] or {}).get("ground_truth")
    if truth is not None and not isinstance(truth, str):
        yield "reward_model.ground_truth", f"is a {type(truth).__name__}, not text"
    elif not truth or not truth.strip():
        yield "reward_model.ground_truth", "is empty"
    kind = kind_of(row, routes)
    if not kind:
        yield "extra_info.reward", f"is empty, and data_source {row['data_source']!r} has no route"
    elif kind not in kinds:
        yield "extra_info.reward", f"{kind!r} is none of {', '.join(sorted(kinds))}"
    if "images" in row:
        markers, images = count_markers(row["prompt"]), len(row["images"] or [])
        if markers != images:
            yield "prompt", f"{markers} {IMAGE_MARKER} markers for {images} images"


def kind_of(row: Mapping[str, Any], routes: Mapping[str, str]) -> str:
    """Name of the kind that scores a row; empty where it has none."""
    return str((row.get("extra_info") or {}).get("reward") or routes.get(row["data_source"] or "") or "")


def read_schema(path: Path) -> pa.Schema | Problem:
    """The schema of a parquet file, or why there is none."""
    try:
        with opened_parquet(path) as file:
            return file.schema_arrow
    except DataError as error:
        return Problem(str(path), None, "file", str(error).removeprefix(f"{path}: "))


def quick_check(
    paths: Sequence[str | Path], kinds: Collection[str], *, routes: Mapping[str, str] | None = None
) -> list[str]:
    """What can be known to be wrong without reading pictures: cheap enough to run before every training.

    Args:
        paths: parquet files, or patterns with `*`; anything that is not a local parquet file is not looked at.
        kinds: reward kinds that the run is configured for.
        routes: `data_source` to reward kind, for rows that name none.

    Returns:
        One line for each kind of fault, with the number of rows and the first of them; empty when all is well.
    """
    messages: list[str] = []
    schemas: dict[Path, pa.Schema] = {}
    for given in paths:
        if "://" in str(given) or not str(given).endswith(".parquet"):
            continue
        path = Path(given).expanduser()
        found = sorted(path.parent.glob(path.name)) if "*" in path.name else [path]
        if not found or not found[0].is_file():
            messages.append(f"{given} is not there")
            continue
        for file in found:
            schema = read_schema(file)
            if isinstance(schema, Problem):
                messages.append(str(schema))
                continue
            schemas[file] = schema
            try:
                messages += _quick_check_file(file, schema, kinds, routes or {})
            except (OSError, pa.ArrowException) as error:
                messages.append(str(Problem(str(file), None, "file", f"cannot be read: {shown(error)}")))
    return messages + [str(problem) for problem in compare_schemas(schemas)]


def _quick_check_file(
    path: Path, schema: pa.Schema, kinds: Collection[str], routes: Mapping[str, str]
) -> Iterator[str]:
    missing = [name for name in ("prompt", "data_source", "reward_model.ground_truth") if name not in fields_of(schema)]
    if missing:
        yield str(Problem(str(path), None, missing[0], "the column is missing"))
        return
    with pq.ParquetFile(path) as file:
        # Of the pictures one small leaf is enough to count them.
        leaves = [leaf(file, *names) for names in (("extra_info", "reward"), ("images", "path"), ("images", "image"))]
        columns = ["data_source", "prompt", "reward_model.ground_truth", *filter(None, leaves)]
        faults: dict[Fault, list[int]] = {}
        number = 0
        for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=columns):
            for row in rows_of(batch):
                found = [("row", row.reason)] if isinstance(row, BadRecord) else row_faults(row, kinds, routes)
                for fault in found:
                    faults.setdefault(fault, []).append(number)
                number += 1
    if not number:
        yield str(Problem(str(path), None, "file", "it has no rows"))
    for (name, message), rows in faults.items():
        places = ", ".join(map(str, rows[:ROWS_SHOWN])) + (", …" if len(rows) > ROWS_SHOWN else "")
        yield f"{path}: {len(rows)} of {number} rows: {name}: {message} (row {places})"
