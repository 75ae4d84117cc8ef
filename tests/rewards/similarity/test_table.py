"""Embedding tables: reading checkpoints, preparing the cache under attack, the two kinds of table."""

import json
import pickle
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from mixed_r1_verl.rewards.similarity import model_table, word_memory
from mixed_r1_verl.rewards.similarity.checkpoint import CheckpointError, find_input_embeddings, to_float32
from mixed_r1_verl.rewards.similarity.model_table import load_tokenizer, resolve_model
from mixed_r1_verl.rewards.similarity.table import EmbeddingTable
from mixed_r1_verl.rewards.similarity.table_cache import CHECKSUMS, CacheError, is_intact, prepared_directory

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


# --- checkpoints -----------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("dtype", list(ENCODINGS))
def test_number_types_give_the_same_rows(tmp_path: Path, dtype: str) -> None:
    table = EmbeddingTable.load(str(write_model(tmp_path / "m", dtype=dtype)), str(tmp_path / "cache"))
    rows = table_rows()[[17, 18]]
    np.testing.assert_allclose(table.unit_rows([17, 18]), rows / np.linalg.norm(rows, axis=1, keepdims=True), atol=1e-6)


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


# --- the cache -------------------------------------------------------------------------------------------------------


def damage_flip(path: Path) -> None:
    content = bytearray((path / "rows.npy").read_bytes())
    content[-1] ^= 0xFF
    (path / "rows.npy").write_bytes(content)


DAMAGES = {
    "one bit flipped": damage_flip,
    "cut short": lambda path: (path / "rows.npy").write_bytes((path / "rows.npy").read_bytes()[:-8]),
    "a file is missing": lambda path: (path / "rows.npy").unlink(),
    "no seal": lambda path: (path / CHECKSUMS).unlink(),
    "empty seal": lambda path: (path / CHECKSUMS).write_text("{}"),
    "seal is no JSON": lambda path: (path / CHECKSUMS).write_text('{"rows.npy": {"by'),
    "seal is a list": lambda path: (path / CHECKSUMS).write_text("[1]"),
}


@pytest.mark.parametrize("kind", ["reduced", "exact"])
@pytest.mark.parametrize("damage", list(DAMAGES))
def test_damaged_cache_is_rebuilt(tmp_path: Path, damage: str, kind: str) -> None:
    model, cache = str(write_model(tmp_path / "m")), tmp_path / "cache"

    def read() -> np.ndarray:
        table = EmbeddingTable.load(model, str(cache))
        return np.concatenate([table.unit_rows([17, 20]).ravel(), table.words(["dog", "puppy"]).vectors.ravel()])

    expected = read()
    (directory,) = cache.glob(f"*-{kind}")
    DAMAGES[damage](directory)
    assert not is_intact(directory)
    np.testing.assert_array_equal(read(), expected)
    assert is_intact(directory)


def test_a_process_that_died_while_building_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "table"

    def die(folder: Path) -> None:
        (folder / "rows.npy").write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepared_directory(target, die)
    assert not target.exists()
    # Killed outright, it cannot even clean up.
    remains = tmp_path / "table.building-killed"
    remains.mkdir()
    (remains / "rows.npy").write_bytes(b"half")
    prepared_directory(target, lambda folder: (folder / "rows.npy").write_bytes(b"whole"))
    assert (target / "rows.npy").read_bytes() == b"whole"
    assert not remains.exists()


def test_many_at_once_build_once(tmp_path: Path) -> None:
    built, barrier = [], threading.Barrier(8)

    def build(folder: Path) -> None:
        built.append(1)
        (folder / "rows.npy").write_bytes(b"rows")

    def ask() -> None:
        barrier.wait()
        prepared_directory(tmp_path / "table", build)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1


def test_processes_share_one_prepared_table(tmp_path: Path) -> None:
    model, cache = str(write_model(tmp_path / "m")), str(tmp_path / "cache")
    program = (
        "import sys; from mixed_r1_verl.rewards.similarity.table import EmbeddingTable; "
        "print(EmbeddingTable.load(*sys.argv[1:]).unit_rows([17]).sum())"
    )
    command = [sys.executable, "-c", program, model, cache]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    outputs = {process.communicate(timeout=120)[0] for process in processes}
    assert [process.returncode for process in processes] == [0, 0, 0]
    assert len(outputs) == 1
    assert len([path for path in Path(cache).iterdir() if path.is_dir()]) == 2


