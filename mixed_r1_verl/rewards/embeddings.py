"""Frozen token embeddings for the open-ended reward: of a model's input table, or hashed from letters."""

import hashlib
import json
import threading
from collections import Counter, OrderedDict
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from scipy.linalg import blas
from tokenizers import Tokenizer

from mixed_r1_verl.rewards import lexicon
from mixed_r1_verl.rewards.checkpoint import TensorOnDisk, find_input_embeddings, to_float32
from mixed_r1_verl.rewards.lexicon import exclusive_groups, stem, word_weight
from mixed_r1_verl.rewards.table_cache import DEFAULT_CACHE_DIR, prepared_directory
from mixed_r1_verl.rewards.words import split_words

Token = Hashable

# --- the prepared table; all values are ours -------------------------------------------------------------------------
# Changing any of these must change FORMAT, so that no process reads a table prepared by another rule.
FORMAT = 2
# Directions of largest variance that are removed: they carry frequency and script, not meaning (all-but-the-top,
# Mu & Viswanath, arXiv 1702.01417).
REMOVED_DIRECTIONS = 3
# Directions that are kept after those: fewer blur words of one meaning together (latent semantic analysis). On the
# MiniLM table 64 to 160 do equally well, 32 and 253 worse.
KEPT_DIRECTIONS = 128
# Rows from which mean and directions are estimated: the frequent end of a vocabulary that is sorted by frequency,
# after its special tokens, single bytes and letters. A smaller table is read whole.
SAMPLED_ROWS = slice(1_000, 33_768)
SUBSPACE_ITERATIONS = 12

# --- hashed letters --------------------------------------------------------------------------------------------------
HASHED_DIM = 256
NGRAM_LENGTHS = (2, 3, 4, 5)

# --- memory of one process -------------------------------------------------------------------------------------------
# Words whose vectors a process keeps at hand: 32,768 x 256 x 4 bytes = 32 MiB at most.
REMEMBERED_WORDS = 32_768
# References whose embeddings a process keeps at hand: the responses of one prompt come one after another.
REMEMBERED_REFERENCES = 4
# Tokens whose cosines with one reference are kept.
REMEMBERED_TOKENS = 4_096
# Characters of a text that are given to the tokenizer for each token that is asked for.
CHARS_PER_TOKEN = 16

# --- the words of a vocabulary ---------------------------------------------------------------------------------------
# Share of the vocabulary whose words count as common: a word of that rank has half of the rarity of a rare one.
COMMON_SHARE = 0.01
# Ranks of the words against which chance similarity is measured.
BACKGROUND_RANKS = range(0, 6_000, 4)

# The commonest English words. They locate the frequent end of a vocabulary that is sorted by frequency.
FREQUENCY_PROBES = (
    "the",
    "of",
    "and",
    "to",
    "in",
    "is",
    "for",
    "on",
    "with",
    "that",
    "by",
    "at",
    "from",
    "as",
    "it",
    "are",
)


class EmbeddingSource(Protocol):
    """Where vectors come from."""

    def tokens(self, text: str, limit: int) -> Sequence[Token]:
        """At most `limit` tokens of a text."""

    def unit_rows(self, tokens: Sequence[Token]) -> np.ndarray:
        """Exact embeddings of tokens divided by their length, float32 [len(tokens), dim]."""

    def word_vector(self, word: str) -> np.ndarray:
        """Prepared embedding of a word, float32 [width], of any length; zero when the source knows nothing of it."""

    def word_rarity(self, word: str) -> float | None:
        """How rare a word is, in [0, 1]; None when the source does not know."""

    def background(self) -> np.ndarray:
        """Prepared embeddings of everyday words, float32 [many, width]."""


