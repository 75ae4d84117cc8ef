"""Frozen embeddings of tokens and words for the open-ended reward: of a model's input table, or hashed from letters."""

import hashlib
import threading
from collections import Counter, OrderedDict
from collections.abc import Hashable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mixed_r1_verl.rewards.similarity.checkpoint import (
    Forms,
    find_input_embeddings,
    load_tokenizer,
    prepared_table,
    resolve_model,
    to_float32_apart,
)
from mixed_r1_verl.rewards.similarity.robust import WordFeatures, WordMemory
from mixed_r1_verl.rewards.similarity.words import COMMONPLACE_WORDS, FUNCTION_WORDS, split_words, stem

Token = Hashable

DEFAULT_CACHE_DIR = "~/.cache/mixed_r1_verl"
# References whose embeddings a process keeps at hand: the responses of one prompt come one after another.
REMEMBERED_REFERENCES = 4
# Tokens whose cosines with one reference are kept.
REMEMBERED_TOKENS = 4_096

# --- hashed letters ---
HASHED_DIM = 256
NGRAM_LENGTHS = (2, 3, 4, 5)

# --- the words of a vocabulary ---
# Characters of a text that are given to the tokenizer for each token that is asked for.
CHARS_PER_TOKEN = 16
# Share of the vocabulary whose words count as common: a word of that rank has half of the rarity of a rare one.
COMMON_SHARE = 0.005
# Ranks of the words against which chance similarity is measured.
BACKGROUND_RANKS = range(0, 6_000, 4)
# How vocabularies mark the space before a word (byte-level BPE, SentencePiece).
SPACE_MARKS = "\u0120\u2581"
# Words of a vocabulary among which forms of one word are looked for, pairs of them, words that they are held against.
FORM_WORDS, FORM_PAIRS, FORM_NEIGHBOURS = 20_000, 1_500, 3_000
# The commonest English words. They locate the frequent end of a vocabulary that is sorted by frequency.
FREQUENCY_PROBES = tuple("the of and to in is for on with that by at from as it are".split())


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

    def __init__(self, source: "Source", loaded_from: tuple[str | None, str | None]) -> None:
        self._source = source
        self._loaded_from = loaded_from
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
        cache = Path(cache_dir or DEFAULT_CACHE_DIR).expanduser()
        source = HashedLetters() if model is None else ModelTable(resolve_model(model), cache)
        return EmbeddingTable(source, (model, cache_dir))

    def __reduce__(self) -> tuple[Any, tuple[str | None, str | None]]:
        return EmbeddingTable.load, self._loaded_from

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

        The vector of a word is the mean of its tokens' embeddings after the table was centred, rid of its largest
        directions and projected to the next ones (`checkpoint.prepare_reduced`).
        """
        return self._memory.look_up(words)


class _Reference:
    """The unit rows of a reference's distinct tokens, and their cosines with the tokens met so far."""

    def __init__(self, source: "Source", tokens: Sequence[Token]) -> None:
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


