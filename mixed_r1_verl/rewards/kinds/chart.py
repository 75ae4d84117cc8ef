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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Annotated, Any

from mixed_r1_verl.core.config import Interval, check_bounds
from mixed_r1_verl.rewards.answer.dates import read_dates, read_decades, read_times, same_date, same_time
from mixed_r1_verl.rewards.answer.numbers import SCALES, Number, parse_number
from mixed_r1_verl.rewards.answer.options import SEVERAL
from mixed_r1_verl.rewards.answer.statements import find_claims, offered_numbers, readings, said
from mixed_r1_verl.rewards.answer.text import MAX_ANSWER_CHARS, plain_text, text_key
from mixed_r1_verl.rewards.cheats import CLOSED_CHEATS, LABEL_CHEAT, NUMBER_CHEATS, say
from mixed_r1_verl.rewards.kind import Gold, RewardKind, letter_or
from mixed_r1_verl.rewards.kinds.matching import matching_reward
from mixed_r1_verl.rewards.verdict import GroundTruthError, Verdict

__all__ = ["KIND", "ChartConfig", "ChartGold", "anls", "chart_reward", "is_year", "parse_ground_truth"]


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


Judge = Callable[[str, str, ChartConfig], Verdict]
"""Reads an answer as the type of a ground truth and compares, given the question and the configuration."""


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
    return parse_ground_truth(ground_truth, question=question, config=config).score(answer)


@dataclass(frozen=True)
class ChartGold(Gold):
    """A ground truth of the chart reward, with the question and the configuration that it is compared under."""

    judge: Judge
    question: str
    config: ChartConfig
    honest: str = ""
    form: str = ""

    def score(self, answer: str) -> Verdict:
        """The judgement by the type of the ground truth; what is equal to it as a text is right in any case."""
        if len(answer) > MAX_ANSWER_CHARS:
            return Verdict(0.0, "", "too_long")
        if not answer or answer.isspace():
            return Verdict(0.0, "", "empty")
        verdict = self.judge(answer, self.question, self.config)
        equal = verdict.acc < 1.0 and text_key(answer) == text_key(self.honest)
        return Verdict(1.0, plain_text(answer)) if equal and "?" not in answer.replace(self.honest, "") else verdict


def parse_ground_truth(ground_truth: str, *, question: str = "", config: ChartConfig = _DEFAULT) -> ChartGold:
    """Read a published answer as the type that it is.

    Raises:
        GroundTruthError: when nothing in it can be compared.

    >>> parse_ground_truth("Yes").form, parse_ground_truth("[2013, 2016]").score("2016 and 2013").acc
    ('polar', 1.0)
    """
    honest = ground_truth.strip()
    polar = "polar" if honest.lower() in _POLAR else ""
    return ChartGold(_judge_of(ground_truth), question, config, honest, polar)


@lru_cache(maxsize=16384)
def _judge_of(ground_truth: str) -> Judge:
    text = plain_text(ground_truth)
    if not text_key(text):
        raise GroundTruthError(f"the chart reward cannot read ground truth {ground_truth!r}: it is empty")
    members = _listed(text)
    if len(members) == 1:
        judge = _judge_of_one(members[0])
        return lambda answer, question, config: judge(plain_text(answer).strip("[]"), question, config)
    return (
        partial(_judge_list, members, [_judge_of_one(member) for member in members]) if members else _judge_of_one(text)
    )


_POLAR = ("yes", "no", "true", "false")
_MOMENTS: tuple[tuple[Callable[[str], Sequence[Any]], Callable[[Any, Any], bool], str], ...] = (
    (read_times, same_time, "no_time"),
    (read_dates, same_date, "no_date"),
    (read_decades, operator.eq, "no_decade"),
)


def _judge_of_one(text: str) -> Judge:
    """The judge for one published answer that is no list."""
    if text.lower().rstrip(".") in _POLAR or (len(text) == 1 and text.isascii() and text.isalpha()):
        return lambda answer, question, config: matching_reward(answer, text)
    numbers = [number for part in text.split(" / ") if (number := parse_number(part))]
    if len(numbers) == 1 + text.count(" / ") == 2 and _one_in_two_scales(*(number.value for number in numbers)):
        return partial(_judge_number, numbers)
    number = parse_number(text)
    if number is not None:
        return partial(_judge_number, [number])
    for read, same, missing in _MOMENTS:
        if moments := read(text):
            return partial(_judge_moment, read, partial(same, moments[0]), missing)
    return partial(_judge_label, text)


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


