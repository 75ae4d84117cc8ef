"""What type of answer a row asks for, as its converter says or as it is guessed, and a ground truth as such a value."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache, partial
from operator import eq
from string import ascii_uppercase
from typing import Any

from mixed_r1_verl.rewards.answer.commitment import NOTHING, Reader, settle, unreadable
from mixed_r1_verl.rewards.answer.dates import read_moments
from mixed_r1_verl.rewards.answer.numbers import Number, parse_number, parse_ratio
from mixed_r1_verl.rewards.answer.options import POLARITY, Options, Polarity, polarity_of
from mixed_r1_verl.rewards.answer.readers import Labels, Moments, Quantities
from mixed_r1_verl.rewards.answer.text import MAX_ANSWER_CHARS, plain_text
from mixed_r1_verl.rewards.answer.words import grammar
from mixed_r1_verl.rewards.kind import Gold
from mixed_r1_verl.rewards.verdict import GroundTruthError, Verdict

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
_YEAR = re.compile(r"1[0-9]{3}|20[0-9]{2}|2100")
_FRACTION = re.compile(r"[1-9]\d?/\d{4}")  # 1/2000; 03/2010 is a month
_CODE = re.compile(r"\d{1,4}(?![KMBT]\b)[A-Z]{1,3}")  # 5G, 3D: a name, and no number of grams
_FORMULA = re.compile(r"\\[a-zA-Z]|[\^=√]|\d[a-z]\b")


def _is_year(text: str, question: str) -> bool:
    """Whether a ground truth is a year: of 1000-2100 when one is asked for, else of 1500-2100 when no quantity is."""
    if not _YEAR.fullmatch(text):
        return False
    if _ASKS_YEAR.search(question) and not _ASKS_YEARS_VALUE.search(question):
        return True
    return text >= "1500" and not (_ASKS_QUANTITY.search(question) and not _ASKS_A_LABEL.search(question))


def guess_answer_type(ground_truth: str, question: str = "", choices: Sequence[str] = ()) -> str:
    """The type of a row whose converter did not say it: one of `ANSWER_TYPES`.

    >>> guess_answer_type("1066", "When was it?"), guess_answer_type("1825", "What is the value of Peru?")
    ('year', 'number')
    >>> [guess_answer_type(truth) for truth in ("B", "Yes", "$4.20", "Chile", "2019/20", "[1, 2]", "3x+1")]
    ['choice', 'yes_no', 'number', 'label', 'date', 'set', 'expression']
    """
    text = plain_text(ground_truth)
    if len(choices) or re.fullmatch("[A-Za-z]", text):
        return "choice"
    if text.lower().rstrip(".!") in ("yes", "no", "true", "false"):
        return "yes_no"
    if (text[:1] == "[" and text[-1:] == "]" and "," in text) or ";" in text:
        return "list" if _ASKS_ORDER.search(question) else "set"
    text = text.strip("[]")
    if _is_year(text, question) or _CODE.fullmatch(text):
        return "year" if text.isdecimal() else "label"
    number, moments = parse_number(text) or parse_ratio(text), read_moments(text)
    fraction = _FRACTION.fullmatch(text) and not _ASKS_DATE.search(question)
    if moments and (number is None or not (fraction or moments[0].sort == "decade")):  # 90s may be seconds
        return "date"
    if number is not None:
        return "number"
    return "expression" if _FORMULA.search(ground_truth) else "label"


def answer_type_of(extra_info: Mapping[str, Any]) -> str:
    """What the converter of a row said, or empty; raises GroundTruthError when it is none of `ANSWER_TYPES`."""
    said = str(extra_info.get("answer_type") or "")
    if said and said not in ANSWER_TYPES:
        raise GroundTruthError(f"answer_type {said!r} is none of {', '.join(ANSWER_TYPES)}")
    return said


@dataclass(frozen=True)
class Typed(Gold):
    """One right answer; `honest` and `form` as in `Gold`."""

    readers: tuple[Reader, ...]  # what reads an answer; the second reads what the first finds nothing in
    same: Callable[[Any], bool]  # whether a value that was read is the one that is right
    honest: str = ""
    form: str = ""
    most: int = MAX_ANSWER_CHARS  # characters of an answer; a longer one is not read
    differ: Callable[[Any], str] = lambda value: "wrong"  # why one that is not the same is wrong; empty if it is right

    def score(self, answer: str) -> Verdict:
        """1 when the one value that an answer commits itself to is the same, else 0."""
        if reason := unreadable(answer, self.most):
            return Verdict(0.0, "", reason)
        for reader in self.readers:
            value, trouble = settle(answer, reader)
            if value is not None:
                reason = "" if self.same(value) else self.differ(value)
                shown = plain_text(answer) if isinstance(value, tuple) else str(value)
                return Verdict(float(not reason), shown, reason)
            reason = reason or trouble
            if trouble != NOTHING:
                break
        return Verdict(0.0, "", reason)


_AROUND = "()[].: "
_fraction = lru_cache(Fraction)  # it takes 3 µs, and each row has the same tolerance
_LETTERS = re.compile(r"[A-Za-z](?:\s*(?:[,;/&]|and)\s*[A-Za-z])*", re.IGNORECASE)


def option(text: str, choices: tuple[str, ...] = ()) -> Typed:
    """The option that a ground truth names by letter or text, or several (`A, C`); raises GroundTruthError for none."""
    letters, bare = lettered(text), text.strip(_AROUND)
    options = Options.of(choices) if choices else Options({one: one for one in ascii_uppercase[:8] + letters})
    named = options.labels.get(letters) or options.named(text)
    if named is None and (letters or (bare.isupper() and bare.isalpha())):
        options = replace(options, several=True)
        named = options.read(text)
    if named is None:
        raise GroundTruthError(f"ground truth {text!r} is none of the {len(choices)} choices {choices!r}")
    readers = (options, Polarity(options.polar)) if options.polar else (options,)
    return Typed(readers, partial(eq, named), named, f"{len(choices)} options" if choices else "")


def lettered(text: str) -> str:
    """The letters that a ground truth is (`B`, `A and C`), as one word; empty for any other text."""
    bare = text.strip(_AROUND)
    return re.sub(r"(?i)and|[^a-z]", "", bare).upper() if _LETTERS.fullmatch(bare) else ""


def typed(
    text: str, kind: str = "", *, exact: bool = False, scales: frozenset[int] = frozenset(), tolerance: float = 0.0
) -> Typed:
    """One right answer that is no list, of a type that is guessed where it is not said.

    Args:
        exact: as one word or count: a percentage is no share, a plural and a place (`in the kitchen`) are the same.
        scales: scale words that the question says.
        tolerance: relative error up to which a quantity is right.

    >>> typed("1:2").score("2 : 4").acc, typed("100", tolerance=0.05).score("about 104").acc, typed("May").form
    (1.0, 1.0, '')
    """
    kind, honest = kind or guess_answer_type(text), text.strip()
    if kind == "choice" and lettered(text):
        return option(text)
    if kind == "yes_no" and (polarity := polarity_of(text)):
        return Typed((POLARITY,), partial(eq, polarity), honest, "polar")
    if kind in ("number", "percent") and ":" in text and (ratio := parse_ratio(text)):
        return Typed((Quantities(ratios=True),), partial(eq, ratio), honest)
    parts = [] if kind == "label" else [text] if exact or " / " not in text else [text, *text.split(" / ")]
    golds = [number for part in parts if (number := parse_number(part))]
    golds = golds[-2:] if _in_two_scales(golds[-2:]) else golds[:1] if kind in ("number", "percent", "year") else []
    if golds and kind == "year":
        readers = (Quantities(years=True), Quantities())
        return Typed(readers, lambda year: year == golds[0] and not year.unit, honest)
    if golds:
        within, one_scale = _fraction(str(tolerance)), exact or kind == "percent"
        agrees = partial(Number.agrees, scales=scales, tolerance=within, one_scale=one_scale)
        percents = {gold.percent for gold in golds} if exact else {True, False}
        same = lambda value: value.percent in percents and any(agrees(value, gold) for gold in golds)  # noqa: E731
        return Typed((Quantities(),), same, honest)
    named = exact and text.isalpha()  # `sun` and `march` are words of other things as well
    if kind == "date" and not named and (moments := read_moments(text)):
        return Typed((Moments(),), lambda readings: any(map(moments[0].same, readings)), honest)
    return Typed((Labels(text, forms=exact),), bool, honest)


def _in_two_scales(golds: Sequence[Number]) -> bool:
    """Whether numbers are one value in two scales, either of which is right: `2.72 / 2720`."""
    values = sorted((gold.value for gold in golds), key=abs)
    return len(values) == 2 and values[0] != 0 and values[1] / values[0] in (10, 100, 10**3, 10**6, 10**9)
