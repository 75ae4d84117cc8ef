"""From a raw folder to parquet files that verl reads: `convert_dataset`, which all converters share.

A converter brings `rows` and `convert`; everything else happens here, once: images, boxes, validation by the reward
that will score the row, schema, row groups, rejects, resuming, atomic writes. Rows are converted (`convert_row`) chunk
by chunk (`chunks`) in `<output>.partial/`, and the result appears by a rename when the last chunk is finished. The same
input, options, code and library versions give the same bytes, whatever the number of workers and however often the run
was interrupted.

Every row that was read is either written or stands in the rejects file: `read = written + rejected`.
"""

import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow.parquet as pq

from mixed_r1_verl.core.code import library_versions, running_code
from mixed_r1_verl.core.config import suggestion
from mixed_r1_verl.core.files import Busy, link, lock, publish_folder, sha256_of, write_text
from mixed_r1_verl.core.rows import DataError, Reject
from mixed_r1_verl.data.boxes import check_frame
from mixed_r1_verl.data.chunks import ChunkRun
from mixed_r1_verl.data.convert_row import Converted, ImageCache, Job, Options, convert_row
from mixed_r1_verl.data.converter import Converter
from mixed_r1_verl.data.raw import RawFolder
from mixed_r1_verl.data.schema import parquet_writer
from mixed_r1_verl.data.truth import reward_with

__all__ = ["Options", "Summary", "convert_dataset", "converter_code", "explain_rows"]


@dataclass(frozen=True)
class Summary:
    """What came of a conversion; also written as JSON beside the output."""

    converter: str
    split: str
    source_rows: int  # rows in the source; more than `read` only with `limit`
    # read, written, rejected: `read = written + rejected`
    read: int
    written: int
    rejected: int
    reasons: dict[str, int]  # number of rejects by `stage/reason`
    rewards: dict[str, int]  # number of written rows by reward kind
    files: list[dict[str, Any]]  # name, rows and SHA-256 of each parquet file
    how: dict[str, int]  # number of written rows by what a generic converter went by
    dropped_turns: int  # exchanges of conversations that became no row
    resumed_chunks: int = 0  # chunks that an earlier, interrupted run had finished


