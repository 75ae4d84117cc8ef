"""Prepared tables: the cache under attack, and the directions that it keeps."""

import ast
import inspect
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from embedding_models import table_rows, write_model, write_safetensors

from mixed_r1_verl.rewards.similarity import checkpoint, prepared, words
from mixed_r1_verl.rewards.similarity.checkpoint import find_input_embeddings
from mixed_r1_verl.rewards.similarity.prepared import CHECKSUMS, CacheError, is_intact, prepared_directory
from mixed_r1_verl.rewards.similarity.table import EmbeddingTable


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
        "import sys; from pathlib import Path; from mixed_r1_verl.rewards.similarity import checkpoint, prepared\n"
        "tensor, cache = checkpoint.find_input_embeddings(Path(sys.argv[1])), Path(sys.argv[2])\n"
        "try: prepared.prepared_table(tensor, sys.argv[3], cache)\n"
        "except prepared.CacheError as error: print(error, sorted(path.suffix for path in cache.iterdir()))\n"
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


@pytest.mark.parametrize("module", [prepared, checkpoint, words])
def test_changed_code_prepares_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
    tensor = find_input_embeddings(write_model(tmp_path / "m"))
    before = prepared.prepared_table(tensor, "reduced", tmp_path)
    assert prepared.prepared_table(tensor, "reduced", tmp_path) == before
    changed = tmp_path / "changed.py"
    changed.write_text(Path(module.__file__).read_text() + "KEPT_DIRECTIONS = 50\n")
    monkeypatch.setattr(module, "__file__", str(changed))
    assert prepared.prepared_table(tensor, "reduced", tmp_path) != before


def test_the_name_of_a_table_covers_the_code_of_this_room_that_prepares_it() -> None:
    covered = {prepared.__name__, checkpoint.__name__, words.__name__}
    for module in (prepared, checkpoint):
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
    mean, directions, _ = prepared.principal_directions(find_input_embeddings(model))
    used = spread[prepared.SAMPLED_ROWS]
    np.testing.assert_allclose(mean, used.mean(axis=0), atol=1e-4)
    _, expected = np.linalg.eigh(np.cov(used.T))
    overlap = np.abs(np.sum(directions[:, :3] * expected[:, ::-1][:, :3], axis=0))
    np.testing.assert_allclose(overlap, 1, atol=1e-3)
