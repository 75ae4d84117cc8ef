"""Responses out of files, each with what is known of the row that it answers.

A file is JSON lines, a JSON list or parquet with one row a response:

| field | where it is looked for |
| --- | --- |
| response | the column of `--response-column`, else `response`, `solution_str`, `output`, `responses`; a list of strings is as many responses |
| ground truth | `reward_model.ground_truth`, `ground_truth`, `gts` |
| source | `data_source`; may be missing |
| reward | `extra_info.reward`, `reward`, `reward_kind`, the route of the source (`--set routes.NAME=KIND`), `--reward` |
| what the reward reads besides | `extra_info`, or columns of the same names: `choices`, `question`, `width`, `height`, `box_frame` |

So training rows with a column of responses can be scored as they are, and so can what `mixed-r1 eval` writes and verl
dumps. A dump of verl holds neither option texts nor questions nor image sizes: `responses.join` takes them from the data.
"""  # noqa: E501

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from mixed_r1_verl.core.rows import (
    TRUTH_COLUMNS,
    BadRecord,
    DataError,
    DataRow,
    Reject,
    RowError,
    opened_parquet,
    read_records,
    read_rows,
    row_of,
    shown,
)
from mixed_r1_verl.rewards.mixed import MixedReward, UnknownRewardError
from mixed_r1_verl.rewards.pool import Sample

RESPONSE_COLUMNS = ("response", "solution_str", "output", "responses")


@dataclass(slots=True)
class Response:
    """One response to a row."""

    row: DataRow  # what is known of the row; its `extra_info` names the reward
    text: str
    sample: int = 0  # which of the row's responses it is
    prompt: str = ""  # as it was decoded; empty where the file does not say
    split: str = ""  # `train` or `validation`; empty where that is not known
    step: int = 0  # of the trainer
    group: str = ""  # what the responses to one prompt at one step have in common
    # values, texts: further numbers and texts that were recorded of it, such as `score` and `prediction`
    values: dict[str, float] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)
    found: int | None = None  # number of its row among those of the data, see `responses.join`

    @property
    def kind(self) -> str:
        """The reward that scores it, or empty."""
        return str(self.row.extra_info.get("reward") or "")

    @property
    def scored(self) -> Sample:
        """What `MixedReward.score` is given."""
        return Sample(self.row.data_source, self.text, self.row.ground_truth, self.row.extra_info)


class Unreadable(NamedTuple):
    """A row that cannot be read, and why."""

    file: str
    row: int
    reason: str


def responses_of(
    file: str, number: int, record: Mapping[str, Any] | BadRecord, columns: Sequence[str] = RESPONSE_COLUMNS
) -> list[Response]:
    """The responses of a record, which stand in the first of `columns` that it has; no reward reads these.

    Raises:
        RowError: naming the field at fault.
    """
    if isinstance(record, BadRecord):
        raise RowError("record", "bad_record", record.reason)
    texts = next((record[column] for column in columns if record.get(column) is not None), None)
    texts = [texts] if isinstance(texts, str) else texts
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        names = " or ".join(columns)
        raise RowError(names, "not_text", f"must be a string or a list of strings, not {shown(texts)}")
    row = row_of(file, number, {name: value for name, value in record.items() if name not in columns})
    return [Response(row, text, sample, str(record.get("input") or "")) for sample, text in enumerate(texts)]


def read_responses(
    path: Path,
    reward: MixedReward | None = None,
    *,
    response_column: str | None = None,
    kind: str = "",
    join: Callable[[Response], object] | None = None,
) -> Iterator[Response | Unreadable]:
    """The responses of a file, in order; see the top of this module for its columns.

    Args:
        path: a file whose name ends in `.parquet`, or JSON lines or a list.
        reward: knows the reward kinds and the routes of sources.
        response_column: the column of the response; None tries the usual names.
        kind: of the rows that name none and whose source has no route.
        join: gives a response what its row lacks, before its kind is looked for.

    Raises:
        DataError: the file cannot be read, or has no such column.
    """
    reward = reward or MixedReward()
    columns = RESPONSE_COLUMNS if response_column is None else (response_column,)
    # Pictures are the bulk of such a file, and are not read.
    rows = ("id", "data_source", "reward_kind", "reward_model", "extra_info", *TRUTH_COLUMNS, *reward.columns)
    unchecked = path.suffix != ".parquet"
    if not unchecked:
        _require_one(path, columns, parquet_columns(path))
    for number, record in read_records(path, {*columns, *rows, "input"}):
        if unchecked and not isinstance(record, BadRecord):
            _require_one(path, columns, record)
            unchecked = False
        try:
            responses = responses_of(str(path), number, record, columns)
            for one in responses:
                if join:
                    join(one)
                one.row = _routed(one.row, reward, kind)
        except RowError as error:
            yield Unreadable(str(path), number, f"{error.field}: {error.detail}".removeprefix("record: "))
        else:
            yield from responses


def _require_one(path: Path, columns: Sequence[str], found: Collection[str]) -> None:
    if not any(column in found for column in columns):
        names = f"no column {' or '.join(columns)}; it has {', '.join(found) or 'none'}"
        raise DataError(f"{path}: {names} (--response-column names it)")


def _routed(row: DataRow, reward: MixedReward, kind: str) -> DataRow:
    kind = row.extra_info.get("reward") or reward.config.routes.get(row.data_source) or kind
    row = replace(row, extra_info={**row.extra_info, "reward": kind})
    try:
        reward.route(row.data_source, row.extra_info)
    except UnknownRewardError as error:
        raise RowError("extra_info.reward", "unknown_reward", str(error)) from error
    return row


def sound_rows(path: Path) -> Iterator[DataRow]:
    """The rows of a file of which every one must be sound; pictures are not read.

    Raises:
        DataError: if the file cannot be read, or one of its rows cannot.
    """
    for row in read_rows(path):
        if isinstance(row, Reject):
            raise DataError(f"{row.row}: {row.field}: {row.reason} ({row.detail}); `mixed-r1 check` says more")
        yield row


def parquet_columns(path: Path) -> list[str]:
    """The names of a parquet file's columns.

    Raises:
        DataError: it is not there, or no parquet file.
    """
    with opened_parquet(path) as file:
        return list(file.schema_arrow.names)
