"""Frozen embeddings of tokens and words for the open-ended reward: of a model's input table, or hashed from letters.

A model's table is prepared once for a machine, into files that all its processes map.
"""

import hashlib
import json
import os
from collections.abc import Callable, Hashable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from mixed_r1_verl.core.code import code_digest
from mixed_r1_verl.core.files import lock, sha256_of, write_text
from mixed_r1_verl.rewards.similarity.checkpoint import (
    TensorOnDisk,
    find_input_embeddings,
    load_tokenizer,
    resolve_model,
    to_float32,
)
from mixed_r1_verl.rewards.similarity.robust import Vocabulary, WordFeatures
from mixed_r1_verl.rewards.similarity.words import COMMONPLACE_WORDS, FUNCTION_WORDS, split_words, stem

Token = Hashable

DEFAULT_CACHE_DIR = "~/.cache/mixed_r1_verl"

# --- hashed letters ---
HASHED_DIM = 256
NGRAM_LENGTHS = (2, 3, 4, 5)

# --- preparation; all values are ours ---
# Directions of largest variance that are removed: they carry frequency and script, not meaning (all-but-the-top,
# Mu & Viswanath, arXiv 1702.01417).
REMOVED_DIRECTIONS = 3
# How the next directions are used: how many at most, and by which power of their spread they are divided. A table that
# was trained for meaning keeps it in few directions; a language model's keeps it in many that are small (whitening).
SPECTRA = ((100, 0.0), (640, 0.5), (640, 1.0))
# What decides is the table itself: forms of one word ("jump", "jumping") must be each other's neighbours.
LEAST_FORMS = 100
NEIGHBOUR_RANK = 0.001
ROUNDING = 1e-5
# Words of a vocabulary among which forms of one word are looked for, pairs of them, words that they are held against.
FORM_WORDS, FORM_PAIRS, FORM_NEIGHBOURS = 20_000, 1_500, 3_000
# Rows from which mean and directions are estimated: the frequent end of a vocabulary that is sorted by frequency,
# after its special tokens, single bytes and letters. A smaller table is read whole.
SAMPLED_ROWS = slice(1_000, 33_768)

# --- the words of a vocabulary ---
# Characters of a text that are given to the tokenizer for each token that is asked for.
CHARS_PER_TOKEN = 16
# Share of the vocabulary whose words count as common: a word of that rank has half of the rarity of a rare one.
COMMON_SHARE = 0.005
# Ranks of the words against which chance similarity is measured.
BACKGROUND_RANKS = range(0, 6_000, 4)
# How vocabularies mark the space before a word (byte-level BPE, SentencePiece).
SPACE_MARKS = "\u0120\u2581"
# The commonest English words. They locate the frequent end of a vocabulary that is sorted by frequency.
FREQUENCY_PROBES = tuple("the of and to in is for on with that by at from as it are".split())


class CacheError(RuntimeError):
    """The cache directory cannot be used."""


