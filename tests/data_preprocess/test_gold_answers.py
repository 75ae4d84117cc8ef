"""The published answer of every row of the real samples earns what a perfect response earns, in every box frame.

`pytest tests/data_preprocess/test_gold_answers.py` is the report: a failure lists the rows and what they scored.
"""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from real_samples import SAMPLES, Sample, name_of

from mixed_r1_verl.core.families import get_family
from mixed_r1_verl.data.truth import GOLD_ACC, gold_acc, reward_with
from mixed_r1_verl.rewards.cheats import reply
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.kinds.iou import IoUConfig
from mixed_r1_verl.rewards.mixed import MixedReward

COLUMNS = ["data_source", "prompt", "reward_model", "extra_info"]
FAMILIES = ("qwen2_5_vl", "qwen3_vl", "internvl")


def small_columns(path: Path) -> list[dict[str, Any]]:
    """The rows without their pictures."""
    return pq.read_table(path, columns=COLUMNS).to_pylist()


@pytest.mark.parametrize("sample", SAMPLES, ids=name_of)
def test_gold_answers_score_one(converted, sample: Sample):
    rows = small_columns(converted(sample)[0])
    assert rows
    reward = reward_with({})
    scores = [
        (gold_acc(reward, row["extra_info"]["reward"], row["reward_model"]["ground_truth"], row["extra_info"]), row)
        for row in rows
    ]
    wrong = [
        f"{acc:.4f} {row['extra_info']['id']}: {row['reward_model']['ground_truth'][:60]}"
        for acc, row in scores
        if acc < GOLD_ACC
    ]
    assert wrong == []


BOXES = [
    sample for sample in SAMPLES if sample.converter in ("raccoon", "bccd", "coco_detection", "refcocos", "screenspot")
]


@pytest.mark.parametrize("sample", BOXES, ids=name_of)
def test_boxes_survive_every_frame_and_back(converted, sample: Sample):
    """The boxes are written in another frame, as a model of that family would, and scored from there."""
    rows = small_columns(converted(sample)[0])
    wrong = []
    for row in rows:
        extra, truth = row["extra_info"], row["reward_model"]["ground_truth"]
        size = (extra["width"], extra["height"])
        frames = {"pixel": size, "norm1": (1, 1), "norm1000": (1000, 1000)}
        targets = [(frame, extent, FAMILIES[0]) for frame, extent in frames.items()]
        targets += [("resized", get_family(name).resized_size(*size), name) for name in FAMILIES]
        for frame, (width, height), family in targets:
            scale = (width / size[0], height / size[1])
            boxes = [[round(side * scale[i % 2], 6) for i, side in enumerate(box)] for box in json.loads(truth)]
            reward = MixedReward(MixedRewardConfig(options={"iou": IoUConfig(box_frame=frame, family=family)}))
            result = reward.score("", reply(json.dumps(boxes)), truth, extra)
            if result["error"] or result["acc"] < GOLD_ACC:
                wrong.append((extra["id"], frame, family, result["acc"], result["reason"]))
    assert rows and wrong == []
