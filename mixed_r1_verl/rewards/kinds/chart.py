"""The chart reward: relaxed accuracy over typed answers (numbers, years, dates, times, labels, lists, yes/no).

The rule for numbers is ChartQA's relaxed accuracy (Masry et al. 2022; Methani et al. 2020): a number is right when
`|answer - gold| <= 0.05 * |gold|`. The answer is read once, as a value of the row's type (`rewards/answer`); everything
but a quantity is compared exactly. The rule of each ambiguous family stands in `docs/rewards.md`.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache, partial
from typing import Annotated, Any

from mixed_r1_verl.core.config import Interval, check_bounds
from mixed_r1_verl.rewards.answer.claims import ANNOUNCED, SAID, find_claims
from mixed_r1_verl.rewards.answer.commitment import SEVERAL, settle
from mixed_r1_verl.rewards.answer.dates import read_dates, read_decades, read_spans, read_times, same_date, same_time
from mixed_r1_verl.rewards.answer.numbers import SCALES, Number, parse_number
from mixed_r1_verl.rewards.answer.readers import Labels, Moments, Quantities
from mixed_r1_verl.rewards.answer.text import MAX_ANSWER_CHARS, plain_text, text_key
from mixed_r1_verl.rewards.answer.types import answer_type_of, guess_answer_type
from mixed_r1_verl.rewards.cheats import CLOSED_CHEATS, LABEL_CHEAT, NUMBER_CHEATS, say
from mixed_r1_verl.rewards.kind import Gold, RewardKind, letter_or
from mixed_r1_verl.rewards.kinds import matching
from mixed_r1_verl.rewards.verdict import GroundTruthError, Verdict

__all__ = ["KIND", "ChartConfig", "ChartGold", "anls", "chart_reward", "parse_ground_truth"]


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
        """The judgement by the type of the ground truth; the ground truth itself is always right."""
        if len(answer) > MAX_ANSWER_CHARS:
            return Verdict(0.0, "", "too_long")
        if not answer or answer.isspace():
            return Verdict(0.0, "", "empty")
        if answer.strip() == self.honest:
            return Verdict(1.0, plain_text(answer))
        return self.judge(answer, self.question, self.config)


def parse_ground_truth(
    ground_truth: str, *, question: str = "", config: ChartConfig = _DEFAULT, answer_type: str = ""
) -> ChartGold:
    """Read a published answer as the type that it is: the one that the row says, else the one that is guessed.

    Raises:
        GroundTruthError: when nothing in it can be compared.

    >>> parse_ground_truth("Yes").form, parse_ground_truth("[2013, 2016]").score("2016 and 2013").acc
    ('polar', 1.0)
    """
    honest = ground_truth.strip()
    kind = answer_type or guess_answer_type(ground_truth, question)
    return ChartGold(_judge_of(ground_truth, kind), question, config, honest, "polar" if kind == "yes_no" else "")


@lru_cache(maxsize=16384)
def _judge_of(ground_truth: str, kind: str) -> Judge:
    text = plain_text(ground_truth)
    if not text_key(text):
        raise GroundTruthError(f"the chart reward cannot read ground truth {ground_truth!r}: it is empty")
    members = _listed(text) if kind != "label" else []
    if len(members) == 1:
        judge = _judge_of_one(members[0], "" if kind in ("list", "set") else kind)
        return lambda answer, question, config: judge(answer.strip().strip("[]"), question, config)
    if not members:
        return _judge_of_one(text, kind)
    judges = [_judge_of_one(member, "year" if kind == "year" else "") for member in members]
    return partial(_judge_list, members, judges, kind == "list")


_MOMENTS: tuple[tuple[Callable[[str], Sequence[Any]], Callable[[Any, Any], bool]], ...] = (
    (read_times, same_time),
    (read_dates, same_date),
    (read_decades, lambda one, other: one == other),
    (read_spans, lambda one, other: one == other),
)


def _judge_of_one(text: str, kind: str) -> Judge:
    """The judge for one published answer that is no list."""
    kind = kind if kind not in ("", "list", "set") else guess_answer_type(text, "")
    if kind in ("yes_no", "choice"):
        return lambda answer, question, config: matching.matching_reward(answer, text)
    numbers = [number for part in text.split(" / ") if (number := parse_number(part))] if kind != "label" else []
    if len(numbers) == 1 + text.count(" / ") == 2 and _one_in_two_scales(numbers[0].value, numbers[1].value):
        return partial(_judge_number, numbers)
    if kind in ("number", "year") and numbers:
        return partial(_judge_year if kind == "year" else _judge_number, numbers[:1])
    for parse, same in _MOMENTS if kind == "date" else ():
        if moments := parse(text):
            return partial(_judge_moment, Moments(parse), partial(same, moments[0]))
    return partial(_judge_label, Labels(text))


# --- numbers ----------------------------------------------------------------------------------------------------------

_QUESTION_SCALE = re.compile(r"\b(thousand|million|billion|trillion)s?\b", re.IGNORECASE)


def _judge_number(golds: Sequence[Number], answer: str, question: str, config: ChartConfig) -> Verdict:
    """Relaxed accuracy of the one number that the answer commits itself to, against any of the golds."""
    number, reason = settle(answer, Quantities())
    if number is None:
        return Verdict(0.0, "", reason if reason == SEVERAL else "no_number")
    right = any(_same(number, gold, question, config.tolerance) for gold in golds)
    return Verdict(float(right), matching.shown(number), "" if right else "wrong")


def _judge_year(golds: Sequence[Number], answer: str, question: str, config: ChartConfig) -> Verdict:
    """Equality with a year, beside which other numbers may stand."""
    number, reason = settle(answer, Quantities(years=True))
    if number is None:
        number, _ = settle(answer, Quantities()) if reason != SEVERAL else (None, "")
    if number is None:
        return Verdict(0.0, "", reason if reason == SEVERAL else "no_number")
    right = number.value == golds[0].value and not (number.percent or number.currency or number.unit)
    return Verdict(float(right), matching.shown(number), "" if right else "wrong")


def _one_in_two_scales(one: Fraction, other: Fraction) -> bool:
    """`2.72 / 2720`: one value in two scales, either of which is right."""
    small, large = sorted((abs(one), abs(other)))
    return one * other > 0 and large / small in (10, 100, 10**3, 10**6, 10**9)


def _same(answer: Number, gold: Number, question: str, tolerance: float) -> bool:
    converted = answer.in_one_unit(gold)
    if converted is None:
        return False
    value, target = converted
    pairs = [converted]
    if answer.percent != gold.percent:  # one of the two is written as a percentage: 41% is 41 percent and 0.41
        share = abs(target) < 1 and answer.percent  # 50% answers 0.5, and 0.5% does not
        pairs = [] if share and target else pairs
        pairs.append((value / 100, target) if answer.percent else (value, target / 100))
    if answer.scale != gold.scale:
        for scale in (SCALES[word.lower()] for word in _QUESTION_SCALE.findall(question)):
            pairs += [(value / scale, target)] if answer.scale == scale else []
            pairs += [(value, target / scale)] if gold.scale == scale else []
    tolerance = 0.0 if gold.exact or answer.exact else tolerance
    return any(_close(value, target, tolerance) for value, target in pairs)


def _close(value: Fraction, target: Fraction, tolerance: float) -> bool:
    """|value - target| <= tolerance * |target|, exactly; in floats where that decides it."""
    over, under = abs(float(value) - float(target)), tolerance * abs(float(target))
    if over > 1.001 * under + 1e-300 or over < 0.999 * under:
        return over < under
    return abs(value - target) <= Fraction(str(tolerance)) * abs(target)


# --- moments, labels --------------------------------------------------------------------------------------------------


def _judge_moment(
    reader: Moments, same: Callable[[Any], bool], answer: str, question: str, config: ChartConfig
) -> Verdict:
    """1 when the one time of day, date, decade or season of the answer is the same as the gold."""
    moments, reason = settle(answer, reader)
    if moments is None:
        return Verdict(0.0, "", reason)
    right = any(map(same, moments))
    return Verdict(float(right), plain_text(answer), "" if right else "wrong")


def _judge_label(reader: Labels, answer: str, question: str, config: ChartConfig) -> Verdict:
    """1 for the same label, bare or announced; with `anls_threshold` the similarity of what was said."""
    if "," in reader.gold and "," in answer and _parts(answer) == _parts(reader.gold):
        return Verdict(1.0, plain_text(answer))
    label, reason = settle(answer, reader)
    if label is not None:
        return Verdict(1.0, label)
    if config.anls_threshold is None:
        return Verdict(0.0, "", reason)
    claims = [claim.text for claim in find_claims(answer).claims if claim.strength >= SAID]
    prediction = (claims[0] if len(claims) == 1 else plain_text(answer)).rstrip(". ")
    similarity = anls(prediction, reader.gold, config.anls_threshold)
    return Verdict(similarity, prediction, "" if similarity == 1.0 else "similar" if similarity else "wrong")


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
    members: Sequence[str], judges: Sequence[Judge], ordered: bool, answer: str, question: str, config: ChartConfig
) -> Verdict:
    """The mean score of the members when each finds a partner of its own, else 0; in their order if that counts.

    Every claim of the answer must be the list: several lists, announced or boxed one after another, are none.
    """
    found = find_claims(answer)
    if found.asked or any(claim.doubted for claim in found.claims) or found.whole.endswith("?"):
        return Verdict(0.0, "", "unsure")
    strong = [claim.text for claim in found.claims if claim.strength == ANNOUNCED]
    said = strong or [claim.text for claim in found.claims if claim.strength == SAID and len(found.claims) == 1]
    sources = [[found.whole]] if not strong else []
    best = Verdict(0.0, plain_text(answer), "wrong")
    for texts in (*sources, said):
        scores = [_list_score(members, judges, ordered, text, question, config) for text in texts]
        if scores and min(scores) > best.acc:
            best = Verdict(min(scores), texts[0])
    return best


def _list_score(
    members: Sequence[str], judges: Sequence[Judge], ordered: bool, text: str, question: str, config: ChartConfig
) -> float:
    labels = all(isinstance(judge, partial) and judge.func is _judge_label for judge in judges)
    if labels and not ordered and _covers(members, text):
        return 1.0
    best = 0.0
    for items in dict.fromkeys(map(tuple, _ways_to_split(text))):
        if len(items) == len(members):
            if ordered:
                scores = [judge(item, question, config).acc for judge, item in zip(judges, items, strict=True)]
                best = max(best, sum(scores) / len(scores) if all(scores) else 0.0)
            else:
                best = max(best, _matched([[judge(item, question, config).acc for item in items] for judge in judges]))
    return best


def _covers(labels: Sequence[str], answer: str) -> bool:
    """Whether the answer is the labels and nothing but *and* between them; for labels that hold commas or *and*."""
    rest = f" {text_key(answer)} "
    for label in sorted((f" {text_key(label)} " for label in labels), key=len, reverse=True):
        if label not in rest:
            return False
        rest = rest.replace(label, "  ", 1)
    return not rest.replace(" and ", " ").strip()


def _ways_to_split(source: str) -> Iterator[list[str]]:
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


def _gold(ground_truth: str, extra_info: Mapping[str, Any], scoring: Any) -> ChartGold:
    question = str(extra_info.get("question") or "")
    return parse_ground_truth(
        ground_truth, question=question, config=scoring.options, answer_type=answer_type_of(extra_info)
    )


KIND = RewardKind(
    "chart",
    _gold,
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
