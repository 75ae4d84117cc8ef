"""Rendered scenes as a dataset."""

import io
import json
from pathlib import Path

from PIL import Image

from mixed_r1_verl.data.scenes import make_scene


def test_rows_say_what_the_scene_says(convert):
    rows = convert("demo_scenes", Path(), "val", limit=40).rows
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


def test_splits_differ(convert):
    pictures = [
        {row["images"][0]["bytes"] for row in convert("demo_scenes", Path(), split, limit=400).rows}
        for split in ("train", "val")
    ]
    assert not pictures[0] & pictures[1]
