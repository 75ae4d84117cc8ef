"""Checkpoints: names, number types, shards, broken files, tokenizers; prepared tables: the cache, directions."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from embedding_models import WORDS, bfloat16_bits, table_rows, write_model, write_safetensors, write_tokenizer
from model_hub import serve_model

from mixed_r1_verl.core.code import imported_modules
from mixed_r1_verl.core.files import sha256_of
from mixed_r1_verl.rewards.similarity import table as prepared_tables
from mixed_r1_verl.rewards.similarity.checkpoint import (
    CheckpointError,
    find_input_embeddings,
    load_tokenizer,
    resolve_model,
    to_float32,
)
from mixed_r1_verl.rewards.similarity.table import CacheError, EmbeddingTable, is_intact, prepare, prepared

TABLE_NAME = "model.embed_tokens.weight"


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
    np.testing.assert_array_equal(np.concatenate([block for _, block in tensor.blocks()]), tensor.map())


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


def resolve_in_a_process(model: str, whole: bool = False, **environment: str) -> subprocess.CompletedProcess:
    """huggingface_hub reads its environment when it is imported."""
    code = (
        "import sys; from mixed_r1_verl.rewards.similarity.checkpoint import *; "
        f"model = resolve_model(sys.argv[1], whole={whole}); "
        "print(find_input_embeddings(model).rows, load_tokenizer(model).get_vocab_size())"
    )
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGINGFACE_"))}
    environment = {**ours, "NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", **environment}
    return subprocess.run(
        [sys.executable, "-c", code, model], capture_output=True, text=True, env=environment, timeout=300
    )


@pytest.mark.parametrize("kind", ["one file", "shards", "whole"])
def test_of_a_hub_only_what_is_needed_is_downloaded_and_once(tmp_path: Path, kind: str) -> None:
    model = write_model(tmp_path / "hub")
    for name in ("README.md", "pytorch_model.bin"):
        (model / name).write_text("not needed")
    first, second, index = (f"model{end}" for end in ("-1.safetensors", "-2.safetensors", ".safetensors.index.json"))
    needed = ["model.safetensors"]
    if kind != "one file":
        (model / "model.safetensors").rename(model / second)
        write_safetensors(model / first, {"model.norm.weight": ("F32", np.ones((1, 2), np.float32))})
        (model / index).write_text(json.dumps({"weight_map": {TABLE_NAME: second, "model.norm.weight": first}}))
        needed = [second, index, *([first] if kind == "whole" else [])]
    with serve_model("lab/tiny-vl", model) as (address, downloaded):
        home = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "home")}
        for again in (False, True):
            ran = resolve_in_a_process("lab/tiny-vl", kind == "whole", **home, HF_HUB_OFFLINE=str(int(again)))
            assert ran.stdout.split() == [str(len(WORDS))] * 2, ran.stderr
            said = "downloading the embedding table of lab/tiny-vl" in ran.stderr
            assert said is (not again and kind != "whole")
        assert sorted(downloaded) == sorted(["tokenizer.json", *needed])
        missing = resolve_in_a_process("lab/other", **home).stderr
    assert "model 'lab/other' is neither" in missing and "hf download lab/other" in missing


def test_tokenizer_of_vocab_and_merges(tmp_path: Path) -> None:
    (tmp_path / "vocab.json").write_text(json.dumps({"d": 0, "o": 1, "g": 2, "do": 3, "dog": 4, "Ġ": 5, "Ġdog": 6}))
    (tmp_path / "merges.txt").write_text("#version: 0.2\nd o\ndo g\nĠ dog\n")
    assert load_tokenizer(tmp_path).encode("dog dog").ids == [4, 6]


# --- prepared tables


def damage_flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 0xFF
    path.write_bytes(content)


DAMAGES = {
    "one bit flipped": damage_flip,
    "cut short": lambda path: path.write_bytes(path.read_bytes()[:-8]),
    "the file is missing": lambda path: path.unlink(),
    "no seal": lambda path: path.with_suffix(".sha256").unlink(),
    "empty seal": lambda path: path.with_suffix(".sha256").write_text(""),
    "another's seal": lambda path: path.with_suffix(".sha256").write_text("0" * 64),
}


@pytest.mark.parametrize("kind", ["reduced", "exact"])
@pytest.mark.parametrize("damage", list(DAMAGES))
def test_damaged_cache_is_rebuilt(tmp_path: Path, damage: str, kind: str) -> None:
    model, cache = str(write_model(tmp_path / "m")), tmp_path / "cache"

    def read() -> np.ndarray:
        table = EmbeddingTable.load(model, str(cache))
        return np.concatenate([table.unit_rows([17, 20]).ravel(), table.words(["dog", "puppy"]).vectors.ravel()])

    expected = read()
    (path,) = cache.glob(f"*-{kind}.npy")
    DAMAGES[damage](path)
    assert not is_intact(path)
    np.testing.assert_array_equal(read(), expected)
    assert is_intact(path)


def save(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.ones(3))


def test_a_process_that_died_while_building_leaves_nothing_behind(tmp_path: Path) -> None:
    tensor, cache = find_input_embeddings(write_model(tmp_path / "m")), tmp_path / "cache"

    def die(path: Path) -> None:
        path.write_bytes(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        prepared(tensor, "exact", cache, die)
    (name,) = (path.stem for path in cache.iterdir())  # the lock
    # Killed outright, it cannot even clean up.
    (cache / f"{name}.building").write_bytes(b"half")
    np.testing.assert_array_equal(prepared(tensor, "exact", cache, save), np.ones(3))
    assert sorted(path.suffix for path in cache.iterdir()) == [".lock", ".npy", ".sha256"]


def test_many_at_once_build_once(tmp_path: Path) -> None:
    tensor, built, barrier = find_input_embeddings(write_model(tmp_path)), [], threading.Barrier(8)

    def build(path: Path) -> None:
        built.append(1)
        save(path)

    def ask() -> None:
        barrier.wait()
        prepared(tensor, "exact", tmp_path, build)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1


def test_a_table_that_nobody_has_touched_is_not_read_for_its_sum(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each reward worker of a node would read and hash hundreds of megabytes at its start."""
    tensor, summed = find_input_embeddings(write_model(tmp_path)), []
    prepared(tensor, "exact", tmp_path, save)
    monkeypatch.setattr(prepared_tables, "sha256_of", lambda path: summed.append(path) or sha256_of(path))
    prepared(tensor, "exact", tmp_path, save)
    assert summed == []
    (path,) = tmp_path.glob("*-exact.npy")
    os.utime(path)  # copied here by somebody, for one
    prepared(tensor, "exact", tmp_path, save)
    assert summed == [path]


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
    assert len(list(Path(cache).glob("*.npy"))) == 2


