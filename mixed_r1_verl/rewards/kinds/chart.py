"""The chart reward: relaxed accuracy over typed answers (numbers, years, dates, times, labels, lists, yes/no).

The rule for numbers is ChartQA's relaxed accuracy (Masry et al. 2022; Methani et al. 2020): a number is right when
`|answer - gold| <= 0.05 * |gold|`. What a metric leaves open is fixed here:

- **Years** are exact. A ground truth of four plain digits is a year if the question asks for one ("which year",
  "when") and the number lies in 1000-2100, or if the question does not ask for a quantity ("how many", "what is the
  difference", …) and it lies in 1500-2100.
- **Zero** is exact, and so is the sign.
- **Percent.** `41%` answers a gold of `41` and one of `0.41`; a bare `0.41` answers neither `41` nor the reverse.
- **Scale words** count: `2.5 million` is 2500000 and not 2.5, unless the question itself speaks of millions.
- **Units and currencies** may be left out or added; two different ones contradict, convertible ones are converted.
- **Several numbers** for one asked are wrong. In prose an announced number counts, else the only number that there is;
  a year after *in*, *of* or *since* is context where another number stands beside it; `12 + 30 = 42` offers 42.
  Ranges, *or*, *not*, *more than* and the like commit to nothing.
- **Lists** (`[a, b]`, `a; b`, JSON) match one to one in any order, each member by its own type, all or nothing.
- **Dates, months, weekdays, clock times** are compared part by part; `04/10/2020` may be either reading.
- **Decades** (`1990s`, `the '90s`, `nineties`) are neither years nor seconds, and equal only to themselves.
- **Labels** are equal by `text_key`; with `anls_threshold` a near miss scores its similarity.
- **Ground truth equal to the answer** always scores 1, whatever its type.
"""

import json
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Annotated, Any, Protocol

from annotated_types import Interval

from mixed_r1_verl.core.config import check_bounds
from mixed_r1_verl.rewards.answer.dates import read_dates, read_decades, read_times, same_date, same_time
from mixed_r1_verl.rewards.answer.numbers import Number, parse_number
from mixed_r1_verl.rewards.answer.options import SEVERAL
from mixed_r1_verl.rewards.answer.statements import find_claims, offered_numbers, readings, said
from mixed_r1_verl.rewards.answer.text import MAX_ANSWER_CHARS, plain_text, text_key
from mixed_r1_verl.rewards.cheats import CLOSED_CHEATS, LABEL_CHEAT, NUMBER_CHEATS, say
from mixed_r1_verl.rewards.kind import Gold as RewardGold
from mixed_r1_verl.rewards.kind import RewardKind, Scoring, letter_or, plain_gold
from mixed_r1_verl.rewards.kinds import matching
from mixed_r1_verl.rewards.verdict import GroundTruthError, Verdict

__all__ = ["ChartConfig", "anls", "chart_reward", "is_year", "parse_ground_truth"]


@dataclass(frozen=True)
class ChartConfig:
    """Chart reward.

    Attributes:
        tolerance: relative error up to which a number counts as right; 0.05 is ChartQA's convention.
        anls_threshold: when set, a label that is not equal scores its normalised Levenshtein similarity if that is at
            least this value (ANLS uses 0.5); None scores labels by equality only.
    """

    tolerance: Annotated[float, Interval(ge=0, lt=1)] = 0.05
    anls_threshold: Annotated[float, Interval(ge=0, le=1)] | None = None

    def __post_init__(self) -> None:
        check_bounds(self, "chart")


_DEFAULT = ChartConfig()


class TypedAnswer(Protocol):
    """A published answer as the type that it is."""

    def score(self, answer: str, question: str, config: ChartConfig) -> Verdict:
        """Read the answer as this type and compare."""
        ...


