"""Responses to score, out of a file.

A file is JSONL or parquet with one row a response:

| field | where it is looked for |
| --- | --- |
| response | the column of `--response-column`, else `response`, `solution_str`, `output`, `responses`; a list of strings is as many responses |
| ground truth | `ground_truth`, `gts`, `reward_model.ground_truth` |
| source | `data_source`; may be missing |
| reward | `extra_info.reward`, `reward_kind`, the route of the source (`--set routes.NAME=KIND`), `--reward` |
| what the reward reads besides | `extra_info`, or columns of the same names: `choices`, `question`, `width`, `height`, `box_frame` |

So a parquet of training rows with a column of responses can be scored as it is, and so can the JSONL that verl dumps at
validation (`trainer.validation_data_dir`). Such a dump holds neither option texts nor questions nor image sizes: an
option that is named by its text is then not recognised, and boxes must be in pixels of the original image.

Rows that cannot be read go to a rejects file, each with its reason; a row that can be read but not scored (an unreadable
ground truth, a timeout) counts with score 0 and `error` 1, as it does in training.
"""  # noqa: E501

import contextlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.mixed import MixedReward, UnknownRewardError
from mixed_r1_verl.rewards.pool import Sample

RESPONSE_COLUMNS = ("response", "solution_str", "output", "responses")
TRUTH_COLUMNS = ("ground_truth", "gts")


class ScoreError(ValueError):
    """The files cannot be scored as asked."""


class Response(NamedTuple):
    """One response that can be scored.

    Attributes:
        file, row: where it comes from; the line from 1 for JSONL, the row from 0 for parquet.
        sample: which of the row's responses it is.
        id: the row's own id, or empty.
        scored: what `MixedReward.score` is given.
    """

    file: str
    row: int
    sample: int
    id: str
    scored: Sample


class Reject(NamedTuple):
    """A row that cannot be read, and why."""

    file: str
    row: int
    reason: str


class RowError(ValueError):
    """A row cannot be read."""


def read_responses(
    path: str | Path,
    config: MixedRewardConfig | None = None,
    *,
    response_column: str | None = None,
    reward: str | None = None,
) -> Iterator[Response | Reject]:
    """The responses of a JSONL or parquet file, in order; see the top of this module for its columns.

    Args:
        path: a file whose name ends in `.parquet`, or JSONL.
        config: knows the reward kinds and the routes of sources.
        response_column: the column of the response; None tries the usual names.
        reward: kind of the rows that name none and whose source has no route.

    Raises:
        ScoreError: the file cannot be read, or has no such column.
    """
    path = Path(path)
    if not path.is_file():
        raise ScoreError(f"{path}: no such file")
    router = MixedReward(config)
    columns = RESPONSE_COLUMNS if response_column is None else (response_column,)
    records = _parquet_records(path, (*columns, *router.columns)) if path.suffix == ".parquet" else _jsonl_records(path)
    first = True
    for row, record in records:
        if isinstance(record, str):
            yield Reject(str(path), row, record)
            continue
        if first and not any(column in record for column in columns):
            raise ScoreError(_no_column(path, columns, record))
        first = False
        try:
            yield from _responses(str(path), row, record, columns, router, reward)
        except RowError as error:
            yield Reject(str(path), row, str(error))


def _no_column(path: Path, columns: Sequence[str], found: Iterable[str]) -> str:
    return f"{path}: no column {' or '.join(columns)}; it has {', '.join(found) or 'none'} (--response-column names it)"


def _jsonl_records(path: Path) -> Iterator[tuple[int, dict[str, Any] | str]]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                record = json.loads(line.decode("utf-8-sig" if number == 1 else "utf-8"))
            except (ValueError, RecursionError) as error:
                yield number, f"not JSON in UTF-8: {error}"
                continue
            yield number, record if isinstance(record, dict) else f"not a JSON object but {type(record).__name__}"


def _parquet_records(path: Path, columns: Sequence[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        names = file.schema_arrow.names
        wanted = {*columns, *TRUTH_COLUMNS, "data_source", "reward_kind", "reward_model", "extra_info"}
        row = 0
        # Pictures are the bulk of such a file, and are not read.
        for batch in file.iter_batches(256, columns=[name for name in names if name in wanted]):
            for record in batch.to_pylist():
                yield row, record
                row += 1
    except pa.ArrowException as error:
        raise ScoreError(f"{path}: not a parquet file that can be read ({error})") from error


def _responses(
    file: str, row: int, record: Mapping[str, Any], columns: Sequence[str], router: MixedReward, reward: str | None
) -> Iterator[Response]:
    texts = next((record[column] for column in columns if record.get(column) is not None), None)
    if isinstance(texts, str):
        texts = [texts]
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise RowError(f"{' or '.join(columns)}: must be a string or a list of strings, not {_shown(texts)}")
    truth = _ground_truth(record)
    info = _extra_info(record, router.columns)
    source = record.get("data_source")
    if source is not None and not isinstance(source, str):
        raise RowError(f"data_source: must be a string, not {_shown(source)}")
    info.setdefault("reward", router.config.routes.get(source or "") or reward)
    try:
        router.route(source or "", info)
    except UnknownRewardError as error:
        raise RowError(f"extra_info.reward: {error}") from error
    for sample, text in enumerate(texts):
        yield Response(file, row, sample, str(info.get("id") or ""), Sample(source or "", text, truth, info))


def _ground_truth(record: Mapping[str, Any]) -> str:
    for column in TRUTH_COLUMNS:
        if record.get(column) is not None:
            truth = record[column]
            break
    else:
        column, model = "reward_model.ground_truth", record.get("reward_model")
        truth = model.get("ground_truth") if isinstance(model, Mapping) else None
        if truth is None:
            raise RowError(f"there is no {', '.join(TRUTH_COLUMNS)} or reward_model.ground_truth")
    if not isinstance(truth, str):
        raise RowError(f"{column}: must be a string, not {_shown(truth)}")
    return truth


def _extra_info(record: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    extra = record.get("extra_info")
    if extra is not None and not isinstance(extra, Mapping):
        raise RowError(f"extra_info: must be an object, not {_shown(extra)}")
    info = {name: record[name] for name in fields if record.get(name) is not None}
    # verl's dumps have the number that the response earned under `reward`.
    if not isinstance(info.get("reward"), str):
        info.pop("reward", None)
    if "reward" not in info and isinstance(record.get("reward_kind"), str):
        info["reward"] = record["reward_kind"]
    info |= {name: value for name, value in (extra or {}).items() if value is not None}
    if not isinstance(info.get("choices", []), list):
        raise RowError(f"choices: must be a list of strings, not {_shown(info['choices'])}")
    for name in ("width", "height"):
        if name in info and (isinstance(info[name], bool) or not isinstance(info[name], int | float)):
            raise RowError(f"{name}: must be a number, not {_shown(info[name])}")
    return info


def _shown(value: object) -> str:
    text = repr(value)
    return f"{type(value).__name__} {text[:60]}{'…' if len(text) > 60 else ''}"


def count_rows(path: str | Path) -> int:
    """Rows of a parquet file, lines of any other: what a progress bar needs to know."""
    path = Path(path)
    if path.suffix == ".parquet":
        import pyarrow.parquet as pq

        with contextlib.suppress(Exception):  # said by whoever reads it
            return int(pq.ParquetFile(path).metadata.num_rows)
        return 0
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(1 << 20), b""))
