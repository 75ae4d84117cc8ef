"""Open-ended reward: similarity of an answer to reference texts by token embeddings, in both directions."""

import json
import operator
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

from mixed_r1_verl.rewards import lexical
from mixed_r1_verl.rewards.config import OpenEndedConfig
from mixed_r1_verl.rewards.embeddings import EmbeddingTable, WordFeatures
from mixed_r1_verl.rewards.lexicon import FUNCTION_WORDS
from mixed_r1_verl.rewards.verdict import GroundTruthError, Verdict
from mixed_r1_verl.rewards.words import CHARS_PER_WORD, split_words

DEFAULT_CONFIG = OpenEndedConfig()

# --- constants of the robust variant; all ours, chosen on COCO and Multi30k captions (docs/rewards-open-ended.md) -----
# Similarity of two words of one stem, whatever the table says.
STEM_SIMILARITY = 0.9
# A match with a word of weight w_b counts for a word of weight w_a as min(1, w_b / w_a + this).
PARTNER_ALLOWANCE = 0.5
# A match counts by what it exceeds the chance similarity with this many spreads' worth of the other text's words.
CHANCE_FACTOR = 1.4
# A text that alternates less between words of grammar and words of content than the reference does is a list, not
# sentences, and loses up to this share. From `SUFFICIENT_RHYTHM - 0.5 / sqrt(words)` of the reference's rate up it pays
# in full (the root allows for the noise of a short text). Texts shorter than this many words may be lists, and the
# term is off where the reference itself alternates less than `LEAST_RHYTHM`: keywords, or another language.
RHYTHM_SHARE = 0.8
SUFFICIENT_RHYTHM = 0.9
LEAST_RHYTHM = 0.25
RHYTHM_FROM_WORDS = 6
EPSILON = 1e-6

# Words' worth of text in which a reference must show its first word.
REFERENCE_PROBE = 64

Similarity = Callable[[str, str, EmbeddingTable, int], float]


def open_ended_reward(
    answer: str, ground_truth: str, *, table: EmbeddingTable, config: OpenEndedConfig = DEFAULT_CONFIG
) -> Verdict:
    """Scores a free text against one or several reference texts.

    Args:
        answer: the text inside `<answer>`.
        ground_truth: the reference, or a JSON list of references.
        table: embeddings of tokens and words.
        config: which similarity, and how several references combine.

    Returns:
        A verdict with `acc` in [0, 1], always finite; an answer without a word scores 0.

    Raises:
        GroundTruthError: the ground truth holds no reference with a word in it.
        ValueError: `config.variant` is unknown.
        ImportError: the variant needs a package that is not installed.
    """
    references = parse_ground_truth(ground_truth)
    if config.variant not in VARIANTS:
        raise ValueError(f"unknown open-ended variant {config.variant!r}; known: {', '.join(VARIANTS)}")
    if not answer.strip():
        return Verdict(0.0, "", "empty")
    similarity = VARIANTS[config.variant]
    scores = [similarity(answer, reference, table, config.max_tokens) for reference in references]
    combined = max(scores) if config.references == "max" else sum(scores) / len(scores)
    return Verdict(min(1.0, max(0.0, combined)), answer.strip())


def parse_ground_truth(ground_truth: str) -> tuple[str, ...]:
    """The references of a row.

    A text that is a JSON list of strings is read as such; any other text is itself the one reference.

    >>> parse_ground_truth("A dog runs.")
    ('A dog runs.',)
    >>> parse_ground_truth('["A dog runs.", "A brown dog."]')
    ('A dog runs.', 'A brown dog.')

    Raises:
        GroundTruthError: no reference, or one without a single word.
    """
    text = ground_truth.strip()
    references: list[str] = [text]
    if text.startswith("[") and text.endswith("]"):
        try:
            parsed = json.loads(text)
        except (ValueError, RecursionError):
            parsed = None  # prose in brackets
        if parsed is not None:
            if not isinstance(parsed, list) or not all(isinstance(item, str) for item in parsed):
                raise GroundTruthError(f"open-ended ground truth must be a text or a JSON list of texts: {text[:80]!r}")
            references = [item.strip() for item in parsed]
    if not references or not all(split_words(reference, REFERENCE_PROBE) for reference in references):
        raise GroundTruthError(f"open-ended ground truth holds an empty reference: {text[:80]!r}")
    return tuple(references)