def chart_reward(answer: str, ground_truth: str, *, question: str = "", config: ChartConfig = _DEFAULT) -> Verdict:
    """Score the answer to a question about a chart or table.

    Args:
        answer: text of the answer block.
        ground_truth: the answer as published.
        question: the question; tells years from quantities and scales in words. May be empty.
        config: tolerance for numbers and the optional similarity of labels.

    Returns:
        `acc` 0.0 or 1.0, or with `anls_threshold` a similarity in [0, 1]; `prediction` is what was read.

    Raises:
        GroundTruthError: when the ground truth is empty.

    >>> chart_reward("about 104", "100").acc, chart_reward("2010", "2008").acc, chart_reward("$1,200", "1200").acc
    (1.0, 0.0, 1.0)
    >>> chart_reward("Turkey and Slovenia", "[Slovenia, Turkey]").acc, chart_reward("40 or 42", "42").acc
    (1.0, 0.0)
    """
    gold = parse_ground_truth(ground_truth)
    if len(answer) > MAX_ANSWER_CHARS:
        return Verdict(0.0, "", "too_long")
    if not answer or answer.isspace():
        return Verdict(0.0, "", "empty")
    verdict = gold.score(answer, question, config)
    if verdict.acc < 1.0 and text_key(answer) == text_key(ground_truth) and "?" not in answer.replace(ground_truth, ""):
        return Verdict(1.0, plain_text(answer))
    return verdict


@lru_cache(maxsize=16384)
def parse_ground_truth(ground_truth: str) -> TypedAnswer:
    """Read a published answer as the type that it is.

    Raises:
        GroundTruthError: when nothing in it can be compared.

    >>> parse_ground_truth("[2013, 2016]").members[0].number.value, parse_ground_truth("the 1990s").value
    (2013.0, 1990)
    """
    text = plain_text(ground_truth)
    if not text_key(text):
        raise GroundTruthError(f"the chart reward cannot read ground truth {ground_truth!r}: it is empty")
    members = _gold_members(text)
    if members is not None:
        return ListGold(tuple(_parse_member(member) for member in members))
    return _parse_member(text)


def anls(prediction: str, target: str, threshold: float = 0.5) -> float:
    """Normalised Levenshtein similarity without regard to case, 0 below the threshold (Biten et al. 2019).

    >>> round(anls("Don't", "Won't"), 3), anls("100%", "94%")
    (0.8, 0.0)
    """
    from rapidfuzz.distance import Levenshtein

    similarity = float(Levenshtein.normalized_similarity(prediction.strip().lower(), target.strip().lower()))
    return similarity if similarity >= threshold else 0.0


def _parse_member(text: str) -> TypedAnswer:
    """The type of one published answer that is no list."""
    if text.lower().rstrip(".") in ("yes", "no", "true", "false"):
        return ShortGold(text)
    if len(text) == 1 and text.isascii() and text.isalpha():
        return ShortGold(text.upper())
    alternatives = _alternatives(text)
    if alternatives:
        return alternatives
    number = parse_number(text)
    if number is not None:
        return NumberGold(number)
    for moment in MOMENTS:
        found = moment.read(text)
        if found:
            return MomentGold(moment, found[0])
    return LabelGold(text, text_key(text))


def _alternatives(text: str) -> "NumberGold | None":
    """`2.72 / 2720`: one value in two scales, either of which is right."""
    parts = text.split(" / ")
    if len(parts) != 2:
        return None
    numbers = [parse_number(part) for part in parts]
    first, second = numbers
    if first is None or second is None or not first.value or not second.value:
        return None
    ratio = max(first.value / second.value, second.value / first.value)
    scales = (10.0, 100.0, 1e3, 1e6, 1e9)
    return NumberGold(first, (second,)) if any(_close(ratio, scale, 1e-6) for scale in scales) else None


# --- numbers ----------------------------------------------------------------------------------------------------------

