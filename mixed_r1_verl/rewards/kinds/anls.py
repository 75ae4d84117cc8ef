"""The reward for text that is read in a picture (DocVQA, InfographicVQA, ST-VQA): ANLS over the accepted spellings.

    acc = max over the accepted answers of 1 - distance / longer length, and 0 where that is below the threshold

The distance is Levenshtein's, without regard to case (Biten et al. 2019, arXiv 1905.13648). It forgives a reader
a letter or two. A value that differs is not paid, nor is an answer that is not one text; the rules stand in
`docs/rewards.md`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Annotated, Any

from mixed_r1_verl.core.config import Interval, check_bounds
from mixed_r1_verl.rewards.answer.claims import find_claims
from mixed_r1_verl.rewards.answer.commitment import NOTHING, SEVERAL, unreadable
from mixed_r1_verl.rewards.answer.readers import Labels
from mixed_r1_verl.rewards.answer.text import plain_text, text_key
from mixed_r1_verl.rewards.answer.types import Typed, answer_type_of, guess_answer_type, typed
from mixed_r1_verl.rewards.cheats import CLOSED_CHEATS, LABEL_CHEAT, NUMBER_CHEATS, say
from mixed_r1_verl.rewards.kind import Gold, RewardKind, letter_or, references_of
from mixed_r1_verl.rewards.verdict import GroundTruthError, Verdict

__all__ = ["KIND", "AnlsConfig", "AnlsGold", "anls", "anls_reward", "parse_ground_truth"]

_PARTS = re.compile(r"\s*(?:[,;|/\n()]|\b(?:and|or)\b|&)\s*", re.IGNORECASE)
_EDGES = " .,:\"'\n"
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True)
class AnlsConfig:
    """Reward for text that is read in a picture.

    Attributes:
        threshold: similarity from which a text that is not equal is paid; 0.5 is that of the benchmarks.
    """

    threshold: Annotated[float, Interval(gt=0, le=1)] = 0.5

    def __post_init__(self) -> None:
        check_bounds(self, "anls")


_DEFAULT = AnlsConfig()


def anls_reward(answer: str, ground_truth: str, *, question: str = "", config: AnlsConfig = _DEFAULT) -> Verdict:
    """Score an answer that is a text in the picture.

    Args:
        answer: text of the answer block.
        ground_truth: the text, or a JSON list of the spellings that are accepted.
        question: tells years from quantities. May be empty.
        config: the threshold.

    Returns:
        `acc` 0.0, 1.0 or a similarity from the threshold up; `prediction` is what was read.

    Raises:
        GroundTruthError: when there is no accepted answer, or one that is empty.

    >>> [round(anls_reward(said, '["ACME Ltd", "Acme"]').acc, 2) for said in ("acme", "ACNE Ltd", "Acme or ACME Ltd")]
    [1.0, 0.88, 0.0]
    >>> anls_reward("1950", "1960").acc, anls_reward("Don't", "Won't").acc
    (0.0, 0.8)
    """
    return parse_ground_truth(ground_truth, question=question, config=config).score(answer)


def anls(prediction: str, target: str, threshold: float = 0.5) -> float:
    """Normalised Levenshtein similarity without regard to case, 0 below the threshold (Biten et al. 2019).

    >>> round(anls("Don't", "Won't"), 3), anls("100%", "94%")
    (0.8, 0.0)
    """
    from rapidfuzz.distance import Levenshtein

    similarity = float(Levenshtein.normalized_similarity(prediction.strip().lower(), target.strip().lower()))
    return similarity if similarity >= threshold else 0.0


@dataclass(frozen=True)
class AnlsGold(Gold):
    """The accepted answers of a row.

    Attributes:
        members: each of them as a value of its type.
        texts: those of them that are labels; the others are values, which are equal or wrong.
        spelt, keys: all of them, without regard to case; and their keys, see `text_key`.
        threshold: see `AnlsConfig`.
        honest, form: see `Gold`.
    """

    members: tuple[Typed, ...]
    texts: tuple[str, ...]
    spelt: frozenset[str]
    keys: frozenset[str]
    threshold: float
    honest: str
    form: str = ""

    def score(self, answer: str) -> Verdict:
        """1 for an answer that commits itself to an accepted text, else the similarity of the one text that it is."""
        if reason := unreadable(answer):
            return Verdict(0.0, "", reason)
        if _bare(answer) in self.spelt:
            return Verdict(1.0, plain_text(answer))
        said = f" {text_key(answer)} "
        held = {key for key in self.keys if f" {key} " in said}
        parts = {text_key(part) for part in _PARTS.split(answer)} & self.keys
        if len(parts) > 1 or any(one not in other and other not in one for one in held for other in held):
            return Verdict(0.0, "", SEVERAL)
        claims = [text for claim in find_claims(answer).claims if (text := claim.text.strip(_EDGES))]
        verdicts = [member.score(answer) for member in self.members]
        for member, verdict in zip(self.members, verdicts, strict=True):
            if verdict.acc and all(_is_value(text, member) for text in claims):
                return verdict
        trouble = next((verdict for verdict in verdicts if verdict.reason not in ("", "wrong", NOTHING)), None)
        return trouble or self._near(claims[0] if claims else "") if len(claims) < 2 else Verdict(0.0, "", SEVERAL)

    def _near(self, text: str) -> Verdict:
        """The similarity of a text that is none of those accepted."""
        similarity, closest = max(((self._like(text, one), one) for one in self.texts), default=(0.0, ""))
        if not similarity:
            return Verdict(0.0, text, "wrong")
        said, key = f" {text_key(text)} ", f" {text_key(closest)} "
        for one in (f" {one} " for one in self.keys):
            if one in said and not self._like(said.replace(one, " ", 1), key.replace(one, " ", 1)):
                return Verdict(0.0, text, SEVERAL)  # an accepted text and more
        parts = [part for part in _PARTS.split(text) if part]
        if len(parts) > 1 and any(self._like(part, one) > similarity for part in parts for one in self.texts):
            return Verdict(0.0, text, SEVERAL)
        return Verdict(similarity, text, "similar")

    def _like(self, text: str, accepted: str) -> float:
        """The similarity to one of them; 0 where a digit differs, for that is another value."""
        same = _DIGITS.findall(text) == _DIGITS.findall(accepted)
        return anls(text, accepted, self.threshold) if same else 0.0


@lru_cache(maxsize=16384)
def parse_ground_truth(
    ground_truth: str, *, question: str = "", config: AnlsConfig = _DEFAULT, answer_type: str = ""
) -> AnlsGold:
    """Read the accepted answers, each as the type that it is.

    Raises:
        GroundTruthError: see `anls_reward`.

    >>> len(parse_ground_truth('["5", "five"]').members), parse_ground_truth("ACME Ltd").texts
    (2, ('ACME Ltd',))
    """
    texts = references_of(ground_truth)
    if not texts or not all(map(text_key, texts)):
        raise GroundTruthError(f"the anls reward cannot read ground truth {ground_truth[:80]!r}: an answer is empty")
    guesses = [answer_type or guess_answer_type(text, question) for text in texts]
    kinds = ["label" if kind == "choice" else kind for kind in guesses]
    members = tuple(map(typed, map(plain_text, texts), kinds))
    labels = [member.honest for member in members if isinstance(member.readers[0], Labels)]
    spelt, keys = frozenset(map(_bare, texts)), frozenset(map(text_key, texts))
    return AnlsGold(members, tuple(labels), spelt, keys, config.threshold, texts[0], members[0].form)


def _is_value(text: str, member: Typed) -> bool:
    """Whether a text is the value, and nothing else."""
    if text_key(text) == text_key(member.honest):
        return True
    values = (reader.read(text) for reader in member.readers)
    return any(value is not None and member.same(value) for value in values)


def _bare(text: str) -> str:
    return plain_text(text).casefold().removesuffix(".")


def _gold(ground_truth: str, extra_info: Mapping[str, Any], scoring: Any) -> AnlsGold:
    question = str(extra_info.get("question") or "")
    return parse_ground_truth(
        ground_truth, question=question, config=scoring.options, answer_type=answer_type_of(extra_info)
    )


KIND = RewardKind(
    "anls",
    _gold,
    partial(letter_or, "Answer with a word, a number or a short text."),
    columns=("question", "answer_type"),
    config=AnlsConfig,
    answers="closed",
    cheats=(
        say("honest_and_its_beginning", lambda target: f"{target.honest} {target.honest[:3]}", sort="smuggled"),
        LABEL_CHEAT,
        *CLOSED_CHEATS,
        *NUMBER_CHEATS,
    ),
)
