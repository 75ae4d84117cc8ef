"""The command: exit statuses, table and JSON, and overrides that make a run fit."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from examples.demo.data import build_demo
from mixed_r1_verl.cli import app


def plan(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["plan", *arguments], env={"COLUMNS": "160"})
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result.exit_code, result.output


def test_a_recipe_that_fits() -> None:
    code, output = plan("--recipe", "mixed_r1", "--gpus", "8")
    assert code == 0, output
    assert "8.29 B parameters" in output and "57,344 bytes a token" in output and "estimated seconds" in output
    assert "256 prompts × 8 = 2,048 responses" in output and output.rstrip().endswith("fits")


@pytest.mark.parametrize("arguments", [("--gpus", "4", "--gpu-memory", "44"), ("--gpus", "1")])
def test_the_changes_make_it_fit(arguments: tuple[str, ...]) -> None:
    """What does not fit is told with overrides; with them the same command exits with 0, and none of them is idle."""
    command = ("--recipe", "mixed_r1", *arguments, "--format", "json")
    code, output = plan(*command)
    found = json.loads(output)
    assert code == 1 and not found["fits"]
    overrides = found["changes"]["overrides"]
    code, output = plan(*command, *overrides)
    assert code == 0, output
    changed = json.loads(output)
    assert sum(changed["host"].values()) == pytest.approx(found["changes"]["host"])
    assert changed["seconds"]["step"] == pytest.approx(found["changes"]["seconds"])
    pairs = [[name for name in overrides if "lora" in name]] if any("lora" in name for name in overrides) else []
    for dropped in (*pairs, *([name] for name in overrides if "lora" not in name)):
        assert plan(*command, *(name for name in overrides if name not in dropped))[0] == 1, dropped


def test_nothing_helps_on_a_gpu_that_is_far_too_small() -> None:
    code, output = plan("--recipe", "mixed_r1", "--gpus", "1", "--gpu-memory", "4")
    assert code == 1 and "no set of overrides makes it fit" in output
    assert "estimated seconds" not in output


def test_broken_rules_end_with_1() -> None:
    code, output = plan("--recipe", "mixed_r1", "--gpus", "8", "actor_rollout_ref.rollout.n=3",
                        "actor_rollout_ref.actor.ppo_mini_batch_size=9")  # fmt: skip
    assert code == 1 and "9 × 3 = 27 is not a multiple of the 8 data-parallel ranks" in output


def test_data_and_a_model_directory(tmp_path: Path, warm_model: Path) -> None:
    build_demo(tmp_path, rows=32, val_rows=8)
    code, output = plan(
        *("--recipe", "mixed_r1_cpu", "--gpus", "1", "--gpu-memory", "8", "--model", str(warm_model)),
        *("--data", str(tmp_path / "train.parquet"), "--format", "json"),
    )
    found = json.loads(output)
    assert code == 0, output
    assert found["data"]["rows"] == 32 and found["data"]["counted"] and found["batch"]["steps_per_epoch"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--recipe", "nothing", "--gpus", "8"), "recipe nothing"),
        (("--recipe", "mixed_r1", "--gpus", "12"), "12 GPUs fill no whole nodes of 8"),
        (("--recipe", "mixed_r1", "--gpus", "0"), "--gpus"),
        (("--recipe", "mixed_r1", "--gpus", "8", "--gpu", "TPU"), "unknown GPU 'TPU'"),
        (("--recipe", "mixed_r1", "--gpus", "8", "--data", "absent.parquet"), "absent.parquet is not there"),
        (("--recipe", "mixed_r1", "--gpus", "8", "--model", "absent"), "neither a directory with a config.json"),
        (("--recipe", "mixed_r1", "--gpus", "8", "actor.typo=1"), "Could not override 'actor.typo'"),
        (("--recipe", "mixed_r1", "--gpus", "8", "trainer.nnodes=2"), "the overrides ask for 16 GPUs, --gpus for 8"),
        (("--recipe", "mixed_r1", "--gpus", "8", "actor_rollout_ref.actor.strategy=megatron"), "planned for are fsdp"),
        (
            ("--recipe", "mixed_r1", "--gpus", "8", "data.train_batch_size=many"),
            "data.train_batch_size=many: a whole number of at least 1",
        ),
        (("--recipe", "mixed_r1", "--gpus", "8", "actor_rollout_ref.rollout.n=0"), "rollout.n=0: a whole number"),
        (
            ("--recipe", "mixed_r1", "--gpus", "8", "actor_rollout_ref.rollout.gpu_memory_utilization=60"),
            "gpu_memory_utilization=60: a share between 0 and 1",
        ),
    ],
)
def test_bad_usage(arguments: tuple[str, ...], message: str) -> None:
    code, output = plan(*arguments)
    assert code == 2 and message in " ".join(output.split()), output
