"""The open-ended reward's default: word matching in both directions that cannot be gamed cheaply.

All constants are ours, chosen on COCO and Multi30k captions (docs/rewards-open-ended.md).
"""

import operator
import threading
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import ndtri

from mixed_r1_verl.rewards.similarity.words import (
    CHARS_PER_WORD,
    FUNCTION_WORDS,
    GENERIC_CAPTIONS,
    exclusive_groups,
    split_words,
    stem,
    word_weight,
)

if TYPE_CHECKING:
    from mixed_r1_verl.rewards.similarity.table import EmbeddingTable, Source

# Similarity of two words of one stem, whatever the table says.
STEM_SIMILARITY = 0.9
# A match with a word of weight w_b counts for a word of weight w_a as min(1, w_b / w_a + this).
PARTNER_ALLOWANCE = 0.5
# A match counts by what it exceeds the chance similarity with this many spreads' worth of the other text's words.
CHANCE_FACTOR = 1.4
EPSILON = 1e-6
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
# Words whose features a process keeps at hand: 32,768 x 256 x 4 bytes = 32 MiB at most.
REMEMBERED_WORDS = 32_768


class WordFeatures(NamedTuple):
    """What is known of n words, in arrays.

    Attributes:
        vectors: unit vectors, float32 [n, width]; zero for a word that the table does not know.
        weights: how much each word says, float32 [n], in (0, 1].
        chance_mean, chance_spread: mean and standard deviation of the word's cosine with everyday words, float32 [n].
        generic: share of the word that a generic caption matches on average, float32 [n], in [0, 1].
        names: int64 [n], equal for equal words.
        stems: int64 [n], equal for words of one stem.
        groups: int8 [n, 2], groups of words that exclude each other; see `words.exclusive_groups`.
    """

    vectors: np.ndarray
    weights: np.ndarray
    chance_mean: np.ndarray
    chance_spread: np.ndarray
    generic: np.ndarray
    names: np.ndarray
    stems: np.ndarray
    groups: np.ndarray


def robust(answer: str, reference: str, table: "EmbeddingTable", limit: int) -> float:
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


def _read(text: str, table: "EmbeddingTable", limit: int) -> _Side | None:
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


# --- matching ---------------------------------------------------------------------------------------------------------


def word_similarity(left: WordFeatures, right: WordFeatures) -> np.ndarray:
    """Similarity of n words with m others, float32 [n, m].

    The cosine of their vectors; 1 for the same word, at least `STEM_SIMILARITY` for words of one stem, at most 0 for
    words that exclude each other.
    """
    similarity = left.vectors @ right.vectors.T
    np.maximum(similarity, STEM_SIMILARITY, out=similarity, where=left.stems[:, None] == right.stems[None, :])
    for family in range(left.groups.shape[1]):
        rows, columns = left.groups[:, family], right.groups[:, family]
        if rows.max() >= 0 and columns.max() >= 0:
            differ = (rows[:, None] >= 0) & (columns[None, :] >= 0) & (rows[:, None] != columns[None, :])
            np.minimum(similarity, 0.0, out=similarity, where=differ)
    similarity[left.names[:, None] == right.names[None, :]] = 1.0
    return similarity


def partner_value(own_weights: np.ndarray, partner_weights: np.ndarray) -> np.ndarray:
    """What share of a word of weight w_a a partner of weight w_b can match: min(1, w_b / w_a + allowance), [n, m]."""
    return np.minimum(1.0, partner_weights[None, :] / own_weights[:, None] + PARTNER_ALLOWANCE)


def beyond_chance(best: np.ndarray, features: WordFeatures, content: float | np.ndarray) -> np.ndarray:
    """What words' best similarities exceed chance by, in [0, 1].

    Among many words something always looks similar: a word's chance similarity is the best cosine that it reaches with
    as many everyday words as the other text has content, mean + 1.4 spread z(content).

    Args:
        best: best similarity of each of n words, [n] or, for k other texts, [n, k].
        features: the n words.
        content: sum of the distinct words' weights of the other text, or of each of k texts, [k].
    """
    mean, spread = features.chance_mean, features.chance_spread
    if best.ndim == 2:
        mean, spread = mean[:, None], spread[:, None]
    chance = mean + CHANCE_FACTOR * spread * expected_maximum(content)
    return np.clip((best - chance) / np.maximum(1.0 - chance, EPSILON), 0.0, 1.0)


