"""What the open-ended reward needs of a source of embeddings."""

from collections.abc import Hashable, Sequence
from typing import Protocol

import numpy as np

Token = Hashable


class EmbeddingSource(Protocol):
    """Where vectors come from."""

    def tokens(self, text: str, limit: int) -> Sequence[Token]:
        """At most `limit` tokens of a text."""

    def rows(self, tokens: Sequence[Token]) -> tuple[np.ndarray, np.ndarray]:
        """Exact embeddings of tokens, float32 [len(tokens), dim], and the inverse of their lengths, float32
        [len(tokens)], 0 for a row of zeros."""

    def word_vector(self, word: str) -> np.ndarray:
        """Prepared embedding of a word, float32 [width], of any length; zero when the source knows nothing of it."""

    def word_rarity(self, word: str) -> float | None:
        """How rare a word is, in [0, 1]; None when the source does not know."""

    def background(self) -> np.ndarray:
        """Prepared embeddings of everyday words, float32 [many, width]."""