class EmbeddingTable:
    """Vectors of tokens and of words, frozen, shared by all processes of a machine.

    The rows of a model's table are read from memory-mapped files; what a process owns itself is the memory of recent
    words (at most 32 MiB) and the tokenizer. The object can be pickled: the other process maps the same files.

    >>> table = EmbeddingTable.load(None)
    >>> table.tokens("A dog, a cat", 8)
    ['a', 'dog', 'a', 'cat']
    >>> table.unit_rows(["dog"]).shape
    (1, 256)
    >>> sleeping, sleeps = table.words(["sleeping", "sleeps"]).vectors
    >>> round(float(sleeping @ sleeps), 1)
    0.6
    """

    loaded_from: tuple[str | None, str | None] = (None, None)

    @staticmethod
    def load(model: str | None, cache_dir: str | None = None) -> "EmbeddingTable":
        """Opens the table of a model, and prepares it first where this machine has not done so yet.

        Args:
            model: directory or hub id of a Hugging Face model with safetensors weights, see `resolve_model`; None is
                the built-in table of hashed character n-grams, which needs no file.
            cache_dir: where prepared tables are kept; None is `~/.cache/mixed_r1_verl`.

        Raises:
            FileNotFoundError: no such model, or it has no tokenizer.
            CheckpointError: the model's weights hold no table that can be read.
            CacheError: the prepared table cannot be written.
        """
        cache = Path(cache_dir or DEFAULT_CACHE_DIR).expanduser()
        table = HashedLetters() if model is None else ModelTable(resolve_model(model), cache)
        table.loaded_from = (model, cache_dir)
        return table

    def __reduce__(self) -> tuple[Any, tuple[str | None, str | None]]:
        return EmbeddingTable.load, self.loaded_from

    def tokens(self, text: str, limit: int) -> Sequence[Token]:
        """At most `limit` tokens of a text, without special tokens around them; cost is bounded by `limit`."""
        raise NotImplementedError

    def rows(self, tokens: Sequence[Token]) -> tuple[np.ndarray, np.ndarray]:
        """Embeddings of tokens, float32 [n, dim], and the inverse of their lengths [n], 0 for a row of zeros."""
        raise NotImplementedError

    def describe(self, word: str) -> tuple[np.ndarray, float | None]:
        """Prepared embedding of a word, float32 [width], of any length, zero for one that the table does not know; and
        how rare it is, in [0, 1], None where the vocabulary does not say."""
        raise NotImplementedError

    def background(self) -> np.ndarray:
        """Prepared embeddings of everyday words, float32 [many, width]."""
        raise NotImplementedError

    def unit_rows(self, tokens: Sequence[Token]) -> np.ndarray:
        """Embeddings of tokens divided by their length, float32 [n, dim]; zero rows stay zero."""
        rows, inverse_lengths = self.rows(tokens)
        return rows * inverse_lengths[:, None]

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """What is known of the words met so far."""
        return Vocabulary(self.describe, self.background())

    def words(self, words: Sequence[str]) -> WordFeatures:
        """Vectors and properties of n words.

        The vector of a word is the mean of its tokens' embeddings after the table was centred, rid of its largest
        directions and projected to the next ones.
        """
        features, places = self.vocabulary.look_up(words)
        return WordFeatures(*(array[places] for array in features))


