"""Scored responses: the one loop that scores them, one form of a row, and files of such rows.

Scoring uses all cores, in processes that are killed when a sample takes too long. `write_answers` writes a whole file
at once. `Answers` appends JSON lines as responses come, so that an interrupted run goes on: beside `NAME.jsonl` stands
`NAME.settings.json` with what the answers were made with, and only a run with the same settings goes on with the file.
`mixed-r1 score` and `mixed-r1 report` read such files again.
"""

import json
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from mixed_r1_verl.core.files import atomic, write_text
from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.responses.read import Response
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.pool import ScoringPool

T = TypeVar("T")
Result = dict[str, Any]
Row = dict[str, Any]

IN_FLIGHT = 4096  # responses that are read ahead of the one whose result is waited for
BLOCK = 1024  # rows of a parquet row group


def score_in_order(
    asked: Iterable[tuple[T, Sequence[Response]]], pool: ScoringPool
) -> Iterator[tuple[T, list[Result]]]:
    """Things with the results of their responses, any number of them, in order and as soon as they are there.

    Further ones are read meanwhile; never more than `IN_FLIGHT` responses are held, but for those of one thing.
    """
    flying: deque[tuple[T, list[Future[Result]]]] = deque()
    held = 0

    def landed() -> tuple[T, list[Result]]:
        nonlocal held
        thing, futures = flying.popleft()
        held -= len(futures)
        return thing, [future.result() for future in futures]

    for thing, responses in asked:
        flying.append((thing, [pool.submit(response.scored) for response in responses]))
        held += len(responses)
        while flying and (held > IN_FLIGHT or all(future.done() for future in flying[0][1])):
            yield landed()
    while flying:
        yield landed()


def score_responses(responses: Iterable[Response], config: MixedRewardConfig) -> Iterator[tuple[Response, Result]]:
    """Responses with their results, in order; raises `RuntimeError` where the scoring processes do not start."""
    with closing(ScoringPool(config)) as pool:
        for response, (result,) in score_in_order(((one, [one]) for one in responses), pool):
            yield response, result


def answer_row(response: Response, result: Mapping[str, Any]) -> Row:
    """A response and its result, of `MixedReward.score`, as a row of a file."""
    row = response.row
    place = {"file": row.file, "row": row.number, "sample": response.sample, "id": row.id}
    texts = {"ground_truth": row.ground_truth, "response": response.text}
    return {**place, "data_source": row.data_source, **result, **response.values, **texts}


def _json_lines(rows: Iterable[Row]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_answers(path: Path, rows: Iterable[Row]) -> None:
    """Write rows of `answer_row` as they come, to JSON lines, or to parquet where the name says so.

    The file appears when all of it is there; an exception leaves what stood there before.
    """
    if path.suffix != ".parquet":
        with atomic(path) as file:
            file.writelines(_json_lines([row]) for row in rows)
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {name: pa.int64() for name in ("row", "sample")}
    types |= {name: pa.float64() for name in ("score", "acc", "format", "error")}
    names = "file row sample id data_source score acc format error reward_kind prediction reason ground_truth response"
    schema = pa.schema([(name, types.get(name, pa.string())) for name in names.split()])
    # Half of a surrogate pair, which JSON can hold, is no text for parquet.
    sound = ({name: _encodable(value) for name, value in row.items()} for row in rows)
    with atomic(path, "wb") as file, pq.ParquetWriter(file, schema) as writer:
        while block := list(islice(sound, BLOCK)):
            writer.write_table(pa.Table.from_pylist(block, schema=schema))


def _encodable(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode("utf-8") if isinstance(value, str) else value


class Answers:
    """The answers of one run.

    Args:
        path: the JSONL file; made when it is not there.
        settings: what the answers depend on, plain data; `n` is the number of responses to each row.

    Raises:
        DataError: the file has been made with other settings, or is no file of answers.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]):
        self.path = path
        self._rows: dict[tuple[str, int], list[Row]] = {}
        plain = json.loads(json.dumps(settings))
        beside = path.with_suffix(".settings.json")
        if path.exists():
            self._compare(beside, plain)
            for row in self._read():
                self._rows.setdefault((row["file"], row["row"]), []).append(row)
            # What was cut when the run was killed: a part of a line, or of the responses to a row.
            self._rows = {key: rows for key, rows in self._rows.items() if len(rows) == settings["n"]}
            self._rewrite()
        else:
            write_text(beside, json.dumps(plain, indent=2) + "\n")
        self._file = path.open("a", encoding="utf-8", newline="\n", errors="backslashreplace")

    def _compare(self, beside: Path, settings: Mapping[str, Any]) -> None:
        try:
            earlier = json.loads(beside.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{self.path} exists, and {beside.name} that belongs to it cannot be read") from error
        for name in dict.fromkeys((*settings, *earlier)):
            if settings.get(name) != earlier.get(name):
                raise DataError(
                    f"{self.path} holds answers made with other settings: {name} was {_short(earlier.get(name))} "
                    f"and is now {_short(settings.get(name))}. Choose another --output, or delete it and {beside.name}"
                )

    def _read(self) -> Iterator[Row]:
        """The rows of the file's whole lines."""
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    return
                try:
                    row = json.loads(line)
                    row["file"], row["row"], row["score"], row["acc"]
                except (ValueError, TypeError, KeyError) as error:
                    raise DataError(f"{self.path}, line {number}: not an answer of `mixed-r1 eval`") from error
                yield row

    def done(self, file: str, row: int, ground_truth: str) -> bool:
        """Whether the responses to a row are there.

        Raises:
            DataError: they are, but to a row with another ground truth: the data has been changed.
        """
        rows = self._rows.get((file, row))
        if rows and rows[0]["ground_truth"] != ground_truth:
            raise DataError(
                f"{self.path} answers another row {row} of {file}: its ground truth was "
                f"{_short(rows[0]['ground_truth'])} and is now {_short(ground_truth)}. Choose another --output"
            )
        return rows is not None

    def add(self, rows: Sequence[Row]) -> None:
        """Append all responses to one row of the data; of those that a crash cut, none are kept."""
        self._file.write(_json_lines(rows))
        self._file.flush()
        self._rows[(rows[0]["file"], rows[0]["row"])] = list(rows)

    def rows(self) -> list[Row]:
        """All responses so far, by file, row and sample."""
        return [row for key in sorted(self._rows) for row in sorted(self._rows[key], key=lambda row: row["sample"])]

    def finish(self) -> None:
        """Close the file and put its lines in order."""
        self._file.close()
        self._rewrite()

    def _rewrite(self) -> None:
        write_text(self.path, _json_lines(self.rows()))


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."
