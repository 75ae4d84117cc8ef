"""What type of answer a row asks for: what the converter said (`extra_info.answer_type`), else a guess."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from mixed_r1_verl.rewards.answer.dates import read_moments
from mixed_r1_verl.rewards.answer.numbers import parse_number, parse_ratio
from mixed_r1_verl.rewards.answer.text import plain_text
from mixed_r1_verl.rewards.answer.words import grammar
from mixed_r1_verl.rewards.verdict import GroundTruthError

ANSWER_TYPES = ("choice", "yes_no", "number", "percent", "year", "date", "label", "list", "set", "expression")
"""The types of a row; `list` is in order, `set` in any; `date` is any moment: a time of day, a decade, a season; with
`percent` a number counts percent, so that `41%` answers 41 and never 0.41."""

_ASKS_YEAR = grammar(
    r"<ASKED>(?:'s|\(s\))? (?:(?:me|us) )?(?:<BE> )?(?:(?!<NO_HEAD>)[\w-]+ ){0,5}(?:fiscal )?years?\b(?!-)|"
    r"^\W*(?:the )?years?\b(?!-)|(?:^|[,.;?]\s*)(?:(?:since|until) )?when\b|\bwhen\W*$|\byear\(s\)"
)
_ASKS_YEARS_VALUE = grammar(r"\bwhat(?:'s| <BE>) (?:\w+ ){0,4}year's")
_ASKS_QUANTITY = grammar(
    r"\bhow (?:many|much|large|big|high|long|far|old|tall|heavy|fast)\b|^\W*(?:what|calculate|compute)\b|<QUANTITY>"
)
_ASKS_A_LABEL = grammar(r"^\W*(?:which|who)\b|\blabel\b")
_ASKS_ORDER = grammar(
    r"\b(?:in (?:the )?(?:\w+ )?order|respectively|from (?:the )?(?:high|low|larg|small|big|most|least|top|left|old|"
    r"earl|first)\w* to|ascending|descending|chronological\w*)\b"
)
_ASKS_DATE = grammar(r"\b(?:when|dates?|months?)\b")
_FRACTION = re.compile(r"[1-9]\d?/\d{4}")  # 1/2000; 03/2010 is a month
_POLAR = ("yes", "no", "true", "false")
_CODE = re.compile(r"\d{1,4}(?![KMBT]\b)[A-Z]{1,3}")  # 5G, 3D: a name, and no number of grams
_FORMULA = re.compile(r"\\[a-zA-Z]|[\^=√]|\d[a-z]\b")


def asks_year(question: str) -> bool:
    """Whether a question asks which year it was.

    >>> asks_year("Name the year with the most sales."), asks_year("How many were sold in the year 2010?")
    (True, False)
    """
    return bool(_ASKS_YEAR.search(question)) and not _ASKS_YEARS_VALUE.search(question)


def is_year(digits: str, question: str) -> bool:
    """Whether a ground truth of four digits is a year, which has no tolerance.

    Without a question 1500-2100 is a year; a question for a quantity makes it none, one for a year takes 1000-2100.

    >>> is_year("2008", ""), is_year("2616", ""), is_year("1680", "How many?"), is_year("1066", "When was it?")
    (True, False, False, True)
    """
    if len(digits) != 4 or not digits.isdecimal() or not 1000 <= int(digits) <= 2100:
        return False
    if asks_year(question):
        return True
    if int(digits) < 1500:
        return False
    return not question.strip() or not _ASKS_QUANTITY.search(question) or bool(_ASKS_A_LABEL.search(question))


def guess_answer_type(ground_truth: str, question: str = "", choices: Sequence[str] = ()) -> str:
    """The type of a row whose converter did not say it: one of `ANSWER_TYPES`.

    >>> guess_answer_type("2008", "Name the year of the peak."), guess_answer_type("1825", "What is the value of Peru?")
    ('year', 'number')
    >>> [guess_answer_type(truth) for truth in ("B", "Yes", "$4.20", "Chile", "2019/20", "[1, 2]", "3x+1")]
    ['choice', 'yes_no', 'number', 'label', 'date', 'set', 'expression']
    """
    text = plain_text(ground_truth)
    if len(choices) or (len(text) == 1 and text.isascii() and text.isalpha()):
        return "choice"
    if text.lower().rstrip(".!") in _POLAR:
        return "yes_no"
    if (text[:1] == "[" and text[-1:] == "]" and "," in text) or ";" in text:
        return "list" if _ASKS_ORDER.search(question) else "set"
    text = text.strip("[]")
    if is_year(text, question):
        return "year"
    if _CODE.fullmatch(text):
        return "label"
    number, moments = parse_number(text) or parse_ratio(text), read_moments(text)
    fraction = _FRACTION.fullmatch(text) and not _ASKS_DATE.search(question)
    if moments and (number is None or not (fraction or moments[0].sort == "decade")):  # 90s may be seconds
        return "date"
    if number is not None:
        return "number"
    return "expression" if _FORMULA.search(ground_truth) else "label"


def answer_type_of(extra_info: Mapping[str, Any]) -> str:
    """What the converter of a row said, or empty.

    Raises:
        GroundTruthError: when it is none of `ANSWER_TYPES`.
    """
    said = str(extra_info.get("answer_type") or "")
    if said and said not in ANSWER_TYPES:
        raise GroundTruthError(f"answer_type {said!r} is none of {', '.join(ANSWER_TYPES)}")
    return said
