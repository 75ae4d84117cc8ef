"""The chart reward: relaxed accuracy over typed answers (numbers, years, dates, times, labels, lists, yes/no).

The rule for numbers is ChartQA's relaxed accuracy (Masry et al. 2022; Methani et al. 2020): a number is right when
`|answer - gold| <= 0.05 * |gold|`. Everything else is compared exactly. The rules stand in `docs/rewards.md`.
"""

import json
import re
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Annotated

from mixed_r1_verl.core.config import Interval, check_bounds
from mixed_r1_verl.rewards.answer.claims import ANNOUNCED, SAID, find_claims
from mixed_r1_verl.rewards.answer.commitment import SEVERAL, UNSURE, unreadable
from mixed_r1_verl.rewards.answer.latex import BOX, mark_boxes
from mixed_r1_verl.rewards.answer.numbers import SCALES
from mixed_r1_verl.rewards.answer.readers import Labels
from mixed_r1_verl.rewards.answer.text import plain_text, text_key
from mixed_r1_verl.rewards.answer.types import Typed, answer_type_of, guess_answer_type, typed
from mixed_r1_verl.rewards.cheats import CLOSED_CHEATS, LABEL_CHEAT, NUMBER_CHEATS, say
from mixed_r1_verl.rewards.kind import Gold, RewardKind, letter_or
from mixed_r1_verl.rewards.kinds.anls import anls
from mixed_r1_verl.rewards.verdict import GroundTruthError, Verdict

__all__ = ["KIND", "ChartConfig", "ChartGold", "chart_reward", "parse_ground_truth"]


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


def chart_reward(answer: str, ground_truth: str, *, question: str = "", config: ChartConfig = _DEFAULT) -> Verdict:
    """Score the answer to a question about a chart or table.

    Args:
        answer: text of the answer block.
        ground_truth: the answer as published; GroundTruthError is raised when it is empty.
        question: the question; tells years from quantities and scales in words. May be empty.
        config: tolerance for numbers and the optional similarity of labels.

    Returns:
        `acc` 0.0 or 1.0, or with `anls_threshold` a similarity in [0, 1]; `prediction` is what was read.

    >>> chart_reward("about 104", "100").acc, chart_reward("2010", "2008").acc, chart_reward("$1,200", "1200").acc
    (1.0, 0.0, 1.0)
    >>> chart_reward("Turkey and Slovenia", "[Slovenia, Turkey]").acc, chart_reward("40 or 42", "42").acc
    (1.0, 0.0)
    """
    return parse_ground_truth(ground_truth, question=question, config=config).score(answer)


@dataclass(frozen=True)
class ChartGold(Gold):
    """A ground truth of the chart reward; `honest` and `form` as in `Gold`."""

    members: tuple[Typed, ...]  # the answers that it lists, all of which are to be given, or the only one
    ordered: bool  # whether they are to be given in their order
    config: ChartConfig
    honest: str
    form: str = ""

    def score(self, answer: str) -> Verdict:
        """The judgement by the type of the ground truth; the ground truth itself is always right."""
        if answer.strip() == self.honest:
            return Verdict(1.0, plain_text(answer))
        one = len(self.members) == 1 or unreadable(answer)
        return self._judge(self.members[0], answer) if one else self._judge_list(answer)

    def _judge(self, member: Typed, answer: str) -> Verdict:
        """The verdict on one member; with `anls_threshold` the similarity of what was said to a label."""
        verdict, reader = member.score(answer), member.readers[0]
        if verdict.acc or self.config.anls_threshold is None or not isinstance(reader, Labels) or unreadable(answer):
            return verdict
        claims = [claim.text for claim in find_claims(answer).claims if claim.strength >= SAID]
        prediction = (claims[0] if len(claims) == 1 else plain_text(answer)).rstrip(". ")
        similarity = anls(prediction, reader.gold, self.config.anls_threshold)
        return Verdict(similarity, prediction, "" if similarity == 1.0 else "similar" if similarity else "wrong")

    def _judge_list(self, answer: str) -> Verdict:
        """The mean score of the members when each finds a partner of its own, else 0; in their order if that counts.

        Every claim of the answer must be the list: several lists, announced or boxed one after another, are none.
        """
        found = find_claims(answer)
        if found.asked or any(claim.doubted for claim in found.claims) or found.whole.endswith("?"):
            return Verdict(0.0, "", UNSURE)
        strong = [claim.text for claim in found.claims if claim.strength == ANNOUNCED]
        weak = [claim for claim in found.claims if claim.strength < ANNOUNCED]
        if 1 < len(strong) == mark_boxes(answer).count(BOX) and all(_AND.fullmatch(claim.text) for claim in weak):
            strong, weak = ["; ".join(strong)], []  # a box for each member
        for text, behind in ((claim.text, claim.subject == BOX) for claim in weak if strong):
            if _WHOLE_LIST.fullmatch(text) or (behind and (_MORE_LISTED.match(text) or _is_a_list(text))):
                return Verdict(0.0, "", SEVERAL)
        said = [claim.text for claim in weak if claim.strength == SAID and len(weak) == 1]
        acc = min(map(self._list_score, strong)) if strong else max(map(self._list_score, [found.whole, *said]))
        return Verdict(acc, plain_text(answer), "" if acc == 1.0 else "similar" if acc else "wrong")

    def _list_score(self, text: str) -> float:
        golds = [one.readers[0].gold for one in self.members if isinstance(one.readers[0], Labels)]
        if len(golds) == len(self.members) and not self.ordered and _covers(golds, text):
            return 1.0
        ways = {tuple(way) for way in _ways_to_split(text) if len(way) == len(self.members)}
        tables = [[[self._judge(member, item).acc for item in way] for member in self.members] for way in ways]
        return max((_mean(scores, self.ordered) for scores in tables), default=0.0)


