"""How well one text's words are matched by another's: what the open-ended default is built of."""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri

# All constants are ours, chosen on COCO and Multi30k captions (docs/rewards-open-ended.md).
# Similarity of two words of one stem, whatever the table says.
STEM_SIMILARITY = 0.9
# A match with a word of weight w_b counts for a word of weight w_a as min(1, w_b / w_a + this).
PARTNER_ALLOWANCE = 0.5
# A match counts by what it exceeds the chance similarity with this many spreads' worth of the other text's words.
CHANCE_FACTOR = 1.4
EPSILON = 1e-6


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


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Rows divided by their length, float32; zero rows stay zero."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows, dtype=np.float32), where=lengths > 0)
