"""Word vectors made of letters, for the open-ended reward without a model."""

import hashlib
from collections.abc import Sequence

import numpy as np

from mixed_r1_verl.rewards.similarity.embedding_source import Token
from mixed_r1_verl.rewards.similarity.words import COMMONPLACE_WORDS, split_words

HASHED_DIM = 256
NGRAM_LENGTHS = (2, 3, 4, 5)


class HashedLetters:
    """Vectors of words made of their letters: each character n-gram of `<word>` adds a random sign vector.

    Words that share a stem are near, all others are near-orthogonal; there is no knowledge of meaning. The vectors
    depend on the word alone, on every machine and in every run. Tokens are words.
    """

    def tokens(self, text: str, limit: int) -> Sequence[Token]:
        return split_words(text, limit)

    def rows(self, tokens: Sequence[Token]) -> tuple[np.ndarray, np.ndarray]:
        rows = np.zeros((len(tokens), HASHED_DIM), np.float32)
        for row, token in zip(rows, tokens, strict=True):
            row[:] = self.word_vector(str(token))
        lengths = np.linalg.norm(rows, axis=1)
        return rows, np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)

    def word_vector(self, word: str) -> np.ndarray:
        marked = f"<{word}>"
        grams = {marked[i : i + n] for n in NGRAM_LENGTHS for i in range(len(marked) - n + 1)} | {marked}
        # sorted: float addition must not depend on the order of a set.
        return np.stack([_sign_vector(gram) for gram in sorted(grams)]).sum(axis=0)

    def word_rarity(self, word: str) -> float | None:
        return None

    def background(self) -> np.ndarray:
        return np.stack([self.word_vector(word) for word in sorted(COMMONPLACE_WORDS)])


def _sign_vector(gram: str) -> np.ndarray:
    bits = hashlib.blake2b(gram.encode("utf-8", "surrogatepass"), digest_size=HASHED_DIM // 8).digest()
    return np.unpackbits(np.frombuffer(bits, np.uint8)).astype(np.float32) * 2 - 1