class WordFeatures(NamedTuple):
    """What is known of n words, in arrays.

    Attributes:
        vectors: unit vectors, float32 [n, width]; zero for a word that the table does not know.
        weights: how much each word says, float32 [n], in (0, 1].
        chance_mean, chance_spread: mean and standard deviation of the word's cosine with everyday words, float32 [n].
        stems: int64 [n], equal for words of one stem.
        groups: int8 [n, 2], groups of words that exclude each other; see `lexicon.exclusive_groups`.
    """

    vectors: np.ndarray
    weights: np.ndarray
    chance_mean: np.ndarray
    chance_spread: np.ndarray
    stems: np.ndarray
    groups: np.ndarray


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
        self._memory = _WordMemory(source)
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
        return self._source.unit_rows(tokens)

    def cosines(self, tokens: Sequence[Token], reference: str, limit: int) -> tuple[np.ndarray, np.ndarray]:
        """Cosines of n distinct tokens with the m distinct tokens of a reference, float32 [n, m], and how often each of
        those m occurs in the reference, float32 [m].

        The responses of a group share their reference and many of their tokens: what was computed for the last
        references is remembered.
        """
        with self._lock:
            known = self._references.pop((reference, limit), None)
            if known is None:
                known = _Reference(self._source, self._source.tokens(reference, limit))
            self._references[reference, limit] = known
            if len(self._references) > REMEMBERED_REFERENCES:
                self._references.popitem(last=False)
            return known.cosines(tokens), known.counts

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
        self.counts = np.fromiter(counted.values(), np.float32, len(counted))
        self._columns = source.unit_rows(list(counted)).T
        self._forget()

    def _forget(self) -> None:
        self._places: dict[Token, int] = {}
        self._cosines = np.zeros((0, len(self.counts)), np.float32)

    def cosines(self, tokens: Sequence[Token]) -> np.ndarray:
        if len(self._places) > REMEMBERED_TOKENS:
            self._forget()
        new = [token for token in tokens if token not in self._places]
        if new:
            self._places.update(zip(new, range(len(self._places), len(self._places) + len(new)), strict=True))
            self._cosines = np.concatenate([self._cosines, self._source.unit_rows(new) @ self._columns])
        return self._cosines[[self._places[token] for token in tokens]]


class _WordMemory:
    """Features of the words seen last, so that the tokenizer runs only for new words."""

    def __init__(self, source: EmbeddingSource) -> None:
        self._source = source
        self._lock = threading.Lock()
        background = _unit_rows(source.background())
        self._mean = background.mean(axis=0)
        self._second_moment = background.T @ background / len(background)
        self._clear()

    def _clear(self) -> None:
        width = len(self._mean)
        self._places: dict[str, int] = {}
        self._stems: dict[str, int] = {}
        self._features = _empty_features(1024, width)

    def look_up(self, words: Sequence[str]) -> WordFeatures:
        with self._lock:
            if not all(map(self._places.__contains__, words)):
                self._learn(words)
            places = [self._places[word] for word in words]
            return WordFeatures(*(array[places] for array in self._features))

    def _learn(self, words: Sequence[str]) -> None:
        if len(self._places) + len(words) > REMEMBERED_WORDS:
            self._clear()
        for word in words:
            if word in self._places:
                continue
            place = len(self._places)
            if place == len(self._features.weights):
                more = _empty_features(place, len(self._mean))
                self._features = WordFeatures(*map(np.concatenate, zip(self._features, more, strict=True)))
            vector = _unit_rows(self._source.word_vector(word)[None])[0]
            mean = float(vector @ self._mean)
            spread = max(0.0, float(vector @ self._second_moment @ vector) - mean * mean) ** 0.5
            features = self._features
            features.vectors[place] = vector
            features.weights[place] = word_weight(word, self._source.word_rarity(word))
            features.chance_mean[place] = mean
            features.chance_spread[place] = spread
            features.stems[place] = self._stems.setdefault(stem(word), len(self._stems))
            features.groups[place] = exclusive_groups(word)
            self._places[word] = place


