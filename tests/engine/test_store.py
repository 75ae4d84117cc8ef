"""Stage folders: found again, made anew, never half made."""

from pathlib import Path

import pytest

from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.engine.store import Store


def test_a_stage_runs_once_for_a_key_and_a_killed_one_finds_what_it_left(tmp_path: Path) -> None:
    store, runs = Store(tmp_path), []

    def make(folder: Path) -> None:
        runs.append(sorted(path.name for path in folder.iterdir()))
        (folder / "chunk").write_text("done", encoding="utf-8")
        if len(runs) == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.stage("s", __file__, {"a": 1}, make)
    assert not store.folder("s", __file__, {"a": 1}).exists()
    folder = store.stage("s", __file__, {"a": 1}, make)
    assert store.stage("s", __file__, {"a": 1}, make) == folder
    assert store.stage("s", __file__, {"a": 2}, make) != folder
    assert runs == [[], ["chunk"], []]


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