def convert_dataset(
    converter: Converter,
    raw: RawFolder,
    output: Path,
    options: Options,
    *,
    on_progress: Callable[[int, int], None] = lambda written, rejected: None,
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
    single = output.suffix == ".parquet"
    converter.check_split(options.split)
    converter.check_told(raw.told)
    check_frame(raw.told.box_frame or "pixel")
    kinds = reward_with(options.reward).kinds
    if raw.told.reward and raw.told.reward not in kinds:
        raise DataError(f"unknown reward {raw.told.reward!r}{suggestion(raw.told.reward, kinds)}")
    if single and output.is_dir():
        raise DataError(f"{output} is a folder; choose another --output or remove it")
    if not single and output.is_dir() and any(output.iterdir()) and not (output / "summary.json").is_file():
        raise DataError(f"{output} holds files that no conversion wrote; choose another --output or empty it")
    raw = replace(raw, told=replace(raw.told, custom=tuple(options.reward.get("custom", ()))))
    job = Job(converter, raw, options, output.with_name((output.stem if single else output.name) + "_images"))
    partial = output.with_name(output.name + ".partial")
    try:
        partial.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write to {partial}: {error.strerror}") from None
    try:
        with lock(partial / "lock", wait=False):
            _keep_only(partial, _task(job))
            run = ChunkRun(partial, job, on_progress)
            try:
                run.run()
            except DataError:
                if not run.chunks:  # nothing to go on with later
                    shutil.rmtree(partial)
                raise
            rejects = [Reject(*reject) for chunk in run.chunks for reject in chunk.rejects]
            summary = _summary(run, rejects)
            if not summary.written:
                report = output.with_name(output.stem + ".rejects.jsonl")
                write_text(report, _lines(rejects))
                shutil.rmtree(partial)
                why = ", ".join(f"{count} x {reason}" for reason, count in summary.reasons.items())
                raise DataError(
                    f"none of {summary.read} rows could be converted ({why or 'the source is empty'}); see {report}"
                )
            (_finish_file if single else _finish_folder)(output, run, summary, rejects)
            shutil.rmtree(partial)
            return summary
    except Busy:
        raise DataError(f"another run is writing {output}; wait for it or choose another --output") from None


def explain_rows(
    converter: Converter, raw: RawFolder, options: Options, count: int
) -> Iterator[tuple[str, Converted | Reject]]:
    """What would come of the first rows of a source, each with its place; nothing is written."""
    job = Job(converter, raw, replace(options, images="bytes"), raw.root)
    cache = ImageCache()
    for index, row in enumerate(islice(converter.rows(raw, options.split), count)):
        yield row.where, convert_row(job, index, row, cache)


def converter_code(converter: Converter, custom: Mapping[str, str] = MappingProxyType({})) -> str:
    """Digest of all code that shapes or judges the rows of a converter: its own, the core's, the rewards'.

    Args:
        converter: the converter.
        custom: the custom kinds of the reward block, name to `package.module:object`.
    """
    functions = (getattr(function, "func", function) for function in (converter.rows, converter.convert))
    modules = {converter.home, *(function.__module__ for function in functions)} - {""}
    return running_code(__name__, *sorted(modules), *(target.partition(":")[0] for target in custom.values()))


def _task(job: Job) -> dict[str, Any]:
    """What a conversion depends on beside its rows; what was left by a run with another task is of no use."""
    return {
        "converter": job.converter.name,
        "code": converter_code(job.converter, job.options.reward.get("custom", {})),
        "versions": library_versions("mixed-r1-verl", "pyarrow", "pillow"),
        "root": str(job.raw.root.resolve()),
        "image_roots": [str(root.resolve()) for root in job.raw.image_roots],
        "told": json.loads(json.dumps(asdict(job.raw.told))),
        # The number of workers does not change the result, so it may differ when a run is resumed.
        "options": {key: value for key, value in asdict(job.options).items() if key != "workers"},
    }


def _keep_only(partial: Path, task: dict[str, Any]) -> None:
    """Keeps what an interrupted run left if it had the same task, and clears it away if not."""
    path = partial / "plan.json"
    try:
        same = json.loads(path.read_text(encoding="utf-8")) == task
    except (OSError, ValueError):
        same = False
    for left in partial.iterdir():
        if left.name != "lock" and (not same or left.suffix in (".tmp", ".partial")):
            left.unlink()
    if not same:
        write_text(path, json.dumps(task))


def _summary(run: ChunkRun, rejects: list[Reject]) -> Summary:
    rewards = sum((Counter(chunk.rewards) for chunk in run.chunks), Counter[str]())
    return Summary(
        converter=run.job.converter.name,
        split=run.job.options.split,
        source_rows=run.source_rows,
        read=sum(chunk.read for chunk in run.chunks),
        written=rewards.total(),
        rejected=len(rejects),
        reasons=dict(sorted(Counter(f"{reject.stage}/{reject.reason}" for reject in rejects).items())),
        rewards=dict(sorted(rewards.items())),
        files=[],
        how=dict(sorted(sum((Counter(chunk.how) for chunk in run.chunks), Counter[str]()).items())),
        dropped_turns=sum(chunk.dropped_turns for chunk in run.chunks),
        resumed_chunks=run.resumed,
    )


def _finish_file(output: Path, run: ChunkRun, summary: Summary, rejects: list[Reject]) -> None:
    parts = list(run.written_files())
    if len(parts) == 1:
        whole, digest = parts[0][0], parts[0][1].sha256
    else:
        whole = run.folder / "whole.tmp"
        with parquet_writer(whole, run.job.options.images) as writer:
            for path, _ in parts:
                with pq.ParquetFile(path) as part:
                    for group in range(part.num_row_groups):
                        writer.write_table(part.read_row_group(group))
        digest = sha256_of(whole)
    summary.files.append({"name": output.name, "rows": summary.written, "sha256": digest})
    # Written in the run's own folder, so that a killed run leaves nothing beside the output.
    notes = {".rejects.jsonl": _lines(rejects), ".summary.json": _summary_json(summary)}
    for suffix, text in notes.items():
        write_text(run.folder / f"notes{suffix}.tmp", text)
    whole.replace(output)
    for suffix in notes:
        (run.folder / f"notes{suffix}.tmp").replace(output.with_name(output.stem + suffix))


def _finish_folder(output: Path, run: ChunkRun, summary: Summary, rejects: list[Reject]) -> None:
    ready = output.with_name(output.name + ".ready")
    shutil.rmtree(ready, ignore_errors=True)
    ready.mkdir()
    parts = list(run.written_files())
    for shard, (path, chunk) in enumerate(parts):
        name = f"{summary.split}-{shard:05d}-of-{len(parts):05d}.parquet"
        summary.files.append({"name": name, "rows": chunk.written, "sha256": chunk.sha256})
        # Links, not moves: until the new folder stands, an interrupted run can still be resumed.
        link(path, ready / name)
    write_text(ready / "rejects.jsonl", _lines(rejects))
    write_text(ready / "summary.json", _summary_json(summary))
    publish_folder(ready, output)


def _lines(rejects: list[Reject]) -> str:
    return "".join(json.dumps(reject._asdict(), ensure_ascii=False) + "\n" for reject in rejects)


def _summary_json(summary: Summary) -> str:
    # How many chunks were resumed is no property of the data.
    values = {key: value for key, value in asdict(summary).items() if key != "resumed_chunks"}
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"
