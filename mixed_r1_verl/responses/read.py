"""Responses to score, out of a file.

A file is JSON lines, a JSON list or parquet with one row a response:

| field | where it is looked for |
| --- | --- |
| response | the column of `--response-column`, else `response`, `solution_str`, `output`, `responses`; a list of strings is as many responses |
| ground truth | `reward_model.ground_truth`, `ground_truth`, `gts` |
| source | `data_source`; may be missing |
| reward | `extra_info.reward`, `reward`, `reward_kind`, the route of the source (`--set routes.NAME=KIND`), `--reward` |
| what the reward reads besides | `extra_info`, or columns of the same names: `choices`, `question`, `width`, `height`, `box_frame` |

So a parquet of training rows with a column of responses can be scored as it is, and so can the JSONL that verl dumps at
validation (`trainer.validation_data_dir`). Such a dump holds neither option texts nor questions nor image sizes: an
option that is named by its text is then not recognised, and boxes must be in pixels of the original image.

Rows that cannot be read go to a rejects file, each with its reason; a row that can be read but not scored (an unreadable
ground truth, a timeout) counts with score 0 and `error` 1, as it does in training.
"""  # noqa: E501

import dataclasses
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mixed_r1_verl.core.rows import TRUTH_COLUMNS, BadRecord, DataError, DataRow, RowError, read_records, row_of, shown
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.mixed import MixedReward, UnknownRewardError
from mixed_r1_verl.rewards.pool import Sample

RESPONSE_COLUMNS = ("response", "solution_str", "output", "responses")


class Response(NamedTuple):
    """One response to a row that can be scored.

    Attributes:
        row: the row; its `extra_info` names the reward.
        sample: which of the row's responses it is.
        text: the response.
    """

    row: DataRow
    sample: int
    text: str

    @property
    def scored(self) -> Sample:
        """What `MixedReward.score` is given."""
        return sample_of(self.row, self.text)


def sample_of(row: DataRow, text: str) -> Sample:
    """A response to a row as the rewards take it."""
    return Sample(row.data_source, text, row.ground_truth, row.extra_info)


class Unreadable(NamedTuple):
    """A row that cannot be read, and why."""

    file: str
    row: int
    reason: str


def read_responses(
    path: Path, config: MixedRewardConfig | None = None, *, response_column: str | None = None, reward: str = ""
) -> Iterator[Response | Unreadable]:
    """The responses of a file, in order; see the top of this module for its columns.

    Args:
        path: a file whose name ends in `.parquet`, or JSON lines or a list.
        config: knows the reward kinds and the routes of sources.
        response_column: the column of the response; None tries the usual names.
        reward: kind of the rows that name none and whose source has no route.

    Raises:
        DataError: the file cannot be read, or has no such column.
    """
    router = MixedReward(config)
    columns = RESPONSE_COLUMNS if response_column is None else (response_column,)
    # Pictures are the bulk of such a file, and are not read.
    read = {*columns, *TRUTH_COLUMNS, *router.columns, "id", "data_source", "reward_kind", "reward_model", "extra_info"}
    if path.suffix == ".parquet":
        _require_one(path, columns, parquet_columns(path))
    checked = path.suffix == ".parquet"
    for number, record in read_records(path, read):
        if not checked and not isinstance(record, BadRecord):
            _require_one(path, columns, record)
            checked = True
        try:
            texts = [] if isinstance(record, BadRecord) else _take_texts(record, columns)
            row = _routed(row_of(str(path), number, record), router, reward)
        except RowError as error:
            yield Unreadable(str(path), number, f"{error.field}: {error.detail}".removeprefix("record: "))
        else:
            yield from (Response(row, sample, text) for sample, text in enumerate(texts))


def _require_one(path: Path, columns: Sequence[str], found: Collection[str]) -> None:
    if not any(column in found for column in columns):
        names = f"no column {' or '.join(columns)}; it has {', '.join(found) or 'none'}"
        raise DataError(f"{path}: {names} (--response-column names it)")


def parquet_columns(path: Path) -> list[str]:
    """The names of a parquet file's columns.

    Raises:
        DataError: it is not there, or no parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        return list(pq.read_schema(path).names)
    except (OSError, pa.ArrowException) as error:
        raise DataError(f"{path}: not a parquet file that can be read ({error})") from error


def _take_texts(record: dict[str, Any], columns: Sequence[str]) -> list[str]:
    """The responses of a record, which are taken out of it: rewards read them nowhere else."""
    texts = next((record[column] for column in columns if record.get(column) is not None), None)
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        names = " or ".join(columns)
        raise RowError(names, "not_text", f"must be a string or a list of strings, not {shown(texts)}")
    for column in columns:
        record.pop(column, None)
    return texts


def _routed(row: DataRow, router: MixedReward, reward: str) -> DataRow:
    kind = row.extra_info.get("reward") or router.config.routes.get(row.data_source) or reward
    row = dataclasses.replace(row, extra_info={**row.extra_info, "reward": kind})
    try:
        router.route(row.data_source, row.extra_info)
    except UnknownRewardError as error:
        raise RowError("extra_info.reward", "unknown_reward", str(error)) from error
    return row
