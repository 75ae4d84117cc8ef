"""Checkpoints: names, number types, shards, broken files, tokenizers; prepared tables: the cache, directions."""

import ast
import inspect
import json
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from embedding_models import WORDS, bfloat16_bits, table_rows, write_model, write_safetensors, write_tokenizer

from mixed_r1_verl.rewards.similarity import checkpoint, words
from mixed_r1_verl.rewards.similarity.checkpoint import (
    CHECKSUMS,
    CacheError,
    CheckpointError,
    find_input_embeddings,
    is_intact,
    load_tokenizer,
    prepared_directory,
    resolve_model,
    to_float32,
)
from mixed_r1_verl.rewards.similarity.table import EmbeddingTable


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


# --- prepared tables


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
    remains = tmp_path / "table.building"
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


@pytest.mark.parametrize("form", ["exact", "reduced"])
def test_a_full_disk_is_an_error_that_leaves_nothing_behind(tmp_path: Path, form: str) -> None:
    """On a file system of its own, which is too small; written through a map, the table would end it with SIGBUS."""
    rows = np.random.default_rng(0).integers(-8, 9, (20_000, 64)).astype(np.float32)
    write_safetensors(tmp_path / "model.safetensors", {"model.embed_tokens.weight": ("F32", rows)})
    program = (
        "import sys; from pathlib import Path; from mixed_r1_verl.rewards.similarity import checkpoint\n"
        "tensor, cache = checkpoint.find_input_embeddings(Path(sys.argv[1])), Path(sys.argv[2])\n"
        "try: checkpoint.prepared_table(tensor, sys.argv[3], cache)\n"
        "except checkpoint.CacheError as error: print(error, sorted(path.suffix for path in cache.iterdir()))\n"
    )
    small = tmp_path / "small"
    small.mkdir()
    inside = f'mount -t tmpfs -o size=1m tmpfs "{small}" && exec "$@"'
    command = [sys.executable, "-c", program, str(tmp_path), str(small), form]
    try:
        subprocess.run(["unshare", "-rm", "sh", "-c", inside, "sh", "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no file system can be mounted here")
    ran = subprocess.run(["unshare", "-rm", "sh", "-c", inside, "sh", *command], capture_output=True, text=True)
    assert ran.returncode == 0, ran
    assert "No space left on device; set cache_dir to a place with room ['.lock']" in ran.stdout


def test_another_checkpoint_gets_another_table(tmp_path: Path) -> None:
    model, cache = write_model(tmp_path / "m"), str(tmp_path / "cache")
    before = EmbeddingTable.load(str(model), cache)
    kept = before.unit_rows([17]).copy()
    write_safetensors(model / "model.safetensors", {"model.embed_tokens.weight": ("F32", table_rows(16, seed=1))})
    after = EmbeddingTable.load(str(model), cache)
    assert not np.allclose(after.unit_rows([17]), kept)
    # The first table is a frozen copy: it does not follow the checkpoint.
    np.testing.assert_array_equal(before.unit_rows([17]), kept)


@pytest.mark.parametrize("module", [checkpoint, words])
def test_changed_code_prepares_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
    tensor = find_input_embeddings(write_model(tmp_path / "m"))
    before = checkpoint.prepared_table(tensor, "reduced", tmp_path)
    assert checkpoint.prepared_table(tensor, "reduced", tmp_path) == before
    changed = tmp_path / "changed.py"
    changed.write_text(Path(module.__file__).read_text() + "KEPT_DIRECTIONS = 50\n")
    monkeypatch.setattr(module, "__file__", str(changed))
    assert checkpoint.prepared_table(tensor, "reduced", tmp_path) != before


def test_the_name_of_a_table_covers_the_code_of_this_room_that_prepares_it() -> None:
    covered = {checkpoint.__name__, words.__name__}
    for module in (checkpoint, words):
        imports = [node for node in ast.walk(ast.parse(inspect.getsource(module))) if isinstance(node, ast.ImportFrom)]
        names = {
            name for node in imports for name in (node.module, *(f"{node.module}.{one.name}" for one in node.names))
        }
        loaded = {name for name in names if name in sys.modules and not hasattr(sys.modules[name], "__path__")}
        assert {name for name in loaded if name.startswith("mixed_r1_verl.rewards")} <= covered


def test_principal_directions_agree_with_a_full_decomposition(tmp_path: Path) -> None:
    model = write_model(tmp_path)
    spread = np.random.default_rng(0).standard_normal((3000, 40)).astype(np.float32) * np.linspace(4, 0.2, 40)
    write_safetensors(model / "model.safetensors", {"wte.weight": ("F32", spread.astype(np.float32))})
    mean, directions, _ = checkpoint.principal_directions(find_input_embeddings(model))
    used = spread[checkpoint.SAMPLED_ROWS]
    np.testing.assert_allclose(mean, used.mean(axis=0), atol=1e-4)
    _, expected = np.linalg.eigh(np.cov(used.T))
    overlap = np.abs(np.sum(directions[:, :3] * expected[:, ::-1][:, :3], axis=0))
    np.testing.assert_allclose(overlap, 1, atol=1e-3)


@pytest.mark.parametrize(("meaning_in", "kept"), [("large directions", 100), ("small directions", 640)])
def test_the_table_itself_chooses_how_its_directions_are_used(tmp_path: Path, meaning_in: str, kept: int) -> None:
    """Forms of one word agree in some directions and differ in the others; the vocabulary's own pairs say in which."""
    random = np.random.default_rng(0)
    spread = np.repeat([10.0, 3.0, 1.0], [3, 100, 100]).astype(np.float32)
    rows = random.standard_normal((1_200, 203)).astype(np.float32)
    same = slice(3, 103) if meaning_in == "large directions" else slice(103, 203)
    noise = random.standard_normal((400, 203)).astype(np.float32)
    noise[:, same] *= 2.5
    rows[400:800] = np.where(np.isin(np.arange(203), np.arange(203)[same]), rows[:400] + noise, noise)
    write_safetensors(tmp_path / "model.safetensors", {"wte.weight": ("F32", rows * spread)})
    pairs = np.stack([np.arange(400), np.arange(400, 800)], axis=1)
    checkpoint.prepare_reduced(find_input_embeddings(tmp_path), tmp_path, lambda: (pairs, np.arange(1_200)))
    assert np.load(tmp_path / "rows.npy").shape == (1_200, min(kept, 200))
