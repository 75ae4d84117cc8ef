"""Curves by source and reward: from tags, and from rollouts."""

import math
from pathlib import Path

import pytest
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from mixed_r1_verl.core.rows import DataRow
from mixed_r1_verl.report.history import Curves, dumped_curves, logged_curves, merge_curves, read_scalars
from mixed_r1_verl.responses.read import Response


def test_tags_become_charts() -> None:
    curves = logged_curves(
        {
            "mixed_r1/source/chartqa/score/mean": [(1, 0.5), (2, 0.75)],
            "mixed_r1/source/org/name/score/mean": [(1, 0.25)],
            "mixed_r1/source/chartqa/score/group_std": [(1, 0.25)],
            "mixed_r1/source/org/name/gradient_share": [(1, 0.25)],
            "mixed_r1/reward/iou/error": [(1, math.nan)],
            "val-core/chartqa/acc/mean@1": [(0, 0.1)],
            "val-aux/chartqa/format/mean@4": [(0, 0.9)],
            "critic/score/mean": [(1, 0.4)],
            "perf/total_num_tokens": [(1, 99.0)],
        }
    )
    assert {key: sorted(lines) for key, lines in curves.items()} == {
        ("train", "source", "score"): ["chartqa", "org/name"],
        ("train", "source", "score group_std"): ["chartqa"],
        ("train", "source", "gradient_share"): ["org/name"],
        ("validation", "source", "acc"): ["chartqa"],
        ("validation", "source", "format, mean of 4"): ["chartqa"],
        ("trainer", "", "score"): [""],
    }


def test_means_and_standard_errors_over_rollouts() -> None:
    rollouts = [
        Response(DataRow("", 0, "s", "", {"reward": "k"}), "four", split="train", step=1, values={"score": score})
        for score in (0.0, 1.0, 1.0, 1.0)
    ]
    curves = dumped_curves(rollouts, ["score"])
    ((step, mean, error),) = curves["train", "source", "score"]["s"]
    assert (step, mean) == (1, 0.75)
    assert error == pytest.approx(0.25)  # sd 0.5 over the root of 4
    assert curves["train", "reward", "characters"]["k"] == [(1, 4.0, 0.0)]


def test_logged_training_and_dumped_validation_win() -> None:
    def curves(value: float) -> Curves:
        return {(group, "source", "acc"): {"s": [(1, value, None)]} for group in ("train", "validation")}

    chosen = merge_curves(curves(1), curves(2))
    assert {group: lines["s"][0][1] for (group, *_), lines in chosen.items()} == {"train": 1, "validation": 2}


def test_a_resumed_run_has_each_step_once(tmp_path: Path) -> None:
    for steps in ((1, 2, 3), (3, 4)):
        writer = EventFileWriter(str(tmp_path / f"from{steps[0]}"))
        for step in steps:
            summary = Summary(value=[Summary.Value(tag="critic/score/mean", simple_value=step + steps[0])])
            writer.add_event(Event(step=step, wall_time=step, summary=summary))
        writer.close()
    scalars = read_scalars(sorted(tmp_path.iterdir()))
    assert scalars["critic/score/mean"] == [(1, 2.0), (2, 3.0), (3, 6.0), (4, 7.0)]