_ASKS_YEAR = re.compile(
    r"\b(?:which|what)(?:\(s\))?\s+(?:\w+\s+){0,2}years?\b|\bwhen\b|\byear\(s\)|\bin\s+(?:which|what)\s+(?:\w+\s+){0,2}year|"
    r"\bwhat\s+(?:is|was)\s+the\s+(?:\w+\s+){0,2}year\b",
    re.IGNORECASE,
)
_ASKS_QUANTITY = re.compile(
    r"\bhow\s+(?:many|much|large|big|high|long|far|old)\b|\b(?:number|amount|total|sum|average|mean|median|difference|"
    r"ratio|percentage|percent|share|rate|value|values|count|population|price|cost|revenue|sales|gdp|maximum|minimum|"
    r"increase|decrease|range|product|quantity|income|emissions?|production|volume|size|score|profit)\b",
    re.IGNORECASE,
)
_QUESTION_SCALE = re.compile(r"\b(thousand|million|billion|trillion)s?\b", re.IGNORECASE)
_SCALE_VALUES = {"thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12}


@dataclass(frozen=True)
class NumberGold:
    """A number; `others` are further values that are right as well."""

    number: Number
    others: tuple[Number, ...] = ()

    def score(self, answer: str, question: str, config: ChartConfig) -> Verdict:
        """Relaxed accuracy of the one number that the answer offers."""
        fast = _plain_float(answer)
        numbers = [fast] if fast is not None else offered_numbers(answer)
        if len(numbers) != 1:
            return Verdict(0.0, "", SEVERAL if numbers else "no_number")
        number = numbers[0]
        right = any(_same(number, gold, question, config.tolerance) for gold in (self.number, *self.others))
        return Verdict(1.0 if right else 0.0, _shown(number), "" if right else "wrong")


def _plain_float(text: str) -> Number | None:
    """The commonest answers, digits alone, without the machinery."""
    text = text.strip()
    if text.isascii() and text.isdigit() and len(text) <= 15:
        return Number(float(text), plain=True)
    return None


def is_year(number: Number, question: str) -> bool:
    """Whether a ground truth is a year, which has no tolerance.

    >>> is_year(parse_number("2008"), ""), is_year(parse_number("2616"), ""), is_year(parse_number("2,008"), "")
    (True, False, False)
    >>> is_year(parse_number("1680"), "How many cars were sold?"), is_year(parse_number("1066"), "When was the battle?")
    (False, True)
    """
    if not number.plain or not 1000 <= number.value <= 2100:
        return False
    if _ASKS_YEAR.search(question):
        return True
    return number.value >= 1500 and not _ASKS_QUANTITY.search(question)


def _same(answer: Number, gold: Number, question: str, tolerance: float) -> bool:
    if is_year(gold, question):
        return answer.value == gold.value and not answer.percent and not answer.currency
    if gold.exact or answer.exact:
        tolerance = 1e-9
    converted = _in_one_unit(answer, gold)
    if converted is None:
        return False
    value, target = converted
    targets = [(value, target)]
    if answer.percent != gold.percent:
        # One of the two is written as a percentage: 41% is 41 percent and 0.41.
        targets.append((value / 100, target) if answer.percent else (value, target / 100))
    if answer.scale != gold.scale:
        for word in _QUESTION_SCALE.findall(question):
            scale = _SCALE_VALUES[word.lower()]
            targets += [(value / scale, target)] if answer.scale == scale else []
            targets += [(value, target / scale)] if gold.scale == scale else []
    return any(_close(value, target, tolerance) for value, target in targets)


def _close(value: float, target: float, tolerance: float) -> bool:
    """|value - target| <= tolerance * |target|, with room for the rounding of binary fractions; exact at 0."""
    return abs(value - target) <= tolerance * abs(target) * (1 + 1e-9)


def _in_one_unit(answer: Number, gold: Number) -> tuple[float, float] | None:
    """Both values where their units agree or one has none; None when the units contradict each other."""
    if answer.currency and gold.currency and answer.currency != gold.currency:
        return None
    ours, theirs = answer.quantity(), gold.quantity()
    if ours and theirs:
        return (ours[1], theirs[1]) if ours[0] == theirs[0] else None
    if answer.unit and gold.unit and answer.unit != gold.unit and not _noun_stems(answer.unit) & _noun_stems(gold.unit):
        return None
    if (answer.percent and (gold.currency or gold.unit)) or (gold.percent and (answer.currency or answer.unit)):
        return None
    return answer.value, gold.value


def _noun_stems(unit: str) -> set[str]:
    return {word.rstrip("s") for word in unit.split()}


def _shown(number: Number) -> str:
    return f"{number.currency}{number.value:g}{'%' if number.percent else ''}{' ' + number.unit if number.unit else ''}"


# --- dates and times --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Moment:
    """A sort of answers that name a time.

    Attributes:
        read: the values that a text may stand for; none when it is not of this sort.
        same: whether two values are the same.
        missing: the reason where an answer has none.
    """

    read: Callable[[str], Sequence[Any]]
    same: Callable[[Any, Any], bool]
    missing: str


MOMENTS = (
    Moment(read_times, same_time, "no_time"),
    Moment(read_dates, same_date, "no_date"),
    Moment(read_decades, operator.eq, "no_decade"),
)


@dataclass(frozen=True)
class MomentGold:
    """A time of day, date, month, weekday or decade."""

    moment: Moment
    value: Any

    def score(self, answer: str, question: str, config: ChartConfig) -> Verdict:
        """1 when everything of this sort that the answer commits itself to is the same."""
        read = [(text, self.moment.read(text)) for text in _statements(answer)]
        read = [(text, values) for text, values in read if values]
        if not read:
            return Verdict(0.0, "", self.moment.missing)
        right = all(any(self.moment.same(value, self.value) for value in values) for _, values in read)
        return Verdict(1.0 if right else 0.0, read[0][0], "" if right else "wrong")


# --- words ------------------------------------------------------------------------------------------------------------


def _statements(answer: str) -> list[str]:
    """The texts that may be the answer: the whole, or else what is boxed, announced, described or stated first."""
    claims = find_claims(answer)
    texts = [claims.whole]
    for claim in (*claims.boxed, *claims.announced, *claims.described, *claims.sentences[:1]):
        texts += readings(claim)
    return list(dict.fromkeys(_PREPOSITION.sub("", text) for text in texts))


_PREPOSITION = re.compile(r"^(?:in|on|at|during|by|around|about)\s+(?:the\s+)?", re.IGNORECASE)


@dataclass(frozen=True)
class ShortGold:
    """Yes or no, or the letter of an option that stands in the question or the picture."""

    text: str

    def score(self, answer: str, question: str, config: ChartConfig) -> Verdict:
        """The verdict of the matching reward."""
        return matching.matching_reward(answer, self.text)


@dataclass(frozen=True)
class LabelGold:
    """A label: a name, category, colour or phrase."""

    text: str
    key: str

    def score(self, answer: str, question: str, config: ChartConfig) -> Verdict:
        """1 for the same label, bare or announced; with `anls_threshold` the best similarity of what was said."""
        if text_key(answer) == self.key or self._same_parts(answer):
            return Verdict(1.0, plain_text(answer))
        texts = said(answer, text_key, self.key)
        keys = list(dict.fromkeys(map(text_key, texts)))
        if keys == [self.key]:
            return Verdict(1.0, texts[0])
        if len(keys) > 1:
            return Verdict(0.0, "", SEVERAL)
        prediction = texts[0] if texts else plain_text(answer)
        if config.anls_threshold is not None:
            similarity = anls(prediction, self.text, config.anls_threshold)
            return Verdict(similarity, prediction, "" if similarity == 1.0 else "similar" if similarity else "wrong")
        return Verdict(0.0, prediction, "wrong")

    def _same_parts(self, answer: str) -> bool:
        """Comma-separated parts in another order: `Other adults, Sandwich generation`."""
        if "," not in self.text or "," not in answer:
            return False
        ours, theirs = ([text_key(part) for part in text.split(",")] for text in (answer, self.text))
        return sorted(ours) == sorted(theirs)


# --- lists ------------------------------------------------------------------------------------------------------------

_COMMA = re.compile(r",(?!\d{3}(?!\d))\s*|,\s+")
_ITEM_SEPARATORS = (
    re.compile(r"\s*[;\n；]\s*"),
    re.compile(r"\s*(?:,(?!\d{3}(?!\d))|,(?=\s)|\band\b|&)(?:\s*and\b)?\s*"),
    re.compile(r"\s*,(?:\s*and\b)?\s*"),
    re.compile(r"\s+and\s+"),
    re.compile(r"\s*/\s*|\s*\|\s*"),
)
_NUMBERING = re.compile(r"^(?:\(?\d{1,2}[.)]\s+|[-*•]\s+)")
MAX_MEMBERS = 50


def _gold_members(text: str) -> list[str] | None:
    """Members of a published list; None when the text is none. Commas separate only within brackets."""
    if text[0] == "[" and text[-1] == "]":
        members = _json_members(text) or _split(text[1:-1], re.compile(r"\s*;\s*") if ";" in text else _COMMA)
    elif ";" in text:
        members = _split(text, re.compile(r"\s*;\s*"))
    else:
        return None
    members = [member for member in members if text_key(member)]
    return members[:MAX_MEMBERS] if members else None


def _json_members(text: str) -> list[str]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return []
    if not isinstance(value, list) or not all(isinstance(item, (str, int, float)) for item in value):
        return []
    return [str(item) for item in value]


def _split(text: str, separator: re.Pattern[str]) -> list[str]:
    parts = [_NUMBERING.sub("", part.strip()).strip(" \"'") for part in separator.split(text)]
    return [part for part in parts if part]


@dataclass(frozen=True)
class ListGold:
    """Several answers, in any order."""

    members: tuple[TypedAnswer, ...]

    def score(self, answer: str, question: str, config: ChartConfig) -> Verdict:
        """The mean score of the members when each finds a partner of its own, else 0."""
        if len(self.members) == 1:
            return self.members[0].score(plain_text(answer).strip("[]"), question, config)
        if self._labels_cover(answer):
            return Verdict(1.0, plain_text(answer))
        best = Verdict(0.0, plain_text(answer), "wrong")
        for items in self._ways_to_split(answer):
            if len(items) == len(self.members):
                score = self._matched(items, question, config)
                if score > best.acc:
                    best = Verdict(score, "; ".join(items))
        return best

    def _labels_cover(self, answer: str) -> bool:
        """Whether the answer is the labels and nothing but *and* between them; for labels that hold commas or *and*."""
        labels = [member.key for member in self.members if isinstance(member, LabelGold)]
        if len(labels) != len(self.members):
            return False
        rest = f" {text_key(answer)} "
        for label in sorted(labels, key=len, reverse=True):
            if f" {label} " not in rest:
                return False
            rest = rest.replace(f" {label} ", "  ", 1)
        return not rest.replace(" and ", " ").strip()

    def _ways_to_split(self, answer: str) -> list[list[str]]:
        claims = find_claims(answer)
        sources = [claims.whole, *claims.boxed, *claims.announced, *claims.described]
        ways: list[list[str]] = []
        for source in sources:
            source = source.strip().rstrip(".;").strip()
            if source[:1] in "[({" and source[-1:] in "])}":
                source = source[1:-1]
            for separator in _ITEM_SEPARATORS:
                items = _split(source, separator)
                if items not in ways and len(items) <= MAX_MEMBERS:
                    ways.append(items)
        return ways

    def _matched(self, items: Sequence[str], question: str, config: ChartConfig) -> float:
        """Mean score of the best one-to-one matching in which every member scores, else 0."""
        import numpy as np  # most answers do without these two, which take 0.1 s and more to import
        from scipy.optimize import linear_sum_assignment

        scores = np.array([[member.score(item, question, config).acc for item in items] for member in self.members])
        # A pair that scores at all outweighs any sum of similarities: all members are served if they can be.
        chosen = scores[linear_sum_assignment((scores > 0) * (len(items) + 1) + scores, maximize=True)]
        return float(chosen.mean()) if (chosen > 0).all() else 0.0


def _parse(ground_truth: str, extra_info: Mapping[str, Any], scoring: Scoring) -> RewardGold:
    parse_ground_truth(ground_truth)
    question = str(extra_info.get("question") or "")
    return plain_gold(
        ground_truth.strip(),
        lambda answer: chart_reward(answer, ground_truth, question=question, config=scoring.options),
        form="polar" if ground_truth.strip().casefold() in ("yes", "no", "true", "false") else "",
    )


_instruction = partial(letter_or, "Answer with a number or a short label.")

_CHEATS = (
    *CLOSED_CHEATS,
    say("year_list", ", ".join(map(str, range(1980, 2030)))),
    say("percent_list", ", ".join(f"{i}%" for i in range(0, 101, 5))),
    LABEL_CHEAT,
    *NUMBER_CHEATS,
)

KIND = RewardKind(
    "chart", _parse, _instruction, columns=("question",), config=ChartConfig, answers="closed", cheats=_CHEATS
)
