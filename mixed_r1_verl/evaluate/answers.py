"""The file of answers: one JSON line a response, appended as responses come, so that an interrupted run goes on.

Beside `NAME.jsonl` stands `NAME.settings.json` with what the answers were made with; only a run with the same settings
goes on with the file.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

Row = dict[str, Any]


class AnswersError(ValueError):
    """An existing file of answers cannot be gone on with."""


class Answers:
    """The answers of one run.

    Args:
        path: the JSONL file; made when it is not there.
        settings: what the answers depend on, plain data; `n` is the number of responses to each row.

    Raises:
        AnswersError: the file has been made with other settings, or is no file of answers.
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
            self._drop_incomplete(int(settings["n"]))
        else:
            replace_text(beside, json.dumps(plain, indent=2) + "\n")
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)

    def _compare(self, beside: Path, settings: Mapping[str, Any]) -> None:
        try:
            earlier = json.loads(beside.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise AnswersError(f"{self.path} exists, and {beside.name} that belongs to it cannot be read") from error
        for name in dict.fromkeys((*settings, *earlier)):
            if settings.get(name) != earlier.get(name):
                raise AnswersError(
                    f"{self.path} holds answers made with other settings: {name} was {_short(earlier.get(name))} "
                    f"and is now {_short(settings.get(name))}. Choose another --output, or delete it and {beside.name}"
                )

    def _read(self) -> Iterator[Row]:
        """The rows of the file; a last line that was cut when the run was killed is taken away."""
        with self.path.open("rb+") as lines:
            end = 0
            for number, line in enumerate(lines, 1):
                if not line.endswith(b"\n"):
                    break
                end += len(line)
                try:
                    row = json.loads(line)
                    row["file"], row["row"], row["score"], row["acc"]
                except (ValueError, TypeError, KeyError) as error:
                    raise AnswersError(f"{self.path}, line {number}: not an answer of `mixed-r1 eval`") from error
                yield row
            lines.truncate(end)

    def _drop_incomplete(self, samples: int) -> None:
        """Forget rows of which only some responses were written before the run was killed."""
        incomplete = [key for key, rows in self._rows.items() if len(rows) != samples]
        for key in incomplete:
            del self._rows[key]
        if incomplete:
            self._rewrite()

    def done(self, file: str, row: int, ground_truth: str) -> bool:
        """Whether the responses to a row are there.

        Raises:
            AnswersError: they are, but to a row with another ground truth: the data has been changed.
        """
        rows = self._rows.get((file, row))
        if rows and rows[0]["ground_truth"] != ground_truth:
            raise AnswersError(
                f"{self.path} answers another row {row} of {file}: its ground truth was "
                f"{_short(rows[0]['ground_truth'])} and is now {_short(ground_truth)}. Choose another --output"
            )
        return rows is not None

    def add(self, rows: Sequence[Row]) -> None:
        """Append all responses to one row of the data; of those that a crash cut, none are kept."""
        lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        data = lines.encode("utf-8", "backslashreplace")
        while data:
            data = data[os.write(self._file, data) :]
        self._rows[(rows[0]["file"], rows[0]["row"])] = list(rows)

    def rows(self) -> list[Row]:
        """All responses so far, by file, row and sample."""
        return [row for key in sorted(self._rows) for row in sorted(self._rows[key], key=lambda row: row["sample"])]

    def finish(self) -> None:
        """Close the file and put its lines in order."""
        os.fsync(self._file)
        os.close(self._file)
        self._rewrite()

    def _rewrite(self) -> None:
        replace_text(self.path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in self.rows()))


def replace_text(path: Path, text: str) -> None:
    """Write a file so that it holds either what it held or all of the text."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8", errors="backslashreplace")
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:77] + "..."
