"""Long runs of verl with the tiny model: the asynchronous trainer modes, a trainer and a reward worker that are killed.

The curves of the mode `sync` are asserted in `test_train.py`, inside a run that every CI does.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from examples.demo.data import build_demo

pytestmark = [pytest.mark.verl, pytest.mark.slow, pytest.mark.timeout(1200)]

MIXTURE = {"matching": 2, "chart": 1, "iou": 1, "open_ended": 1}
MODES = {
    "sync": [],
    "colocate_async": ["trainer.v1.trainer_mode=colocate_async"],
    "separate_async": [
        "trainer.v1.trainer_mode=separate_async",
        "trainer.v1.separate_async.parameter_sync_step=2",
        "actor_rollout_ref.actor.ppo_mini_batch_size=4",
        "actor_rollout_ref.rollout.log_prob_micro_batch_size_per_gpu=16",
        "actor_rollout_ref.rollout.nnodes=1",
        "actor_rollout_ref.rollout.n_gpus_per_node=1",
        "actor_rollout_ref.rollout.checkpoint_engine.backend=cpu",
        "ray_kwargs.ray_init.num_cpus=16",
        "ray_kwargs.ray_init.num_gpus=2",
    ],
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    build_demo(folder, rows=64, val_rows=16)
    return folder


def start(folder: Path, data: Path, model: Path, *overrides: str) -> "subprocess.Popen[str]":
    command = [
        *(sys.executable, "-m", "verl.trainer.main_ppo", "+recipe=mixed_r1_cpu"),
        f"data.train_files={data}/train.parquet",
        f"data.val_files={data}/val.parquet",
        f"actor_rollout_ref.model.path={model}",
        "data.train_batch_size=8",
        "actor_rollout_ref.actor.ppo_mini_batch_size=8",
        "actor_rollout_ref.rollout.n=4",
        "data.max_response_length=48",
        "data.shuffle=false",  # rows take turns, so that every step has all four rewards
        "trainer.total_epochs=10",
        "trainer.test_freq=100",
        "trainer.val_before_train=false",
        "trainer.save_freq=-1",
        "trainer.logger=[console,tensorboard,file]",
        f"trainer.default_local_dir={folder}/checkpoints",
        *overrides,
    ]
    environment = {
        **os.environ,
        "TENSORBOARD_DIR": str(folder / "tensorboard"),
        "VERL_FILE_LOGGER_PATH": str(folder / "curves.jsonl"),
    }
    return subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment
    )


def kill_tree(process: "subprocess.Popen[str]") -> None:
    """kill -9 of the driver, the trainer and everything else that the run has started."""
    family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    for member in family:
        member.suspend()
    for member in family:
        member.kill()
    process.wait()


def watch(process: "subprocess.Popen[str]", until: Callable[[str], bool]) -> str:
    """Read the console until a line for which `until` holds, or to the end."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line)
        if until(line):
            break
    return "".join(lines)


def finish(process: "subprocess.Popen[str]") -> str:
    output = watch(process, until=lambda line: False)
    assert process.wait() == 0, output[-6000:]
    return output


def points(folder: Path, tag: str) -> list[tuple[int, float]]:
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


def curve_tags(folder: Path) -> list[str]:
    events = EventAccumulator(str(folder / "tensorboard"))
    events.Reload()
    return [tag for tag in events.Tags()["scalars"] if tag.startswith("mixed_r1/")]


@pytest.mark.parametrize("mode", MODES)
def test_curves_in_every_trainer_mode(mode: str, data: Path, tmp_path: Path, warm_model: Path) -> None:
    mixture = f"data.mixture={MIXTURE}".replace("'", "")
    output = finish(start(tmp_path, data, warm_model, "trainer.total_training_steps=3", mixture, *MODES[mode]))
    for kind in ("matching", "chart", "iou", "open_ended"):
        assert any(tag == f"mixed_r1/reward/{kind}/acc/mean" for tag in curve_tags(tmp_path))
        assert f"mixed_r1/reward/{kind}/gradient_share:" in output  # the console has them too
    assert [step for step, _ in points(tmp_path, "critic/score/mean")] == [1, 2, 3]
    batches = 2 if mode == "separate_async" else 1  # in a step
    prompts = {kind: dict(points(tmp_path, f"mixed_r1/reward/{kind}/samples")) for kind in MIXTURE}
    for step in (1, 2, 3):
        # 8 prompts, 4 responses each: every response of the step is in a curve, and each reward has its share of a
        # batch, to within a row
        assert sum(prompts[kind][step] for kind in MIXTURE) == 32
        for kind, weight in MIXTURE.items():
            assert abs(prompts[kind][step] / 4 - 8 * weight / 5) < batches, (step, prompts)
    print(*(f"{tag}: {points(tmp_path, tag)}" for tag in curve_tags(tmp_path) if "/reward/" in tag), sep="\n")


def test_a_killed_trainer_resumes_its_curves(data: Path, tmp_path: Path, warm_model: Path) -> None:
    options = ("trainer.save_freq=2", "trainer.total_training_steps=6")
    process = start(tmp_path, data, warm_model, *options)
    output = watch(process, until=lambda line: "step:3 - " in line)
    assert "step:3 - " in output, output[-6000:]
    kill_tree(process)
    again = finish(start(tmp_path, data, warm_model, *options))
    assert "setting global step to 2" in again
    for tag in ("critic/score/mean", "mixed_r1/reward/chart/acc/mean"):
        assert [step for step, _ in points(tmp_path, tag)] == [1, 2, 3, 4, 5, 6]
    steps = [int(step) for step in re.findall(r'^{"step":(\d+)', (tmp_path / "curves.jsonl").read_text(), re.M)]
    assert steps == [1, 2, 3, 4, 5, 6]


def test_a_killed_reward_worker_is_replaced(data: Path, tmp_path: Path, warm_model: Path) -> None:
    process = start(tmp_path, data, warm_model, "trainer.total_training_steps=4")
    before = watch(process, until=lambda line: "step:1 - " in line)
    workers = [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if "RewardLoopWorker" in " ".join(child.cmdline())
    ]
    assert workers, before[-6000:]
    for worker in workers:
        os.kill(worker.pid, signal.SIGKILL)
    killed_at = time.monotonic()
    finish(process)
    assert time.monotonic() - killed_at < 600
    for tag in curve_tags(tmp_path):
        if re.fullmatch(r"mixed_r1/reward/\w+/(error|timeout)", tag):
            assert {value for _, value in points(tmp_path, tag)} == {0.0}
    samples = dict.fromkeys((1, 2, 3, 4), 0.0)
    for tag in curve_tags(tmp_path):
        if re.fullmatch(r"mixed_r1/reward/\w+/samples", tag):
            for step, value in points(tmp_path, tag):
                samples[step] += value
    assert set(samples.values()) == {32.0}
