"""Reading the fields of one raw record, each fault a `RowError` that names the field."""

import hashlib
import math
import re
from collections.abc import Sequence
from pathlib import PurePosixPath
from string import ascii_uppercase
from typing import Any

from mixed_r1_verl.core.rows import RowError
from mixed_r1_verl.data.raw import Row

LETTERS = ascii_uppercase


def record(value: Any) -> dict[str, Any]:
    """The record as a dict.

    Raises:
        RowError: `not_an_object`, or the error itself where it stands for a record that could not be read.
    """
    if isinstance(value, RowError):
        raise value
    if not isinstance(value, dict):
        raise RowError("record", "not_an_object", f"it is a {type(value).__name__}")
    return value


def text_field(value: dict[str, Any], key: str) -> str:
    """A field that must be a string with something in it; surrounding space is taken off.

    Raises:
        RowError: `missing`, `not_text` or `empty`.

    >>> text_field({"query": " What? "}, "query")
    'What?'
    """
    if value.get(key) is None:
        raise RowError(key, "missing")
    found = value[key]
    if not isinstance(found, str):
        raise RowError(key, "not_text", f"it is a {type(found).__name__}")
    if not found.strip():
        raise RowError(key, "empty")
    return found.strip()


def scalar_text(value: dict[str, Any], key: str) -> str:
    """A field that is a string or a finite number, as text.

    Raises:
        RowError: `missing`, `not_text`, `empty` or `not_finite`.

    >>> scalar_text({"answer": 3.0}, "answer"), scalar_text({"answer": "3.0"}, "answer")
    ('3', '3.0')
    """
    found = value.get(key)
    if isinstance(found, bool):
        return "yes" if found else "no"
    if isinstance(found, int):
        return str(found)
    if isinstance(found, float):
        if not math.isfinite(found):
            raise RowError(key, "not_finite", str(found))
        return str(int(found)) if found.is_integer() else repr(found)
    return text_field(value, key)


def text_list(value: dict[str, Any], key: str) -> tuple[str, ...]:
    """A field that is null, missing or a list of strings or numbers.

    Raises:
        RowError: `not_a_list` or `not_text`.

    >>> text_list({"choices": ["a", 2]}, "choices"), text_list({"choices": None}, "choices")
    (('a', '2'), ())
    """
    found = value.get(key)
    if found is None:
        return ()
    if not isinstance(found, list):
        raise RowError(key, "not_a_list", f"it is a {type(found).__name__}")
    return tuple(scalar_text({key: member}, key) for member in found)


def number_list(value: dict[str, Any], key: str, length: int) -> tuple[float, ...]:
    """A field that is a list of `length` finite numbers.

    Raises:
        RowError: `missing`, `not_a_list`, `wrong_length` or `not_a_number`.
    """
    found = value.get(key)
    if found is None:
        raise RowError(key, "missing")
    if not isinstance(found, list):
        raise RowError(key, "not_a_list", f"it is a {type(found).__name__}")
    if len(found) != length:
        raise RowError(key, "wrong_length", f"{len(found)} numbers, not {length}")
    for member in found:
        if isinstance(member, bool) or not isinstance(member, int | float) or not math.isfinite(member):
            raise RowError(key, "not_a_number", repr(member)[:80])
    return tuple(float(member) for member in found)


def letter_of(answer: str, choices: Sequence[str], *, field: str = "answer") -> str:
    """The letter of the option whose text is the answer.

    Raises:
        RowError: `answer_not_in_choices`, or `answer_ambiguous` when two options read the same.

    >>> letter_of("dog", ["cat", "dog"])
    'B'
    """
    found = [i for i, choice in enumerate(choices) if choice.strip() == answer.strip()]
    if not found:
        found = [i for i, choice in enumerate(choices) if choice.strip().casefold() == answer.strip().casefold()]
    if not found:
        raise RowError(field, "answer_not_in_choices", f"{answer[:80]!r} is none of {len(choices)} options")
    if len(found) > 1:
        raise RowError(field, "answer_ambiguous", f"options {', '.join(chr(65 + i) for i in found)} read the same")
    return chr(ord("A") + found[0])


def one_line(text: str) -> str:
    """Text with every run of white space made one space.

    >>> one_line(" A cat \\n sits. ")
    'A cat sits.'
    """
    return " ".join(text.split())


def detokenise(text: str) -> str:
    """Takes out the spaces that a tokeniser put before punctuation and inside brackets.

    >>> detokenise("A dog ( brown ) runs , fast .")
    'A dog (brown) runs, fast.'
    """
    text = re.sub(r" ([.,;:!?%)\]])", r"\1", one_line(text))
    return re.sub(r"([(\[$]) ", r"\1", text)


def short_hash(text: str) -> str:
    """Twelve hexadecimal digits that stand for a text, for ids of records that have none.

    >>> short_hash("a cat")
    '51e467415607'
    """
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:12]


def place_id(row: Row) -> str:
    """An id for a record that has none of its own: its file and its position there.

    >>> place_id(Row("data/a.jsonl:7", None)), place_id(Row("a.json#x/1", None))
    ('data/a.jsonl/7', 'a.json/x/1')
    """
    found = re.search(r"\.(?:jsonl?|parquet|[ct]sv)[#:]", row.where)
    return f"{row.where[: found.end() - 1]}/{row.where[found.end() :]}" if found else row.where


def stem(name: str) -> str:
    """Name of a file without folders and extension.

    >>> stem("a/b/test_human.json")
    'test_human'
    """
    return PurePosixPath(name).stem
