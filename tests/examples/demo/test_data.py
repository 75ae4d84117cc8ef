"""The demo set: four rewards in every batch, real and rendered pictures, no picture in both files."""

import hashlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from examples.demo.data import build_demo
from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.data.check import check_files

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    build_demo(folder, rows=600, val_rows=120, seed=5)
    return folder


def rows_of(path) -> list[dict]:
    return pq.read_table(path).to_pylist()


def test_every_four_rows_hold_four_rewards(demo):
    for name, count in (("train", 600), ("val", 120)):
        rewards = [row["extra_info"]["reward"] for row in rows_of(demo / f"{name}.parquet")]
        assert len(rewards) == count
        for start in range(0, count, 4):
            assert set(rewards[start : start + 4]) == {"matching", "chart", "iou", "open_ended"}


def test_sources(demo):
    sources = Counter(row["data_source"] for row in rows_of(demo / "train.parquet"))
    assert sources == dict.fromkeys(("easy_vqa", "scenes_chart", "scenes_iou", "scenes_open_ended"), 150)


def test_check_is_content(demo):
    assert [str(p) for p in check_files([demo / "train.parquet", demo / "val.parquet"]).problems] == []


def test_no_picture_of_validation_in_training(demo):
    digests = {
        name: {hashlib.sha256(row["images"][0]["bytes"]).digest() for row in rows_of(demo / f"{name}.parquet")}
        for name in ("train", "val")
    }
    assert not digests["train"] & digests["val"]


def test_seed_decides(demo, tmp_path):
    build_demo(tmp_path / "same", rows=600, val_rows=120, seed=5)
    build_demo(tmp_path / "other", rows=600, val_rows=120, seed=6)
    for name in ("train.parquet", "val.parquet"):
        wanted = (demo / name).read_bytes()
        assert (tmp_path / "same" / name).read_bytes() == wanted
        assert (tmp_path / "other" / name).read_bytes() != wanted


@pytest.mark.parametrize("rows", [3, 1_000_000])
def test_numbers_of_rows_that_cannot_be_had(tmp_path, rows):
    with pytest.raises(DataError, match="rows"):
        build_demo(tmp_path, rows=16, val_rows=rows)
    assert not list(tmp_path.glob("*.parquet"))


def test_the_command_line(tmp_path):
    arguments = ["--output", str(tmp_path), "--rows", "8", "--val-rows", "4"]
    command = [sys.executable, "-m", "examples.demo.data", *arguments]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY).stdout
    assert "train.parquet: written 8, rejected 0" in printed and "val.parquet: written 4, rejected 0" in printed


def test_fewer_rows_than_rewards_are_refused(tmp_path):
    command = [sys.executable, "-m", "examples.demo.data", "--output", str(tmp_path), "--rows", "2"]
    ended = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    assert ended.returncode == 2 and "rows" in ended.stderr
