"""The open-ended reward's default: word matching in both directions that cannot be gamed cheaply."""

import operator
from collections import Counter
from typing import NamedTuple

import numpy as np

from mixed_r1_verl.rewards.similarity.table import EmbeddingTable
from mixed_r1_verl.rewards.similarity.word_matching import WordFeatures, beyond_chance, partner_value, word_similarity
from mixed_r1_verl.rewards.similarity.words import CHARS_PER_WORD, FUNCTION_WORDS, split_words

# All constants are ours, chosen on COCO and Multi30k captions (docs/rewards-open-ended.md).
# A text that alternates less between words of grammar and words of content than the reference does is a list, not
# sentences, and loses up to this share. From `SUFFICIENT_RHYTHM - 0.5 / sqrt(words)` of the reference's rate up it pays
# in full (the root allows for the noise of a short text). Texts shorter than this many words may be lists, and the
# term is off where the reference itself alternates less than `LEAST_RHYTHM`: keywords, or another language.
RHYTHM_SHARE = 0.8
SUFFICIENT_RHYTHM = 0.9
LEAST_RHYTHM = 0.25
RHYTHM_FROM_WORDS = 6
# Around the score of a generic caption the reward bends over this width, so that it never falls below 0.
BEND = 0.05


class _Side(NamedTuple):
    """One text as this variant sees it.

    Attributes:
        counts: how often each of its distinct words occurs; `features` and `mass` (weight times count) belong to them.
        content: sum of the distinct words' weights.
        generic: share of the mass that a generic caption matches.
        rhythm: share of neighbouring words of which one is grammar and the other content.
    """

    counts: np.ndarray
    features: WordFeatures
    mass: np.ndarray
    content: float
    generic: float
    rhythm: float


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

    P = sum_a w_a k_a m_a / sum_a w_a n_a, and R likewise over the reference. Their power mean of exponent -2,
    sqrt(2) P R / sqrt(P^2 + R^2), leans to the smaller of the two; it is lowered by up to `RHYTHM_SHARE` where grammar
    and content words do not alternate, so that a list of the right words pays less than a sentence. Last, what generic
    captions would earn is taken off: see `_beyond_generic`. A text scores 1 against itself.
    """
    ours, theirs = _read(answer, table, limit), _read(reference, table, limit)
    if ours is None or theirs is None:
        return 0.0
    similarity = word_similarity(ours.features, theirs.features)
    forward = similarity * partner_value(ours.features.weights, theirs.features.weights)
    backward = similarity.T * partner_value(theirs.features.weights, ours.features.weights)
    precision = _matched_share(forward, ours, theirs)
    recall = _matched_share(backward, theirs, ours)
    # What was cut off was not matched either.
    read = min(1.0, limit * CHARS_PER_WORD / max(1, len(answer)))
    matched = _leaning_mean(precision * read, recall) * _rhythm_factor(ours, theirs)
    return _beyond_generic(matched, (ours.generic + theirs.generic) / 2)


def _read(text: str, table: EmbeddingTable, limit: int) -> _Side | None:
    sequence = split_words(text, limit)
    if not sequence:
        return None
    counted = Counter(sequence)
    features = table.words(tuple(counted))
    counts = np.fromiter(counted.values(), np.float32, len(counted))
    mass = features.weights * counts
    is_grammar = [word in FUNCTION_WORDS for word in sequence]
    changes = sum(map(operator.ne, is_grammar, is_grammar[1:]))
    return _Side(
        counts,
        features,
        mass,
        float(features.weights.sum()),
        float(mass @ features.generic / mass.sum()),
        changes / max(1, len(sequence) - 1),
    )


def _matched_share(similarity: np.ndarray, side: _Side, other: _Side) -> float:
    """Share of one text's content that is matched in the other; `similarity` is [words of side, words of other]."""
    partner = similarity.argmax(axis=1)
    best = similarity[np.arange(len(partner)), partner]
    paid = np.minimum(side.counts, other.counts[partner])
    return float((side.features.weights * paid) @ beyond_chance(best, side.features, other.content) / side.mass.sum())


def _leaning_mean(precision: float, recall: float) -> float:
    if precision <= 0 or recall <= 0:
        return 0.0
    return 2**0.5 * precision * recall / (precision * precision + recall * recall) ** 0.5


def _rhythm_factor(ours: _Side, theirs: _Side) -> float:
    count = float(ours.counts.sum())
    if min(count, theirs.counts.sum()) < RHYTHM_FROM_WORDS or theirs.rhythm < LEAST_RHYTHM:
        return 1.0
    wanted = theirs.rhythm * (SUFFICIENT_RHYTHM - 0.5 / count**0.5)
    return 1 - RHYTHM_SHARE * max(0.0, 1 - ours.rhythm / wanted)


def _beyond_generic(matched: float, generic: float) -> float:
    """The share `x = (matched - generic) / (1 - generic)`, bent so that it stays above 0; increasing in `matched`.

    `generic` is what a caption of any picture would match of the two texts: most of "a man in a shirt", little of "a
    beekeeper". Without it a typical text earns from every reference.

    >>> [round(_beyond_generic(matched, 0.2), 2) for matched in (0.0, 0.1, 0.2, 0.4, 1.0)]
    [0.0, 0.0, 0.02, 0.25, 1.0]
    """

    def bent(share: float) -> float:
        return (share + (share * share + BEND * BEND) ** 0.5) / 2

    if matched <= 0 or generic >= 1:
        return max(0.0, matched)
    lowest = bent(-generic / (1 - generic))
    return (bent((matched - generic) / (1 - generic)) - lowest) / (bent(1.0) - lowest)
