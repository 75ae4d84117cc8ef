"""The open-ended reward's default: word matching in both directions that cannot be gamed cheaply.

All constants are ours, chosen on COCO and Multi30k captions (docs/rewards-open-ended.md).
"""

import threading
from collections.abc import Callable, Hashable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import ndtri

from mixed_r1_verl.rewards.similarity.words import (
    ATTRIBUTES,
    CHARS_PER_WORD,
    FUNCTION_WORDS,
    GENERIC_CAPTIONS,
    NEGATIONS,
    exclusive_group,
    modes,
    split_words,
    stem,
    word_weight,
)

if TYPE_CHECKING:
    from mixed_r1_verl.rewards.similarity.table import EmbeddingTable

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
RHYTHM_SHARE, LIST_WORDS, SUFFICIENT_RHYTHM, LEAST_RHYTHM = 0.8, 20, 0.9, 0.25
# Beyond this much content a text is likelier to hold a generic word in proportion to its length.
CAPTION_CONTENT = 32
# Around the score of a generic caption the reward bends over this width, so that it never falls below 0.
BEND = 0.05
# References, numbers for each of them, and bytes of word vectors, that a process keeps at hand.
REMEMBERED_REFERENCES, REMEMBERED_NUMBERS, REMEMBERED_BYTES = 8, 1 << 19, 32 << 20

SUBJECT, ATTRIBUTE, GRAMMAR = 0, 1, 2


class WordFeatures(NamedTuple):
    """What is known of n words, in arrays.

    Attributes:
        vectors: unit vectors, float32 [n, width]; zero for a word that the table does not know.
        weights: how much each word says, float32 [n], in (0, 1].
        chance_mean, chance_spread: mean and standard deviation of the word's cosine with everyday words, float32 [n].
        generic: share of the word that a generic caption matches on average, float32 [n], in [0, 1].
        names: int64 [n], equal for equal words.
        stems: int64 [n], equal for words of one stem.
        groups: int64 [n], see `words.exclusive_group`.
        kinds: int8 [n], `GRAMMAR`, `ATTRIBUTE` or, what may be the subject of a caption, `SUBJECT`.
        modes: int8 [n], see `words.modes`.
    """

    vectors: np.ndarray
    weights: np.ndarray
    chance_mean: np.ndarray
    chance_spread: np.ndarray
    generic: np.ndarray
    names: np.ndarray
    stems: np.ndarray
    groups: np.ndarray
    kinds: np.ndarray
    modes: np.ndarray


def robust(answer: str, reference: str, table: "EmbeddingTable", limit: int) -> float:
    """Matching of words in both directions that pays for content only, and for content in order; the default.

    It keeps the idea of BMAS and closes its holes. docs/rewards-open-ended.md defines its terms and shows what each is
    worth; a text scores 1 against itself.
    """
    words = split_words(answer, limit)
    if words and answer == reference and len(answer) <= limit * CHARS_PER_WORD:
        return 1.0
    theirs = _read_reference(reference, table, limit)
    if not words or theirs is None:
        return 0.0
    ours = _Side(words, table)
    matches, rows = theirs.matches.look_up(ours.words)
    backward = matches.backward[rows]
    partner = backward.argmax(axis=0)
    best = backward[partner, np.arange(len(partner))]
    precision = _matched_share(matches.best[rows], matches.partner[rows], ours, theirs)
    recall = _matched_share(beyond_chance(best, theirs.features, ours.content), partner, theirs, ours)
    # What was cut off was not matched either.
    precision *= min(1.0, limit * CHARS_PER_WORD / max(1, len(answer)))
    if precision <= EPSILON or recall <= EPSILON:
        return 0.0
    matched = ((1 - RECALL_SHARE) * precision**MEAN_EXPONENT + RECALL_SHARE * recall**MEAN_EXPONENT) ** (
        1 / MEAN_EXPONENT
    )
    matched *= _order_factor(matches.in_order[rows[ours.sequence]], ours, theirs) * _rhythm_factor(ours, theirs)
    return beyond_generic(matched, (_generic_share(ours, theirs) + _generic_share(theirs, ours)) / 2)


