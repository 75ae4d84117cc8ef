"""Reads what the rewards need of a model's directory, without torch: the tokenizer and the input-embedding table, whose
prepared forms are built once for a machine and mapped by all its processes."""

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

from mixed_r1_verl.core.files import lock, publish_folder, sha256_of, write_text
from mixed_r1_verl.rewards.similarity import words

# Ends of the tensor names under which model families keep their input embeddings, most usual first. The language model
# of a vision-language model carries a prefix (`model.language_model.`, `language_model.model.`), hence ends, not names.
INPUT_EMBEDDING_SUFFIXES = (
    "embed_tokens.weight",
    "word_embeddings.weight",
    "tok_embeddings.weight",
    "wte.weight",
    "embed_in.weight",
    "shared.weight",
)
# A model with tied embeddings may be saved with its output head alone; the head then is the input table.
TIED_HEAD_SUFFIXES = ("lm_head.weight", "embed_out.weight", "decoder.weight")
# bfloat16 is read as raw 16-bit words, because numpy has no such type.
STORAGE_TYPES = {"BF16": np.uint16, "F16": np.float16, "F32": np.float32}
BLOCK_BYTES = 8 << 20
MAX_HEADER_BYTES = 100_000_000
# Numbers of float32 in a line of the processor's caches.
CACHE_LINE = 16

CHECKSUMS = "checksums.json"
# All values are ours.
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
# Rows from which mean and directions are estimated: the frequent end of a vocabulary that is sorted by frequency,
# after its special tokens, single bytes and letters. A smaller table is read whole.
SAMPLED_ROWS = slice(1_000, 33_768)

# Pairs of rows that are forms of one word [n, 2], and rows of words [m].
Forms = tuple[np.ndarray, np.ndarray]


class CheckpointError(ValueError):
    """The directory holds no input-embedding table that can be read."""