def test_cache_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CacheError, match="set cache_dir"):
        EmbeddingTable.load(str(write_model(tmp_path / "m")), str(tmp_path / "file" / "cache"))


def test_another_checkpoint_gets_another_table(tmp_path: Path) -> None:
    model, cache = write_model(tmp_path / "m"), str(tmp_path / "cache")
    before = EmbeddingTable.load(str(model), cache)
    kept = before.unit_rows([17]).copy()
    write_safetensors(model / "model.safetensors", {"model.embed_tokens.weight": ("F32", table_rows(16, seed=1))})
    after = EmbeddingTable.load(str(model), cache)
    assert not np.allclose(after.unit_rows([17]), kept)
    # The first table is a frozen copy: it does not follow the checkpoint.
    np.testing.assert_array_equal(before.unit_rows([17]), kept)


# --- tables ----------------------------------------------------------------------------------------------------------


def test_model_table(tmp_path: Path) -> None:
    table = EmbeddingTable.load(str(write_model(tmp_path / "m")), str(tmp_path / "cache"))
    # Neither the tokenizer's truncation to 4 nor its padding to 8 applies.
    assert list(table.tokens("the dog runs on the grass", 100)) == [1, 17, 20, 8, 1, 21]
    assert list(table.tokens("the dog runs on the grass", 2)) == [1, 17]
    features = table.words(["dog", "zebra", "the", "dog"])
    np.testing.assert_allclose(np.linalg.norm(features.vectors, axis=1), [1, 0, 1, 1], atol=1e-6)  # zebra is unknown
    assert features.weights[2] < 0.05 < features.weights[0]
    copy = pickle.loads(pickle.dumps(table))
    np.testing.assert_array_equal(copy.words(["dog"]).vectors, features.vectors[:1])


def test_rows_that_are_not_finite_or_zero_give_zero(tmp_path: Path) -> None:
    rows = table_rows()
    rows[17], rows[18] = np.nan, 0
    write_model(tmp_path)
    write_safetensors(tmp_path / "model.safetensors", {"wte.weight": ("F32", rows)})
    table = EmbeddingTable.load(str(tmp_path), str(tmp_path / "cache"))
    unit = table.unit_rows([17, 18, 19])
    assert not unit[:2].any()
    assert np.isclose(np.linalg.norm(unit[2]), 1)
    assert np.isfinite(table.words(["dog", "cat", "puppy"]).vectors).all()


def test_principal_directions_agree_with_a_full_decomposition(tmp_path: Path) -> None:
    model = write_model(tmp_path)
    spread = np.random.default_rng(0).standard_normal((3000, 40)).astype(np.float32) * np.linspace(4, 0.2, 40)
    write_safetensors(model / "model.safetensors", {"wte.weight": ("F32", spread.astype(np.float32))})
    mean, directions = model_table.principal_directions(find_input_embeddings(model))
    used = spread[model_table.SAMPLED_ROWS]
    np.testing.assert_allclose(mean, used.mean(axis=0), atol=1e-4)
    _, expected = np.linalg.eigh(np.cov(used.T))
    overlap = np.abs(np.sum(directions[:, :3] * expected[:, ::-1][:, :3], axis=0))
    np.testing.assert_allclose(overlap, 1, atol=1e-3)


def test_hashed_letters_are_the_same_everywhere() -> None:
    table = EmbeddingTable.load(None)
    vectors = table.words(["dog", "dogs", "canoe"]).vectors
    # Fixed numbers: the table must not change with the machine, the run or the hash seed of Python.
    np.testing.assert_array_equal((vectors[0, :8] > 0).astype(int), [0, 0, 0, 1, 1, 1, 0, 0])
    assert vectors[0] @ vectors[1] > 0.4 > 0.2 > abs(vectors[0] @ vectors[2])


def test_memory_of_words_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(word_memory, "REMEMBERED_WORDS", 2000)
    table = EmbeddingTable.load(None)
    first = table.words(["dog"]).vectors.copy()
    for start in range(0, 6000, 500):
        table.words([f"word{number}" for number in range(start, start + 500)])
    assert len(table._memory._places) <= 2000
    np.testing.assert_array_equal(table.words(["dog"]).vectors, first)


def test_threads_may_share_a_table() -> None:
    table = EmbeddingTable.load(None)
    expected = EmbeddingTable.load(None).words(["dog"]).vectors
    wrong = []

    def work(number: int) -> None:
        for round_ in range(30):
            features = table.words(["dog", *(f"w{number}x{round_}x{k}" for k in range(50))])
            if not np.array_equal(features.vectors[:1], expected):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
