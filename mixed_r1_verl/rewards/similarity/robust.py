"""The open-ended reward's default: word matching in both directions that cannot be gamed cheaply.

All constants are ours, chosen on COCO and Multi30k captions (docs/rewards-open-ended.md).
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from mixed_r1_verl.rewards.similarity.remembered import Remembered
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
SUBJECT_FACTORS = 1 + SUBJECT_BONUS * SUBJECT_DECAY ** np.arange(SUBJECT_WORDS)
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
    """What is known of n words, in arrays."""

    vectors: np.ndarray  # unit vectors, float32 [n, width]; zero for a word that the table does not know
    weights: np.ndarray  # how much each word says, float32 [n], in (0, 1]
    # chance_mean, chance_spread: mean and standard deviation of the word's cosine with everyday words, float32 [n]
    chance_mean: np.ndarray
    chance_spread: np.ndarray
    generic: np.ndarray  # share of the word that a generic caption matches on average, float32 [n], in [0, 1]
    names: np.ndarray  # int64 [n], equal for equal words
    stems: np.ndarray  # int64 [n], equal for words of one stem
    groups: np.ndarray  # int64 [n], see `words.exclusive_group`
    kinds: np.ndarray  # int8 [n], `GRAMMAR`, `ATTRIBUTE` or, what may be the subject of a caption, `SUBJECT`
    modes: np.ndarray  # int8 [n], see `words.modes`


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
    ours = _Side(words, theirs.matches)
    matches, rows = ours.known, ours.rows
    precision = _matched_share(matches.best[rows], theirs.counts[matches.partner[rows]], ours)
    backward = matches.backward[rows]
    best = beyond_chance(backward.max(axis=0), theirs.features, ours.content)
    # Of the partners of its words the counts matter only where a word is repeated.
    counts, repeated = theirs.counts.copy(), theirs.repeated
    counts[repeated] = ours.counts[backward[:, repeated].argmax(axis=0)]
    recall = _matched_share(best, counts, theirs)
    # What was cut off was not matched either.
    precision *= min(1.0, limit * CHARS_PER_WORD / max(1, len(answer)))
    if precision <= EPSILON or recall <= EPSILON:
        return 0.0
    matched = ((1 - RECALL_SHARE) * precision**MEAN_EXPONENT + RECALL_SHARE * recall**MEAN_EXPONENT) ** (
        1 / MEAN_EXPONENT
    )
    matched *= _order_factor(ours, theirs) * _rhythm_factor(ours, theirs)
    return beyond_generic(matched, (_generic_share(ours, theirs) + _generic_share(theirs, ours)) / 2)


class _Side:
    """One text as this variant sees it.

    Attributes:
        words: its distinct words; one that is negated or left open is a word of its own, which ends in `chr(mode)`.
        known, rows: what is remembered of words, with `weights`, `generic` and `kinds` as in `WordFeatures`, and in
            which rows of it these are.
        weights, generic, counts, mass: of these words: see `WordFeatures`, how often each occurs, and weight times
            count, more for the subject.
        content, total: sums of the weights and of the masses.
        sequence: the words of content in their order, as places among the distinct ones.
        rhythm: share of neighbouring words of which one is grammar and the other content.
    """

    def __init__(self, words: list[str], memory: Remembered) -> None:
        if any(meant := modes(words)):
            words = [word + chr(mode) * (mode > 0) for word, mode in zip(words, meant, strict=True)]
        places: dict[str, int] = {}
        sequence = np.array([places.setdefault(word, len(places)) for word in words])
        self.words = list(places)
        self.known, self.rows = memory.look_up(self.words)
        self.weights, self.generic = self.known.weights[self.rows], self.known.generic[self.rows]
        kinds = self.known.kinds[self.rows]
        self.counts = np.bincount(sequence)
        self.mass = self.weights * self.counts
        subjects = (kinds == SUBJECT).nonzero()[0][:SUBJECT_WORDS]
        self.mass[subjects] *= SUBJECT_FACTORS[: len(subjects)]
        self.content, self.total = float(self.weights.sum()), float(self.mass.sum())
        grammar = (kinds == GRAMMAR)[sequence]
        self.sequence = sequence[~grammar]
        self.rhythm = np.count_nonzero(grammar[1:] != grammar[:-1]) / max(1, len(words) - 1)


class _Matches(NamedTuple):
    """What n words of answers match of a reference with m distinct words and k words of content in order."""

    best: np.ndarray  # of each word, beyond chance, [n]
    partner: np.ndarray  # the word of the reference that this is with, [n]
    backward: np.ndarray  # what each is worth for the words of the reference, [n, m]
    in_order: np.ndarray  # how far each matches the words of content beyond chance, [n, k]
    best_in_order: np.ndarray  # the largest of these, [n]
    weights: np.ndarray  # as in `WordFeatures`
    generic: np.ndarray
    kinds: np.ndarray


class _Reference(_Side):
    """A reference: the responses of one prompt share it, and many of the words that they match with it.

    Attributes:
        features: of its distinct words.
        repeated: those that occur more than once.
        matches: `_Matches` of the words of answers.
        neighbours: sum over its neighbouring words of content, see `_order_factor`.
    """

    def __init__(self, words: list[str], table: "EmbeddingTable") -> None:
        super().__init__(words, table.vocabulary)
        self.features = table.words(self.words)
        self.repeated = (self.counts > 1).nonzero()[0]
        steps = range(1, min(NEIGHBOURS, len(self.sequence) - 1) + 1)
        weights = self.weights[self.sequence]
        self.neighbours = sum(float(weights[:-step] @ weights[step:]) / step for step in steps)

        def match(words: Sequence[str]) -> _Matches:
            theirs = table.words(words)
            similarity = word_similarity(theirs, self.features)
            if theirs.modes.any() or self.features.modes.any():
                similarity[theirs.modes[:, None] != self.features.modes] = 0.0
            forward = similarity * partner_value(theirs.weights, self.weights)
            partner = forward.argmax(axis=1)
            in_order = beyond_chance(similarity[:, self.sequence], theirs, self.content)
            return _Matches(
                best=beyond_chance(forward[np.arange(len(words)), partner], theirs, self.content),
                partner=partner,
                backward=similarity * partner_value(self.weights, theirs.weights).T,
                in_order=in_order,
                best_in_order=in_order.max(axis=1, initial=0.0),
                weights=theirs.weights,
                generic=theirs.generic,
                kinds=theirs.kinds,
            )

        self.matches = Remembered(match, REMEMBERED_NUMBERS // (len(self.words) + len(self.sequence)))


@lru_cache(REMEMBERED_REFERENCES)
def _read_reference(text: str, table: "EmbeddingTable", limit: int) -> _Reference | None:
    words = split_words(text, limit)
    return _Reference(words, table) if words else None


def _matched_share(best: np.ndarray, partner_counts: np.ndarray, side: _Side) -> float:
    """Share of one text's content that is matched in the other: the best match of each word, and how often the word
    occurs that it is with."""
    return float((side.mass * np.minimum(1, partner_counts / side.counts)) @ best) / side.total


def _order_factor(ours: _Side, theirs: _Reference) -> float:
    """How far neighbouring words of content are matched by neighbours, in order: who does what, which colour is whose.

    For words i and i + q of the answer's content, q up to `NEIGHBOURS`, the best that two words p < p' <= p + q + SLACK
    of the reference do together is max min(m_ip, m_(i+q)p'); what they could do in any place is the smaller of their
    best matches. The factor is the ratio of both, summed with weights w_i w_(i+q) / q, to some power below 1.
    """
    rows = ours.rows[ours.sequence]
    matched, best = ours.known.in_order[rows], ours.known.best_in_order[rows]
    if not matched.size:
        return 1.0
    weights = ours.weights[ours.sequence]
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
    return float(side.mass @ share) / side.total


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
    # Few pairs are of one stem, and few words exclude others.
    own, other = (left.stems[:, None] == right.stems).nonzero()
    same = left.names[own] == right.names[other]
    similarity[own, other] = np.maximum(similarity[own, other], STEM_SIMILARITY)
    grouped, others = (left.groups >= 0).nonzero()[0], (right.groups >= 0).nonzero()[0]
    if len(grouped) and len(others):
        places, groups, theirs = np.ix_(grouped, others), left.groups[grouped, None], right.groups[others]
        excluded = (groups >> 32 == theirs >> 32) & (groups != theirs)
        similarity[places] = np.where(excluded, np.minimum(similarity[places], 0.0), similarity[places])
    similarity[own[same], other[same]] = 1.0
    return similarity


def partner_value(own_weights: np.ndarray, partner_weights: np.ndarray) -> np.ndarray:
    """What share of a word of weight w_a a partner of weight w_b can match, [n, m]."""
    return np.minimum(1.0, partner_weights[None, :] / own_weights[:, None] + PARTNER_ALLOWANCE)


def beyond_chance(best: np.ndarray, features: WordFeatures, content: float) -> np.ndarray:
    """What similarities of n words, [n] or [n, k], exceed chance by, in [0, 1].

    Among many words something always looks similar: a word's chance similarity is the best cosine that it reaches with
    as many everyday words as the other text has `content` (sum of its distinct words' weights).
    """
    chance = features.chance_mean + np.float32(CHANCE_FACTOR * expected_maximum(content)) * features.chance_spread
    room = np.maximum(1.0 - chance, EPSILON)
    if best.ndim == 2:
        chance, room = chance[:, None], room[:, None]
    return np.minimum(np.maximum((best - chance) / room, 0.0), 1.0)


def expected_maximum(count: float) -> float:
    """Expected largest of `count` standard normal numbers (Blom's approximation); 0 below two."""
    return NormalDist().inv_cdf((count - 0.375) / (count + 0.25)) if count > 1 else 0.0


# --- what is known of words -------------------------------------------------------------------------------------------


class Vocabulary(Remembered):
    """Features of the words seen last, so that the tokenizer runs only for new words.

    `describe` gives the vector of a word, and its rarity; `background` are vectors of everyday words.
    """

    def __init__(self, describe: Callable[[str], tuple[np.ndarray, float | None]], background: np.ndarray) -> None:
        self._describe_word = describe
        background = unit_rows(background)
        self._mean = background.mean(axis=0)
        self._second_moment = background.T @ background / len(background)
        captions = [self._describe(split_words(caption, 64)) for caption in GENERIC_CAPTIONS]
        self._captions = WordFeatures(*map(np.concatenate, zip(*captions, strict=True)))
        self._caption_starts = np.cumsum([0, *(len(caption.weights) for caption in captions[:-1])])
        self._caption_content = [float(caption.weights.sum()) for caption in captions]
        super().__init__(self._describe_fully, REMEMBERED_BYTES // (4 * len(self._mean)))

    def _describe_fully(self, words: Sequence[str]) -> WordFeatures:
        features = self._describe(words)
        similarity = word_similarity(features, self._captions)
        similarity *= partner_value(features.weights, self._captions.weights)
        best = np.maximum.reduceat(similarity, self._caption_starts, axis=1)
        by_caption = zip(best.T, self._caption_content, strict=True)
        beyond = [beyond_chance(column, features, content) for column, content in by_caption]
        return features._replace(generic=np.mean(beyond, axis=0))

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