@dataclass(frozen=True)
class TensorOnDisk:
    """Where a matrix of shape [rows, dim] lies inside a safetensors file; `dtype` is `BF16`, `F16` or `F32`."""

    path: Path
    name: str
    dtype: str
    rows: int
    dim: int
    offset: int

    def map(self) -> np.ndarray:
        """The tensor as stored, memory-mapped, shape [rows, dim]; bfloat16 as uint16 words."""
        return np.memmap(self.path, STORAGE_TYPES[self.dtype], "r", self.offset, (self.rows, self.dim))

    def blocks(self) -> Iterator[np.ndarray]:
        """Consecutive runs of rows as stored, copied out of the file; at most `BLOCK_BYTES` bytes each as float32."""
        step = max(1, BLOCK_BYTES // (4 * self.dim))
        for start in range(0, self.rows, step):
            # Mapped anew for every block: the pages of earlier blocks are given back.
            yield np.array(self.map()[start : start + step])


def to_float32(stored: np.ndarray) -> np.ndarray:
    """Decodes stored numbers; uint16 is taken for bfloat16, the upper half of a float32.

    >>> to_float32(np.array([0x3F80, 0xC000], np.uint16)).tolist()
    [1.0, -2.0]
    """
    if stored.dtype == np.uint16:
        return np.left_shift(stored, 16, dtype=np.uint32).view(np.float32)
    return stored.astype(np.float32, copy=False)


def to_float32_apart(stored: np.ndarray) -> np.ndarray:
    """A copy as `to_float32` decodes it, of a matrix whose rows lie one cache line apart in memory: rows of a power of
    two of bytes fall into the same few sets of the processor's caches, which makes products a sixth slower."""
    rows, dim = stored.shape
    apart = np.empty((rows, dim + CACHE_LINE), np.float32)[:, :dim]
    if stored.dtype == np.uint16:
        np.left_shift(stored, 16, out=apart.view(np.uint32), dtype=np.uint32)
    else:
        apart[:] = stored
    return apart


def find_input_embeddings(model_dir: Path) -> TensorOnDisk:
    """Finds the input-embedding table of the checkpoint in `model_dir`.

    Reads `model.safetensors.index.json` where the checkpoint is sharded, else the header of every `*.safetensors`.

    Raises:
        CheckpointError: no safetensors, no tensor with a known name, or one of a type or shape that cannot be read.
    """
    index = model_dir / "model.safetensors.index.json"
    files: dict[str, Path] = {}
    if index.is_file():
        try:
            weight_map = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
            files = {str(name): model_dir / str(shard) for name, shard in weight_map.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CheckpointError(f"{index} is not a safetensors index: {error!r}") from error
    else:
        for path in sorted(model_dir.glob("*.safetensors")):
            files.update(dict.fromkeys(_read_header(path)[0], path))
    if not files:
        raise CheckpointError(f"{model_dir} holds no .safetensors file; the embedding table is read from one")
    for suffix in INPUT_EMBEDDING_SUFFIXES + TIED_HEAD_SUFFIXES:
        found = [name for name in files if name == suffix or name.endswith("." + suffix)]
        if found:
            # The shortest name is the text model's own: draft heads and encoders nest deeper.
            name = min(found, key=lambda name: (len(name), name))
            return _locate(files[name], name)
    raise CheckpointError(
        f"none of the {len(files)} tensors in {model_dir} is an input-embedding table "
        f"(looked for names that end in {', '.join(INPUT_EMBEDDING_SUFFIXES + TIED_HEAD_SUFFIXES)})"
    )


def _read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The tensors of a safetensors file by name, and the offset of its data."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > MAX_HEADER_BYTES:
                raise ValueError(f"its header claims {length} bytes")
            header = dict(json.loads(file.read(length)))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{path} is not a safetensors file: {error}") from error
    header.pop("__metadata__", None)
    return header, 8 + length


def _locate(path: Path, name: str) -> TensorOnDisk:
    header, data_start = _read_header(path)
    if name not in header:
        raise CheckpointError(f"{path} lacks the tensor {name} that the index promises")
    dtype, shape, (start, end) = (header[name][key] for key in ("dtype", "shape", "data_offsets"))
    if dtype not in STORAGE_TYPES or len(shape) != 2:
        raise CheckpointError(
            f"{name} in {path} is {dtype} of shape {shape}; the embedding table must be a matrix of "
            f"{', '.join(STORAGE_TYPES)} (quantised checkpoints do not carry one)"
        )
    rows, dim = shape
    expected = rows * dim * np.dtype(STORAGE_TYPES[dtype]).itemsize
    if not expected or end - start != expected or path.stat().st_size < data_start + end:
        raise CheckpointError(f"{path} is cut short: {name} should take {expected} bytes")
    return TensorOnDisk(path, name, dtype, rows, dim, data_start + start)


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


# --- prepared forms ---------------------------------------------------------------------------------------------------


class CacheError(RuntimeError):
    """The cache directory cannot be used."""


def prepared_table(tensor: TensorOnDisk, form: str, cache: Path, find_forms: Callable[[], Forms] | None = None) -> Path:
    """The directory with one prepared form of a table, built first where this machine has not done so yet.

    Args:
        tensor: the table.
        form: `reduced`, centred and projected, for words (float16, at most 195 MB for 152,064 rows), or `exact`, the
            rows as stored and the inverse of their lengths, for plain BMAS (as large as the table in the checkpoint: a
            copy, because the checkpoint's directory may be overwritten while a run lasts).
        cache: where prepared tables are kept.
        find_forms: finds words of the vocabulary by which the reduced form is chosen; called when it is built.

    Raises:
        CacheError: the cache cannot be written, for want of room or permission.
    """
    path = tensor.path.resolve()
    stat = path.stat()
    # The name changes with the checkpoint and with the code that prepares it.
    code = [sha256_of(Path(file)) for file in (__file__, words.__file__)]
    identity = [str(path), stat.st_size, stat.st_mtime_ns, tensor.name, tensor.dtype, tensor.rows, tensor.dim, code]
    key = hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16]
    build = prepare_exact if form == "exact" else partial(prepare_reduced, find_forms=find_forms)
    return prepared_directory(cache / f"{path.parent.name[:40]}-{key}-{form}", partial(build, tensor))


def prepared_directory(directory: Path, build: Callable[[Path], None]) -> Path:
    """Returns `directory`, complete and undamaged; `build` fills an empty one when it is missing or damaged.

    Any number of processes may ask at once: one builds under a file lock, the others wait for it. The files are
    sealed with their SHA-256 sums and moved into place in one step. What a process leaves that dies while it builds,
    the next one removes. The name must identify the content.

    Raises:
        CacheError: the cache cannot be written, for want of room or permission.
    """
    if is_intact(directory):
        return directory
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        with lock(directory.with_name(directory.name + ".lock")):
            if not is_intact(directory):
                work = directory.with_name(directory.name + ".building")
                shutil.rmtree(work, ignore_errors=True)
                work.mkdir()
                try:
                    build(work)
                    sums = {path.name: sha256_of(path) for path in sorted(work.iterdir())}
                    write_text(work / CHECKSUMS, json.dumps(sums))
                    # A process that has mapped damaged files keeps them until it lets go.
                    publish_folder(work, directory)
                finally:
                    shutil.rmtree(work, ignore_errors=True)
    except OSError as error:
        raise CacheError(f"cannot prepare {directory}: {error}; set cache_dir to a place with room") from error
    return directory


def is_intact(directory: Path) -> bool:
    """Whether every file of a prepared directory is there with its checksum."""
    try:
        sums = json.loads((directory / CHECKSUMS).read_text(encoding="utf-8"))
        return bool(sums) and all(sha256_of(directory / name) == digest for name, digest in sums.items())
    except (OSError, ValueError, AttributeError):
        return False


def _reserved(path: Path, dtype: np.dtype | type, shape: tuple[int, int]) -> np.memmap:
    """An array in a new file that has its room: on a full disk, writing through a map would end us with SIGBUS."""
    rows = np.lib.format.open_memmap(path, "w+", dtype, shape)
    with path.open("rb+") as file:
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return rows


def prepare_exact(tensor: TensorOnDisk, directory: Path) -> None:
    """Writes `rows.npy` (as stored) and `inverse_lengths.npy` (float32 [rows], 0 for zero and non-finite rows)."""
    stored = _reserved(directory / "rows.npy", tensor.map().dtype, (tensor.rows, tensor.dim))
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


def prepare_reduced(tensor: TensorOnDisk, directory: Path, find_forms: Callable[[], Forms] | None = None) -> None:
    """Writes `rows.npy`, float16 [rows, width]: centred, top directions removed, projected by the best of `SPECTRA`.

    Reads the table twice, block by block; what it owns beyond a block is one dim x dim matrix of float32.
    """
    mean, directions, spread = principal_directions(tensor)
    if len(spread) > REMOVED_DIRECTIONS:
        directions, spread = directions[:, REMOVED_DIRECTIONS:], spread[REMOVED_DIRECTIONS:]
    pairs, words_of_it = find_forms() if find_forms else (np.empty((0, 2), int), np.empty(0, int))
    kept, power = SPECTRA[1]
    if len(pairs) >= LEAST_FORMS:
        sides = [_projected(tensor, ids, mean, directions) for ids in (pairs[:, 0], pairs[:, 1], words_of_it)]
        kept, power = max(SPECTRA, key=lambda spectrum: _neighbours_found(sides, spread, *spectrum))
    directions = directions[:, :kept] / spread[:kept] ** power
    reduced = _reserved(directory / "rows.npy", np.float16, (tensor.rows, directions.shape[1]))
    start = 0
    for block in tensor.blocks():
        rows = _finite(to_float32(block))
        reduced[start : start + len(rows)] = (rows - mean) @ directions
        start += len(rows)
    reduced.flush()


def _projected(tensor: TensorOnDisk, ids: np.ndarray, mean: np.ndarray, directions: np.ndarray) -> np.ndarray:
    chunks = (to_float32(tensor.map()[ids[start : start + 256]]) for start in range(0, len(ids), 256))
    return np.concatenate([(_finite(rows) - mean) @ directions for rows in chunks])


def _neighbours_found(sides: list[np.ndarray], spread: np.ndarray, kept: int, power: float) -> float:
    """Share of pairs of which one is nearer to the other than all but one in a thousand words are."""
    scaled = [side[:, :kept] / spread[:kept] ** power for side in sides]
    one, other, rest = (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9) for rows in scaled)
    # The other may be among them and is no nearer than itself, by whatever way its cosine is rounded.
    nearer = (one @ rest.T > np.sum(one * other, axis=1, keepdims=True) + ROUNDING).mean(axis=1)
    return float((nearer < NEIGHBOUR_RANK).mean())


def principal_directions(tensor: TensorOnDisk) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean row [dim], the directions [dim, k] of largest variance around it, largest first, and their standard
    deviations [k], float32; of the covariance of `SAMPLED_ROWS`, as many as any of `SPECTRA` needs."""
    # Takes a while to import, and only who prepares a table needs it.
    from scipy.linalg import blas, eigh

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
    products /= count
    products = blas.ssyr(-1.0, mean, a=products, overwrite_a=True)
    first = max(0, tensor.dim - REMOVED_DIRECTIONS - max(kept for kept, _ in SPECTRA))
    variances, directions = eigh(
        products, lower=False, subset_by_index=(first, tensor.dim - 1), overwrite_a=True, check_finite=False
    )
    # A direction without variance is noise of rounding, and must not be blown up.
    spread = np.sqrt(np.maximum(variances[::-1], 1e-6 * max(float(variances[-1]), 1e-12)))
    return mean, directions[:, ::-1], spread.astype(np.float32)


def _finite(rows: np.ndarray) -> np.ndarray:
    return np.nan_to_num(rows, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