def expected_maximum(count: float | np.ndarray) -> np.ndarray:
    """Expected largest of `count` standard normal numbers (Blom's approximation); 0 below two."""
    return ndtri((np.maximum(count, 1) - 0.375) / (np.maximum(count, 1) + 0.25)) * (np.asarray(count) > 1)


# --- what is known of words -------------------------------------------------------------------------------------------


class WordMemory:
    """Features of the words seen last, so that the tokenizer runs only for new words.

    Args:
        source: where vectors and rarities come from.
    """

    def __init__(self, source: "Source") -> None:
        self._source = source
        self._lock = threading.Lock()
        background = unit_rows(source.background())
        self._mean = background.mean(axis=0)
        self._second_moment = background.T @ background / len(background)
        captions = [self._describe(split_words(caption, 64)) for caption in GENERIC_CAPTIONS]
        self._captions = WordFeatures(*map(np.concatenate, zip(*captions, strict=True)))
        self._caption_starts = np.cumsum([0, *(len(caption.weights) for caption in captions[:-1])])
        self._caption_content = np.array([caption.weights.sum() for caption in captions])
        self._clear()

    def look_up(self, words: Sequence[str]) -> WordFeatures:
        """Features of distinct words, in their order."""
        with self._lock:
            if not all(map(self._places.__contains__, words)):
                self._learn(words)
            places = [self._places[word] for word in words]
            return WordFeatures(*(array[places] for array in self._features))

    def _clear(self) -> None:
        self._places: dict[str, int] = {}
        empty = self._describe([])
        self._features = WordFeatures(*(_grown(array, 1024) for array in empty))

    def _learn(self, words: Sequence[str]) -> None:
        if len(self._places) + len(words) > REMEMBERED_WORDS:
            self._clear()
        new = [word for word in words if word not in self._places]
        features = self._describe(new)
        features.generic[:] = self._share_matched_by_captions(features)
        first = len(self._places)
        while first + len(new) > len(self._features.weights):
            self._features = WordFeatures(*(_grown(array, 2 * len(array)) for array in self._features))
        for array, rows in zip(self._features, features, strict=True):
            array[first : first + len(new)] = rows
        self._places.update(zip(new, range(first, first + len(new)), strict=True))

    def _share_matched_by_captions(self, words: WordFeatures) -> np.ndarray:
        similarity = word_similarity(words, self._captions) * partner_value(words.weights, self._captions.weights)
        best = np.maximum.reduceat(similarity, self._caption_starts, axis=1)
        return beyond_chance(best, words, self._caption_content).mean(axis=1)

    def _describe(self, words: Sequence[str]) -> WordFeatures:
        """All features but `generic`, which is 0."""
        vectors = np.zeros((len(words), len(self._mean)), np.float32)
        weights = np.zeros(len(words), np.float32)
        for place, word in enumerate(words):
            vectors[place], rarity = self._source.describe(word)
            weights[place] = word_weight(word, rarity)
        vectors = unit_rows(vectors)
        mean = vectors @ self._mean
        variance = np.einsum("ij,ij->i", vectors @ self._second_moment, vectors) - mean * mean
        return WordFeatures(
            vectors=vectors,
            weights=weights,
            chance_mean=mean,
            chance_spread=np.sqrt(np.maximum(variance, 0)),
            generic=np.zeros(len(words), np.float32),
            names=np.array([hash(word) for word in words], np.int64),
            stems=np.array([hash(stem(word)) for word in words], np.int64),
            groups=np.array([exclusive_groups(word) for word in words], np.int8).reshape(len(words), 2),
        )


def _grown(array: np.ndarray, rows: int) -> np.ndarray:
    return np.concatenate([array, np.zeros((rows - len(array), *array.shape[1:]), array.dtype)])


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows divided by their length, float32; zero rows stay zero."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows, dtype=np.float32), where=lengths > 0)
