"""The shared core of all converters: from a raw folder to parquet files that verl reads.

A converter is two plain functions: `rows` walks the raw folder and yields one `Row` for each parquet row that could
come of it, `convert` makes an `Example` of one row or raises `RowError`. Everything else happens here, once: images,
boxes, validation by the reward that will score the row, schema, row groups, rejects, resuming, atomic writes.

Work is cut into chunks of `chunk_rows` consecutive rows. A finished chunk is a parquet file and a small JSON file in
`<output>.partial/`; a run that was killed goes on after the last finished chunk. Chunks are cut by position in the
source and written by one process in order, so the same input, options and library versions give the same bytes,
whatever the number of workers and however often the run was interrupted.

Every row that was read is either written or stands in the rejects file: `read = written + rejected`.
"""

import fcntl
import hashlib
import heapq
import json
import math
import multiprocessing
import os
import shutil
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mixed_r1_verl.data.images import StoredImage, read_image_file, store_image, write_image
from mixed_r1_verl.data.raw import DataError, RawFolder, Reject, Row, RowError
from mixed_r1_verl.data.schema import Box, Example, ImageForm, build_row, format_boxes, row_schema, rows_to_table
from mixed_r1_verl.data.validate import check_row

# verl cannot read a row group with more than 2 GiB of nested bytes; small groups also keep random access cheap.
ROW_GROUP_BYTES = 32 << 20
ROW_GROUP_ROWS = 256
TASK_ROWS = 16
CACHED_IMAGES = 8
# A box may stick out of the picture by this many pixels and is then cut: published boxes are often rounded outwards.
OVERHANG_PIXELS = 1.0
SHAPE_TOLERANCE = 0.01


@dataclass(frozen=True)
class Converter:
    """How one published dataset becomes examples.

    Attributes:
        name: what the user types; also the `data_source` column unless an example says otherwise.
        rows: `(raw, split) -> iterator of Row`; each `Row` becomes one parquet row or one reject. Raises `DataError`
            when a file as a whole cannot be used.
        convert: `row -> Example`; raises `RowError`. Both are module-level functions, so that workers can import them.
        splits: names that `--split` accepts; the first is the default.
        licence: licence of the raw data.
        source: where the raw data comes from.
        default_input: the raw folder when the user names none, for data that comes with a Python package.
    """

    name: str
    rows: Callable[[RawFolder, str], Iterator[Row]]
    convert: Callable[[Row], Example]
    splits: tuple[str, ...]
    licence: str
    source: str
    default_input: Callable[[], Path | None] | None = None


@dataclass(frozen=True)
class Options:
    """What the command line can say about a conversion.

    Attributes:
        split: which split to read.
        limit: take at most this many rows, drawn by `seed` and kept in the source's order; None takes all.
        images: `bytes` embeds pictures, `path` writes them into a folder beside the output.
        max_pixels: reduce larger pictures (and their boxes) to this many pixels; None leaves them.
        workers: processes; 1 works in this process.
        seed: draws the rows of `limit`.
        check_gold: also score each row's ground truth, wrapped in the template, and reject rows where it is not right.
        chunk_rows: rows of the source in a chunk, the unit of resuming and of sharding.
    """

    split: str = "train"
    limit: int | None = None
    images: ImageForm = "bytes"
    max_pixels: int | None = None
    workers: int = 1
    seed: int = 0
    check_gold: bool = True
    chunk_rows: int = 1024


@dataclass(frozen=True)
class Summary:
    """What came of a conversion; also written as JSON beside the output.

    Attributes:
        source_rows: rows in the source; more than `read` only with `limit`.
        read, written, rejected: `read = written + rejected`.
        reasons: number of rejects by `stage/reason`.
        rewards: number of written rows by reward kind.
        files: name, rows and SHA-256 of each parquet file.
        resumed_chunks: chunks that an earlier, interrupted run had finished.
    """

    converter: str
    split: str
    source_rows: int
    read: int
    written: int
    rejected: int
    reasons: dict[str, int]
    rewards: dict[str, int]
    files: list[dict[str, Any]]
    resumed_chunks: int = 0


