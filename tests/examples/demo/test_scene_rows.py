"""Rendered scenes as a dataset."""

import io
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
from PIL import Image

from examples.demo.data import SCENES
from examples.demo.scenes import make_scene
from mixed_r1_verl.data.convert import Options, convert_dataset
from mixed_r1_verl.data.raw import RawFolder


def scene_rows(folder: Path, split: str, limit: int) -> list[dict[str, Any]]:
    convert_dataset(SCENES, RawFolder(folder), folder / f"{split}.parquet", Options(split=split, limit=limit))
    return pq.read_table(folder / f"{split}.parquet").to_pylist()


def test_rows_say_what_the_scene_says(tmp_path: Path) -> None:
    rows = scene_rows(tmp_path, "val", 40)
    assert {row["data_source"] for row in rows} == {f"scenes_{k}" for k in ("chart", "iou", "open_ended", "matching")}
    for row in rows:
        kind = row["extra_info"]["reward"]
        scene = make_scene(kind, row["extra_info"]["id"].rpartition("/")[2])
        truth = row["reward_model"]["ground_truth"]
        if kind == "iou":
            assert json.loads(truth) == json.loads(scene.question.answer)
        else:
            assert truth == scene.question.answer
        assert row["extra_info"]["question"] == scene.question.text
        assert row["extra_info"]["choices"] == list(scene.question.choices)
        drawn = Image.open(io.BytesIO(row["images"][0]["bytes"]))
        assert drawn.tobytes() == scene.picture.render().tobytes()


def test_splits_differ(tmp_path: Path) -> None:
    pictures = [{row["images"][0]["bytes"] for row in scene_rows(tmp_path, split, 400)} for split in ("train", "val")]
    assert not pictures[0] & pictures[1]