class _Side:
    """One text as this variant sees it.

    Attributes:
        words: its distinct words; one that is negated or left open is a word of its own, which ends in `chr(mode)`.
        weights, generic, counts, mass: of these words: see `WordFeatures`, how often each occurs, and weight times
            count, more for the subject.
        content: sum of the weights.
        sequence: the words of content in their order, as places among the distinct ones.
        rhythm: share of neighbouring words of which one is grammar and the other content.
    """

    def __init__(self, words: list[str], table: "EmbeddingTable") -> None:
        if any(meant := modes(words)):
            words = [word + chr(mode) * (mode > 0) for word, mode in zip(words, meant, strict=True)]
        self.words = list(dict.fromkeys(words))
        places = {word: place for place, word in enumerate(self.words)}
        sequence = np.fromiter(map(places.__getitem__, words), np.intp, len(words))
        known, rows = table.vocabulary.look_up(self.words)
        self.weights, self.generic, kinds = known.weights[rows], known.generic[rows], known.kinds[rows]
        self.counts = np.bincount(sequence)
        self.mass = self.weights * self.counts
        subjects = np.flatnonzero(kinds == SUBJECT)[:SUBJECT_WORDS]
        self.mass[subjects] *= 1 + SUBJECT_BONUS * SUBJECT_DECAY ** np.arange(len(subjects))
        self.content = float(self.weights.sum())
        grammar = kinds[sequence] == GRAMMAR
        self.sequence = sequence[~grammar]
        self.rhythm = float((grammar[1:] != grammar[:-1]).sum()) / max(1, len(words) - 1)


class _Matches(NamedTuple):
    """What n words of answers match of a reference with m distinct words and k words of content in order."""

    best: np.ndarray  # of each word, beyond chance, [n]
    partner: np.ndarray  # the word of the reference that this is with, [n]
    backward: np.ndarray  # what each is worth for the words of the reference, [n, m]
    in_order: np.ndarray  # how far each matches the words of content beyond chance, [n, k]