def test_cache_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CacheError, match="set cache_dir"):
        EmbeddingTable.load(str(write_model(tmp_path / "m")), str(tmp_path / "file" / "cache"))


def test_a_full_disk_is_an_error_that_leaves_nothing_behind(tmp_path: Path) -> None:
    """On a file system of its own, which is too small; written through a map, the table would end it with SIGBUS."""
    write_tokenizer(tmp_path)
    rows = np.random.default_rng(0).integers(-8, 9, (20_000, 64)).astype(np.float32)
    write_safetensors(tmp_path / "model.safetensors", {"model.embed_tokens.weight": ("F32", rows)})
    program = (
        "import sys; from pathlib import Path; from mixed_r1_verl.rewards.similarity import table\n"
        "cache = Path(sys.argv[2])\n"
        "try: table.EmbeddingTable.load(sys.argv[1], sys.argv[2]).rows([1])\n"
        "except table.CacheError as error: print(error, sorted({path.suffix for path in cache.iterdir()}))\n"
    )
    small = tmp_path / "small"
    small.mkdir()
    inside = f'mount -t tmpfs -o size=1m tmpfs "{small}" && exec "$@"'
    command = [sys.executable, "-c", program, str(tmp_path), str(small)]
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


def test_changed_code_prepares_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tensor = find_input_embeddings(write_model(tmp_path / "m"))
    for code in ("one", "one", "other"):
        monkeypatch.setattr(prepared_tables, "code_digest", lambda *modules, code=code: code)
        prepared(tensor, "exact", tmp_path, save)
    assert len(list(tmp_path.glob("*.npy"))) == 2
    covered = imported_modules(prepared_tables.__name__)
    assert {f"mixed_r1_verl.rewards.similarity.{name}" for name in ("table", "checkpoint", "words")} <= covered


def test_principal_directions_agree_with_a_full_decomposition(tmp_path: Path) -> None:
    model = write_model(tmp_path)
    spread = np.random.default_rng(0).standard_normal((3000, 40)).astype(np.float32) * np.linspace(4, 0.2, 40)
    write_safetensors(model / "model.safetensors", {"wte.weight": ("F32", spread.astype(np.float32))})
    mean, directions, _ = prepared_tables.principal_directions(find_input_embeddings(model))
    used = spread[prepared_tables.SAMPLED_ROWS]
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
    prepare(find_input_embeddings(tmp_path), tmp_path / "rows.npy", (pairs, np.arange(1_200)))
    assert np.load(tmp_path / "rows.npy").shape == (1_200, min(kept, 200))
