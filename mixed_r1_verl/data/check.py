"""Checks parquet files before verl sees them, pictures included: `mixed-r1 check`.

What the types and the small columns show is found by `columns`, whose `quick_check` training calls whenever it starts.
Here pictures are decoded, each row's kind is asked about its ground truth, and tokens are counted.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mixed_r1_verl.core.boxes import Box
from mixed_r1_verl.core.families import ImageSizeError, UnknownFamilyError
from mixed_r1_verl.core.rows import BadRecord, DataError, RowError, rows_of, shown
from mixed_r1_verl.data.columns import (
    Fault,
    Problem,
    compare_schemas,
    fields_of,
    kind_of,
    read_schema,
    row_faults,
    schema_problems,
)
from mixed_r1_verl.data.images import PROOFS, cell_bytes, opened
from mixed_r1_verl.data.markup import media_in, truth_faults
from mixed_r1_verl.data.prompt import has_template
from mixed_r1_verl.data.schema import OPTIONAL
from mixed_r1_verl.data.tokens import TokenCounter
from mixed_r1_verl.data.truth import GOLD_ACC, gold_acc, reward_with
from mixed_r1_verl.rewards.kind import Gold
from mixed_r1_verl.rewards.mixed import MixedReward

__all__ = ["Problem", "Report", "check_files"]

BATCH_ROWS = 64
PERCENTILES = (50, 90, 99, 100)
# A share of one answer above this, among so many rows at least, is worth a note.
MOST_OF_ONE_ANSWER, LEAST_ROWS = 0.6, 20
# So many different boxes of a source that all might be x, y, width, height are no chance. One of corners in four might:
# its middle is then in the upper left quarter. Of 2,345 boxes of real detection up to 8 in a row were, never 10.
LEAST_BOXES = 10
EARLIER = (
    "extra_info.answer_type: the field is missing, as in files of an earlier version, whose generic converters left"
    " hints out and took x, y, width, height for corners; if it is one of these, convert it anew"
)


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
    reward: MixedReward | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Report:
    """Checks parquet files, each alone and all together.

    Args:
        paths: files; a folder stands for the parquet files in it.
        family: model family whose image tokens are counted, as verl has them.
        gold: also demand that each row's own honest answer earns `acc` 1.
        tokenizer: folder with a `tokenizer.json`, to count prompt tokens.
        reward: the reward that will score the rows, with its custom kinds; None is Mixed-Reward by default.
        on_progress: called with the number of rows read so far.

    Raises:
        DataError: no file, a file that is not there, or an unknown family or tokenizer.
    """
    try:
        counter = TokenCounter.of(family, tokenizer)
    except UnknownFamilyError as error:
        raise DataError(str(error)) from None
    if tokenizer is not None and counter.tokenizer is None:
        raise DataError(f"{tokenizer} holds no tokenizer.json")
    files = _expand(paths)
    checker = _Checker(counter, gold, reward or reward_with({}))
    problems = checker.report.problems
    schemas: dict[Path, pa.Schema] = {}
    for path in files:
        schema = read_schema(path)
        found = [schema] if isinstance(schema, Problem) else schema_problems(path, schema)
        problems += found
        if not found:
            schemas[path] = schema
    problems += compare_schemas(schemas)
    for path, schema in schemas.items():
        checker.check_file(path, on_progress)
        if OPTIONAL - fields_of(schema).keys():
            checker.report.notes.append(f"{path}: {EARLIER}")
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


class _Checker:
    """Collects problems and statistics over all files."""

    def __init__(self, counter: TokenCounter, gold: bool, reward: MixedReward) -> None:
        self.counter, self.gold, self.reward = counter, gold, reward
        self.report = Report()
        self.ids: dict[str, tuple[Path, int]] = {}
        self.values: dict[str, list[float]] = {"images": [], "pixels": [], "image tokens": []}
        if counter.tokenizer is not None:
            self.values["prompt tokens"] = []
        self.most: dict[str, float] = {}
        self.place: tuple[Path, int] = (Path(), 0)
        self.source = ""
        # Of each source and kind: how often an answer stands, and how many rows do not say the type of theirs.
        self.answers: dict[tuple[str, str], Counter[str]] = {}
        self.guessed: Counter[tuple[str, str]] = Counter()
        # Of each source and kind of boxes: how many rows have some, and how many none; which surely have corners, and
        # of the others the different boxes.
        self.boxes: dict[tuple[str, str], Counter[bool]] = {}
        self.corners: set[tuple[str, str]] = set()
        self.sized: dict[tuple[str, str], set[Box]] = {}

    def check_file(self, path: Path, on_progress: Callable[[int], None] | None) -> None:
        """All rows of one file."""
        number = 0
        try:
            with pq.ParquetFile(path) as file:
                if not file.metadata.num_rows:
                    self._add(path, None, "file", "it has no rows")
                for batch in file.iter_batches(batch_size=BATCH_ROWS):
                    for row in rows_of(batch):
                        self.place = (path, number)
                        problems = [("row", row.reason)] if isinstance(row, BadRecord) else self._row_problems(row)
                        for name, message in problems:
                            self._add(path, number, name, message)
                        number += 1
                    if on_progress is not None:
                        on_progress(self.report.rows + number)
        except (OSError, pa.ArrowException) as error:
            self._add(path, number, "file", f"cannot be read on: {shown(error)}")
        self.report.rows += number

    def finish(self) -> Report:
        """The report with its statistics, and what they mean for `data.max_prompt_length`."""
        report = self.report
        for name, values in self.values.items():
            if values:
                report.statistics[name] = tuple(float(v) for v in np.percentile(values, PERCENTILES))
        counted = "image tokens" if self.counter.tokenizer is None else "prompt tokens"
        if counted in report.statistics:
            self._length_notes(counted)
        report.notes += self._answer_notes()
        return report

    def _length_notes(self, counted: str) -> None:
        report = self.report
        most_rows, all_rows = report.statistics[counted][-2:]
        path, row = report.largest[counted]
        rest = "text, image tokens and the chat template" if counted == "prompt tokens" else "image tokens alone"
        cut = sum(value > most_rows for value in self.values[counted])
        report.notes.append(
            f"data.max_prompt_length: {all_rows:,.0f} takes every row ({rest}; the longest is {path}: row {row})"
        )
        if cut:
            report.notes.append(
                f"data.max_prompt_length: {most_rows:,.0f} leaves out {cut} of {len(self.values[counted])} rows, "
                "with data.filter_overlong_prompts=True; smaller pictures (--max-pixels) lose none"
            )
        if counted == "image tokens":
            report.notes.append("give --tokenizer MODEL_FOLDER to count the text too")

    def _note_answer(self, kind: str, truth: str, read: Gold, extra_info: dict[str, Any]) -> None:
        source = (self.source, kind)
        if self.reward.kinds[kind].answers == "closed":
            self.answers.setdefault(source, Counter())[truth.strip().casefold()] += 1
        if self.reward.kinds[kind].answers == "boxes":
            self.boxes.setdefault(source, Counter())[bool(read.boxes)] += 1
            self._note_boxes(source, read.boxes, extra_info["width"] or 0, extra_info["height"] or 0)
        if kind in ("chart", "matching") and not extra_info.get("answer_type") and not extra_info["choices"]:
            self.guessed[source] += read.form != "polar"

    def _note_boxes(self, source: tuple[str, str], boxes: Sequence[Box], width: int, height: int) -> None:
        for box in boxes:
            if box.x1 + box.x2 > width + 1 or box.y1 + box.y2 > height + 1:
                self.corners.add(source)
            elif source not in self.corners:
                self.sized.setdefault(source, set()).add(box)

    def _answer_notes(self) -> Iterator[str]:
        for (source, kind), answers in self.answers.items():
            answer, count = answers.most_common(1)[0]
            if answers.total() >= LEAST_ROWS and count > MOST_OF_ONE_ANSWER * answers.total():
                share = f"{count / answers.total():.0%} of {answers.total()} answers of {source} ({kind}) are"
                yield f"reward_model.ground_truth: {share} {answer[:40]!r}; `balance` of mixed-r1 data build evens them"
        for (source, kind), counts in self.boxes.items():
            if counts[False]:
                share = f"{counts[False] / counts.total():.0%} of {counts.total()} rows of {source} ({kind}) have"
                yield f"reward_model.ground_truth: {share} no box, and `[]` earns as much everywhere; keep it small"
            boxes = len(self.sized.get((source, kind), ()))
            if boxes >= LEAST_BOXES and (source, kind) not in self.corners:
                all_of = f"all {boxes} boxes of {source} ({kind}) lie where x, y, width, height read as corners would"
                yield f"reward_model.ground_truth: {all_of}; if they are that, convert with --box-format xywh"
        for (source, kind), count in self.guessed.items():
            if count:
                rows = f"{count} rows of {source} ({kind}) do not say it, and the reward guesses"
                yield f"extra_info.answer_type: {rows}; --answer-type of mixed-r1 data convert says it"

    def _add(self, path: Path, row: int | None, name: str, message: str) -> None:
        self.report.problems.append(Problem(str(path), row, name, message))

    def _count(self, name: str, value: float) -> None:
        if value > self.most.get(name, -1.0):
            self.most[name], self.report.largest[name] = value, self.place
        self.values[name].append(value)

    def _row_problems(self, row: dict[str, Any]) -> Iterator[Fault]:
        for name in ("prompt", "reward_model", "extra_info", "data_source"):
            if not row[name]:
                yield name, "is empty"
                return
        kind, self.source = kind_of(row, self.reward.config.routes), str(row["data_source"])
        self.report.sources[str(row["data_source"]), kind] += 1
        sizes: list[tuple[int, int] | None] = []
        tokens: list[int] = []
        for position, cell in enumerate(row["images"] or []):
            sizes.append(None)
            try:
                sizes[-1] = size = _decode(cell)
                tokens.append(self.counter.picture(size))
            except RowError as error:
                yield f"images[{position}]", f"{error.reason} ({error.detail})"
            except ImageSizeError as error:
                yield f"images[{position}]", f"{self.counter.family.name} refuses it: {error}"
        self._count("images", len(sizes))
        self._count("pixels", sum(size[0] * size[1] for size in sizes if size))
        self._count("image tokens", sum(tokens))
        yield from self._prompt_problems(row["prompt"], tokens)
        yield from self._id_problems(row["extra_info"]["id"])
        faults = list(row_faults(row, self.reward.kinds, self.reward.config.routes))
        yield from faults
        if all(name == "prompt" for name, _ in faults):
            yield from self._truth_problems(kind, row["reward_model"]["ground_truth"], row["extra_info"], sizes)

    def _prompt_problems(self, prompt: list[Any], tokens: list[int]) -> Iterator[Fault]:
        if any(not message or not message["role"] or message["content"] is None for message in prompt):
            yield "prompt", "a message without role or content"
            return
        text = "\n".join(message["content"] for message in prompt)
        media = media_in(text)
        if media:
            yield "prompt", media.message
        if not has_template(prompt, self.reward.config.format):
            asked = self.reward.config.format.reply("…", "…")
            yield "prompt", f"does not ask for {asked}; --set format.style=… names the format of other prompts"
        if self.counter.tokenizer is not None:
            self._count("prompt tokens", self.counter.prompt(text, tokens))

    def _id_problems(self, identity: str | None) -> Iterator[Fault]:
        if not identity:
            yield "extra_info.id", "is empty"
            return
        first = self.ids.setdefault(identity, self.place)
        if first != self.place:
            yield "extra_info.id", f"{identity!r} stands already in {first[0]}: row {first[1]}"

    def _truth_problems(
        self, kind: str, truth: str, extra_info: dict[str, Any], sizes: list[tuple[int, int] | None]
    ) -> Iterator[Fault]:
        name, width, height = "reward_model.ground_truth", extra_info["width"], extra_info["height"]
        if sizes and sizes[0] and (width, height) != sizes[0]:
            yield "extra_info.width", f"{width}x{height}, but the first picture has {sizes[0][0]}x{sizes[0][1]}"
        try:
            read = self.reward.parse(kind, truth, extra_info)
            acc = gold_acc(self.reward, kind, truth, extra_info) if self.gold else 1.0
        except Exception as error:  # a custom kind may raise anything
            yield name, f"the {kind} reward cannot read it: {error}"
            return
        if acc < GOLD_ACC:
            yield name, f"{truth[:80]!r} scores only acc {acc:.3f} against itself"
        for x1, y1, x2, y2, *_ in read.boxes:
            if min(x1, y1) < 0 or x2 > (width or 0) or y2 > (height or 0):
                yield name, f"box {[x1, y1, x2, y2]} is not inside {width}x{height}; convert with --box-frame"
            elif min(x2 - x1, y2 - y1) < 1:
                yield name, f"box {[x1, y1, x2, y2]} is under one pixel wide or high; convert with --box-frame norm1"
        for message in truth_faults(kind, truth, read.references, extra_info):
            yield name, message
        self._note_answer(kind, truth, read, extra_info)


def _decode(cell: Any) -> tuple[int, int]:
    """Size of the picture in a cell of the `images` column, which is known to decode to its end.

    Raises:
        RowError: it cannot be used.
    """
    if not isinstance(cell, dict) or ("bytes" in cell and not cell["bytes"]):
        raise RowError("image", "image_empty", "verl opens the bytes even where a path is given")
    data = cell_bytes(cell)
    with opened(data) as image:
        if image.format not in PROOFS or not PROOFS[image.format](data):
            image.load()
        return image.size