class _Reference(_Side):
    """A reference: the responses of one prompt share it, and many of the words that they match with it.

    Attributes:
        features: of its distinct words.
        matches: `_Matches` of the words of answers.
        neighbours: sum over its neighbouring words of content, see `_order_factor`.
    """

    def __init__(self, words: list[str], table: "EmbeddingTable") -> None:
        super().__init__(words, table)
        self.features = table.words(self.words)
        steps = range(1, min(NEIGHBOURS, len(self.sequence) - 1) + 1)
        weights = self.weights[self.sequence]
        self.neighbours = sum(float(weights[:-step] @ weights[step:]) / step for step in steps)

        def match(words: Sequence[str]) -> _Matches:
            theirs = table.words(words)
            similarity = word_similarity(theirs, self.features)
            similarity[theirs.modes[:, None] != self.features.modes] = 0.0
            forward = similarity * partner_value(theirs.weights, self.weights)
            partner = forward.argmax(axis=1)
            return _Matches(
                best=beyond_chance(forward[np.arange(len(words)), partner], theirs, self.content),
                partner=partner,
                backward=similarity * partner_value(self.weights, theirs.weights).T,
                in_order=beyond_chance(similarity[:, self.sequence], theirs, self.content),
            )

        self.matches = Remembered(match, REMEMBERED_NUMBERS // (len(self.words) + len(self.sequence)))


@lru_cache(REMEMBERED_REFERENCES)
def _read_reference(text: str, table: "EmbeddingTable", limit: int) -> _Reference | None:
    words = split_words(text, limit)
    return _Reference(words, table) if words else None


def _matched_share(best: np.ndarray, partner: np.ndarray, side: _Side, other: _Side) -> float:
    """Share of one text's content that is matched in the other, of the best match of each word and its partner."""
    paid = np.minimum(1, other.counts[partner] / side.counts)
    return float((side.mass * paid) @ best / side.mass.sum())


def _order_factor(matched: np.ndarray, ours: _Side, theirs: _Reference) -> float:
    """How far neighbouring words of content are matched by neighbours, in order: who does what, which colour is whose.

    For words i and i + q of the answer's content, q up to `NEIGHBOURS`, the best that two words p < p' <= p + q + SLACK
    of the reference do together is max min(m_ip, m_(i+q)p'); what they could do in any place is the smaller of their
    best matches. The factor is the ratio of both, summed with weights w_i w_(i+q) / q, to some power below 1.
    `matched` is m, [words of content of the answer, of the reference].
    """
    if not matched.size:
        return 1.0
    weights, best = ours.weights[ours.sequence], matched.max(axis=1)
    ahead, reach = np.zeros_like(matched), 0
    found = possible = 0.0
    for step in range(1, min(NEIGHBOURS, len(best) - 1) + 1):
        while reach < min(step + SLACK, matched.shape[1] - 1):
            reach += 1
            np.maximum(ahead[:, :-reach], matched[:, reach:], out=ahead[:, :-reach])
        pair = weights[:-step] * weights[step:] / step
        found += float(pair @ np.minimum(matched[:-step], ahead[step:]).max(axis=1))
        possible += float(pair @ np.minimum(best[:-step], best[step:]))
    whole, prior = theirs.neighbours, USUAL_ORDER * EVIDENCE
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
    share = side.generic
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
    np.maximum(similarity, STEM_SIMILARITY, out=similarity, where=left.stems[:, None] == right.stems)
    groups = left.groups[:, None]
    excluded = (groups >> 32 == right.groups >> 32) & (groups != right.groups)
    np.minimum(similarity, 0.0, out=similarity, where=excluded)
    similarity[left.names[:, None] == right.names] = 1.0
    return similarity


def partner_value(own_weights: np.ndarray, partner_weights: np.ndarray) -> np.ndarray:
    """What share of a word of weight w_a a partner of weight w_b can match, [n, m]."""
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


class Remembered:
    """What was computed for keys: a row for each in the arrays of a named tuple, forgotten when they become too many.

    Args:
        compute: the rows of some keys that are not known yet.
        capacity: of how many keys rows are kept, beside those that are asked for at once.
    """

    def __init__(self, compute: Callable[[Sequence[Any]], Any], capacity: int) -> None:
        self._compute, self._capacity, self._lock = compute, capacity, threading.Lock()
        self._places: dict[Hashable, int] = {}
        self._arrays: Any = compute([])

    def look_up(self, keys: Sequence[Hashable]) -> tuple[Any, np.ndarray]:
        """The arrays, and in which of their rows the keys are."""
        with self._lock:
            if not all(map(self._places.__contains__, keys)):
                self._learn(keys)
            return self._arrays, np.fromiter(map(self._places.__getitem__, keys), np.intp, len(keys))

    def _learn(self, keys: Sequence[Hashable]) -> None:
        new = [key for key in dict.fromkeys(keys) if key not in self._places]
        if len(self._places) + len(new) > self._capacity:
            self._places, new = {}, list(dict.fromkeys(keys))
        first, rows = len(self._places), len(self._places) + len(new)
        found = self._compute(new)
        if rows > len(self._arrays[0]) or not first:
            # What was handed out stays as it is.
            room = 2 * rows - first
            self._arrays = found._make(
                np.concatenate([old[:first], np.zeros((room, *old.shape[1:]), old.dtype)]) for old in self._arrays
            )
        for array, computed in zip(self._arrays, found, strict=True):
            array[first:rows] = computed
        self._places.update(zip(new, range(first, rows), strict=True))


class Vocabulary(Remembered):
    """Features of the words seen last, so that the tokenizer runs only for new words.

    Args:
        describe: vector of a word, and its rarity.
        background: vectors of everyday words.
    """

    def __init__(self, describe: Callable[[str], tuple[np.ndarray, float | None]], background: np.ndarray) -> None:
        self._describe_word = describe
        background = unit_rows(background)
        self._mean = background.mean(axis=0)
        self._second_moment = background.T @ background / len(background)
        captions = [self._describe(split_words(caption, 64)) for caption in GENERIC_CAPTIONS]
        self._captions = WordFeatures(*map(np.concatenate, zip(*captions, strict=True)))
        self._caption_starts = np.cumsum([0, *(len(caption.weights) for caption in captions[:-1])])
        self._caption_content = np.array([caption.weights.sum() for caption in captions])
        super().__init__(self._describe_fully, REMEMBERED_BYTES // (4 * len(self._mean)))

    def _describe_fully(self, words: Sequence[str]) -> WordFeatures:
        features = self._describe(words)
        similarity = word_similarity(features, self._captions)
        similarity *= partner_value(features.weights, self._captions.weights)
        best = np.maximum.reduceat(similarity, self._caption_starts, axis=1)
        return features._replace(generic=beyond_chance(best, features, self._caption_content).mean(axis=1))

    def _describe(self, words: Sequence[str]) -> WordFeatures:
        """All features but `generic`, which is 0."""
        names, words = words, [name.rstrip("\1\2") for name in words]
        vectors = np.zeros((len(words), len(self._mean)), np.float32)
        weights = np.zeros(len(words), np.float32)
        for place, word in enumerate(words):
            vector, rarity = self._describe_word(word)
            weights[place] = word_weight(word, rarity)
            # Negations are like each other only.
            if word not in NEGATIONS:
                vectors[place] = vector
        vectors = unit_rows(vectors)
        mean = vectors @ self._mean
        variance = np.einsum("ij,ij->i", vectors @ self._second_moment, vectors) - mean * mean
        kinds = [GRAMMAR if word in FUNCTION_WORDS else ATTRIBUTE if word in ATTRIBUTES else SUBJECT for word in words]
        return WordFeatures(
            vectors=vectors,
            weights=weights,
            chance_mean=mean,
            chance_spread=np.sqrt(np.maximum(variance, 0)),
            generic=np.zeros(len(words), np.float32),
            names=np.array([hash(name) for name in names], np.int64),
            stems=np.array([hash(stem(word)) for word in words], np.int64),
            groups=np.array([exclusive_group(word) for word in words], np.int64),
            kinds=np.array(kinds, np.int8),
            modes=np.array([ord(name[-1]) if name[-1] < "\3" else 0 for name in names], np.int8),
        )


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows divided by their length, float32; zero rows stay zero."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows, dtype=np.float32), where=lengths > 0)