class ModelTable:
    """The input-embedding table of a checkpoint and its tokenizer."""

    def __init__(self, model_dir: Path, cache: Path) -> None:
        self._tensor = find_input_embeddings(model_dir)
        self._tokenizer = load_tokenizer(model_dir)
        unknown = getattr(self._tokenizer.model, "unk_token", None)
        self._unknown = self._tokenizer.token_to_id(unknown) if unknown else None
        self._cache = cache
        folder = prepared_table(self._tensor, "reduced", cache, self._find_forms)
        self._reduced = np.load(folder / "rows.npy", mmap_mode="r")
        self._first_rank = self._find_first_rank()

    @cached_property
    def _exact(self) -> tuple[np.ndarray, np.ndarray]:
        folder = prepared_table(self._tensor, "exact", self._cache)
        # Plain views of the mapped files: indexing a memmap costs several times as much.
        rows, inverse = (np.load(folder / name, mmap_mode="r") for name in ("rows.npy", "inverse_lengths.npy"))
        return rows.view(np.ndarray), inverse.view(np.ndarray)

    def tokens(self, text: str, limit: int) -> Sequence[Token]:
        cut = text[: limit * CHARS_PER_TOKEN]
        if not cut.isascii():
            cut = cut.encode("utf-8", "replace").decode("utf-8")
        # The form that does not keep character offsets.
        ids = self._tokenizer.encode_batch_fast([cut], add_special_tokens=False)[0].ids[:limit]
        return ids if max(ids, default=0) < self._tensor.rows else [i for i in ids if i < self._tensor.rows]

    def rows(self, tokens: Sequence[Token]) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings as stored, float32 [len(tokens), dim], and the inverse of their lengths, 0 for a row of zeros."""
        rows, inverse_lengths = self._exact
        ids = np.asarray(tokens, np.intp)
        return to_float32_apart(rows[ids]), inverse_lengths[ids]

    def describe(self, word: str) -> tuple[np.ndarray, float | None]:
        """Prepared embedding of a word, float32 [width], of any length, zero for one that the table does not know; and
        how rare it is, in [0, 1], None where the vocabulary does not say."""
        ids, entries = self._word_ids(word), self._tensor.rows
        vector = self._reduced[ids].astype(np.float32).mean(axis=0) if ids else np.zeros(self._reduced.shape[1], "f4")
        if self._first_rank is None:
            return vector, None
        # A word of several pieces is rarer than any piece.
        rank = max(0, ids[0] - self._first_rank) if len(ids) == 1 else entries
        return vector, rank / (rank + COMMON_SHARE * entries)

    def background(self) -> np.ndarray:
        """Prepared embeddings of everyday words, float32 [many, width]."""
        first = self._first_rank or 0
        ids = [first + rank for rank in BACKGROUND_RANKS if first + rank < self._tensor.rows]
        return self._reduced[ids].astype(np.float32)

    def _word_ids(self, word: str) -> list[int]:
        # Vocabularies hold the words of running text with the space before them (GPT-2, Qwen: " dog") or add that mark
        # themselves (BERT, SentencePiece); the form of fewer pieces is the one that the vocabulary means. The unknown
        # token would make all words that the vocabulary lacks the same word.
        rows, readable = self._tensor.rows, word.encode("utf-8", "replace").decode("utf-8")
        spaced, bare = (
            [i for i in self._tokenizer.encode(form, add_special_tokens=False).ids if i < rows and i != self._unknown]
            for form in (" " + readable, readable)
        )
        return spaced if len(spaced) <= len(bare) else bare

    def _find_forms(self) -> Forms:
        """Forms of one word among the whole words of the vocabulary, by their stems, and some of its words."""
        entries = sorted((row, entry) for entry, row in self._tokenizer.get_vocab().items() if row < self._tensor.rows)
        spaced = [(row, entry[1:]) for row, entry in entries if entry[0] in SPACE_MARKS]
        # Without marks of spaces, it is the pieces inside of words that are marked.
        entries = spaced if len(spaced) > len(entries) / 20 else entries
        whole = [(row, word) for row, word in entries if word.isascii() and word.isalpha() and word.islower()]
        by_stem: dict[str, list[int]] = {}
        for row, word in whole[:FORM_WORDS]:
            if len(word) > 3 and word not in FUNCTION_WORDS:
                by_stem.setdefault(stem(word), []).append(row)
        pairs = [rows[:2] for rows in by_stem.values() if len(rows) > 1][:FORM_PAIRS]
        step = max(1, len(whole[:FORM_WORDS]) // FORM_NEIGHBOURS)
        return np.array(pairs, np.intp).reshape(-1, 2), np.array([row for row, _ in whole[:FORM_WORDS:step]], np.intp)

    def _find_first_rank(self) -> int | None:
        """Id of the commonest word, if the vocabulary is sorted by frequency, as those of BPE and WordPiece are."""
        found = [ids[0] for ids in map(self._word_ids, FREQUENCY_PROBES) if len(ids) == 1]
        if len(found) < len(FREQUENCY_PROBES) / 2 or np.median(found) > 0.1 * self._tensor.rows:
            return None
        return min(found)


class HashedLetters:
    """Vectors of words made of their letters: each character n-gram of `<word>` adds a random sign vector.

    Words that share a stem are near, all others are near-orthogonal; there is no knowledge of meaning. The vectors
    depend on the word alone, on every machine and in every run. Tokens are words.
    """

    def tokens(self, text: str, limit: int) -> Sequence[Token]:
        return split_words(text, limit)

    def rows(self, tokens: Sequence[Token]) -> tuple[np.ndarray, np.ndarray]:
        rows = np.array([self._vector(str(token)) for token in tokens], np.float32).reshape(-1, HASHED_DIM)
        lengths = np.linalg.norm(rows, axis=1)
        return rows, np.divide(1, lengths, out=np.zeros_like(lengths), where=lengths > 0)

    def describe(self, word: str) -> tuple[np.ndarray, None]:
        return self._vector(word), None

    def background(self) -> np.ndarray:
        return np.stack([self._vector(word) for word in sorted(COMMONPLACE_WORDS)])

    def _vector(self, word: str) -> np.ndarray:
        marked = f"<{word}>"
        grams = {marked[i : i + n] for n in NGRAM_LENGTHS for i in range(len(marked) - n + 1)} | {marked}
        # sorted: float addition must not depend on the order of a set.
        return np.stack([_sign_vector(gram) for gram in sorted(grams)]).sum(axis=0)


def _sign_vector(gram: str) -> np.ndarray:
    bits = hashlib.blake2b(gram.encode("utf-8", "surrogatepass"), digest_size=HASHED_DIM // 8).digest()
    return np.unpackbits(np.frombuffer(bits, np.uint8)).astype(np.float32) * 2 - 1


# Where vectors come from.
Source = ModelTable | HashedLetters