def _best_matches(answer: str, reference: str, table: EmbeddingTable, limit: int) -> tuple[float, float]:
    """Mean best cosine of the answer's tokens (P) and of the reference's (R)."""
    # Each distinct token is compared once and counted as often as it occurs.
    counted = Counter(table.tokens(answer, limit))
    cosines, reference_counts = table.cosines(list(counted), reference, limit)
    if not cosines.size:
        return 0.0, 0.0
    answer_counts = np.fromiter(counted.values(), np.float32, len(counted))
    precision = cosines.max(axis=1) @ answer_counts / answer_counts.sum()
    recall = cosines.max(axis=0) @ reference_counts / reference_counts.sum()
    return float(precision), float(recall)


def bmas(answer: str, reference: str, table: EmbeddingTable, limit: int) -> float:
    """Bidirectional Max-Average Similarity as reconstructed from its name: the mean of P and R.

    P is the mean over the answer's tokens of their best cosine with a token of the reference, R the mean over the
    reference's tokens of their best cosine with a token of the answer; repeated tokens count each time.
    """
    precision, recall = _best_matches(answer, reference, table, limit)
    return (precision + recall) / 2


def bmas_f1(answer: str, reference: str, table: EmbeddingTable, limit: int) -> float:
    """The harmonic mean of the same P and R (as BERTScore combines them)."""
    return harmonic_mean(*_best_matches(answer, reference, table, limit))


def harmonic_mean(precision: float, recall: float) -> float:
    if precision <= 0 or recall <= 0:
        return 0.0
    return 2 * precision * recall / (precision + recall)


class _Side(NamedTuple):
    """One text as the robust variant sees it.

    Attributes:
        words: its distinct words; `counts`, `features` and `mass` (weight times count) belong to them.
        content: sum of the distinct words' weights.
        rhythm: share of neighbouring words of which one is grammar and the other content.
    """

    words: tuple[str, ...]
    counts: np.ndarray
    features: WordFeatures
    mass: np.ndarray
    content: float
    rhythm: float


def _read(text: str, table: EmbeddingTable, limit: int) -> _Side | None:
    sequence = split_words(text, limit)
    if not sequence:
        return None
    counted = Counter(sequence)
    words = tuple(counted)
    features = table.words(words)
    counts = np.fromiter(counted.values(), np.float32, len(words))
    is_grammar = [word in FUNCTION_WORDS for word in sequence]
    changes = sum(map(operator.ne, is_grammar, is_grammar[1:]))
    content = float(features.weights.sum())
    return _Side(words, counts, features, features.weights * counts, content, changes / max(1, len(sequence) - 1))