def with_inverse_lengths(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The rows, damaged ones set to zero, and the inverse of their lengths, 0 for a row of zeros."""
    squares = np.einsum("ij,ij->i", rows, rows)
    good = (squares > 0) & (squares < np.inf)
    if not good.all():
        rows[~good] = 0
    return rows, np.divide(1, np.sqrt(squares), out=np.zeros_like(squares), where=good)


class ModelTable(EmbeddingTable):
    """The input-embedding table of a checkpoint and its tokenizer."""

    def __init__(self, model_dir: Path, cache: Path) -> None:
        self._tensor = find_input_embeddings(model_dir)
        self._tokenizer = load_tokenizer(model_dir)
        unknown = getattr(self._tokenizer.model, "unk_token", None)
        self._unknown = self._tokenizer.token_to_id(unknown) if unknown else None
        self._cache = cache
        self._inverse_lengths = np.zeros(self._tensor.rows, np.float32)  # of rows that were looked up
        self._reduced = prepared(
            self._tensor, "reduced", cache, lambda path: prepare(self._tensor, path, self._forms())
        )
        self._first_rank = self._find_first_rank()

    @cached_property
    def _exact(self) -> np.ndarray:
        return prepared(self._tensor, "exact", self._cache, partial(copy_rows, self._tensor))

    def tokens(self, text: str, limit: int) -> Sequence[Token]:
        cut = text[: limit * CHARS_PER_TOKEN]
        if not cut.isascii():
            cut = cut.encode("utf-8", "replace").decode("utf-8")
        # The form that does not keep character offsets.
        ids = self._tokenizer.encode_batch_fast([cut], add_special_tokens=False)[0].ids[:limit]
        return ids if max(ids, default=0) < self._tensor.rows else [i for i in ids if i < self._tensor.rows]

    def rows(self, tokens: Sequence[Token]) -> tuple[np.ndarray, np.ndarray]:
        ids = np.asarray(tokens, np.intp)
        rows, inverse_lengths = to_float32(self._exact[ids]), self._inverse_lengths[ids]
        if not inverse_lengths.all():
            rows, inverse_lengths = with_inverse_lengths(rows)
            self._inverse_lengths[ids] = inverse_lengths
        return rows, inverse_lengths

    def describe(self, word: str) -> tuple[np.ndarray, float | None]:
        ids, entries = self._word_ids(word), self._tensor.rows
        vector = self._reduced[ids].astype(np.float32).mean(axis=0) if ids else np.zeros(self._reduced.shape[1], "f4")
        if self._first_rank is None:
            return vector, None
        # A word of several pieces is rarer than any piece.
        rank = max(0, ids[0] - self._first_rank) if len(ids) == 1 else entries
        return vector, rank / (rank + COMMON_SHARE * entries)

    def background(self) -> np.ndarray:
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

    def _forms(self) -> tuple[np.ndarray, np.ndarray]:
        """Rows of forms of one word among the whole words of the vocabulary, by their stems [n, 2], and some of its
        words [m]."""
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


class HashedLetters(EmbeddingTable):
    """Vectors of words made of their letters: each character n-gram of `<word>` adds a random sign vector.

    Words that share a stem are near, all others are near-orthogonal; there is no knowledge of meaning. The vectors
    depend on the word alone, on every machine and in every run. Tokens are words.
    """

    def tokens(self, text: str, limit: int) -> Sequence[Token]:
        return split_words(text, limit)

    def rows(self, tokens: Sequence[Token]) -> tuple[np.ndarray, np.ndarray]:
        rows = np.array([self.describe(str(token))[0] for token in tokens], np.float32).reshape(-1, HASHED_DIM)
        return with_inverse_lengths(rows)

    def describe(self, word: str) -> tuple[np.ndarray, None]:
        marked = f"<{word}>"
        grams = {marked[i : i + n] for n in NGRAM_LENGTHS for i in range(len(marked) - n + 1)} | {marked}
        # sorted: float addition must not depend on the order of a set.
        return np.stack([_sign_vector(gram) for gram in sorted(grams)]).sum(axis=0), None

    def background(self) -> np.ndarray:
        return np.stack([self.describe(word)[0] for word in sorted(COMMONPLACE_WORDS)])


def _sign_vector(gram: str) -> np.ndarray:
    bits = hashlib.blake2b(gram.encode("utf-8", "surrogatepass"), digest_size=HASHED_DIM // 8).digest()
    return np.unpackbits(np.frombuffer(bits, np.uint8)).astype(np.float32) * 2 - 1


# --- prepared forms ---------------------------------------------------------------------------------------------------


def prepared(tensor: TensorOnDisk, form: str, cache: Path, build: Callable[[Path], None]) -> np.ndarray:
    """One prepared form of a table, mapped; `build` writes it first where the cache has none or a damaged one.

    Any number of processes may ask at once: one builds under a file lock, the others wait for it. A file is sealed with
    its SHA-256 sum and gets its name in one step; what a process leaves that dies while it builds, the next overwrites.

    Args:
        tensor: the table.
        form: `reduced`, centred and projected, for words (float16, at most 195 MB for 152,064 rows), or `exact`, the
            rows as stored, for plain BMAS (a copy, because the checkpoint may be overwritten while a run lasts).
        cache: where prepared tables are kept.
        build: writes the file.

    Raises:
        CacheError: the cache cannot be written, for want of room or permission.
    """
    source = tensor.path.resolve()
    stat = source.stat()
    # The name changes with the checkpoint and with the code that prepares it.
    place = [str(source), stat.st_size, stat.st_mtime_ns, tensor.name, tensor.dtype, tensor.rows, tensor.dim]
    key = hashlib.sha256(json.dumps([*place, code_digest(__name__)]).encode()).hexdigest()[:16]
    path = cache / f"{source.parent.name[:40]}-{key}-{form}.npy"
    try:
        if not is_intact(path):
            cache.mkdir(parents=True, exist_ok=True)
            with lock(path.with_suffix(".lock")):
                if not is_intact(path):
                    building = path.with_suffix(".building")
                    try:
                        build(building)
                        write_text(path.with_suffix(".sha256"), f"{sha256_of(building)} {written_at(building)}")
                        building.replace(path)  # a process that has mapped a damaged file keeps it until it lets go
                    finally:
                        building.unlink(missing_ok=True)
        # A plain view of the mapped file: indexing a memmap costs several times as much.
        return np.load(path, mmap_mode="r").view(np.ndarray)  # type: ignore[no-any-return]
    except OSError as error:
        raise CacheError(f"cannot prepare {path}: {error}; set cache_dir to a place with room") from error


def is_intact(path: Path) -> bool:
    """Whether a prepared file is there with its sum; one that nobody has written to since is not read for it."""
    seal = path.with_suffix(".sha256")
    digest, _, written = seal.read_text("ascii", "replace").partition(" ") if seal.is_file() else ("", "", "")
    return path.is_file() and (written == written_at(path) or digest == sha256_of(path))


def written_at(path: Path) -> str:
    """Its bytes, and when it was written to, in nanoseconds."""
    stat = path.stat()
    return f"{stat.st_size} {stat.st_mtime_ns}"


def copy_rows(
    tensor: TensorOnDisk, path: Path, width: int = 0, convert: Callable[[np.ndarray], np.ndarray] | None = None
) -> None:
    """Writes the rows of a table, as stored or converted to float16 of so many columns, block by block."""
    dtype, shape = (np.float16, (tensor.rows, width)) if convert else (tensor.map().dtype, (tensor.rows, tensor.dim))
    written = np.lib.format.open_memmap(path, "w+", dtype, shape)
    # The file gets its room first: on a full disk, writing through a map would end us with SIGBUS.
    with path.open("rb+") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    for place, block in tensor.blocks():
        written[place] = convert(block) if convert else block
    written.flush()


def prepare(tensor: TensorOnDisk, path: Path, forms: tuple[np.ndarray, np.ndarray]) -> None:
    """Writes the reduced form: float16 [rows, width], centred, top directions removed, projected by the best of
    `SPECTRA`.

    Reads the table twice, block by block; what it owns beyond a block is one dim x dim matrix of float32.
    """
    mean, directions, spread = principal_directions(tensor)
    if len(spread) > REMOVED_DIRECTIONS:
        directions, spread = directions[:, REMOVED_DIRECTIONS:], spread[REMOVED_DIRECTIONS:]

    def project(stored: np.ndarray) -> np.ndarray:
        return (_finite(stored) - mean) @ directions  # type: ignore[no-any-return]

    def found(spectrum: tuple[int, float]) -> float:
        """Share of pairs of which one is nearer to the other than all but one in a thousand words are."""
        kept, power = spectrum
        scaled = [side[:, :kept] / spread[:kept] ** power for side in sides]
        one, other, rest = (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9) for rows in scaled)
        # The other may be among them and is no nearer than itself, by whatever way its cosine is rounded.
        nearer = one @ rest.T > np.sum(one * other, axis=1, keepdims=True) + ROUNDING
        return float((nearer.mean(axis=1) < NEIGHBOUR_RANK).mean())

    pairs, words = forms
    kept, power = SPECTRA[1]
    if len(pairs) >= LEAST_FORMS:
        sides = [project(tensor.map()[ids]) for ids in (pairs[:, 0], pairs[:, 1], words)]
        kept, power = max(SPECTRA, key=found)
    directions = directions[:, :kept] / spread[:kept] ** power
    copy_rows(tensor, path, directions.shape[1], project)


def principal_directions(tensor: TensorOnDisk) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean row [dim], the directions [dim, k] of largest variance around it, largest first, and their standard
    deviations [k], float32; of the covariance of `SAMPLED_ROWS`, as many as any of `SPECTRA` needs."""
    # Takes a while to import, and only who prepares a table needs it.
    from scipy.linalg import blas, eigh

    total = np.zeros(tensor.dim, np.float64)
    # Upper triangle of the sum of outer products, in place: a second matrix of this size would be 50 MB for dim 3,584.
    products = np.zeros((tensor.dim, tensor.dim), np.float32, order="F")
    sampled = SAMPLED_ROWS if tensor.rows > 2 * SAMPLED_ROWS.start else slice(0, tensor.rows)
    count = 0
    for place, block in tensor.blocks():
        rows = _finite(block[max(0, sampled.start - place.start) : max(0, sampled.stop - place.start)])
        if len(rows):
            total += rows.sum(axis=0, dtype=np.float64)
            products = blas.ssyrk(1.0, rows.T, beta=1.0, c=products, overwrite_c=True)
            count += len(rows)
    mean = (total / count).astype(np.float32)
    products /= count
    products = blas.ssyr(-1.0, mean, a=products, overwrite_a=True)
    first = max(0, tensor.dim - REMOVED_DIRECTIONS - max(kept for kept, _ in SPECTRA))
    variances, directions = eigh(
        products, lower=False, subset_by_index=(first, tensor.dim - 1), overwrite_a=True, check_finite=False
    )
    # A direction without variance is noise of rounding, and must not be blown up.
    spread = np.sqrt(np.maximum(variances[::-1], 1e-6 * max(float(variances[-1]), 1e-12)))
    return mean, directions[:, ::-1], spread.astype(np.float32)


def _finite(stored: np.ndarray) -> np.ndarray:
    return np.nan_to_num(to_float32(stored), copy=False, nan=0.0, posinf=0.0, neginf=0.0)
