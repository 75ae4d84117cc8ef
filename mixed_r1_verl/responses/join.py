"""Which row of the data a response answers.

verl's dumps hold the decoded prompt and the ground truth of a row, not its id. So a response belongs to the rows that
have this ground truth and whose question stands in its prompt; white space and everything in angle brackets is left
out of the comparison, because templates and decoders change it. Where it is known which files were trained on and which
validated on, only rows of the right ones count. A dump that holds an `id` is joined by that alone.

Several rows may have the same question and the same answer, such as two pictures of which "is there a circle?" is true.
What such rows have in common is taken from them; a picture only if it is the same.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from mixed_r1_verl.core.rows import DataError, DataRow, RowError, read_records, row_of
from mixed_r1_verl.responses.read import Response

MAX_MISSES = 500
"""Prompts looked for in vain, one after the other, before the rest of a run is taken to be of other data."""

MAX_FRAMES = 8

_TAG = re.compile(r"<[^<>\s]{1,40}>")


def essence(text: str) -> str:
    """A text without white space and without anything in angle brackets.

    >>> essence("<|im_start|>user\\n<image>Is it red? <think> </think>")
    'userIsitred?'
    """
    return "".join(_TAG.sub("", text).split())


class Candidate(NamedTuple):
    """A row of the data that a response may answer."""

    row: DataRow  # without its pictures
    question: str  # its last user message, `essence` of it
    split: str = ""  # of its file, `train` or `validation`; empty where it is not known


def read_candidates(files: Mapping[Path, str]) -> list[Candidate]:
    """The rows of data files, each file given with its split.

    Raises:
        DataError: a file cannot be read, or is no training file.
    """
    candidates: list[Candidate] = []
    for file, split in files.items():
        for number, record in read_records(file, ("prompt", "data_source", "reward_model", "extra_info")):
            try:
                row = row_of(str(file), number, record)
                messages: Any = record["prompt"]  # type: ignore[call-overload]  # a bad record is no row
                question = [message["content"] for message in messages if message["role"] == "user"][-1]
                candidates.append(Candidate(row, essence(question), split))
            except (RowError, KeyError, TypeError, IndexError) as error:
                detail = error if isinstance(error, RowError) else "no prompt with a message of a user"
                raise DataError(f"{file}: not a training file: row {number}: {detail}") from error
    return candidates


class Matcher:
    """Finds the rows of responses.

    `counts` says how many responses found one row (`exact`), several alike (`several`), or none (`missing`).
    """

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self.candidates = candidates
        self.counts: Counter[str] = Counter()
        self._by_id: dict[str, list[int]] = {}
        self._by_question: dict[tuple[str, str], list[int]] = {}
        self._questions: dict[str, set[str]] = {}  # of each ground truth
        for number, (row, question, _) in enumerate(candidates):
            if row.id:
                self._by_id.setdefault(row.id, []).append(number)
            self._by_question.setdefault((row.ground_truth, question), []).append(number)
            self._questions.setdefault(row.ground_truth, set()).add(question)
        self._frames: list[tuple[str, str]] = []  # what a chat template puts before and after a question
        self._found: dict[tuple[str, str, str], list[int]] = {}
        self._misses = 0

    def attach(self, response: Response) -> None:
        """Give a response what its row lacks of source and `extra_info`, and say in `found` which row it is."""
        found = self._by_id.get(response.row.id) or self._find(response)
        self.counts["exact" if len(found) == 1 else "several" if found else "missing"] += 1
        if found:
            response.found = found[0] if len(found) == 1 else None
            response.row = _completed(response.row, [self.candidates[number].row for number in found])

    def _find(self, response: Response) -> list[int]:
        truth = response.row.ground_truth
        key = (response.split, truth, response.prompt)
        if key not in self._found:
            question = self._question(truth, essence(response.prompt))
            self._misses = 0 if question is not None else self._misses + 1
            found = self._by_question.get((truth, question or ""), [])
            splits = ("", response.split)
            self._found[key] = [number for number in found if self.candidates[number].split in splits]
        return self._found[key]

    def _question(self, truth: str, prompt: str) -> str | None:
        """The question of a row with this ground truth that stands in the prompt; the longest of several."""
        questions = self._questions.get(truth, set())
        for before, after in self._frames:
            inner = prompt[len(before) : len(prompt) - len(after)]
            if inner in questions and prompt == before + inner + after:
                return inner
        if self._misses > MAX_MISSES:
            return None
        found = max((question for question in questions if question and question in prompt), key=len, default=None)
        if found is not None and len(self._frames) < MAX_FRAMES:
            before, _, after = prompt.rpartition(found)
            self._frames.append((before, after))
        return found


def _completed(row: DataRow, found: Sequence[DataRow]) -> DataRow:
    """A row with what those that were found for it have in common; what it says itself stays."""
    first = found[0]
    shared = {
        name: value
        for name, value in first.extra_info.items()
        if all(other.extra_info.get(name) == value for other in found)
    }
    source = first.data_source if all(other.data_source == first.data_source for other in found) else ""
    return replace(row, data_source=row.data_source or source, extra_info={**shared, **row.extra_info})
