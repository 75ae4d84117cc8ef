"""The open-ended reward's default: word matching in both directions that cannot be gamed cheaply.

All constants are ours, chosen on COCO and Multi30k captions (docs/rewards-open-ended.md).
"""

import operator
import threading
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from scipy.special import ndtri

from mixed_r1_verl.rewards.similarity.words import (
    ATTRIBUTES,
    CHARS_PER_WORD,
    FUNCTION_WORDS,
    GENERIC_CAPTIONS,
    NEGATIONS,
    exclusive_groups,
    modes,
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
# A caption begins with what it is about: its n-th word of content that is no attribute weighs 1 + 0.5 * 0.7^n as much.
SUBJECT_BONUS, SUBJECT_DECAY, SUBJECT_WORDS = 0.5, 0.7, 7
# How P and R are averaged: the power mean of this exponent, in which R has this share.
MEAN_EXPONENT, RECALL_SHARE = -6, 0.8
# Words of content up to three apart must be matched in order, by words up to two further apart. Before any is seen, 0.3
# of them are taken for ordered, with the weight of one pair. With n pairs in the reference, the 0.7 n / (n + 8)th power
# counts.
NEIGHBOURS, SLACK = 3, 2
USUAL_ORDER, EVIDENCE, ORDER_POWER, LONG_ORDER = 0.3, 1.0, 0.7, 8.0
# A text that alternates less between words of grammar and words of content than the reference does is a list, not
# sentences, and loses up to this share, a shorter one than `LIST_WORDS` in proportion. From `SUFFICIENT_RHYTHM - 0.5 /
# sqrt(words)` of the reference's rate up it pays in full (the root allows for the noise of a short text). The term is
# off where the reference itself alternates less than `LEAST_RHYTHM`: keywords, or another language.
RHYTHM_SHARE, LIST_WORDS = 0.8, 20
SUFFICIENT_RHYTHM = 0.9
LEAST_RHYTHM = 0.25
# Beyond this much content a text is likelier to hold a generic word in proportion to its length.
CAPTION_CONTENT = 32
# Around the score of a generic caption the reward bends over this width, so that it never falls below 0.
BEND = 0.05
# References, and bytes of word vectors, that a process keeps at hand.
REMEMBERED_REFERENCES, REMEMBERED_BYTES = 8, 32 << 20


class WordFeatures(NamedTuple):
    """What is known of n words, in arrays.

    Attributes:
        vectors: unit vectors, float32 [n, width]; zero for a word that the table does not know.
        weights: how much each word says, float32 [n], in (0, 1].
        chance_mean, chance_spread: mean and standard deviation of the word's cosine with everyday words, float32 [n].
        generic: share of the word that a generic caption matches on average, float32 [n], in [0, 1].
        names: int64 [n], equal for equal words.
        stems: int64 [n], equal for words of one stem.
        groups: int64 [n, 3], groups of words that exclude each other; see `words.exclusive_groups`.
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
    """Matching of words in both directions that pays for content only, and for content in order; the default.

    It keeps the idea of BMAS and closes its holes; docs/rewards-open-ended.md shows what each term is worth. For
    distinct words a of the answer and b of the reference:

    - similarity s(a, b): cosine of the prepared word vectors; 1 for the same word, at least `STEM_SIMILARITY` for
      words of one stem, at most 0 for words that exclude each other (two colours, numbers, sexes), 0 for words of which
      one is negated or left open by "or" and the other is not;
    - weight w: rarity by the vocabulary's own order, lowered for words that every description holds, near 0 for words
      of grammar; a match is worth only as much as the partner weighs: s(a, b) * min(1, w_b / w_a + 0.5);
    - chance c_a: the best cosine that word a would reach with as many everyday words as the other text has content,
      mean_a + 1.4 spread_a z(n); a match counts by what it exceeds that: m_a = max(0, (max_b s - c_a) / (1 - c_a));
    - repetition: of n occurrences of a word only as many are paid as its partner has, k = min(n_a, n_b).

    P = sum_a w_a k_a m_a / sum_a w_a n_a, and R likewise over the reference. Their power mean leans to the smaller of
    the two. It is lowered where neighbouring words of content are not matched by neighbours in the same order
    (`_order_factor`), and where grammar and content do not alternate (`_rhythm_factor`). Last, what generic captions
    would earn is taken off (`beyond_generic`). A text scores 1 against itself.
    """
    ours, theirs = _read(answer, table, limit), _read_reference(reference, table, limit)
    if ours is None or theirs is None:
        return 0.0
    similarity = word_similarity(ours.features, theirs.features)
    if ours.modes.any() or theirs.modes.any():
        similarity[ours.modes[:, None] != theirs.modes[None, :]] = 0.0
    forward = similarity * partner_value(ours.features.weights, theirs.features.weights)
    backward = similarity.T * partner_value(theirs.features.weights, ours.features.weights)
    precision = _matched_share(forward, ours, theirs)
    recall = _matched_share(backward, theirs, ours)
    # What was cut off was not matched either.
    precision *= min(1.0, limit * CHARS_PER_WORD / max(1, len(answer)))
    if precision <= EPSILON or recall <= EPSILON:
        return 0.0
    matched = _leaning_mean(precision, recall) * _order_factor(similarity, ours, theirs) * _rhythm_factor(ours, theirs)
    return beyond_generic(matched, (_generic_share(ours, theirs) + _generic_share(theirs, ours)) / 2)


class _Side(NamedTuple):
    """One text as this variant sees it.

    Attributes:
        features: its distinct words; what is negated is a word of its own. `counts`, how often each occurs, `modes`
            (see `words.modes`) and `mass` (weight times count, more for the subject) belong to them.
        content: sum of the distinct words' weights.
        sequence: the words of content in their order, as places among the distinct ones.
        rhythm: share of neighbouring words of which one is grammar and the other content.
    """

    features: WordFeatures
    counts: np.ndarray
    modes: np.ndarray
    mass: np.ndarray
    content: float
    sequence: np.ndarray
    rhythm: float


def _read(text: str, table: "EmbeddingTable", limit: int) -> _Side | None:
    words = split_words(text, limit)
    if not words:
        return None
    meant = list(zip(words, modes(words), strict=True))
    counted = Counter(meant)
    distinct = {key: place for place, key in enumerate(counted)}
    features = table.words([word for word, _ in counted])
    counts = np.fromiter(counted.values(), np.float32, len(counted))
    mass = features.weights * counts
    is_grammar = [word in FUNCTION_WORDS for word in words]
    content = [distinct[key] for key, grammar in zip(meant, is_grammar, strict=True) if not grammar]
    subjects = [place for key, place in distinct.items() if not (key[0] in FUNCTION_WORDS or key[0] in ATTRIBUTES)]
    subjects = subjects[:SUBJECT_WORDS]
    mass[subjects] *= 1 + SUBJECT_BONUS * SUBJECT_DECAY ** np.arange(len(subjects))
    return _Side(
        features,
        counts,
        np.fromiter((mode for _, mode in counted), np.int8, len(counted)),
        mass,
        float(features.weights.sum()),
        np.array(content, np.intp),
        sum(map(operator.ne, is_grammar, is_grammar[1:])) / max(1, len(words) - 1),
    )


# The responses of one prompt share their reference.
_read_reference = lru_cache(REMEMBERED_REFERENCES)(_read)


def _matched_share(similarity: np.ndarray, side: _Side, other: _Side) -> float:
    """Share of one text's content that is matched in the other; `similarity` is [words of side, words of other]."""
    partner = similarity.argmax(axis=1)
    best = similarity[np.arange(len(partner)), partner]
    paid = np.minimum(1, other.counts[partner] / side.counts)
    return float((side.mass * paid) @ beyond_chance(best, side.features, other.content) / side.mass.sum())


def _leaning_mean(precision: float, recall: float) -> float:
    terms = (1 - RECALL_SHARE) * precision**MEAN_EXPONENT + RECALL_SHARE * recall**MEAN_EXPONENT
    return float(terms ** (1 / MEAN_EXPONENT))


def _order_factor(similarity: np.ndarray, ours: _Side, theirs: _Side) -> float:
    """How far neighbouring words of content are matched by neighbours, in order: who does what, which colour is whose.

    For words i and i + q of the answer's content, q up to `NEIGHBOURS`, the best that two words p < p' <= p + q + SLACK
    of the reference do together is max min(m_ip, m_(i+q)p'); what they could do in any place is the smaller of their
    best matches. The factor is the ratio of both, summed with weights w_i w_(i+q) / q, to some power below 1.
    """
    if not (len(ours.sequence) and len(theirs.sequence)):
        return 1.0
    matched = beyond_chance(similarity, ours.features, theirs.content)[ours.sequence][:, theirs.sequence]
    weights, best = ours.features.weights[ours.sequence], matched.max(axis=1)
    ahead, reach = np.zeros_like(matched), 0
    found = possible = 0.0
    for step in range(1, min(NEIGHBOURS, len(best) - 1) + 1):
        while reach < min(step + SLACK, matched.shape[1] - 1):
            reach += 1
            np.maximum(ahead[:, :-reach], matched[:, reach:], out=ahead[:, :-reach])
        pair = weights[:-step] * weights[step:] / step
        found += float(pair @ np.minimum(matched[:-step], ahead[step:]).max(axis=1))
        possible += float(pair @ np.minimum(best[:-step], best[step:]))
    weights = theirs.features.weights[theirs.sequence]
    steps = range(1, min(NEIGHBOURS, len(weights) - 1) + 1)
    whole = sum(float(weights[:-step] @ weights[step:]) / step for step in steps)
    prior = USUAL_ORDER * EVIDENCE
    ratio = (found + prior) / (possible + EVIDENCE) * (whole + EVIDENCE) / (whole + prior)
    return float(min(1.0, ratio) ** (ORDER_POWER * whole / (whole + LONG_ORDER)))


def _rhythm_factor(ours: _Side, theirs: _Side) -> float:
    if theirs.rhythm < LEAST_RHYTHM:
        return 1.0
    count = float(ours.counts.sum())
    wanted = theirs.rhythm * (SUFFICIENT_RHYTHM - 0.5 / count**0.5)
    if ours.rhythm >= wanted:
        return 1.0
    return 1 - RHYTHM_SHARE * min(1.0, count / LIST_WORDS) * (1 - ours.rhythm / wanted)


def _generic_share(side: _Side, other: _Side) -> float:
    """Share of a text's content that generic captions as long as the other text match."""
    share = side.features.generic
    if other.content > CAPTION_CONTENT:
        share = 1 - (1 - share) ** (other.content / CAPTION_CONTENT)
    return float(side.mass @ share / side.mass.sum())


def beyond_generic(matched: float, generic: float) -> float:
    """The share `x = (matched - generic) / (1 - generic)`, bent so that it stays above 0; increasing in `matched`.

    `generic` is what a caption of any picture would match of the two texts: most of "a man in a shirt", little of "a
    beekeeper". Without it a typical text earns from every reference.

    >>> [round(beyond_generic(matched, 0.2), 2) for matched in (0.0, 0.1, 0.2, 0.4, 1.0)]
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
    """What similarities of n words, [n] or [n, k], exceed chance by, in [0, 1].

    Among many words something always looks similar: a word's chance similarity is the best cosine that it reaches with
    as many everyday words as the other text, or each of k texts, has `content` (sum of its distinct words' weights).
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
        self._capacity = REMEMBERED_BYTES // (4 * len(self._mean))
        self._clear()

    def look_up(self, words: Sequence[str]) -> WordFeatures:
        """Features of words, in their order."""
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
        if len(self._places) + len(words) > self._capacity:
            self._clear()
        new = [word for word in dict.fromkeys(words) if word not in self._places]
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
            vector, rarity = self._source.describe(word)
            weights[place] = word_weight(word, rarity)
            # Negations are like each other only.
            if word not in NEGATIONS:
                vectors[place] = vector
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
            groups=np.array([exclusive_groups(word) for word in words], np.int64).reshape(len(words), 3),
        )


def _grown(array: np.ndarray, rows: int) -> np.ndarray:
    return np.concatenate([array, np.zeros((rows - len(array), *array.shape[1:]), array.dtype)])


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows divided by their length, float32; zero rows stay zero."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows, dtype=np.float32), where=lengths > 0)
