"""Stage write: whole rows, pictures and all, in their final order.

Rows of one output file come from anywhere in the converted files. So they are sorted on the disk: converted row groups
are read once, in order, into a spill file that is not compressed; the output takes its rows from there, wherever they
lie. Memory holds one row group, never the set.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mixed_r1_verl.data.columns import quick_check
from mixed_r1_verl.data.prompt import build_prompt
from mixed_r1_verl.data.schema import ROW_GROUP_BYTES, ROW_GROUP_ROWS, parquet_writer, row_schema
from mixed_r1_verl.engine.rows import whole_rows
from mixed_r1_verl.rewards.mixed import MixedReward

Files = Mapping[str, Sequence[Path]]
TEXT_BYTES = 2048  # what a row takes beside its pictures, about


def write_file(table: pa.Table, files: Files, reward: MixedReward, path: Path) -> None:
    """Writes the rows of a table, in its order, as one parquet file for verl, with a spill file beside it meanwhile.

    Args:
        files: the converted files of each source.
        reward: of the training; its kinds and its format make the prompts of moved options.

    Raises:
        AssertionError: the file would not train.
    """
    spill = path.with_name(f"{path.name}.spill")
    places = np.zeros((table.num_rows, 2), np.int64)  # batch of the spill file and row in it
    with pa.ipc.new_file(str(spill), row_schema("bytes")) as sink:
        for number, (positions, rows) in enumerate(final_rows(table, files, reward)):
            sink.write_batch(rows.combine_chunks().to_batches()[0])
            places[positions] = [(number, row) for row in range(len(positions))]
    with pa.memory_map(str(spill)) as mapped, parquet_writer(path, "bytes") as writer:
        reader = pa.ipc.open_file(mapped)
        batches = [reader.get_batch(number) for number in range(reader.num_record_batches)]
        for start, end in _row_groups(pc.add(table["bytes"], TEXT_BYTES).to_pylist()):
            rows = [batches[batch].slice(row, 1) for batch, row in places[start:end].tolist()]
            writer.write_table(pa.Table.from_batches(rows).combine_chunks())
    spill.unlink()
    if problems := quick_check([path], reward.kinds):
        raise AssertionError("; ".join(problems))


def _row_groups(sizes: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Consecutive ranges of at most so many bytes (or one row) and so many rows."""
    start, total = 0, 0
    for row, size in enumerate(sizes):
        if row > start and (total + size > ROW_GROUP_BYTES or row - start >= ROW_GROUP_ROWS):
            yield start, row
            start, total = row, 0
        total += size
    if start < len(sizes):
        yield start, len(sizes)


def final_rows(table: pa.Table, files: Files, reward: MixedReward) -> Iterator[tuple[list[int], pa.Table]]:
    """Row numbers of `table` and their whole rows as they are written, a converted row group at a time."""
    swaps = table["swap"].to_pylist()
    for positions, rows in whole_rows(table, files):
        if any(swaps[position] is not None for position in positions):
            # The pictures stay in Arrow; only the text columns of this row group become Python values.
            texts = rows.select(["prompt", "reward_model", "extra_info"])
            changed = [
                row if swaps[position] is None else swap_answer(row, swaps[position], reward)
                for position, row in zip(positions, texts.to_pylist(), strict=True)
            ]
            columns = pa.Table.from_pylist(changed, schema=texts.schema)
            for name in columns.column_names:
                rows = rows.set_column(rows.schema.get_field_index(name), rows.schema.field(name), columns[name])
        yield positions, rows


def swap_answer(row: Mapping[str, Any], target: int, reward: MixedReward) -> dict[str, Any]:
    """A multiple-choice row in which the right option has changed places with option number `target`.

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
    asked = {"choices": choices, "n_images": images, "answer": letter, "format": reward.config.format}
    return {
        "prompt": build_prompt(extra["question"], reward.kinds[extra["reward"]], **asked),
        "reward_model": {**row["reward_model"], "ground_truth": letter},
        "extra_info": {**extra, "choices": choices},
    }
