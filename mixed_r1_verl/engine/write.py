"""Stage write: whole rows, pictures and all, in their final order.

Rows of one output file come from anywhere in the converted files. So they are sorted from the disk in two passes:
converted row groups are read once, in order, and each wanted row goes to the spill file of its stretch of the output;
then each stretch is read, put in order and written. Memory holds one row group or one stretch, never the set.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mixed_r1_verl.data.prompt import build_prompt
from mixed_r1_verl.data.schema import ROW_GROUP_BYTES, ROW_GROUP_ROWS, parquet_writer, row_schema
from mixed_r1_verl.engine.convert import ConvertedSource
from mixed_r1_verl.engine.rows import numbers_of
from mixed_r1_verl.rewards.mixed import MixedReward

STRETCH_BYTES = 256 << 20
STRETCH_ROWS = 1 << 16
TEXT_BYTES = 2048  # what a row takes beside its pictures, about


def write_file(table: pa.Table, sources: list[ConvertedSource], reward: MixedReward, path: Path) -> None:
    """Writes the rows of a table, in its order, as one parquet file that verl reads.

    Args:
        table: rows.
        sources: all sources, converted.
        reward: the reward of the training: its kinds and its format make the prompts of moved options.
        path: the file; spill files lie beside it meanwhile.
    """
    sizes = numbers_of(table, "bytes") + TEXT_BYTES
    stretches = list(_stretches(sizes, STRETCH_BYTES, STRETCH_ROWS))
    spills = [path.with_name(f"{path.name}.spill-{number:05d}") for number in range(len(stretches))]
    _spill(whole_rows(table, sources, reward), stretches, spills)
    with parquet_writer(path, "bytes") as writer:
        for (start, end), spill in zip(stretches, spills, strict=True):
            with pa.OSFile(str(spill)) as handle:
                rows = pa.ipc.open_stream(handle).read_all()
            rows = rows.take(np.argsort(rows["position"].to_numpy())).drop_columns(["position"])
            for first, last in _stretches(sizes[start:end], ROW_GROUP_BYTES, ROW_GROUP_ROWS):
                writer.write_table(rows.slice(first, last - first))
            spill.unlink()


def _stretches(sizes: np.ndarray, limit_bytes: int, limit_rows: int) -> Iterator[tuple[int, int]]:
    """Consecutive ranges of at most so many bytes (or one row) and so many rows."""
    start, total = 0, 0
    for row, size in enumerate(sizes.tolist()):
        if row > start and (total + size > limit_bytes or row - start >= limit_rows):
            yield start, row
            start, total = row, 0
        total += size
    if start < len(sizes):
        yield start, len(sizes)


def _spill(found: Iterator[tuple[np.ndarray, pa.Table]], stretches: list[tuple[int, int]], spills: list[Path]) -> None:
    schema = row_schema("bytes").append(pa.field("position", pa.int64()))
    starts = np.array([start for start, _ in stretches])
    writers = [pa.ipc.new_stream(str(spill), schema) for spill in spills]
    try:
        for positions, rows in found:
            owners = np.searchsorted(starts, positions, side="right") - 1
            rows = rows.append_column(schema.field("position"), pa.array(positions, pa.int64()))
            for owner in np.unique(owners).tolist():
                writers[owner].write_table(rows.filter(pa.array(owners == owner)))
    finally:
        for writer in writers:
            writer.close()


def whole_rows(
    table: pa.Table, sources: list[ConvertedSource], reward: MixedReward
) -> Iterator[tuple[np.ndarray, pa.Table]]:
    """Row numbers of `table` and their whole rows, a converted row group at a time."""
    keys = [numbers_of(table, name) for name in ("source", "file", "row_group", "row")]
    order = np.lexsort(keys[::-1])
    source, file, group, row = (key[order] for key in keys)
    changes = np.flatnonzero((np.diff(source) != 0) | (np.diff(file) != 0) | (np.diff(group) != 0)) + 1
    edges = [0, *changes.tolist(), table.num_rows]
    swaps = table["swap"].to_pylist()
    for start, end in pairwise(edges):
        if start == end:
            continue
        with pq.ParquetFile(sources[source[start]].files[file[start]]) as opened:
            rows = opened.read_row_group(int(group[start])).take(row[start:end]).cast(row_schema("bytes"))
        positions = order[start:end]
        yield positions, _with_swaps(rows, reward, [swaps[position] for position in positions.tolist()])


def _with_swaps(rows: pa.Table, reward: MixedReward, swaps: list[int | None]) -> pa.Table:
    if all(swap is None for swap in swaps):
        return rows
    # The pictures stay in Arrow; only the text columns of this row group become Python values.
    texts = rows.select(["prompt", "reward_model", "extra_info"])
    changed = [
        row if swap is None else swap_answer(row, swap, reward)
        for row, swap in zip(texts.to_pylist(), swaps, strict=True)
    ]
    columns = pa.Table.from_pylist(changed, schema=texts.schema)
    for name in columns.column_names:
        rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), columns[name])
    return rows


def swap_answer(row: Mapping[str, Any], target: int, reward: MixedReward) -> dict[str, Any]:
    """A multiple-choice row in which the right option has changed places with option number `target`.

    Example:
        >>> extra = {"question": "What is it?", "reward": "matching", "choices": ["cat", "dog"]}
        >>> row = {"prompt": build_prompt("What is it?", "matching", choices=["cat", "dog"]),
        ...        "reward_model": {"style": "rule", "ground_truth": "A"}, "extra_info": extra}
        >>> moved = swap_answer(row, 1, MixedReward())
        >>> moved["extra_info"]["choices"], moved["reward_model"]["ground_truth"]
        (['dog', 'cat'], 'B')
    """
    extra, truth = row["extra_info"], row["reward_model"]["ground_truth"]
    choices = list(extra["choices"])
    right = ord(truth.strip().upper()) - ord("A")
    choices[right], choices[target] = choices[target], choices[right]
    letter = chr(ord("A") + target)
    images = sum(message["content"].count("<image>") for message in row["prompt"])
    return {
        "prompt": build_prompt(
            extra["question"],
            reward.kinds[extra["reward"]],
            choices=choices,
            n_images=images,
            answer=letter,
            format=reward.config.format,
        ),
        "reward_model": {**row["reward_model"], "ground_truth": letter},
        "extra_info": {**extra, "choices": choices},
    }
