"""Frozen token embeddings for the open-ended reward: of a model's input table, or hashed from letters."""

import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from mixed_r1_verl.rewards.similarity.embedding_source import EmbeddingSource, Token
from mixed_r1_verl.rewards.similarity.hashed_letters import HashedLetters
from mixed_r1_verl.rewards.similarity.model_table import ModelTable, resolve_model
from mixed_r1_verl.rewards.similarity.table_cache import DEFAULT_CACHE_DIR
from mixed_r1_verl.rewards.similarity.word_matching import WordFeatures
from mixed_r1_verl.rewards.similarity.word_memory import WordMemory

# References whose embeddings a process keeps at hand: the responses of one prompt come one after another.
REMEMBERED_REFERENCES = 4
# Tokens whose cosines with one reference are kept.
REMEMBERED_TOKENS = 4_096


class EmbeddingTable:
    """Vectors of tokens and of words, frozen, shared by all processes of a machine.

    The rows of a model's table are read from memory-mapped files; what a process owns itself is the memory of recent
    words (at most 32 MiB) and the tokenizer. The object can be pickled: the other process maps the same files.

    Example:
        >>> table = EmbeddingTable.load(None)
        >>> table.tokens("A dog, a cat", 8)
        ['a', 'dog', 'a', 'cat']
        >>> table.unit_rows(["dog"]).shape
        (1, 256)
        >>> sleeping, sleeps = table.words(["sleeping", "sleeps"]).vectors
        >>> round(float(sleeping @ sleeps), 1)
        0.6
    """

    def __init__(self, source: EmbeddingSource, recreate: "Callable[[], EmbeddingTable]") -> None:
        self._source = source
        self._recreate = recreate
        self._memory = WordMemory(source)
        self._references: OrderedDict[tuple[str, int], _Reference] = OrderedDict()
        self._lock = threading.Lock()

    @staticmethod
    def load(model: str | None, cache_dir: str | None = None) -> "EmbeddingTable":
        """Opens the table of a model, and prepares it first where this machine has not done so yet.

        Args:
            model: directory of a Hugging Face model with safetensors weights, or the hub id of one that is in the
                local Hugging Face cache; None is the built-in table of hashed character n-grams, which needs no file.
            cache_dir: where prepared tables are kept; None is `~/.cache/mixed_r1_verl`.

        Raises:
            FileNotFoundError: no such model on this machine, or it has no tokenizer.
            CheckpointError: the model's weights hold no table that can be read.
            CacheError: the prepared table cannot be written.
        """
        recreate = partial(EmbeddingTable.load, model, cache_dir)
        if model is None:
            return EmbeddingTable(HashedLetters(), recreate)
        cache = Path(cache_dir or DEFAULT_CACHE_DIR).expanduser()
        return EmbeddingTable(ModelTable(resolve_model(model), cache), recreate)

    def __reduce__(self) -> tuple[Callable[[], "EmbeddingTable"], tuple[()]]:
        return self._recreate, ()

    def tokens(self, text: str, limit: int) -> Sequence[Token]:
        """At most `limit` tokens of a text, without special tokens around them; cost is bounded by `limit`."""
        return self._source.tokens(text, limit)

    def unit_rows(self, tokens: Sequence[Token]) -> np.ndarray:
        """Embeddings of tokens divided by their length, float32 [len(tokens), dim]; zero rows stay zero."""
        rows, inverse_lengths = self._source.rows(tokens)
        return rows * inverse_lengths[:, None]

    def cosines(self, tokens: Sequence[Token], reference: str, limit: int) -> tuple[np.ndarray, np.ndarray]:
        """Cosines of n distinct tokens with the m distinct tokens of a reference, float32 [n, m], and the share that
        each of those m has in the reference's tokens, float32 [m].

        The responses of a group share their reference and many of their tokens: what was computed for the last
        references is remembered.
        """
        with self._lock:
            known = self._references.pop((reference, limit), None)
            if known is None:
                known = _Reference(self._source, self._source.tokens(reference, limit))
            cosines = known.cosines(tokens)
            self._references[reference, limit] = known
            if len(self._references) > REMEMBERED_REFERENCES:
                self._references.popitem(last=False)
            return cosines, known.weights

    def words(self, words: Sequence[str]) -> WordFeatures:
        """Vectors and properties of words.

        The vector of a word is the mean of its tokens' embeddings after the table was centred, rid of its
        `REMOVED_DIRECTIONS` largest directions and projected to the next `KEPT_DIRECTIONS`.
        """
        return self._memory.look_up(words)


class _Reference:
    """The unit rows of a reference's distinct tokens, and their cosines with the tokens met so far."""

    def __init__(self, source: EmbeddingSource, tokens: Sequence[Token]) -> None:
        counted = Counter(tokens)
        self._source = source
        self.weights = np.fromiter(counted.values(), np.float32, len(counted)) / max(1, len(tokens))
        rows, inverse_lengths = source.rows(list(counted))
        self._tokens = list(counted)
        rows *= inverse_lengths[:, None]
        self._unit_rows = rows
        self._remember_own()

    def _remember_own(self) -> None:
        # The product of a matrix with itself costs half of any other.
        self._places = {token: place for place, token in enumerate(self._tokens)}
        self._cosines = self._unit_rows @ self._unit_rows.T

    def cosines(self, tokens: Sequence[Token]) -> np.ndarray:
        if len(self._places) > REMEMBERED_TOKENS:
            self._remember_own()
        known = len(self._places)
        places = [self._places.setdefault(token, len(self._places)) for token in tokens]
        new = list(self._places)[known:]
        if new:
            rows, inverse_lengths = self._source.rows(new)
            # The few new rows stand on the right: the product takes three quarters of the time that it takes the other
            # way round. It is divided by their lengths, not the rows themselves, which are wider.
            cosines = (self._unit_rows @ rows.T) * inverse_lengths
            self._cosines = np.concatenate([self._cosines, cosines.T])
        return self._cosines.take(places, axis=0)
