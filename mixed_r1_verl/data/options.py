"""The options of a multiple-choice question, wherever a record keeps them, and which of them an answer means."""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from string import ascii_lowercase
from typing import Any

from mixed_r1_verl.core.rows import RowError
from mixed_r1_verl.data.fields import LETTERS, letter_of, scalar_text, text_list

CHOICES = ("choices", "options", "candidates", "multi-choice options")
MAX_LITERAL_CHARS = 20_000
# Lines that may stand after the options: how to answer, as a fixed phrase of the dataset.
MAX_LINES_AFTER = 2
_PREFIXES = ("", "choice_", "option_", "choice", "option", "options_", "opt_", "Choice ", "Option ")
_FIRST_COLUMNS = {
    f"{prefix}{first}": (prefix, first) for prefix in _PREFIXES for first in "Aa10" if prefix or first == "A"
}
_LINE = re.compile(r"^\s*[-*]?\s*\(?([A-Za-z])\s?[.):]\s*(.*)$")
_INLINE = re.compile(r"(?:^|(?<=[\s,;:?.!]))(?:\(([A-Za-z])\)|([A-Za-z])[.):](?=\s))\s*")
_FIRST_LETTER = re.compile(r"[Aa]\s?[.):]")
_HEADER = re.compile(r"\s*\b(?:Choices|Options|Answer choices|选项)\s*[:：]\s*\Z", re.IGNORECASE)
_INSTRUCTION = re.compile(
    r"\b(?:answer|reply|respond|choose|select|pick|give|output|provide|letter|option|choice|please)\b|[请选回答]",
    re.IGNORECASE,
)
_SAID = re.compile(
    r"\s*(?:(?:the\s+)?(?:correct\s+|final\s+|right\s+)?(?:answer|option|choice)\s*(?:is|:)?\s*)?"
    r"[*$({\[\s]{0,4}(?:\\(?:text|boxed)\{)?([A-Z])\}?[*$)}\]\s]{0,4}(?:[.:)]\s*(.*))?",
    re.IGNORECASE | re.DOTALL,
)


def literal(text: str) -> Any:
    """A JSON value or Python literal in a text; None where the text is neither, or is too long.

    >>> literal("['a', 'b']"), literal('["a", null]'), literal("[a, b]")
    (['a', 'b'], ['a', None], None)
    """
    text = text.strip()
    if not text.startswith(("[", "{", "(")):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    try:
        return ast.literal_eval(text) if len(text) <= MAX_LITERAL_CHARS else None
    except (ValueError, SyntaxError, RecursionError, MemoryError, TypeError):
        return None


def choices_of(value: Mapping[str, Any], keys: Sequence[str] = CHOICES) -> tuple[tuple[str, ...], str]:
    """The options that a record has in columns of their own, and where they stand.

    A list; a list written as text; an object from letters to texts; a column an option (`A`, `B`, …; `choice_a`, …;
    `option1`, …), of which empty ones at the end do not count.

    Raises:
        RowError: `not_a_list`, `not_text` or `gap`.

    >>> choices_of({"options": "['cat', 'dog']"})
    (('cat', 'dog'), 'options')
    >>> choices_of({"A": "one", "B": "two", "C": None})
    (('one', 'two'), 'columns A…B')
    """
    for key in keys:
        found = value.get(key)
        if found is None or (isinstance(found, str | list | dict) and not found):
            continue
        if isinstance(found, str):
            lines, parsed = [line for line in found.splitlines() if line.strip()], literal(found)
            found = parsed if parsed is not None else lines if len(lines) > 1 else found
        if isinstance(found, Mapping) and "text" in found and isinstance(found["text"], list):
            found = found["text"]
        if isinstance(found, Mapping):
            found = _columns({str(name): one for name, one in found.items()}) or found
        texts = found if isinstance(found, tuple) else text_list({key: found}, key)
        if texts:
            return unlettered(texts), key
    if _FIRST_COLUMNS.keys().isdisjoint(value):
        return (), ""
    for column, (prefix, first) in _FIRST_COLUMNS.items():
        if column in value:
            texts = _columns({name[len(prefix) :]: one for name, one in value.items() if name.startswith(prefix)})
            if len(texts) > 1:
                return unlettered(texts), f"columns {column}…{prefix}{_names(first)[len(texts) - 1]}"
    return (), ""


def _names(first: str) -> Sequence[str]:
    if first in ("A", "a"):
        return LETTERS if first == "A" else ascii_lowercase
    return [str(number) for number in range(int(first), int(first) + len(LETTERS))]


def _columns(value: Mapping[str, Any]) -> tuple[str, ...]:
    """The options of columns that are named by letters or numbers in order."""
    first = next((name for name in ("A", "a", "0", "1") if name in value), None)
    if first is None:
        return ()
    cells = [value.get(name) for name in _names(first)]
    texts = [None if _is_nothing(cell) else scalar_text({"options": cell}, "options") for cell in cells]
    while texts and texts[-1] is None:
        texts.pop()
    if None in texts:
        raise RowError("options", "gap", f"option {_names(first)[texts.index(None)]} is empty, a later one is not")
    return tuple(text for text in texts if text is not None)


def _is_nothing(cell: Any) -> bool:
    return (
        cell is None or (isinstance(cell, str) and cell.strip().lower() in ("", "nan", "none", "null")) or cell != cell
    )


def unlettered(texts: Sequence[str]) -> tuple[str, ...]:
    """Options without their letters, where all have them in order.

    >>> unlettered(["A. 3", "B. 4"]), unlettered(["(A) x", "(B) y"]), unlettered(["A. 3", "x"])
    (('3', '4'), ('x', 'y'), ('A. 3', 'x'))
    """
    found = [_LINE.match(text) for text in texts]
    if len(texts) > 1 and all(
        match and match[1].upper() == letter for match, letter in zip(found, LETTERS, strict=False)
    ):
        return tuple(match[2].strip() or match[1] for match in found if match)
    return tuple(text.strip() for text in texts)