@lru_cache(maxsize=16384)
def parse_ground_truth(
    ground_truth: str, *, question: str = "", config: ChartConfig = _DEFAULT, answer_type: str = ""
) -> ChartGold:
    """Read a published answer as the type that the row says, else the one that is guessed; GroundTruthError if empty.

    >>> parse_ground_truth("Yes").form, parse_ground_truth("[2013, 2016]").score("2016 and 2013").acc
    ('polar', 1.0)
    """
    text, kind = plain_text(ground_truth), answer_type or guess_answer_type(ground_truth, question)
    if not text_key(text):
        raise GroundTruthError(f"the chart reward cannot read ground truth {ground_truth!r}: it is empty")
    members = _listed(text) if kind != "label" else []
    guessed = kind in ("list", "set") or (len(members) > 1 and kind != "year")
    scales = frozenset(SCALES[word.lower()] for word in _QUESTION_SCALE.findall(question))
    read = partial(typed, kind="" if guessed else kind, scales=scales, tolerance=config.tolerance)
    golds = tuple(map(read, members or [text]))
    return ChartGold(golds, kind == "list", config, ground_truth.strip(), golds[0].form)


_QUESTION_SCALE = re.compile(r"\b(thousand|million|billion|trillion)s?\b", re.IGNORECASE)


_WHOLE_LIST = re.compile(r"\W*\[[^\[\]]*,[^\[\]]*\]\W*")
_MORE_LISTED = re.compile(
    r"\s*(?:[\[{;/&|]|,(?!\s*(?:as|because|since|which|with|both|for|where)\b)|(?:and|or|also)\b)", re.IGNORECASE
)
_AND = re.compile(r"\s*(?:[,;&]\s*)?(?:and\s*)?")
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


def _listed(text: str) -> list[str]:
    """Members of a published list; none when the text is no list. Commas separate only within brackets."""
    bracketed, members = text[0] == "[" and text[-1] == "]", list[str]()
    with suppress(ValueError, RecursionError):
        value = json.loads(text) if bracketed else []
        members = list(map(str, value)) if all(isinstance(item, (str, int, float)) for item in value) else []
    if not members and (bracketed or ";" in text):
        members = _split(text[1:-1] if bracketed else text, _ITEM_SEPARATORS[0] if ";" in text else _COMMA)
    return [member for member in members if text_key(member)][:MAX_MEMBERS]


def _split(text: str, separator: re.Pattern[str]) -> list[str]:
    parts = [_NUMBERING.sub("", part.strip()).strip(" \"'") for part in separator.split(text)]
    return [part for part in parts if part]


def _covers(labels: Sequence[str], answer: str) -> bool:
    """Whether the answer is the labels and nothing but *and* between them; for labels that hold commas or *and*."""
    rest = f" {text_key(answer)} "
    for label in sorted((f" {text_key(label)} " for label in labels), key=len, reverse=True):
        if label not in rest:
            return False
        rest = rest.replace(label, "  ", 1)
    return not rest.replace(" and ", " ").strip()


def _ways_to_split(source: str) -> list[list[str]]:
    source = source.strip().rstrip(".;!").strip()
    if source[:1] in "[({" and source[-1:] in "])}":
        source = source[1:-1]
    return [_split(source, separator) for separator in _ITEM_SEPARATORS]


def _is_a_list(text: str) -> bool:
    """Whether a text is several short things beside each other: `Austria and Chile` behind a box."""
    ways = _ways_to_split(text.strip(" .,:"))
    return any(len(way) > 1 and all(len(item.split()) <= 3 for item in way) for way in ways)


def _mean(scores: list[list[float]], ordered: bool) -> float:
    """Mean score of the members with their own item, or in the best one-to-one matching; 0 unless every one scores."""
    import numpy as np  # most answers do without these two, which take 0.1 s and more to import
    from scipy.optimize import linear_sum_assignment

    table = np.array(scores)
    # A pair that scores at all outweighs any sum of similarities: all members are served if they can be.
    partners = linear_sum_assignment((table > 0) * (len(table) + 1) + table, maximize=True)
    chosen = table.diagonal() if ordered else table[partners]
    return float(chosen.mean()) if (chosen > 0).all() else 0.0


KIND = RewardKind(
    "chart",
    lambda ground_truth, row, scoring: parse_ground_truth(
        ground_truth, question=str(row.get("question") or ""), config=scoring.options, answer_type=answer_type_of(row)
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
