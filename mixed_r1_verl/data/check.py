"""Checks parquet files before verl sees them.

`check_files` reads everything, pictures included, and is `mixed-r1 check`. `quick_check` reads only the small columns
and is what training runs before it starts.
"""

import io
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from mixed_r1_verl.data.images import MAX_FILE_BYTES, MAX_SOURCE_PIXELS, READ_FORMATS
from mixed_r1_verl.data.prompt import IMAGE_MARKER, count_markers, has_template
from mixed_r1_verl.data.raw import DataError
from mixed_r1_verl.data.schema import IMAGE_TYPES, image_form, row_schema, same_type
from mixed_r1_verl.data.validate import GOLD_ACC, gold_acc, parse_ground_truth
from mixed_r1_verl.families import FAMILIES, ImageSizeError, ModelFamily, UnknownFamilyError, get_family
from mixed_r1_verl.rewards.config import REWARD_KINDS
from mixed_r1_verl.rewards.verdict import GroundTruthError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BATCH_ROWS = 64
PERCENTILES = (50, 90, 99, 100)
# Role names, turn ends and the like that a chat template adds to a one-turn prompt, with a default system message.
TEMPLATE_TOKENS = 32
EXAMPLES_SHOWN = 3


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


@dataclass
class Report:
    """What `check_files` found.

    Attributes:
        rows: number of rows read.
        problems: all problems, in file and row order.
        statistics: name to values at p50, p90, p99 and the maximum, per row.
        notes: what follows from the statistics.
    """

    rows: int = 0
    problems: list[Problem] = field(default_factory=list)
    statistics: dict[str, tuple[float, ...]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def check_files(
    paths: Sequence[Path], *, family: str = "qwen2_5_vl", gold: bool = True, tokenizer: Path | None = None
) -> Report:
    """Checks parquet files, each alone and all together.

    Args:
        paths: files; a folder stands for the parquet files in it.
        family: model family whose image tokens are counted.
        gold: also demand that each row's own ground truth earns `acc` 1.
        tokenizer: folder with a `tokenizer.json`, to count prompt tokens.

    Raises:
        DataError: no file, a file that is not there, or an unknown family or tokenizer.
    """
    try:
        model = get_family(family)
    except UnknownFamilyError:
        raise DataError(f"unknown model family {family!r}; known: {', '.join(FAMILIES)}") from None
    files = _expand(paths)
    checker = _Checker(model, gold, _load_tokenizer(tokenizer))
    schemas: dict[Path, pa.Schema] = {}
    for path in files:
        schema = checker.check_schema(path)
        if schema is not None:
            schemas[path] = schema
    checker.report.problems += compare_schemas(schemas)
    for path in schemas:
        checker.check_file(path)
    return checker.finish()


def _expand(paths: Sequence[Path]) -> list[Path]:
    files: list[Path] = []
    for path in paths:
        if path.is_dir():
            inside = sorted(path.glob("*.parquet"))
            if not inside:
                raise DataError(f"{path} holds no parquet file")
            files += inside
        elif path.is_file():
            files.append(path)
        else:
            raise DataError(f"{path} is not there")
    if not files:
        raise DataError("no file to check")
    return list(dict.fromkeys(files))


def _load_tokenizer(folder: Path | None) -> "Tokenizer | None":
    if folder is None:
        return None
    from tokenizers import Tokenizer

    path = folder / "tokenizer.json" if folder.is_dir() else folder
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:  # the Rust side raises plain Exception
        raise DataError(f"{path} is not a tokenizer: {error}") from None


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


class _Checker:
    """Collects problems and statistics over all files."""

    def __init__(self, family: ModelFamily, gold: bool, tokenizer: "Tokenizer | None") -> None:
        self.family = family
        self.gold = gold
        self.tokenizer = tokenizer
        self.report = Report()
        self.ids: dict[str, str] = {}
        self.values: dict[str, list[float]] = {"images": [], "pixels": [], "image tokens": []}
        if tokenizer is not None:
            self.values["prompt tokens"] = []

    def check_schema(self, path: Path) -> pa.Schema | None:
        """The file's schema, or None where the file cannot be read row by row."""
        try:
            schema = pq.read_schema(path)
        except (OSError, pa.ArrowException) as error:
            self._add(path, None, "file", f"not a readable parquet file: {str(error).splitlines()[0]}")
            return None
        problems = schema_problems(path, schema)
        self.report.problems += problems
        return None if problems else schema

    def check_file(self, path: Path) -> None:
        """All rows of one file."""
        row_number = 0
        try:
            with pq.ParquetFile(path) as file:
                if not file.metadata.num_rows:
                    self._add(path, None, "file", "it has no rows")
                for batch in file.iter_batches(batch_size=BATCH_ROWS):
                    for row in batch.to_pylist():
                        self._check_row(path, row_number, row)
                        row_number += 1
        except (OSError, pa.ArrowException) as error:
            self._add(path, row_number, "file", f"cannot be read on: {str(error).splitlines()[0]}")
        self.report.rows += row_number

    def finish(self) -> Report:
        """The report with its statistics."""
        for name, values in self.values.items():
            if values:
                self.report.statistics[name] = tuple(float(v) for v in np.percentile(values, PERCENTILES))
        if self.values.get("prompt tokens"):
            most = self.report.statistics["prompt tokens"][-1]
            self.report.notes.append(
                f"data.max_prompt_length must be at least {most:,.0f} (text, image tokens, and about "
                f"{TEMPLATE_TOKENS} tokens of chat template)"
            )
        elif self.values["image tokens"]:
            most = self.report.statistics["image tokens"][-1]
            self.report.notes.append(
                f"data.max_prompt_length must exceed {most:,.0f} image tokens; give --tokenizer to count the text too"
            )
        return self.report

    def _add(self, path: Path, row: int | None, field: str, message: str) -> None:
        self.report.problems.append(Problem(str(path), row, field, message))

    def _check_row(self, path: Path, number: int, row: dict[str, Any]) -> None:
        for name in ("prompt", "reward_model", "extra_info", "data_source"):
            if not row[name]:
                self._add(path, number, name, "is empty")
                return
        sizes = self._check_images(path, number, row["images"] or [])
        self._check_prompt(path, number, row, sizes)
        self._check_identity(path, number, row["extra_info"])
        self._check_truth(path, number, row, sizes)

    def _check_images(self, path: Path, number: int, images: list[Any]) -> list[tuple[int, int] | None]:
        sizes: list[tuple[int, int] | None] = []
        for position, cell in enumerate(images):
            try:
                sizes.append(_decode(cell))
            except ValueError as error:
                self._add(path, number, f"images[{position}]", str(error))
                sizes.append(None)
        known = [size for size in sizes if size]
        self.values["images"].append(len(images))
        self.values["pixels"].append(sum(width * height for width, height in known))
        tokens = 0
        for position, (width, height) in enumerate(known):
            try:
                tokens += self.family.image_tokens(width, height)
            except ImageSizeError as error:
                self._add(path, number, f"images[{position}]", f"{self.family.name} refuses it: {error}")
        self.values["image tokens"].append(tokens)
        return sizes

    def _check_prompt(self, path: Path, number: int, row: dict[str, Any], sizes: list[Any]) -> None:
        prompt = row["prompt"]
        if any(not message or not message["role"] or message["content"] is None for message in prompt):
            self._add(path, number, "prompt", "a message without role or content")
            return
        markers = count_markers(prompt)
        if markers != len(sizes):
            self._add(path, number, "prompt", f"{markers} {IMAGE_MARKER} markers for {len(sizes)} images")
        text = "\n".join(message["content"] for message in prompt)
        for marker in ("<video>", "<audio>"):
            if marker in text:
                self._add(path, number, "prompt", f"holds {marker}, but the row has no such column")
        if not has_template(prompt):
            self._add(path, number, "prompt", "does not ask for <think>…</think><answer>…</answer>")
        if self.tokenizer is not None:
            text_tokens = len(self.tokenizer.encode(text.replace(IMAGE_MARKER, ""), add_special_tokens=False).ids)
            image_tokens = self.values["image tokens"][-1] + 2 * len(sizes)
            self.values["prompt tokens"].append(text_tokens + image_tokens + TEMPLATE_TOKENS)

    def _check_identity(self, path: Path, number: int, extra: dict[str, Any]) -> None:
        identity = extra["id"]
        if not identity:
            self._add(path, number, "extra_info.id", "is empty")
            return
        place = f"{path}: row {number}"
        if identity in self.ids:
            self._add(path, number, "extra_info.id", f"{identity!r} stands already in {self.ids[identity]}")
        self.ids.setdefault(identity, place)

    def _check_truth(self, path: Path, number: int, row: dict[str, Any], sizes: list[tuple[int, int] | None]) -> None:
        extra, truth = row["extra_info"], row["reward_model"]["ground_truth"]
        reward = extra["reward"]
        if not truth or not truth.strip():
            self._add(path, number, "reward_model.ground_truth", "is empty")
            return
        if reward not in REWARD_KINDS:
            message = f"{reward!r} is none of {', '.join(REWARD_KINDS)}"
            self._add(path, number, "extra_info.reward", message)
            return
        if sizes and sizes[0] and (extra["width"], extra["height"]) != sizes[0]:
            message = f"{extra['width']}x{extra['height']}, but the first picture has {sizes[0][0]}x{sizes[0][1]}"
            self._add(path, number, "extra_info.width", message)
        try:
            parse_ground_truth(reward, truth, extra["choices"] or [])
            if self.gold:
                acc = gold_acc(truth, extra)
                if acc < GOLD_ACC:
                    message = f"{truth[:80]!r} scores only acc {acc:.3f} against itself"
                    self._add(path, number, "reward_model.ground_truth", message)
        except GroundTruthError as error:
            self._add(path, number, "reward_model.ground_truth", f"the {reward} reward cannot read it: {error}")
            return
        if reward == "iou":
            for message in box_problems(truth, extra["width"], extra["height"]):
                self._add(path, number, "reward_model.ground_truth", message)


def _decode(cell: Any) -> tuple[int, int]:
    """Size of the picture in a cell of the `images` column, after decoding all of it.

    Raises:
        ValueError: it cannot be used; the message says why.
    """
    if not isinstance(cell, dict):
        raise ValueError("is empty")
    source: Any
    if "bytes" in cell:
        if not cell["bytes"]:
            raise ValueError("has no bytes; verl 0.9.1 opens them even where a path is given")
        if len(cell["bytes"]) > MAX_FILE_BYTES:
            raise ValueError(f"{len(cell['bytes'])} bytes, limit {MAX_FILE_BYTES}")
        source = io.BytesIO(cell["bytes"])
    else:
        if not cell.get("image"):
            raise ValueError("has no path")
        source = Path(cell["image"])
        if not source.is_file():
            raise ValueError(f"{cell['image']} is not there")
    try:
        with Image.open(source, formats=READ_FORMATS) as image:
            if image.width * image.height > MAX_SOURCE_PIXELS:
                raise ValueError(f"{image.width}x{image.height} pixels, limit {MAX_SOURCE_PIXELS}")
            size = image.size
            image.load()
            return size
    except Exception as error:  # Pillow's readers raise many kinds of exception on broken bytes
        raise ValueError(f"cannot be decoded: {type(error).__name__}: {error}") from None


def box_problems(ground_truth: str, width: int, height: int) -> list[str]:
    """What is wrong with the boxes of a readable `iou` ground truth in a picture of that size.

    Example:
        >>> box_problems("[[0, 0, 20, 10]]", 10, 10)
        ['box [0, 0, 20, 10] is not inside 10x10']
    """
    boxes = json.loads(ground_truth)
    if boxes and not isinstance(boxes[0], list):
        boxes = [boxes]
    problems = []
    for box in boxes:
        x1, y1, x2, y2 = box
        if x2 <= x1 or y2 <= y1:
            problems.append(f"box {box} has no area")
        elif x1 < 0 or y1 < 0 or x2 > width or y2 > height:
            problems.append(f"box {box} is not inside {width}x{height}")
    return problems


def quick_check(
    paths: Sequence[str | Path], known_rewards: Collection[str], *, routes: Mapping[str, str] | None = None
) -> list[str]:
    """What can be known to be wrong without reading pictures: cheap enough to run before every training.

    Args:
        paths: parquet files, or patterns with `*`; anything that is not a local parquet file is not looked at.
        known_rewards: reward kinds that the run is configured for.
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
            try:
                schemas[file] = pq.read_schema(file)
                messages += _quick_check_file(file, schemas[file], known_rewards, routes or {})
            except (OSError, pa.ArrowException) as error:
                messages.append(f"{file} is not a readable parquet file: {str(error).splitlines()[0]}")
    return messages + [str(problem) for problem in compare_schemas(schemas)]


def _quick_check_file(
    path: Path, schema: pa.Schema, known_rewards: Collection[str], routes: Mapping[str, str]
) -> list[str]:
    missing = [name for name in ("prompt", "data_source", "reward_model") if name not in schema.names]
    if missing:
        return [f"{path} has no column {' and no column '.join(missing)}"]
    if not _has_field(schema, "reward_model", "ground_truth"):
        return [f"{path}: reward_model has no field ground_truth"]
    columns = ["data_source", "prompt", "reward_model.ground_truth"]
    if _has_field(schema, "extra_info", "reward"):
        columns.append("extra_info.reward")
    form = image_form(schema)
    if form is not None:
        # One small leaf of the column is enough to count the pictures.
        columns.append("images.list.element.path" if form == "bytes" else "images.list.element.image")
    faults: dict[str, list[int]] = {}
    number = 0
    with pq.ParquetFile(path) as file:
        if not file.metadata.num_rows:
            return [f"{path} has no rows"]
        for batch in file.iter_batches(batch_size=4096, columns=columns):
            for row in batch.to_pylist():
                for fault in _quick_faults(row, form is not None, known_rewards, routes):
                    faults.setdefault(fault, []).append(number)
                number += 1
    return [
        f"{path}: {len(rows)} of {number} rows {fault} (row {', '.join(map(str, rows[:EXAMPLES_SHOWN]))}"
        + (", …)" if len(rows) > EXAMPLES_SHOWN else ")")
        for fault, rows in faults.items()
    ]


def _quick_faults(
    row: dict[str, Any], has_images: bool, known_rewards: Collection[str], routes: Mapping[str, str]
) -> Iterator[str]:
    truth = (row["reward_model"] or {}).get("ground_truth")
    if truth is None or (isinstance(truth, str) and not truth.strip()):
        yield "have no ground_truth"
    elif not isinstance(truth, str):
        yield f"have a ground_truth that is a {type(truth).__name__}, not text"
    reward = (row.get("extra_info") or {}).get("reward") or routes.get(row["data_source"] or "")
    if not reward:
        yield f"name no reward, and data_source {row['data_source']!r} has no route"
    elif reward not in known_rewards:
        yield f"name the unknown reward {reward!r}; known are {', '.join(sorted(known_rewards))}"
    if has_images:
        prompt = row["prompt"] if isinstance(row["prompt"], list) else []
        texts = [message.get("content") for message in prompt if isinstance(message, dict)]
        markers = sum(text.count(IMAGE_MARKER) for text in texts if isinstance(text, str))
        if markers != len(row["images"] or []):
            yield f"have another number of {IMAGE_MARKER} markers than images"


def _has_field(schema: pa.Schema, column: str, name: str) -> bool:
    index = schema.get_field_index(column)
    kind = schema.field(index).type if index >= 0 else None
    return kind is not None and pa.types.is_struct(kind) and kind.get_field_index(name) >= 0
