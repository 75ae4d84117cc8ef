"""From a raw folder to parquet files that verl reads: `convert_dataset`, which all converters share.

A converter brings `rows` and `convert`; everything else happens here, once: images, boxes, validation by the reward
that will score the row, schema, row groups, rejects, resuming, atomic writes. Rows are converted chunk by chunk in
`<output>.partial/`, and the result appears by a rename when the last chunk is finished. The same input, options and
library versions give the same bytes, whatever the number of workers and however often the run was interrupted.

Every row that was read is either written or stands in the rejects file: `read = written + rejected`.
"""

import fcntl
import json
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from mixed_r1_verl.core.files import link, sha256_of, write_text
from mixed_r1_verl.core.rows import DataError, Reject
from mixed_r1_verl.data.chunks import ChunkRun
from mixed_r1_verl.data.converter import Converter, Job, Options, Summary
from mixed_r1_verl.data.files import parquet_writer
from mixed_r1_verl.data.raw import RawFolder

__all__ = ["Converter", "Options", "Summary", "convert_dataset", "summary_json"]


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
        run = ChunkRun(partial, Job(converter, raw, options, image_folder), on_progress)
        try:
            run.run()
        except DataError:
            if not run.chunks:  # nothing to go on with later
                shutil.rmtree(partial)
            raise
        return _finish(output, run, single)


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
    for left in partial.iterdir():
        if left.name != "lock" and (not same or left.suffix == ".tmp"):
            left.unlink()
    if not same:
        write_text(path, json.dumps(plan))


def _finish(output: Path, run: ChunkRun, single: bool) -> Summary:
    rejects = [Reject(*reject) for chunk in run.chunks for reject in chunk.rejects]
    rewards = Counter[str]()
    for chunk in run.chunks:
        rewards.update(chunk.rewards)
    summary = Summary(
        converter=run.job.converter.name,
        split=run.job.options.split,
        source_rows=run.source_rows,
        read=sum(chunk.read for chunk in run.chunks),
        written=rewards.total(),
        rejected=len(rejects),
        reasons=dict(sorted(Counter(f"{r.stage}/{r.reason}" for r in rejects).items())),
        rewards=dict(sorted(rewards.items())),
        files=[],
        resumed_chunks=run.resumed,
    )
    lines = "".join(json.dumps(reject._asdict(), ensure_ascii=False) + "\n" for reject in rejects)
    if not summary.written:
        report = output.with_name(output.stem + ".rejects.jsonl")
        write_text(report, lines)
        shutil.rmtree(run.folder)
        reasons = ", ".join(f"{count} x {reason}" for reason, count in summary.reasons.items()) or "the source is empty"
        raise DataError(f"none of {summary.read} rows could be converted ({reasons}); see {report}")
    finish = _finish_file if single else _finish_folder
    summary = finish(output, run, summary, lines)
    shutil.rmtree(run.folder)
    return summary


def _finish_file(output: Path, run: ChunkRun, summary: Summary, rejects: str) -> Summary:
    numbers = [number for number, chunk in enumerate(run.chunks) if chunk.written]
    if len(numbers) == 1:
        whole, digest = run.path(numbers[0]), run.chunks[numbers[0]].sha256
    else:
        whole = run.folder / "whole.tmp"
        with parquet_writer(whole, run.job.options.images) as writer:
            for number in numbers:
                with pq.ParquetFile(run.path(number)) as chunk:
                    for group in range(chunk.num_row_groups):
                        writer.write_table(chunk.read_row_group(group))
        digest = sha256_of(whole)
    summary = replace(summary, files=[_entry(output.name, summary.written, digest)])
    write_text(output.with_name(output.stem + ".rejects.jsonl"), rejects)
    whole.replace(output)
    write_text(output.with_name(output.stem + ".summary.json"), summary_json(summary))
    return summary


def _finish_folder(output: Path, run: ChunkRun, summary: Summary, rejects: str) -> Summary:
    ready = output.with_name(output.name + ".ready")
    shutil.rmtree(ready, ignore_errors=True)
    ready.mkdir()
    numbers = [number for number, chunk in enumerate(run.chunks) if chunk.written]
    for shard, number in enumerate(numbers):
        name = f"{summary.split}-{shard:05d}-of-{len(numbers):05d}.parquet"
        summary.files.append(_entry(name, run.chunks[number].written, run.chunks[number].sha256))
        # Links, not moves: until the new folder stands, an interrupted run can still be resumed.
        link(run.path(number), ready / name)
    write_text(ready / "rejects.jsonl", rejects)
    write_text(ready / "summary.json", summary_json(summary))
    old = output.with_name(output.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if output.exists():
        output.replace(old)
    ready.replace(output)
    shutil.rmtree(old, ignore_errors=True)
    return summary


def _entry(name: str, rows: int, sha256: str) -> dict[str, Any]:
    return {"name": name, "rows": rows, "sha256": sha256}


def summary_json(summary: Summary) -> str:
    """The summary as it is written. The number of resumed chunks is left out: it is no property of the data."""
    values = {key: value for key, value in asdict(summary).items() if key != "resumed_chunks"}
    return json.dumps(values, indent=2, ensure_ascii=False) + "\n"