@dataclass(frozen=True)
class _Job:
    """All that a worker needs besides the rows."""

    converter: Converter
    raw: RawFolder
    options: Options
    image_folder: Path


@dataclass
class _Chunk:
    """A finished chunk, as its JSON file tells it."""

    digest: str
    read: int
    rewards: dict[str, int]
    rejects: list[list[str]]
    ids: list[str] = field(default_factory=list)

    @property
    def written(self) -> int:
        return sum(self.rewards.values())


def convert_dataset(
    converter: Converter,
    raw: RawFolder,
    output: Path,
    options: Options,
    *,
    on_progress: Callable[[int, int], None] | None = None,
) -> Summary:
    """Converts a raw folder into one parquet file or a folder of them.

    Args:
        converter: the dataset's converter.
        raw: the raw folder.
        output: `NAME.parquet` gives one file, with `NAME.rejects.jsonl`, `NAME.summary.json` (and, with paths,
            `NAME_images/`) beside it; any other name gives a folder that holds `<split>-00000-of-00003.parquet`, ….
        options: see `Options`.
        on_progress: called with the numbers of rows written and rejected so far.

    Returns:
        The counts and the files.

    Raises:
        DataError: the input cannot be used, the output is in the way, or no row at all could be converted.
    """
    if options.split not in converter.splits:
        raise DataError(f"{converter.name} has no split {options.split!r}; it has {', '.join(converter.splits)}")
    single = output.suffix == ".parquet"
    if not single and output.is_dir() and any(output.iterdir()) and not (output / "summary.json").is_file():
        raise DataError(f"{output} holds files that no conversion wrote; choose another --output or empty it")
    if single and output.is_dir():
        raise DataError(f"{output} is a folder; choose another --output or remove it")
    image_folder = output.with_name(output.stem + "_images") if single else output.with_name(output.name + "_images")
    partial = output.with_name(output.name + ".partial")
    try:
        partial.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write to {partial}: {error.strerror}") from None
    with (partial / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DataError(f"another run is writing {output}; wait for it or choose another --output") from None
        _open_plan(partial, converter, raw, options)
        job = _Job(converter, raw, options, image_folder)
        writer = _ChunkWriter(partial, job, on_progress)
        try:
            source_rows = writer.run()
        except DataError:
            if not writer.chunks:  # nothing to go on with later
                shutil.rmtree(partial)
            raise
        return _finish(output, partial, converter, options, writer, source_rows, single)


# --- one row ------------------------------------------------------------------------------------------------------


def convert_row(job: _Job, index: int, row: Row, cache: "OrderedDict[Path, StoredImage]") -> dict[str, Any] | Reject:
    """One row through all stages: convert, images, boxes, validation by its own reward."""
    stage = "read"
    source = job.converter.name
    try:
        if isinstance(row.data, RowError):
            raise row.data
        stage = "convert"
        example = job.converter.convert(row)
        source = example.data_source or source
        stage = "image"
        stored = [_stored_image(job, image, cache) for image in example.images]
        width, height = (stored[0].width, stored[0].height) if stored else (0, 0)
        stage = "boxes"
        ground_truth = format_boxes(place_boxes(example, stored)) if example.reward == "iou" else example.answer
        stage = "validate"
        check_row(example, ground_truth, width=width, height=height, gold=job.options.check_gold)
        cells = [_image_cell(job, image, data) for image, data in zip(example.images, stored, strict=True)]
        built = build_row(
            example,
            data_source=source,
            split=job.options.split,
            index=index,
            images=cells,
            width=width,
            height=height,
            ground_truth=ground_truth,
        )
        # Whatever Arrow refuses must be found here, where it costs one row, and not when the row group is written.
        rows_to_table([{**built, "images": []}], job.options.images)
        return built
    except RowError as error:
        return Reject(source, row.where, error.field, error.reason, stage, error.detail)
    except UnicodeEncodeError as error:
        return Reject(source, row.where, "text", "broken_text", stage, f"a lone surrogate at {error.start}")
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        # A value of a type that the converter did not foresee: the row is lost, the run is not.
        detail = f"{type(error).__name__}: {error}"[:200]
        return Reject(source, row.where, "record", "unexpected_value", stage, detail)


def _stored_image(job: _Job, image: str | bytes, cache: "OrderedDict[Path, StoredImage]") -> StoredImage:
    if isinstance(image, bytes):
        return store_image(image, max_pixels=job.options.max_pixels)
    path = job.raw.image(image)
    if path not in cache:
        cache[path] = read_image_file(path, max_pixels=job.options.max_pixels)
        while len(cache) > CACHED_IMAGES:
            cache.popitem(last=False)
    return cache[path]


def _image_cell(job: _Job, image: str | bytes, stored: StoredImage) -> dict[str, Any]:
    if job.options.images == "path":
        return {"image": str(write_image(job.image_folder, stored))}
    return {"bytes": stored.data, "path": image if isinstance(image, str) else ""}


def place_boxes(example: Example, images: list[StoredImage]) -> list[Box]:
    """The boxes of an example in pixels of its first image as it is stored.

    Raises:
        RowError: `missing`, `size_mismatch`, `not_finite`, `outside_image` or `no_area`.

    Example:
        >>> picture = StoredImage(b"", "PNG", width=50, height=50, source_width=100, source_height=100, changed=True)
        >>> place_boxes(Example("1", "Where?", "iou", boxes=((0.1, 0.1, 0.5, 1.0),), box_frame="norm1"), [picture])
        [(5.0, 5.0, 25.0, 50.0)]
    """
    if not example.boxes:
        raise RowError("boxes", "missing")
    if not images:
        raise RowError("image", "missing", "boxes need a picture")
    picture = images[0]
    if example.box_frame == "pixel":
        frame_width, frame_height = example.box_size or (picture.source_width, picture.source_height)
        stated = example.box_size
        if stated and (min(stated) <= 0 or not _same_shape(stated, (picture.source_width, picture.source_height))):
            raise RowError(
                "boxes",
                "size_mismatch",
                f"drawn on {stated[0]}x{stated[1]}, but the upright picture has "
                f"{picture.source_width}x{picture.source_height}",
            )
    else:
        frame_width = frame_height = 1 if example.box_frame == "norm1" else 1000
    scale_x, scale_y = picture.width / frame_width, picture.height / frame_height
    placed: list[Box] = []
    for box in example.boxes:
        if not all(math.isfinite(side) for side in box):
            raise RowError("boxes", "not_finite", str(list(box)))
        x1, y1, x2, y2 = box[0] * scale_x, box[1] * scale_y, box[2] * scale_x, box[3] * scale_y
        margin = OVERHANG_PIXELS
        if min(x1, y1) < -margin or x2 > picture.width + margin or y2 > picture.height + margin:
            raise RowError("boxes", "outside_image", f"{list(box)} in {picture.width}x{picture.height}")
        x1, y1, x2, y2 = max(x1, 0.0), max(y1, 0.0), min(x2, float(picture.width)), min(y2, float(picture.height))
        if round(x2, 2) <= round(x1, 2) or round(y2, 2) <= round(y1, 2):
            raise RowError("boxes", "no_area", str(list(box)))
        placed.append((x1, y1, x2, y2))
    return placed


def _same_shape(stated: tuple[int, int], actual: tuple[int, int]) -> bool:
    return abs(stated[0] * actual[1] - stated[1] * actual[0]) <= SHAPE_TOLERANCE * stated[0] * actual[1]


# --- many rows, in order ------------------------------------------------------------------------------------------


def _convert_rows(job: _Job, rows: list[tuple[int, Row]]) -> list[dict[str, Any] | Reject]:
    cache: OrderedDict[Path, StoredImage] = OrderedDict()
    return [convert_row(job, index, row, cache) for index, row in rows]


def _chunked(rows: Iterable[tuple[int, Row]], size: int) -> Iterator[list[tuple[int, Row]]]:
    iterator = iter(rows)
    while batch := list(islice(iterator, size)):
        yield batch


def _draw(rows: Iterator[Row], limit: int, seed: int) -> tuple[list[tuple[int, Row]], int]:
    """A sample of `limit` rows that depends on the seed and on each row's place only, and the number of all rows."""
    seen = 0

    def keyed() -> Iterator[tuple[bytes, int, Row]]:
        nonlocal seen
        for index, row in enumerate(rows):
            seen += 1
            yield hashlib.blake2b(f"{seed}\n{row.where}".encode(), digest_size=8).digest(), index, row

    chosen = heapq.nsmallest(limit, keyed(), key=lambda item: item[:2])
    return sorted(((index, row) for _, index, row in chosen), key=lambda item: item[0]), seen


class _ChunkWriter:
    """Runs all chunks that are not finished yet and keeps what the finished ones say."""

    def __init__(self, partial: Path, job: _Job, on_progress: Callable[[int, int], None] | None) -> None:
        self.partial = partial
        self.job = job
        self.on_progress = on_progress
        self.chunks: list[_Chunk] = []
        self.ids: set[str] = set()
        self.resumed = 0

    def run(self) -> int:
        """Converts everything; returns the number of rows in the source."""
        options, raw = self.job.options, self.job.raw
        source = self.job.converter.rows(raw, options.split)
        counter = [0]
        if options.limit is not None:
            rows, counter[0] = _draw(source, options.limit, options.seed)
            numbered: Iterable[tuple[int, Row]] = rows
        else:
            numbered = _count(source, counter)
        pool = None
        if options.workers > 1:
            # Fork would copy this process's threads' locks; spawned workers import the converter afresh.
            pool = ProcessPoolExecutor(options.workers, mp_context=multiprocessing.get_context("spawn"))
        try:
            for number, batch in enumerate(_chunked(numbered, options.chunk_rows)):
                self._chunk(number, batch, pool)
        except BrokenProcessPool:
            raise DataError(
                "a worker process died (out of memory?); run again to go on, with fewer --workers"
            ) from None
        finally:
            if pool is not None:
                pool.shutdown(cancel_futures=True)
        return counter[0]

    def _chunk(self, number: int, batch: list[tuple[int, Row]], pool: ProcessPoolExecutor | None) -> None:
        digest = _digest(batch)
        chunk = self._finished(number, digest)
        if chunk is not None:
            self.resumed += 1
        else:
            chunk = self._convert(number, batch, digest, pool)
        self.chunks.append(chunk)
        self.ids.update(chunk.ids)
        self._report(0, 0)

    def _report(self, written: int, rejected: int) -> None:
        if self.on_progress is not None:
            done = sum(c.written for c in self.chunks), sum(len(c.rejects) for c in self.chunks)
            self.on_progress(done[0] + written, done[1] + rejected)

    def _finished(self, number: int, digest: str) -> _Chunk | None:
        """What an earlier run left of this chunk, if it read the same rows."""
        path = self.partial / f"{number:05d}.json"
        try:
            chunk = _Chunk(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        if chunk.digest != digest or (chunk.written and not _parquet(self.partial, number).is_file()):
            return None
        return chunk

    def _convert(
        self, number: int, batch: list[tuple[int, Row]], digest: str, pool: ProcessPoolExecutor | None
    ) -> _Chunk:
        chunk = _Chunk(digest, len(batch), {}, [])
        temporary = self.partial / f"{number:05d}.parquet.tmp"
        rejects: list[Reject] = []
        own_ids: set[str] = set()
        with _RowGroups(temporary, self.job.options.images) as groups:
            for (_, row), outcome in zip(batch, self._outcomes(batch, pool), strict=True):
                if isinstance(outcome, dict):
                    identity = outcome["extra_info"]["id"]
                    if identity in self.ids or identity in own_ids:
                        outcome = Reject(outcome["data_source"], row.where, "id", "duplicate_id", "duplicate", identity)
                if isinstance(outcome, Reject):
                    rejects.append(outcome)
                else:
                    own_ids.add(identity)
                    chunk.ids.append(identity)
                    reward = outcome["extra_info"]["reward"]
                    chunk.rewards[reward] = chunk.rewards.get(reward, 0) + 1
                    groups.add(outcome)
                self._report(chunk.written, len(rejects))
        chunk.rejects = [list(reject) for reject in rejects]
        if chunk.written:
            temporary.replace(_parquet(self.partial, number))
        else:
            temporary.unlink(missing_ok=True)
        write_text(self.partial / f"{number:05d}.json", json.dumps(asdict(chunk)))
        return chunk

    def _outcomes(
        self, batch: list[tuple[int, Row]], pool: ProcessPoolExecutor | None
    ) -> Iterator[dict[str, Any] | Reject]:
        if pool is None:
            cache: OrderedDict[Path, StoredImage] = OrderedDict()
            for index, row in batch:
                yield convert_row(self.job, index, row, cache)
            return
        # Few tasks in flight: what workers have finished waits here with its images in memory.
        pending: deque[Future[list[dict[str, Any] | Reject]]] = deque()
        tasks = _chunked(batch, TASK_ROWS)
        for task in islice(tasks, 2 * self.job.options.workers):
            pending.append(pool.submit(_convert_rows, self.job, task))
        while pending:
            yield from pending.popleft().result()
            for task in islice(tasks, 1):
                pending.append(pool.submit(_convert_rows, self.job, task))


class _RowGroups:
    """Writes rows to a parquet file in small row groups."""

    def __init__(self, path: Path, images: ImageForm) -> None:
        self.path = path
        self.images = images
        self.rows: list[dict[str, Any]] = []
        self.bytes = 0
        self.writer: pq.ParquetWriter | None = None

    def __enter__(self) -> "_RowGroups":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.flush()
        if self.writer is not None:
            self.writer.close()

    def add(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        self.bytes += sum(len(cell["bytes"]) for cell in row["images"] if "bytes" in cell)
        if len(self.rows) >= ROW_GROUP_ROWS or self.bytes >= ROW_GROUP_BYTES:
            self.flush()

    def flush(self) -> None:
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


def _count(source: Iterator[Row], counter: list[int]) -> Iterator[tuple[int, Row]]:
    for index, row in enumerate(source):
        counter[0] = index + 1
        yield index, row


def _digest(batch: list[tuple[int, Row]]) -> str:
    """What was read, so that a resumed run notices that the source changed."""
    digest = hashlib.sha256()
    for index, row in batch:
        digest.update(json.dumps([index, row.where, row.data], ensure_ascii=True, default=repr).encode())
    return digest.hexdigest()


def _parquet(partial: Path, number: int) -> Path:
    return partial / f"{number:05d}.parquet"


def _open_plan(partial: Path, converter: Converter, raw: RawFolder, options: Options) -> None:
    """Keeps what an interrupted run left if it had the same task, and clears it away if not."""
    plan = {
        "converter": converter.name,
        "versions": {name: version(name) for name in ("mixed-r1-verl", "pyarrow", "pillow")},
        "root": str(raw.root.resolve()),
        "image_roots": [str(root.resolve()) for root in raw.image_roots],
        # The number of workers does not change the result, so it may differ when a run is resumed.
        "options": {key: value for key, value in asdict(options).items() if key != "workers"},
    }
    path = partial / "plan.json"
    try:
        same = json.loads(path.read_text(encoding="utf-8")) == plan
    except (OSError, ValueError):
        same = False
    if not same:
        for left in partial.iterdir():
            if left.name != "lock":
                left.unlink()
        write_text(path, json.dumps(plan))


def _finish(
    output: Path,
    partial: Path,
    converter: Converter,
    options: Options,
    writer: _ChunkWriter,
    source_rows: int,
    single: bool,
) -> Summary:
    rejects = [Reject(*reject) for chunk in writer.chunks for reject in chunk.rejects]
    rewards = Counter[str]()
    for chunk in writer.chunks:
        rewards.update(chunk.rewards)
    summary = Summary(
        converter=converter.name,
        split=options.split,
        source_rows=source_rows,
        read=sum(chunk.read for chunk in writer.chunks),
        written=rewards.total(),
        rejected=len(rejects),
        reasons=dict(sorted(Counter(f"{r.stage}/{r.reason}" for r in rejects).items())),
        rewards=dict(sorted(rewards.items())),
        files=[],
        resumed_chunks=writer.resumed,
    )
    lines = "".join(json.dumps(reject._asdict(), ensure_ascii=False) + "\n" for reject in rejects)
    numbers = [number for number, chunk in enumerate(writer.chunks) if chunk.written]
    if not numbers:
        report = output.with_name(output.stem + ".rejects.jsonl")
        write_text(report, lines)
        shutil.rmtree(partial)
        reasons = ", ".join(f"{count} x {reason}" for reason, count in summary.reasons.items()) or "the source is empty"
        raise DataError(f"none of {summary.read} rows could be converted ({reasons}); see {report}")
    if single:
        return _finish_file(output, partial, options, summary, numbers, lines)
    return _finish_folder(output, partial, options, summary, numbers, lines)


def _finish_file(
    output: Path, partial: Path, options: Options, summary: Summary, numbers: list[int], rejects: str
) -> Summary:
    if len(numbers) == 1:
        whole = _parquet(partial, numbers[0])
    else:
        whole = partial / "whole.parquet.tmp"
        with parquet_writer(whole, options.images) as writer:
            for number in numbers:
                with pq.ParquetFile(_parquet(partial, number)) as chunk:
                    for group in range(chunk.num_row_groups):
                        writer.write_table(chunk.read_row_group(group))
    summary = replace(summary, files=[_file_entry(whole, output.name)])
    write_text(output.with_name(output.stem + ".rejects.jsonl"), rejects)
    whole.replace(output)
    write_text(output.with_name(output.stem + ".summary.json"), summary_json(summary))
    shutil.rmtree(partial)
    return summary


def _finish_folder(
    output: Path, partial: Path, options: Options, summary: Summary, numbers: list[int], rejects: str
) -> Summary:
    ready = output.with_name(output.name + ".ready")
    shutil.rmtree(ready, ignore_errors=True)
    ready.mkdir()
    entries = []
    for shard, number in enumerate(numbers):
        name = f"{options.split}-{shard:05d}-of-{len(numbers):05d}.parquet"
        entries.append(_file_entry(_parquet(partial, number), name))
        # Links, not moves: until the new folder stands, an interrupted run can still be resumed.
        _link(_parquet(partial, number), ready / name)
    summary = replace(summary, files=entries)
    write_text(ready / "rejects.jsonl", rejects)
    write_text(ready / "summary.json", summary_json(summary))
    old = output.with_name(output.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if output.exists():
        output.replace(old)
    ready.replace(output)
    shutil.rmtree(old, ignore_errors=True)
    shutil.rmtree(partial)
    return summary


def _link(path: Path, target: Path) -> None:
    try:
        os.link(path, target)
    except OSError:  # a file system without hard links
        shutil.copyfile(path, target)


def _file_entry(path: Path, name: str) -> dict[str, Any]:
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return {"name": name, "rows": pq.read_metadata(path).num_rows, "sha256": digest.hexdigest()}


def summary_json(summary: Summary) -> str:
    """The summary as it is written. The number of resumed chunks is left out: it is no property of the data."""
    values = {key: value for key, value in asdict(summary).items() if key != "resumed_chunks"}
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"


def write_text(path: Path, text: str) -> None:
    """Writes a small file so that it is either the old one or the new one, never half of it."""
    temporary = path.with_name(path.name + ".tmp")
    # A lone surrogate, which UTF-8 cannot hold, becomes the JSON escape that it was.
    with temporary.open("w", encoding="utf-8", newline="\n", errors="backslashreplace") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    temporary.replace(path)