def split_choices(question: str) -> tuple[str, tuple[str, ...]]:
    """Takes the options out of a question that lists them from A: a line each, or one after the other on a line.

    A header before them (`Choices:`) and up to two lines after them that say how to answer go too.

    >>> split_choices("Which?\\nA. cat\\nB. dog\\nAnswer with one letter.")
    ('Which?', ('cat', 'dog'))
    >>> split_choices("Which? Options: (A) cat (B) dog")
    ('Which?', ('cat', 'dog'))
    >>> split_choices("A. is not an option")
    ('A. is not an option', ())
    """
    if not _FIRST_LETTER.search(question):
        return question, ()
    lines = question.rstrip().splitlines()
    after = 0
    while after < MAX_LINES_AFTER and len(lines) > 2 and not _LINE.match(lines[-1]) and _INSTRUCTION.search(lines[-1]):
        lines.pop()
        after += 1
        while lines and not lines[-1].strip():
            lines.pop()
    choices: list[str] = []
    while lines and (not lines[-1].strip() or (match := _LINE.match(lines[-1]))):
        line = lines.pop()
        if line.strip() and match:
            choices.insert(0, f"{match[1].upper()}{match[2].strip()}")
    if not _in_order([choice[0] for choice in choices]) or not lines:
        return _split_inline(question)
    stem = _HEADER.sub("", "\n".join(lines).rstrip()).rstrip()
    if not stem:
        return question, ()
    return stem, tuple(choice[1:] or choice[0] for choice in choices)


def _split_inline(question: str) -> tuple[str, tuple[str, ...]]:
    """Options that follow each other, on one line or over several, with nothing after the last line of them."""
    found = list(_INLINE.finditer(question))[: 2 * len(LETTERS)]
    starts = [number for number, match in enumerate(found) if (match[1] or match[2]) in ("A", "a")]
    if not starts:
        return question, ()
    found = found[starts[-1] :]
    style = bool(found[0][1])
    found = [match for match in found if bool(match[1]) == style]
    stem = question[: found[0].start()]
    header = _HEADER.search(stem.rstrip())
    # `A.` in the middle of a sentence needs a header; `(A) … (B) …` is nothing else than options.
    letters = [(match[1] or match[2]).upper() for match in found]
    if not _in_order(letters) or not (style or header):
        return question, ()
    ends = [*(match.start() for match in found[1:]), len(question)]
    texts = [question[match.end() : end].strip(" \t\r\n,;") for match, end in zip(found, ends, strict=True)]
    head, *rest = texts[-1].split("\n")
    if (
        rest
        and len(rest) <= MAX_LINES_AFTER + 1
        and all(not line.strip() or _INSTRUCTION.search(line) for line in rest)
    ):
        texts[-1] = head.strip()
    stem = _HEADER.sub("", stem.rstrip()).rstrip()
    if not stem or not all(texts) or "\n\n" in "".join(texts):
        return question, ()
    return stem, tuple(texts)


def _in_order(letters: Sequence[str]) -> bool:
    return len(letters) >= 2 and LETTERS.startswith("".join(letters))


def choice_letter(answer: Any, choices: Sequence[str], *, field: str = "answer") -> str:
    """The letter of the option that an answer means: a letter in any dress, a 0-based number, or a text.

    Raises:
        RowError: `missing`, `no_choices`, `answer_not_in_choices` or `answer_ambiguous`, also where the number of one
            option is the text of another.

    >>> [choice_letter(answer, ["cat", "dog"]) for answer in (1, "1", "b", "(B)", "B. dog", "The answer is B")]
    ['B', 'B', 'B', 'B', 'B', 'B']
    """
    if not choices:
        raise RowError("choices", "no_choices", "there is no option to choose from")
    if isinstance(answer, float) and answer.is_integer():
        answer = int(answer)
    if isinstance(answer, int) and not isinstance(answer, bool):
        return _numbered(answer, choices, field)
    text = scalar_text({field: answer}, field)
    lettered = LETTERS[: len(choices)]
    if len(text) == 1 and text in lettered:
        named = [choice.strip() for choice in choices]
        if text in named and named.index(text) != lettered.index(text):
            raise RowError(field, "answer_ambiguous", f"{text!r} is the letter of one option and the text of another")
        return text
    texts = [choice.strip().casefold() for choice in choices]
    if text.casefold() not in texts:
        said = _SAID.fullmatch(text)
        if said and said[1].upper() in lettered and (said[2] is None or _agrees(said, choices)):
            return said[1].upper()
    if text.isascii() and text.isdigit() and len(text) < 3:
        if text.casefold() not in texts:
            return _numbered(int(text), choices, field)
        if int(text) < len(choices) and texts.index(text.casefold()) != int(text):
            raise RowError(field, "answer_ambiguous", f"{text!r} may be the number of an option or the text of another")
    return letter_of(text, choices, field=field)


def _agrees(said: re.Match[str], choices: Sequence[str]) -> bool:
    """Whether the text after a letter is that of its option, or of none."""
    text, own = (said[2] or "").strip().rstrip(".").casefold(), LETTERS.index(said[1].upper())
    named = [number for number, choice in enumerate(choices) if choice.strip().rstrip(".").casefold() == text]
    return not named or own in named


def _numbered(number: int, choices: Sequence[str], field: str) -> str:
    if not 0 <= number < min(len(choices), len(LETTERS)):
        raise RowError(
            field,
            "answer_not_in_choices",
            f"number {number} of {len(choices)} options, counted from 0; letters and texts count too",
        )
    return LETTERS[number]
