"""Features of the words that a process has seen last."""

import threading
from collections.abc import Sequence

import numpy as np

from mixed_r1_verl.rewards.similarity.embedding_source import EmbeddingSource
from mixed_r1_verl.rewards.similarity.word_matching import (
    WordFeatures,
    beyond_chance,
    partner_value,
    unit_rows,
    word_similarity,
)
from mixed_r1_verl.rewards.similarity.words import GENERIC_CAPTIONS, exclusive_groups, split_words, stem, word_weight

# Words whose features a process keeps at hand: 32,768 x 256 x 4 bytes = 32 MiB at most.
REMEMBERED_WORDS = 32_768


class WordMemory:
    """Features of the words seen last, so that the tokenizer runs only for new words.

    Args:
        source: where vectors and rarities come from.
    """

    def __init__(self, source: EmbeddingSource) -> None:
        self._source = source
        self._lock = threading.Lock()
        background = unit_rows(source.background())
        self._mean = background.mean(axis=0)
        self._second_moment = background.T @ background / len(background)
        self._captions = _Captions([self._describe(split_words(caption, 64)) for caption in GENERIC_CAPTIONS])
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
        features.generic[:] = self._captions.share_matched(features)
        first = len(self._places)
        while first + len(new) > len(self._features.weights):
            self._features = WordFeatures(*(_grown(array, 2 * len(array)) for array in self._features))
        for array, rows in zip(self._features, features, strict=True):
            array[first : first + len(new)] = rows
        self._places.update(zip(new, range(first, first + len(new)), strict=True))

    def _describe(self, words: Sequence[str]) -> WordFeatures:
        """All features but `generic`, which is 0."""
        width = len(self._mean)
        vectors = np.zeros((len(words), width), np.float32)
        for place, word in enumerate(words):
            vectors[place] = self._source.word_vector(word)
        vectors = unit_rows(vectors)
        mean = vectors @ self._mean
        variance = np.einsum("ij,ij->i", vectors @ self._second_moment, vectors) - mean * mean
        groups = [exclusive_groups(word) for word in words]
        return WordFeatures(
            vectors=vectors,
            weights=np.array([word_weight(word, self._source.word_rarity(word)) for word in words], np.float32),
            chance_mean=mean,
            chance_spread=np.sqrt(np.maximum(variance, 0)),
            generic=np.zeros(len(words), np.float32),
            names=np.array([hash(word) for word in words], np.int64),
            stems=np.array([hash(stem(word)) for word in words], np.int64),
            groups=np.array(groups, np.int8).reshape(len(words), 2),
        )


class _Captions:
    """Generic captions, one after another, against which words are held."""

    def __init__(self, captions: Sequence[WordFeatures]) -> None:
        self._words = WordFeatures(*map(np.concatenate, zip(*captions, strict=True)))
        self._starts = np.cumsum([0, *(len(caption.weights) for caption in captions[:-1])])
        self._content = np.array([caption.weights.sum() for caption in captions])

    def share_matched(self, words: WordFeatures) -> np.ndarray:
        """Mean over the captions of what each matches of a word, float [n]."""
        if not len(words.weights):
            return words.generic
        similarity = word_similarity(words, self._words) * partner_value(words.weights, self._words.weights)
        best = np.maximum.reduceat(similarity, self._starts, axis=1)
        return beyond_chance(best, words, self._content).mean(axis=1)


def _grown(array: np.ndarray, rows: int) -> np.ndarray:
    return np.concatenate([array, np.zeros((rows - len(array), *array.shape[1:]), array.dtype)])
