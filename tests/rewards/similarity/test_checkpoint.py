"""Reading checkpoints and tokenizers: names, number types, shards, broken files."""

import json
from pathlib import Path

import numpy as np
import pytest
from embedding_models import WORDS, bfloat16_bits, table_rows, write_model, write_safetensors, write_tokenizer

from mixed_r1_verl.rewards.similarity.checkpoint import (
    CheckpointError,
    find_input_embeddings,
    load_tokenizer,
    resolve_model,
    to_float32,
)


@pytest.mark.parametrize(
    "name",
    [
        "model.embed_tokens.weight",  # Qwen2.5-VL as saved by transformers 4
        "model.language_model.embed_tokens.weight",  # Qwen2.5-VL, transformers 5; Qwen3-VL
        "language_model.model.embed_tokens.weight",  # InternVL3
        "language_model.model.tok_embeddings.weight",  # InternVL2 with InternLM2
        "embeddings.word_embeddings.weight",  # BERT, MiniLM
        "transformer.wte.weight",  # GPT-2
        "lm_head.weight",  # tied, only the head was saved
        "language_model.lm_head.weight",
    ],
)
def test_table_is_found_under_the_names_of_model_families(tmp_path: Path, name: str) -> None:
    model = write_model(tmp_path, name, visual__patch_embed__weight=np.ones((3, 5), np.float32))
    tensor = find_input_embeddings(model)
    assert (tensor.name, tensor.rows, tensor.dim) == (name, len(WORDS), 16)
    np.testing.assert_array_equal(to_float32(np.array(tensor.map())), table_rows())


def test_input_table_wins_over_an_untied_head(tmp_path: Path) -> None:
    model = write_model(tmp_path, lm_head__weight=np.zeros((len(WORDS), 16), np.float32))
    assert find_input_embeddings(model).name == "model.embed_tokens.weight"


def test_sharded_checkpoint(tmp_path: Path) -> None:
    write_tokenizer(tmp_path)
    write_safetensors(tmp_path / "model-00001-of-00002.safetensors", {"visual.weight": ("F32", np.ones((2, 2), "f4"))})
    write_safetensors(
        tmp_path / "model-00002-of-00002.safetensors",
        {"padding": ("F32", np.ones((7,), "f4")), "model.embed_tokens.weight": ("BF16", bfloat16_bits(table_rows()))},
    )
    weight_map = {
        "visual.weight": "model-00001-of-00002.safetensors",
        "model.embed_tokens.weight": "model-00002-of-00002.safetensors",
    }
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    tensor = find_input_embeddings(tmp_path)
    np.testing.assert_array_equal(to_float32(np.array(tensor.map())), table_rows())
    np.testing.assert_array_equal(np.concatenate(list(tensor.blocks())), tensor.map())


BROKEN_CHECKPOINTS = {
    "nothing": (lambda f: None, "holds no .safetensors"),
    "no known name": (
        lambda f: write_safetensors(f / "model.safetensors", {"x": ("F32", table_rows())}),
        "is an input-embedding table",
    ),
    "quantised": (
        lambda f: write_safetensors(f / "a.safetensors", {"wte.weight": ("I8", np.ones((4, 4), np.int8))}),
        "is I8 of shape",
    ),
    "one-dimensional": (
        lambda f: write_safetensors(f / "a.safetensors", {"wte.weight": ("F32", np.ones(4, np.float32))}),
        "of shape",
    ),
    "garbage": (lambda f: (f / "a.safetensors").write_bytes(b"\x05\0\0\0\0\0\0\0hello"), "not a safetensors file"),
    "huge header": (lambda f: (f / "a.safetensors").write_bytes(b"\xff" * 9), "header claims"),
    "LFS pointer": (lambda f: (f / "a.safetensors").write_text("version https://git-lfs"), "header claims"),
    "index names a missing shard": (
        lambda f: (f / "model.safetensors.index.json").write_text('{"weight_map": {"wte.weight": "b.safetensors"}}'),
        "cannot be read",
    ),
    "index is no index": (lambda f: (f / "model.safetensors.index.json").write_text("[]"), "not a safetensors index"),
}


@pytest.mark.parametrize("case", list(BROKEN_CHECKPOINTS))
def test_broken_checkpoints_are_refused_with_the_reason(tmp_path: Path, case: str) -> None:
    write, message = BROKEN_CHECKPOINTS[case]
    write(tmp_path)
    with pytest.raises(CheckpointError, match=message):
        find_input_embeddings(tmp_path)


def test_checkpoint_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    model = write_model(tmp_path)
    whole = (model / "model.safetensors").read_bytes()
    (model / "model.safetensors").write_bytes(whole[:-4])
    with pytest.raises(CheckpointError, match="cut short"):
        find_input_embeddings(model)


def test_missing_model_and_missing_tokenizer_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(FileNotFoundError, match="hf download"):
        resolve_model("nobody/no-such-model")
    with pytest.raises(FileNotFoundError, match=r"no tokenizer\.json"):
        load_tokenizer(tmp_path)


def test_tokenizer_of_vocab_and_merges(tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text(json.dumps({"d": 0, "o": 1, "g": 2, "do": 3, "dog": 4, "Ġ": 5, "Ġdog": 6}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\nd o\ndo g\nĠ dog\n")
    assert load_tokenizer(tmp_path).encode("dog dog").ids == [4, 6]