def _empty_features(count: int, width: int) -> WordFeatures:
    return WordFeatures(
        vectors=np.zeros((count, width), np.float32),
        weights=np.zeros(count, np.float32),
        chance_mean=np.zeros(count, np.float32),
        chance_spread=np.zeros(count, np.float32),
        stems=np.zeros(count, np.int64),
        groups=np.zeros((count, 2), np.int8),
    )


def _unit_rows(rows: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.divide(rows, lengths, out=np.zeros_like(rows, dtype=np.float32), where=lengths > 0)


# --- no model --------------------------------------------------------------------------------------------------------


class HashedLetters:
    """Vectors of words made of their letters: each character n-gram of `<word>` adds a random sign vector.

    Words that share a stem are near, all others are near-orthogonal; there is no knowledge of meaning. The vectors
    depend on the word alone, on every machine and in every run. Tokens are words.
    """

    def tokens(self, text: str, limit: int) -> Sequence[Token]:
        return split_words(text, limit)

    def unit_rows(self, tokens: Sequence[Token]) -> np.ndarray:
        if not tokens:
            return np.zeros((0, HASHED_DIM), np.float32)
        return _unit_rows(np.stack([self.word_vector(str(token)) for token in tokens]))

    def word_vector(self, word: str) -> np.ndarray:
        marked = f"<{word}>"
        grams = {marked[i : i + n] for n in NGRAM_LENGTHS for i in range(len(marked) - n + 1)} | {marked}
        # sorted: float addition must not depend on the order of a set.
        return np.stack([_sign_vector(gram) for gram in sorted(grams)]).sum(axis=0)

    def word_rarity(self, word: str) -> float | None:
        return None

    def background(self) -> np.ndarray:
        return np.stack([self.word_vector(word) for word in sorted(lexicon.COMMONPLACE_WORDS)])


def _sign_vector(gram: str) -> np.ndarray:
    bits = hashlib.blake2b(gram.encode("utf-8", "surrogatepass"), digest_size=HASHED_DIM // 8).digest()
    return np.unpackbits(np.frombuffer(bits, np.uint8)).astype(np.float32) * 2 - 1


# --- a model's table -------------------------------------------------------------------------------------------------


class ModelTable:
    """The input-embedding table of a checkpoint and its tokenizer.

    Two prepared forms lie in the cache, each built when it is first needed: `reduced`, centred and projected, for
    words (float16, 39 MB for 152,064 rows), and `exact`, the rows as stored and the inverse of their lengths, for plain
    BMAS (as large as the table in the checkpoint: a copy, because the checkpoint's directory may be overwritten while
    a run lasts).
    """

    def __init__(self, model_dir: Path, cache: Path) -> None:
        self._tensor = find_input_embeddings(model_dir)
        self._tokenizer = load_tokenizer(model_dir)
        unknown = getattr(self._tokenizer.model, "unk_token", None)
        self._unknown = self._tokenizer.token_to_id(unknown) if unknown else None
        self._cache = cache
        self._key = _key(self._tensor)
        directory = prepared_directory(cache / f"{self._key}-reduced", partial(prepare_reduced, self._tensor))
        self._reduced = np.load(directory / "rows.npy", mmap_mode="r")
        self._exact: tuple[np.ndarray, np.ndarray] | None = None
        self._first_rank = self._find_first_rank()

    def tokens(self, text: str, limit: int) -> Sequence[Token]:
        cut = text[: limit * CHARS_PER_TOKEN].encode("utf-8", "replace").decode("utf-8")
        # The form that does not keep character offsets.
        ids = self._tokenizer.encode_batch_fast([cut], add_special_tokens=False)[0].ids[:limit]
        return ids if max(ids, default=0) < self._tensor.rows else [i for i in ids if i < self._tensor.rows]

    def unit_rows(self, tokens: Sequence[Token]) -> np.ndarray:
        if self._exact is None:
            directory = prepared_directory(self._cache / f"{self._key}-exact", partial(prepare_exact, self._tensor))
            rows = np.load(directory / "rows.npy", mmap_mode="r")
            self._exact = rows, np.load(directory / "inverse_lengths.npy", mmap_mode="r")
        rows, inverse_lengths = self._exact
        ids = np.asarray(tokens, np.intp)
        return to_float32(rows[ids]) * inverse_lengths[ids][:, None]

    def word_vector(self, word: str) -> np.ndarray:
        ids = self._word_ids(word)
        if not ids:
            return np.zeros(self._reduced.shape[1], np.float32)
        return self._reduced[ids].astype(np.float32).mean(axis=0)

    def word_rarity(self, word: str) -> float | None:
        if self._first_rank is None:
            return None
        ids = self._word_ids(word)
        # A word of several pieces is rarer than any piece.
        rank = max(0, ids[0] - self._first_rank) if len(ids) == 1 else self._tensor.rows
        return rank / (rank + COMMON_SHARE * self._tensor.rows)

    def background(self) -> np.ndarray:
        first = self._first_rank or 0
        ids = [first + rank for rank in BACKGROUND_RANKS if first + rank < self._tensor.rows]
        return self._reduced[ids].astype(np.float32)

    def _word_ids(self, word: str) -> list[int]:
        # Vocabularies hold the words of running text with the space before them (GPT-2, Qwen: " dog") or add that mark
        # themselves (BERT, SentencePiece); the form of fewer pieces is the one that the vocabulary means.
        readable = word.encode("utf-8", "replace").decode("utf-8")
        spaced, bare = (
            [i for i in self._tokenizer.encode(form, add_special_tokens=False).ids if self._is_known(i)]
            for form in (" " + readable, readable)
        )
        return spaced if len(spaced) <= len(bare) else bare

    def _is_known(self, token: int) -> bool:
        # The unknown token would make all words that the vocabulary lacks the same word.
        return token < self._tensor.rows and token != self._unknown

    def _find_first_rank(self) -> int | None:
        """Id of the commonest word, if the vocabulary is sorted by frequency, as those of BPE and WordPiece are."""
        found = [ids[0] for ids in map(self._word_ids, FREQUENCY_PROBES) if len(ids) == 1]
        if len(found) < len(FREQUENCY_PROBES) / 2 or np.median(found) > 0.1 * self._tensor.rows:
            return None
        return min(found)


def resolve_model(model: str) -> Path:
    """The directory of a model that is given as a directory or as a hub id.

    A hub id is looked up in the local Hugging Face cache only: a reward worker downloads nothing.
    """
    directory = Path(model).expanduser()
    if directory.is_dir():
        return directory
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(model, local_files_only=True))
    except Exception as error:
        raise FileNotFoundError(
            f"embedding_model {model!r} is neither a directory nor a model in the local Hugging Face cache; "
            f"download it first (hf download {model})"
        ) from error


def load_tokenizer(model_dir: Path) -> Tokenizer:
    """The tokenizer of a model directory, which neither pads nor cuts.

    Reads `tokenizer.json`, or builds the byte-level BPE of `vocab.json` and `merges.txt` (Qwen2, GPT-2, InternVL).
    """
    if (model_dir / "tokenizer.json").is_file():
        tokenizer = Tokenizer.from_file(str(model_dir / "tokenizer.json"))
    elif (model_dir / "vocab.json").is_file() and (model_dir / "merges.txt").is_file():
        from tokenizers import models, pre_tokenizers

        tokenizer = Tokenizer(models.BPE.from_file(str(model_dir / "vocab.json"), str(model_dir / "merges.txt")))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    else:
        raise FileNotFoundError(f"{model_dir} holds no tokenizer.json (nor vocab.json with merges.txt)")
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def _key(tensor: TensorOnDisk) -> str:
    """Name of a prepared table: changes with the checkpoint file and with the rule of preparation."""
    path = tensor.path.resolve()
    stat = path.stat()
    identity = [FORMAT, str(path), stat.st_size, stat.st_mtime_ns, tensor.name, tensor.dtype, tensor.rows, tensor.dim]
    identity += [REMOVED_DIRECTIONS, KEPT_DIRECTIONS]
    digest = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    return f"{path.parent.name[:40]}-{digest}"


def prepare_exact(tensor: TensorOnDisk, directory: Path) -> None:
    """Writes `rows.npy` (as stored) and `inverse_lengths.npy` (float32 [rows], 0 for zero and non-finite rows)."""
    stored = np.lib.format.open_memmap(directory / "rows.npy", "w+", tensor.map().dtype, (tensor.rows, tensor.dim))
    inverse = np.zeros(tensor.rows, np.float32)
    start = 0
    for block in tensor.blocks():
        rows = to_float32(block)
        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
        good = np.isfinite(lengths) & (lengths > 0)
        # 0 * inf is not 0: a damaged row is stored as zeros.
        block[~good] = 0
        stored[start : start + len(block)] = block
        np.divide(1.0, lengths, out=lengths, where=good)
        inverse[start : start + len(block)] = np.where(good, lengths, 0)
        start += len(block)
    stored.flush()
    np.save(directory / "inverse_lengths.npy", inverse)


def prepare_reduced(tensor: TensorOnDisk, directory: Path) -> None:
    """Writes `rows.npy`, float16 [rows, at most KEPT_DIRECTIONS]: centred, top directions removed, projected.

    Reads the table twice, block by block; what it owns beyond a block is one dim x dim matrix of float32.
    """
    mean, directions = principal_directions(tensor)
    kept = directions[:, REMOVED_DIRECTIONS:] if directions.shape[1] > REMOVED_DIRECTIONS else directions
    reduced = np.lib.format.open_memmap(directory / "rows.npy", "w+", np.float16, (tensor.rows, kept.shape[1]))
    start = 0
    for block in tensor.blocks():
        rows = _finite(to_float32(block))
        reduced[start : start + len(rows)] = (rows - mean) @ kept
        start += len(rows)
    reduced.flush()


def principal_directions(tensor: TensorOnDisk) -> tuple[np.ndarray, np.ndarray]:
    """Mean row [dim] and the directions [dim, k] of largest variance around it, largest first, float32.

    k = min(dim, REMOVED_DIRECTIONS + KEPT_DIRECTIONS). Subspace iteration on the covariance of `SAMPLED_ROWS`.
    """
    total = np.zeros(tensor.dim, np.float64)
    # Upper triangle of the sum of outer products, in place: a second matrix of this size would be 50 MB for dim 3,584.
    products = np.zeros((tensor.dim, tensor.dim), np.float32, order="F")
    sampled = SAMPLED_ROWS if tensor.rows > 2 * SAMPLED_ROWS.start else slice(0, tensor.rows)
    count = start = 0
    for block in tensor.blocks():
        rows = _finite(to_float32(block[max(0, sampled.start - start) : max(0, sampled.stop - start)]))
        if len(rows):
            total += rows.sum(axis=0, dtype=np.float64)
            products = blas.ssyrk(1.0, rows.T, beta=1.0, c=products, overwrite_c=True)
            count += len(rows)
        start += len(block)
        if start >= sampled.stop:
            break
    mean = (total / count).astype(np.float32)

    def covariance_times(vectors: np.ndarray) -> np.ndarray:
        return blas.ssymm(1.0 / count, products, vectors) - np.outer(mean, mean @ vectors)

    k = min(tensor.dim, REMOVED_DIRECTIONS + KEPT_DIRECTIONS)
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((tensor.dim, k)).astype(np.float32))[0]
    for _ in range(SUBSPACE_ITERATIONS):
        basis = np.linalg.qr(covariance_times(basis))[0]
    _, rotation = np.linalg.eigh(basis.T @ covariance_times(basis))
    return mean, (basis @ rotation[:, ::-1]).astype(np.float32)


def _finite(rows: np.ndarray) -> np.ndarray:
    return np.nan_to_num(rows, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
