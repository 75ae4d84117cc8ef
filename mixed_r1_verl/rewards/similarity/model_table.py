"""Token and word vectors of a checkpoint's input-embedding table, prepared once for a machine."""

import hashlib
import json
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from scipy.linalg import blas
from tokenizers import Tokenizer

from mixed_r1_verl.rewards.similarity.checkpoint import (
    TensorOnDisk,
    find_input_embeddings,
    to_float32,
    to_float32_apart,
)
from mixed_r1_verl.rewards.similarity.embedding_source import Token
from mixed_r1_verl.rewards.similarity.table_cache import prepared_directory

# --- the prepared table; all values are ours -------------------------------------------------------------------------
# Changing any of these must change FORMAT, so that no process reads a table prepared by another rule.
FORMAT = 3
# Directions of largest variance that are removed: they carry frequency and script, not meaning (all-but-the-top,
# Mu & Viswanath, arXiv 1702.01417).
REMOVED_DIRECTIONS = 3
# Directions that are kept after those: fewer blur words of one meaning together (latent semantic analysis). On the
# MiniLM table 64 to 160 do equally well, 32 and 253 worse.
KEPT_DIRECTIONS = 100
# Rows from which mean and directions are estimated: the frequent end of a vocabulary that is sorted by frequency,
# after its special tokens, single bytes and letters. A smaller table is read whole.
SAMPLED_ROWS = slice(1_000, 33_768)
SUBSPACE_ITERATIONS = 12

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
        cut = text[: limit * CHARS_PER_TOKEN]
        if not cut.isascii():
            cut = cut.encode("utf-8", "replace").decode("utf-8")
        # The form that does not keep character offsets.
        ids = self._tokenizer.encode_batch_fast([cut], add_special_tokens=False)[0].ids[:limit]
        return ids if max(ids, default=0) < self._tensor.rows else [i for i in ids if i < self._tensor.rows]

    def rows(self, tokens: Sequence[Token]) -> tuple[np.ndarray, np.ndarray]:
        if self._exact is None:
            directory = prepared_directory(self._cache / f"{self._key}-exact", partial(prepare_exact, self._tensor))
            # Plain views of the mapped files: indexing a memmap costs several times as much.
            rows, inverse = (np.load(directory / name, mmap_mode="r") for name in ("rows.npy", "inverse_lengths.npy"))
            self._exact = rows.view(np.ndarray), inverse.view(np.ndarray)
        rows, inverse_lengths = self._exact
        ids = np.asarray(tokens, np.intp)
        return to_float32_apart(rows[ids]), inverse_lengths[ids]

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
            f"model {model!r} is neither a directory nor a model in the local Hugging Face cache; "
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
