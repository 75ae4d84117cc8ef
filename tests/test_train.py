"""Real runs of `python -m verl.trainer.main_ppo` with the tiny models: verl's trainer, FSDP2, vLLM, Ray.

Each run is started outside the repository, as a user would start it, and read afterwards from what verl itself wrote:
the console, TensorBoard's event files, the dumped rollouts and the checkpoints. Each family goes through its own
recipe, with the CPU part and overrides of sizes.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from mixed_rows import with_every_shape
from training import KINDS, PEARSON, Run

from examples.demo.data import build_demo
from mixed_r1_verl.data.schema import row_schema

pytestmark = [pytest.mark.verl, pytest.mark.timeout(900)]

# One row a micro batch in the update: some have no picture. Log-probabilities are of mixed micro batches.
MIXED = ("data.shuffle=false", "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=1")
# Random weights never earn a reward; pushing the entropy down changes them, and makes the policy decided enough for a
# correlation of probabilities to mean something.
DECIDE = ("actor_rollout_ref.actor.entropy_coeff=-0.5", "actor_rollout_ref.actor.optim.lr=1e-2")


@pytest.fixture(scope="module")
def demo_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo set, and in `mixed_*.parquet` the same with rows of text, of two pictures and of 2000×20 pixels."""
    folder = tmp_path_factory.mktemp("data")
    build_demo(folder, rows=64, val_rows=16)
    for name in ("train", "val"):
        with_every_shape(folder / f"{name}.parquet", folder / f"mixed_{name}.parquet")
    return folder


def with_hostile_rows(source: Path, target: Path) -> Path:
    """A copy of a parquet file in which every eighth row is scored by a reward that hangs or crashes."""
    rows = pq.read_table(source).to_pylist()
    for number, row in enumerate(rows[::8]):
        row["data_source"] = "hostile"
        row["extra_info"]["reward"] = "hostile"
        row["reward_model"]["ground_truth"] = ("hang", "segfault")[number % 2]
    pq.write_table(pa.Table.from_pylist(rows, row_schema("bytes")), target)
    return target


def test_qwen2_5_vl_trains_saves_and_resumes_with_hostile_samples(
    demo_data: Path, tmp_path: Path, warm_model: Path
) -> None:
    run = Run(
        tmp_path,
        (
            f"data.train_files={with_hostile_rows(demo_data / 'mixed_train.parquet', tmp_path / 'train.parquet')}",
            f"data.val_files={with_hostile_rows(demo_data / 'mixed_val.parquet', tmp_path / 'val.parquet')}",
            f"actor_rollout_ref.model.path={warm_model}",
            *MIXED,
            "actor_rollout_ref.actor.optim.lr=1e-3",  # large, so that stale weights in vLLM would show
            "+reward.reward_kwargs.mixed_r1.custom.hostile=hostile_rewards:obey",
            "reward.reward_kwargs.mixed_r1.time_limit_s=1.0",
            "trainer.save_freq=1",
        ),
        ("+recipe=mixed_r1_qwen2_5_vl_3b", "+recipe/device=cpu"),
    )
    first = run.start("trainer.total_training_steps=2")
    second = run.start("trainer.total_training_steps=3")
    assert "could not be scored ('timeout" in first and "could not be scored ('crash" in first
    assert "setting global step to 2" in second

    rows = run.validation(0)
    assert {row["reward_kind"] for row in rows} == KINDS | {"hostile"}
    for row in rows:
        assert row["error"] == (row["reward_kind"] == "hostile")
        assert row["error"] == 0 or row["score"] == 0
    assert run.scalars("val-aux/hostile/error/mean@1")[0] == 1.0

    # Curves by reward and source, on the console and in TensorBoard: each of the 8 × 4 responses of a step is in one.
    assert "mixed_r1/reward/chart/gradient_share:" in first
    samples = [run.scalars(f"mixed_r1/reward/{kind}/samples") for kind in KINDS | {"hostile"}]
    assert [sum(curve.get(step, 0) for curve in samples) for step in (1, 2, 3)] == [32, 32, 32]
    assert set(run.scalars("mixed_r1/source/hostile/error").values()) == {1.0}

    assert sorted(run.scalars("critic/score/mean")) == [1, 2, 3]
    before, after = run.weights(2), run.weights(3)
    assert before.keys() == after.keys()
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert len(changed) > len(before) / 2
    # The rollout of step 3 was sampled with the weights of step 2: the actor agrees with them, so vLLM has them.
    assert run.scalars(PEARSON)[3] > 0.98


@pytest.mark.parametrize(
    ("family", "recipe"), [("qwen3_vl", "mixed_r1_qwen3_vl_4b"), ("internvl", "mixed_r1_internvl3_1b")]
)
def test_a_family_trains_three_steps_through_its_own_recipe(
    demo_data: Path, tmp_path: Path, tiny_models: Path, family: str, recipe: str
) -> None:
    run = Run(
        tmp_path,
        (
            f"data.train_files={demo_data}/mixed_train.parquet",
            f"data.val_files={demo_data}/mixed_val.parquet",
            f"actor_rollout_ref.model.path={tiny_models / family}",
            *MIXED,
            *DECIDE,
            "trainer.save_freq=1",
        ),
        (f"+recipe={recipe}", "+recipe/device=cpu"),
    )
    run.start("trainer.total_training_steps=3")
    assert {row["reward_kind"] for row in run.validation(0)} == KINDS
    assert all(row["error"] == 0 for row in run.validation(0))
    assert sorted(run.scalars("critic/score/mean")) == [1, 2, 3]
    samples = [run.scalars(f"mixed_r1/reward/{kind}/samples") for kind in KINDS]
    assert [sum(curve[step] for curve in samples) for step in (1, 2, 3)] == [32, 32, 32]
    before, after = run.weights(2), run.weights(3)
    assert any(not torch.equal(before[name], after[name]) for name in before)
    # The rollout of step 3 was sampled with the weights of step 2: the actor agrees with them, so vLLM has them.
    assert run.scalars(PEARSON)[3] > 0.98
