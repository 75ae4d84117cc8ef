"""Files of stages: found again, made anew, never half made."""

import subprocess
import sys
from pathlib import Path

import pytest

from mixed_r1_verl.core.code import imported_modules
from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.engine.config import NearConfig
from mixed_r1_verl.engine.store import Store, hash_value, reward_key
from mixed_r1_verl.rewards.kinds import KINDS


def test_a_file_is_made_once_for_a_key_and_never_half(tmp_path: Path) -> None:
    store, runs = Store(tmp_path), []

    def make(path: Path) -> None:
        path.write_text(f"made {len(runs)}", encoding="utf-8")
        runs.append(path)
        if len(runs) == 1:
            raise KeyboardInterrupt

    module, key = "mixed_r1_verl.engine.store", {"a": 1}
    with pytest.raises(KeyboardInterrupt):
        store.file("s", module, key, make)
    assert not store.path("s", module, key, ".parquet").exists()
    path = store.file("s", module, key, make)
    assert store.file("s", module, key, make) == path == store.path("s", module, key, ".parquet")
    assert path.read_text(encoding="utf-8") == "made 1" and [file.name for file in tmp_path.iterdir()] == [path.name]
    assert store.file("s", module, {"a": 2}, make) != path and len(runs) == 3


def test_a_key_holds_files_by_their_content_and_dataclasses_by_their_fields(tmp_path: Path) -> None:
    for name, text in (("a", "same"), ("b", "same"), ("c", "other")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    a, b, c = (hash_value({"rows": tmp_path / name, "near": NearConfig()}) for name in "abc")
    assert a == b != c
    assert hash_value({"rows": tmp_path / "a", "near": NearConfig(max_distance=3)}) != a


def test_a_folder_is_known_by_names_and_content(tmp_path: Path) -> None:
    store, raw = Store(tmp_path / "work"), tmp_path / "raw"
    raw.mkdir()
    store.root.mkdir()
    (raw / "a.json").write_text("[1]", encoding="utf-8")
    first = store.hash_folder(raw)
    (raw / "a.pyc").write_text("compiled", encoding="utf-8")
    assert store.hash_folder(raw) == first == Store(tmp_path / "other").hash_folder(raw)
    (raw / "a.json").write_text("[22]", encoding="utf-8")
    second = store.hash_folder(raw)
    (raw / "a.json").rename(raw / "b.json")
    assert len({first, second, store.hash_folder(raw)}) == 3


def test_two_builds_cannot_share_a_work_folder(tmp_path: Path) -> None:
    with (
        Store(tmp_path).locked(),
        pytest.raises(DataError, match="another build works in"),
        Store(tmp_path).locked(),
    ):
        pass


STAGES = (
    "describe",
    "duplicates",
    "decontaminate",
    "difficulty",
    "policy",
    "balance",
    "quotas",
    "mix",
    "write",
)


@pytest.mark.parametrize("stage", STAGES)
def test_the_key_of_a_stage_covers_all_code_that_it_can_run(stage: str) -> None:
    """What Python has imported after the module of a stage, and what only its functions import."""
    module = f"mixed_r1_verl.engine.{stage}"
    code = f"import sys; before = set(sys.modules); import {module}; print(*(set(sys.modules) - before))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name for name in ran.stdout.split() if name.startswith("mixed_r1_verl.")}
    assert module in loaded and loaded <= imported_modules(module)


def test_what_converts_describes_and_answers_depends_on_the_rewards_and_on_the_families_of_models() -> None:
    """Boxes in the frame of a resized picture are read with a family's own rule."""
    for module in ("mixed_r1_verl.engine.convert", "mixed_r1_verl.engine.describe", "mixed_r1_verl.engine.policy"):
        covered = imported_modules(module)
        assert {"mixed_r1_verl.core.families", "mixed_r1_verl.core.boxes"} <= covered
        assert {f"mixed_r1_verl.rewards.kinds.{kind}" for kind in KINDS} <= covered
        assert "mixed_r1_verl.rewards.extraction" in covered


def test_code_of_a_custom_kind_is_part_of_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    block = {"custom": {"mine": "kind_for_this_test:score"}}
    (tmp_path / "kind_for_this_test.py").write_text("def score(answer, truth): return 1.0\n", encoding="utf-8")
    before = reward_key(block)
    (tmp_path / "kind_for_this_test.py").write_text("def score(answer, truth): return 0.5\n", encoding="utf-8")
    assert reward_key(block) != before
    assert reward_key({}) == reward_key({})
