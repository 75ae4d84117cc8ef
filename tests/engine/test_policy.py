"""A build whose rows are chosen by what the tiny model earns for them, through vLLM, Ray and the recipe's rewards; and
three training steps on what came of it.
"""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mixed_r1_verl.data.check import check_files
from mixed_r1_verl.engine.build import build
from mixed_r1_verl.engine.config import read_config

pytestmark = [pytest.mark.verl, pytest.mark.timeout(900)]


def difficulty(model: Path) -> dict:
    return {
        "model": str(model),
        "recipe": "mixed_r1_cpu",
        "samples": 4,
        "max_tokens": 48,
        "min_mean": 0.0,
        "max_mean": 0.95,
        "min_spread": 0.01,
        "chunk_rows": 16,
        "engine": {"max_model_len": 512, "max_num_seqs": 64, "gpu_memory_utilization": 0.1},
    }


def test_rows_are_chosen_by_what_a_policy_earns(
    small_config: Callable[..., Path], tmp_path: Path, warm_model: Path
) -> None:
    config = read_config(small_config(difficulty=difficulty(warm_model), ray={"cpus": 1}))
    card = build(config)
    (stage,) = [stage for stage in card["stages"] if stage["stage"] == "difficulty"]
    assert {reason for found in stage["reasons"].values() for reason in found} <= {"too_easy", "no_spread"}
    kept = sum(sum(found["kept"]) for found in card["difficulty"]["histograms"].values())
    assert kept == stage["kept"] > 0

    # Each row was asked as often as wanted, and scored by the rewards of the recipe.
    chunks = sorted((tmp_path / "set.work" / "responses").glob("*.parquet"))
    rows = [row for path in chunks for row in pq.read_table(path).to_pylist()]
    assert len(rows) == stage["entered"]
    assert all(len(row["responses"]) == len(row["score"]) == 4 and not row["unscored"] for row in rows)
    assert any(acc == 1.0 for row in rows for acc in row["acc"])
    assert any("<answer>" in response for row in rows for response in row["responses"])
    output = tmp_path / "set"
    assert [str(p) for p in check_files(sorted(output.glob("*.parquet"))).problems] == []

    # A chunk that is lost is asked again, with the same seeds, and gives the same set.
    before = {path.name: path.read_bytes() for path in output.glob("*.parquet")}
    answers = pq.read_table(chunks[0]).to_pylist()
    chunks[0].unlink()
    build(config)
    assert pq.read_table(chunks[0]).to_pylist() == answers
    assert {path.name: path.read_bytes() for path in output.glob("*.parquet")} == before


@pytest.mark.slow
def test_the_result_trains_for_three_steps(small_config: Callable[..., Path], tmp_path: Path, warm_model: Path) -> None:
    build(read_config(small_config(difficulty=difficulty(warm_model), ray={"cpus": 1})))
    output = tmp_path / "set"
    command = [
        *(sys.executable, "-m", "verl.trainer.main_ppo", "+recipe=mixed_r1_cpu"),
        f"data.train_files={output}/train.parquet",
        f"data.val_files={output}/val.parquet",
        "data.shuffle=False",
        "data.train_batch_size=8",
        "data.max_prompt_length=384",
        "actor_rollout_ref.actor.ppo_mini_batch_size=8",
        f"actor_rollout_ref.model.path={warm_model}",
        "trainer.total_epochs=10",
        "trainer.total_training_steps=3",
        "trainer.val_before_train=False",
        f"trainer.default_local_dir={tmp_path}/checkpoints",
    ]
    environment = {**os.environ, "TENSORBOARD_DIR": str(tmp_path / "tensorboard")}
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stdout[-4000:] + ran.stderr[-4000:]
    assert "step:3 - " in ran.stdout
    assert json.loads((output / "card.json").read_text(encoding="utf-8"))["rows"]["train"] >= 8
