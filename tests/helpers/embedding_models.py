"""Tiny model directories for tests of embedding tables: a safetensors file and a tokenizer of twenty-three words."""

import json
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers

WORDS = "[UNK] the of and to in is for on with that by at from as it are dog cat puppy runs grass".split()


def bfloat16_bits(rows: np.ndarray) -> np.ndarray:
    return (rows.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16)


ENCODINGS = {
    "F32": lambda rows: rows.astype(np.float32),
    "F16": lambda rows: rows.astype(np.float16),
    "BF16": bfloat16_bits,
}


def write_safetensors(path: Path, tensors: dict[str, tuple[str, np.ndarray]]) -> None:
    header, data = {}, b""
    for name, (dtype, array) in tensors.items():
        header[name] = {
            "dtype": dtype,
            "shape": list(array.shape),
            "data_offsets": [len(data), len(data) + array.nbytes],
        }
        data += array.tobytes()
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def table_rows(dim: int = 16, seed: int = 0) -> np.ndarray:
    # Integers / 8 are exact in all three types.
    return np.random.default_rng(seed).integers(-8, 9, (len(WORDS), dim)).astype(np.float32) / 8


def write_tokenizer(folder: Path) -> None:
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=8)
    tokenizer.save(str(folder / "tokenizer.json"))


def write_model(folder: Path, name: str = "model.embed_tokens.weight", dtype: str = "F32", **more: np.ndarray) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    extra = {key.replace("__", "."): ("F32", value) for key, value in more.items()}
    write_safetensors(folder / "model.safetensors", {**extra, name: (dtype, ENCODINGS[dtype](table_rows()))})
    write_tokenizer(folder)
    return folder