def _judge_number(golds: Sequence[Number], answer: str, question: str, config: ChartConfig) -> Verdict:
    """Relaxed accuracy of the one number that the answer offers, against any of the golds."""
    numbers = offered_numbers(answer)
    if len(numbers) != 1:
        return Verdict(0.0, "", SEVERAL if numbers else "no_number")
    number = numbers[0]
    right = any(_same(number, gold, question, config.tolerance) for gold in golds)
    unit = ("%" if number.percent else "") + (f" {number.unit}" if number.unit else "")
    return Verdict(1.0 if right else 0.0, f"{number.currency}{number.value:g}{unit}", "" if right else "wrong")


def _one_in_two_scales(one: float, other: float) -> bool:
    """`2.72 / 2720`: one value in two scales, either of which is right."""
    ratio = max(abs(one), abs(other)) / (min(abs(one), abs(other)) or 1.0)
    return one * other > 0 and any(_close(ratio, scale, 1e-6) for scale in (10.0, 100.0, 1e3, 1e6, 1e9))


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
    converted = answer.in_one_unit(gold)
    if converted is None:
        return False
    value, target = converted
    pairs = [converted]
    if answer.percent != gold.percent:  # one of the two is written as a percentage: 41% is 41 percent and 0.41
        pairs.append((value / 100, target) if answer.percent else (value, target / 100))
    if answer.scale != gold.scale:
        for scale in (SCALES[word.lower()] for word in _QUESTION_SCALE.findall(question)):
            pairs += [(value / scale, target)] if answer.scale == scale else []
            pairs += [(value, target / scale)] if gold.scale == scale else []
    tolerance = 1e-9 if gold.exact or answer.exact else tolerance
    return any(_close(value, target, tolerance) for value, target in pairs)


def _close(value: float, target: float, tolerance: float) -> bool:
    """|value - target| <= tolerance * |target|, with room for the rounding of binary fractions; exact at 0."""
    return abs(value - target) <= tolerance * abs(target) * (1 + 1e-9)


# --- moments, labels --------------------------------------------------------------------------------------------------

_PREPOSITION = re.compile(r"^(?:in|on|at|during|by|around|about)\s+(?:the\s+)?", re.IGNORECASE)


def _judge_moment(
    read: Callable[[str], Sequence[Any]],
    same: Callable[[Any], bool],
    missing: str,
    answer: str,
    question: str,
    config: ChartConfig,
) -> Verdict:
    """1 when every time of day, date or decade that the answer commits itself to is the same as the gold."""
    claims = find_claims(answer)
    places = (*claims.boxed, *claims.announced, *claims.described, *claims.sentences[:1])
    texts = [claims.whole, *(reading for place in places for reading in readings(place))]
    found = [(text, moments) for text in texts if (moments := read(_PREPOSITION.sub("", text)))]
    if not found:
        return Verdict(0.0, "", missing)
    right = all(any(map(same, moments)) for _, moments in found)
    return Verdict(1.0 if right else 0.0, _PREPOSITION.sub("", found[0][0]), "" if right else "wrong")


def _judge_label(gold: str, answer: str, question: str, config: ChartConfig) -> Verdict:
    """1 for the same label, bare or announced; with `anls_threshold` the best similarity of what was said."""
    key = text_key(gold)
    if text_key(answer) == key or ("," in gold and "," in answer and _parts(answer) == _parts(gold)):
        return Verdict(1.0, plain_text(answer))
    texts = said(answer, text_key, key)
    keys = set(map(text_key, texts))
    if len(keys) > 1:
        return Verdict(0.0, "", SEVERAL)
    if keys == {key}:
        return Verdict(1.0, texts[0])
    prediction = texts[0] if texts else plain_text(answer)
    if config.anls_threshold is not None:
        similarity = anls(prediction, gold, config.anls_threshold)
        return Verdict(similarity, prediction, "" if similarity == 1.0 else "similar" if similarity else "wrong")
    return Verdict(0.0, prediction, "wrong")


def _parts(text: str) -> list[str]:
    """Comma-separated parts in any order: `Other adults, Sandwich generation`."""
    return sorted(map(text_key, text.split(",")))


def anls(prediction: str, target: str, threshold: float = 0.5) -> float:
    """Normalised Levenshtein similarity without regard to case, 0 below the threshold (Biten et al. 2019).

    >>> round(anls("Don't", "Won't"), 3), anls("100%", "94%")
    (0.8, 0.0)
    """
    from rapidfuzz.distance import Levenshtein

    similarity = float(Levenshtein.normalized_similarity(prediction.strip().lower(), target.strip().lower()))
    return similarity if similarity >= threshold else 0.0


