"""Checks parquet files before verl sees them, pictures included: `mixed-r1 check`."""

import io
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from mixed_r1_verl.core.families import FAMILIES, ImageSizeError, ModelFamily, UnknownFamilyError, get_family
from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.data.check_types import Problem, compare_schemas, schema_problems
from mixed_r1_verl.data.images import MAX_FILE_BYTES, MAX_SOURCE_PIXELS, PROOFS, READ_FORMATS
from mixed_r1_verl.data.prompt import IMAGE_MARKER, count_markers, has_template
from mixed_r1_verl.data.validate import GOLD_ACC, gold_acc, parse_ground_truth
from mixed_r1_verl.rewards.kinds import KINDS
from mixed_r1_verl.rewards.verdict import GroundTruthError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

BATCH_ROWS = 64
PERCENTILES = (50, 90, 99, 100)
# Role names, turn ends and the like that a chat template adds to a one-turn prompt, with a default system message.
TEMPLATE_TOKENS = 32


@dataclass
class Report:
    """What `check_files` found.

    Attributes:
        rows: number of rows read.
        sources: number of rows by source and reward kind.
        problems: all problems, in file and row order.
        statistics: name to values at p50, p90, p99 and the maximum, per row.
        largest: name to file and number of the row that has the maximum.
        notes: what follows from the statistics.
    """

    rows: int = 0
    sources: Counter[tuple[str, str]] = field(default_factory=Counter)
    problems: list[Problem] = field(default_factory=list)
    statistics: dict[str, tuple[float, ...]] = field(default_factory=dict)
    largest: dict[str, tuple[Path, int]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def check_files(
    paths: Sequence[Path],
    *,
    family: str = "qwen2_5_vl",
    gold: bool = True,
    tokenizer: Path | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Report:
    """Checks parquet files, each alone and all together.

    Args:
        paths: files; a folder stands for the parquet files in it.
        family: model family whose image tokens are counted.
        gold: also demand that each row's own ground truth earns `acc` 1.
        tokenizer: folder with a `tokenizer.json`, to count prompt tokens.
        on_progress: called with the number of rows read so far.

    Raises:
        DataError: no file, a file that is not there, or an unknown family or tokenizer.
    """
    try:
        model = get_family(family)
    except UnknownFamilyError:
        raise DataError(f"unknown model family {family!r}; known: {', '.join(FAMILIES)}") from None
    files = _expand(paths)
    checker = _Checker(model, gold, _load_tokenizer(tokenizer), on_progress)
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


class _Checker:
    """Collects problems and statistics over all files."""

    def __init__(
        self,
        family: ModelFamily,
        gold: bool,
        tokenizer: "Tokenizer | None",
        on_progress: Callable[[int], None] | None,
    ) -> None:
        self.family = family
        self.gold = gold
        self.tokenizer = tokenizer
        self.on_progress = on_progress
        self.report = Report()
        self.ids: dict[str, tuple[Path, int]] = {}
        self.most: dict[str, float] = {}
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
                    if self.on_progress is not None:
                        self.on_progress(self.report.rows + row_number)
        except (OSError, pa.ArrowException) as error:
            self._add(path, row_number, "file", f"cannot be read on: {str(error).splitlines()[0]}")
        self.report.rows += row_number

    def finish(self) -> Report:
        """The report with its statistics."""
        for name, values in self.values.items():
            if values:
                self.report.statistics[name] = tuple(float(v) for v in np.percentile(values, PERCENTILES))
        counted = "prompt tokens" if "prompt tokens" in self.report.statistics else "image tokens"
        if counted in self.report.statistics:
            self._note_length(counted, *self.report.statistics[counted][-2:])
        return self.report

    def _note_length(self, counted: str, most_rows: float, all_rows: float) -> None:
        """What the statistics mean for `data.max_prompt_length`."""
        path, row = self.report.largest[counted]
        rest = "text, image tokens and the chat template" if counted == "prompt tokens" else "image tokens alone"
        cut = sum(value > most_rows for value in self.values[counted])
        self.report.notes.append(
            f"data.max_prompt_length: {all_rows:,.0f} takes every row ({rest}; the longest is {path}: row {row})"
        )
        if cut:
            self.report.notes.append(
                f"data.max_prompt_length: {most_rows:,.0f} leaves out {cut} of {len(self.values[counted])} rows, "
                "with data.filter_overlong_prompts=True; smaller pictures (--max-pixels) lose none"
            )
        if counted == "image tokens":
            self.report.notes.append("give --tokenizer MODEL_FOLDER to count the text too")

    def _count(self, name: str, value: float, path: Path, number: int) -> None:
        if value > self.most.get(name, -1.0):
            self.most[name] = value
            self.report.largest[name] = (path, number)
        self.values[name].append(value)

    def _add(self, path: Path, row: int | None, field: str, message: str) -> None:
        self.report.problems.append(Problem(str(path), row, field, message))

    def _check_row(self, path: Path, number: int, row: dict[str, Any]) -> None:
        for name in ("prompt", "reward_model", "extra_info", "data_source"):
            if not row[name]:
                self._add(path, number, name, "is empty")
                return
        self.report.sources[str(row["data_source"]), str(row["extra_info"]["reward"])] += 1
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
        self._count("images", len(images), path, number)
        self._count("pixels", sum(width * height for width, height in known), path, number)
        tokens = 0
        for position, (width, height) in enumerate(known):
            try:
                tokens += self.family.image_tokens(width, height)
            except ImageSizeError as error:
                self._add(path, number, f"images[{position}]", f"{self.family.name} refuses it: {error}")
        self._count("image tokens", tokens, path, number)
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
            self._count("prompt tokens", text_tokens + image_tokens + TEMPLATE_TOKENS, path, number)

    def _check_identity(self, path: Path, number: int, extra: dict[str, Any]) -> None:
        identity = extra["id"]
        if not identity:
            self._add(path, number, "extra_info.id", "is empty")
            return
        if identity in self.ids:
            first, row = self.ids[identity]
            self._add(path, number, "extra_info.id", f"{identity!r} stands already in {first}: row {row}")
        self.ids.setdefault(identity, (path, number))

    def _check_truth(self, path: Path, number: int, row: dict[str, Any], sizes: list[tuple[int, int] | None]) -> None:
        extra, truth = row["extra_info"], row["reward_model"]["ground_truth"]
        reward = extra["reward"]
        if not truth or not truth.strip():
            self._add(path, number, "reward_model.ground_truth", "is empty")
            return
        if reward not in KINDS:
            message = f"{reward!r} is none of {', '.join(KINDS)}"
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
    """Size of the picture in a cell of the `images` column, which is known to decode to its end.

    Raises:
        ValueError: it cannot be used; the message says why.
    """
    if not isinstance(cell, dict):
        raise ValueError("is empty")
    if "bytes" in cell:
        if not cell["bytes"]:
            raise ValueError("has no bytes; verl 0.9.1 opens them even where a path is given")
        if len(cell["bytes"]) > MAX_FILE_BYTES:
            raise ValueError(f"{len(cell['bytes'])} bytes, limit {MAX_FILE_BYTES}")
        data = cell["bytes"]
    else:
        if not cell.get("image"):
            raise ValueError("has no path")
        source = Path(cell["image"])
        if not source.is_file():
            raise ValueError(f"{cell['image']} is not there")
        if source.stat().st_size > MAX_FILE_BYTES:
            raise ValueError(f"{source.stat().st_size} bytes, limit {MAX_FILE_BYTES}")
        data = source.read_bytes()
    try:
        with Image.open(io.BytesIO(data), formats=READ_FORMATS) as image:
            if image.width * image.height > MAX_SOURCE_PIXELS:
                raise ValueError(f"{image.width}x{image.height} pixels, limit {MAX_SOURCE_PIXELS}")
            size = image.size
            if image.format not in PROOFS or not PROOFS[image.format](data):
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
