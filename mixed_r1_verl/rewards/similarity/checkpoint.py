"""Reads what the rewards need of a model's directory, without torch: the tokenizer and the input-embedding table."""

import json
import logging
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Tokenizer

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
# What is read of a model besides its weights; old tokenizers have no tokenizer.json.
INDEX = "model.safetensors.index.json"
SMALL_FILES = ["config.json", "tokenizer*", "vocab.json", "merges.txt", INDEX]
# Of a whole model no weights in other formats, some of which are programs.
WHOLE_MODEL = ["*.json", "*.txt", "*.model", "*.safetensors"]
BLOCK_BYTES = 8 << 20
MAX_HEADER_BYTES = 100_000_000
# Numbers of float32 in a line of the processor's caches.
CACHE_LINE = 16

logger = logging.getLogger(__name__)


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

    def blocks(self) -> Iterator[tuple[slice, np.ndarray]]:
        """Consecutive runs of rows as stored, and which they are; at most `BLOCK_BYTES` bytes each as float32."""
        step = max(1, BLOCK_BYTES // (4 * self.dim))
        for start in range(0, self.rows, step):
            # Mapped anew for every block: the pages of earlier blocks are given back.
            block = self.map()[start : start + step]
            yield slice(start, start + len(block)), block


def to_float32(stored: np.ndarray) -> np.ndarray:
    """A decoded copy of stored rows [n, dim]; uint16 is taken for bfloat16, the upper half of a float32.

    Rows lie one cache line apart: those of a power of two of bytes fall into the same few sets of the processor's
    caches, which makes products a sixth slower.

    >>> to_float32(np.array([[0x3F80, 0xC000]], np.uint16)).tolist()
    [[1.0, -2.0]]
    """
    rows, dim = stored.shape
    decoded = np.empty((rows, dim + CACHE_LINE), np.float32)[:, :dim]
    if stored.dtype == np.uint16:
        np.left_shift(stored, 16, out=decoded.view(np.uint32), dtype=np.uint32)
    else:
        decoded[:] = stored
    return decoded


def find_input_embeddings(model_dir: Path) -> TensorOnDisk:
    """Finds the input-embedding table of the checkpoint in `model_dir`.

    Reads `model.safetensors.index.json` where the checkpoint is sharded, else the header of every `*.safetensors`.

    Raises:
        CheckpointError: no safetensors, no tensor with a known name, or one of a type or shape that cannot be read.
    """
    return _locate(*_name_input_embeddings(model_dir))


def _name_input_embeddings(model_dir: Path) -> tuple[Path, str]:
    """The file of the input-embedding table, which need not be there yet, and the tensor's name."""
    index = model_dir / INDEX
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
            return files[name], name
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


def resolve_model(model: str, whole: bool = False) -> Path:
    """The directory of a model that is given as a directory or as a hub id.

    Of a hub id what the local Hugging Face cache lacks is downloaded, as verl does with the policy: tokenizer, index
    and the one file that holds the embedding table, or the `whole` model. Processes that ask at once wait for one.

    Raises:
        FileNotFoundError: neither a directory nor a model of the cache, and the hub does not give it: no such model, no
            network, or `HF_HUB_OFFLINE`.
        CheckpointError: its index is broken.
    """
    directory = Path(model).expanduser()
    if directory.is_dir():
        return directory
    from huggingface_hub import snapshot_download

    small = [*SMALL_FILES, *WHOLE_MODEL] if whole else SMALL_FILES
    with suppress(Exception):  # the cache lacks it, or a part of it
        directory = Path(snapshot_download(model, allow_patterns=small, local_files_only=True))
        find_input_embeddings(directory)
        load_tokenizer(directory)
        return directory
    try:
        directory = Path(snapshot_download(model, allow_patterns=small))
        if whole:
            return directory
        weights = "*.safetensors"
        if (directory / INDEX).is_file():
            weights = escape(_name_input_embeddings(directory)[0].name)
        logger.warning("downloading the embedding table of %s: %s", model, weights)
        return Path(snapshot_download(model, allow_patterns=[*small, weights]))
    except CheckpointError:
        raise
    except Exception as error:  # of the hub, of the network, of the disk: each has classes of its own
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise FileNotFoundError(
            f"model {model!r} is neither a directory nor a model in the local Hugging Face cache, and it cannot be "
            f"downloaded ({reason}); where there is a network: hf download {model}"
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