# --- lists ------------------------------------------------------------------------------------------------------------

_COMMA = re.compile(r",(?!\d{3}(?!\d))\s*|,\s+")
_SEMICOLON = re.compile(r"\s*;\s*")
_ITEM_SEPARATORS = (
    re.compile(r"\s*[;\n；]\s*"),
    re.compile(r"\s*(?:,(?!\d{3}(?!\d))|,(?=\s)|\band\b|&)(?:\s*and\b)?\s*"),
    re.compile(r"\s*,(?:\s*and\b)?\s*"),
    re.compile(r"\s+and\s+"),
    re.compile(r"\s*/\s*|\s*\|\s*"),
)
_NUMBERING = re.compile(r"^(?:\(?\d{1,2}[.)]\s+|[-*•]\s+)")
MAX_MEMBERS = 50


def _listed(text: str) -> list[str]:
    """Members of a published list; none when the text is no list. Commas separate only within brackets."""
    bracketed = text[0] == "[" and text[-1] == "]"
    try:
        value = json.loads(text) if bracketed else []
        members = [str(item) for item in value if isinstance(item, (str, int, float))]
        members = members if len(members) == len(value) else []
    except (ValueError, RecursionError):
        members = []
    if not members and (bracketed or ";" in text):
        members = _split(text[1:-1] if bracketed else text, _SEMICOLON if ";" in text else _COMMA)
    return [member for member in members if text_key(member)][:MAX_MEMBERS]


def _split(text: str, separator: re.Pattern[str]) -> list[str]:
    parts = [_NUMBERING.sub("", part.strip()).strip(" \"'") for part in separator.split(text)]
    return [part for part in parts if part]


def _judge_list(
    members: Sequence[str], judges: Sequence[Judge], answer: str, question: str, config: ChartConfig
) -> Verdict:
    """The mean score of the members, in any order, when each finds a partner of its own, else 0."""
    if all(isinstance(judge, partial) and judge.func is _judge_label for judge in judges) and _covers(members, answer):
        return Verdict(1.0, plain_text(answer))
    best = Verdict(0.0, plain_text(answer), "wrong")
    for items in dict.fromkeys(map(tuple, _ways_to_split(answer))):
        if len(items) == len(members):
            score = _matched([[judge(item, question, config).acc for item in items] for judge in judges])
            best = max(best, Verdict(score, "; ".join(items)), key=lambda verdict: verdict.acc)
    return best


def _covers(labels: Sequence[str], answer: str) -> bool:
    """Whether the answer is the labels and nothing but *and* between them; for labels that hold commas or *and*."""
    rest = f" {text_key(answer)} "
    for label in sorted((f" {text_key(label)} " for label in labels), key=len, reverse=True):
        if label not in rest:
            return False
        rest = rest.replace(label, "  ", 1)
    return not rest.replace(" and ", " ").strip()


def _ways_to_split(answer: str) -> Iterator[list[str]]:
    claims = find_claims(answer)
    for source in (claims.whole, *claims.boxed, *claims.announced, *claims.described):
        source = source.strip().rstrip(".;").strip()
        if source[:1] in "[({" and source[-1:] in "])}":
            source = source[1:-1]
        for separator in _ITEM_SEPARATORS:
            yield _split(source, separator)


def _matched(scores: list[list[float]]) -> float:
    """Mean score of the best one-to-one matching in which every member scores, else 0."""
    import numpy as np  # most answers do without these two, which take 0.1 s and more to import
    from scipy.optimize import linear_sum_assignment

    table = np.array(scores)
    # A pair that scores at all outweighs any sum of similarities: all members are served if they can be.
    chosen = table[linear_sum_assignment((table > 0) * (len(table) + 1) + table, maximize=True)]
    return float(chosen.mean()) if (chosen > 0).all() else 0.0


KIND = RewardKind(
    "chart",
    lambda ground_truth, extra_info, scoring: parse_ground_truth(
        ground_truth, question=str(extra_info.get("question") or ""), config=scoring.options
    ),
    partial(letter_or, "Answer with a number or a short label."),
    columns=("question", "answer_type"),
    config=ChartConfig,
    answers="closed",
    cheats=(
        say("year_list", ", ".join(map(str, range(1980, 2030)))),
        say("percent_list", ", ".join(f"{i}%" for i in range(0, 101, 5))),
        LABEL_CHEAT,
        *CLOSED_CHEATS,
        *NUMBER_CHEATS,
    ),
)