def robust(answer: str, reference: str, table: EmbeddingTable, limit: int) -> float:
    """Matching of words in both directions that pays for content only; the default.

    It keeps the idea of BMAS and closes its holes. For distinct words a of the answer and b of the reference:

    - similarity s(a, b): cosine of the prepared word vectors; 1 for the same word, at least `STEM_SIMILARITY` for
      words of one stem, at most 0 for words that exclude each other (two colours, the two sexes);
    - weight w: rarity by the vocabulary's own order, lowered for words that every description holds, near 0 for
      words of grammar; a match is worth only as much as the partner weighs: s(a, b) * min(1, w_b / w_a + 0.5);
    - chance c_a: the best cosine that word a would reach with as many everyday words as the other text has content,
      mean_a + 1.4 spread_a z(n); a match counts by what it exceeds that: m_a = max(0, (max_b s - c_a) / (1 - c_a));
    - repetition: of n occurrences of a word only as many are paid as its partner has, k = min(n_a, n_b).

    P = sum_a w_a k_a m_a / sum_a w_a n_a, and R likewise over the reference. The score is their power mean of exponent
    -2, sqrt(2) P R / sqrt(P^2 + R^2), which leans to the smaller of the two, times a factor of at least 0.2 for the
    rhythm of grammar and content words, so that a list of the right words pays less than a sentence. A text scores 1
    against itself.
    """
    ours, theirs = _read(answer, table, limit), _read(reference, table, limit)
    if ours is None or theirs is None:
        return 0.0
    similarity = _word_similarity(ours, theirs)
    relative = theirs.features.weights[None, :] / ours.features.weights[:, None]
    forward = similarity * np.minimum(1.0, relative + PARTNER_ALLOWANCE)
    backward = similarity * np.minimum(1.0, 1.0 / relative + PARTNER_ALLOWANCE)

    precision = _matched_share(forward, ours, theirs)
    recall = _matched_share(backward.T, theirs, ours)
    # What was cut off was not matched either.
    read = min(1.0, limit * CHARS_PER_WORD / max(1, len(answer)))
    return _leaning_mean(precision * read, recall) * _rhythm_factor(ours, theirs)


def _leaning_mean(precision: float, recall: float) -> float:
    if precision <= 0 or recall <= 0:
        return 0.0
    return 2**0.5 * precision * recall / (precision * precision + recall * recall) ** 0.5


def _matched_share(similarity: np.ndarray, side: _Side, other: _Side) -> float:
    """Share of one text's content that is matched in the other; `similarity` is [words of side, words of other]."""
    partner = similarity.argmax(axis=1)
    best = similarity[np.arange(len(partner)), partner]
    features = side.features
    expected = features.chance_mean + CHANCE_FACTOR * features.chance_spread * _expected_maximum(other.content)
    matched = np.clip((best - expected) / np.maximum(1.0 - expected, EPSILON), 0.0, 1.0)
    paid = np.minimum(side.counts, other.counts[partner])
    return float((features.weights * paid) @ matched / side.mass.sum())


def _rhythm_factor(ours: _Side, theirs: _Side) -> float:
    count = float(ours.counts.sum())
    if min(count, theirs.counts.sum()) < RHYTHM_FROM_WORDS or theirs.rhythm < LEAST_RHYTHM:
        return 1.0
    wanted = theirs.rhythm * (SUFFICIENT_RHYTHM - 0.5 / count**0.5)
    return 1 - RHYTHM_SHARE * max(0.0, 1 - ours.rhythm / wanted)


def _word_similarity(ours: _Side, theirs: _Side) -> np.ndarray:
    left, right = ours.features, theirs.features
    similarity = left.vectors @ right.vectors.T
    np.maximum(similarity, STEM_SIMILARITY, out=similarity, where=left.stems[:, None] == right.stems[None, :])
    for family in range(left.groups.shape[1]):
        rows, columns = left.groups[:, family], right.groups[:, family]
        if rows.max() >= 0 and columns.max() >= 0:
            differ = (rows[:, None] >= 0) & (columns[None, :] >= 0) & (rows[:, None] != columns[None, :])
            np.minimum(similarity, 0.0, out=similarity, where=differ)
    places = {word: place for place, word in enumerate(theirs.words)}
    for place, word in enumerate(ours.words):
        if word in places:
            similarity[place, places[word]] = 1.0
    return similarity


def _expected_maximum(count: float) -> float:
    """Expected largest of `count` standard normal numbers (Blom's approximation); 0 below two."""
    return float(ndtri((count - 0.375) / (count + 0.25))) if count > 1 else 0.0


VARIANTS: dict[str, Similarity] = {
    "robust": robust,
    "bmas": bmas,
    "bmas_f1": bmas_f1,
    "rouge_l": lexical.rouge_l,
    "bleu": lexical.bleu,
}
