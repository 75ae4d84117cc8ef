"""Real runs of `python -m verl.trainer.main_ppo` with the tiny models: verl's trainer, FSDP2, vLLM, Ray.

Each run is started outside the repository, as a user would start it, and read afterwards from what verl itself wrote:
the console, TensorBoard's event files, the dumped rollouts and the checkpoints. Each family goes through its own
recipe, with the CPU part and overrides of sizes.
"""

import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from mixed_rows import with_every_shape
from training import Run

from examples.demo.data import build_demo
from examples.demo.scenes import make_scene
from mixed_r1_verl.data.schema import row_schema

pytestmark = [pytest.mark.verl, pytest.mark.timeout(900)]

KINDS = {"matching", "chart", "iou", "open_ended"}
PEARSON = "training/rollout_actor_probs_pearson_corr"
# Random weights never earn a reward; pushing the entropy down changes them, and makes the policy decided enough for a
# correlation of probabilities to mean something.
# One row a micro batch in the update: some have no picture. Log-probabilities are of mixed micro batches.
MIXED = ("data.shuffle=false", "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=1")
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


def test_lora_trains_and_its_merged_model_answers_as_the_adapter_does(
    demo_data: Path, tmp_path: Path, warm_model: Path
) -> None:
    from peft import PeftModel
    from transformers import AutoModelForImageTextToText

    rank, alpha = 8, 16
    run = Run(
        tmp_path,
        (
            f"data.train_files={demo_data}/train.parquet",
            f"data.val_files={demo_data}/val.parquet",
            f"actor_rollout_ref.model.path={warm_model}",
            f"actor_rollout_ref.model.lora_rank={rank}",
            f"actor_rollout_ref.model.lora_alpha={alpha}",
            "actor_rollout_ref.actor.optim.lr=1e-2",  # large, so that a stale adapter in vLLM would show
            "trainer.save_freq=3",
        ),
        ("+recipe=mixed_r1_qwen2_5_vl_3b", "+recipe/adapter=lora", "+recipe/device=cpu"),
    )
    run.start("trainer.total_training_steps=3")
    assert sorted(run.scalars("critic/score/mean")) == [1, 2, 3]
    # The rollout of step 3 was sampled with the adapter of step 2.
    assert run.scalars(PEARSON)[3] > 0.98

    weights = run.weights(3)
    adapted = [name for name in weights if "lora_B" in name]
    assert len(adapted) == 4 * 7 and not any("visual" in name for name in adapted)
    assert all(weights[name].any() for name in adapted)

    merger = [sys.executable, "-m", "verl.model_merger", "merge", "--backend", "fsdp"]
    checkpoint = tmp_path / "checkpoints" / "global_step_3" / "actor"
    subprocess.run(
        [*merger, "--local_dir", str(checkpoint), "--target_dir", str(tmp_path / "base")],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    base = AutoModelForImageTextToText.from_pretrained(tmp_path / "base", dtype=torch.float32)
    adapter = PeftModel.from_pretrained(base, tmp_path / "base" / "lora_adapter")
    with_adapter = logits(adapter, warm_model)
    adapter.merge_and_unload().save_pretrained(tmp_path / "merged")
    merged = AutoModelForImageTextToText.from_pretrained(tmp_path / "merged", dtype=torch.float32)
    start = AutoModelForImageTextToText.from_pretrained(warm_model, dtype=torch.float32)
    moved = float((logits(start, warm_model) - with_adapter).abs().max())
    apart = float((logits(merged, warm_model) - with_adapter).abs().max())
    print(f"LoRA: merged and adapter differ by at most {apart:.1e} in the logits, training moved them by {moved:.1e}")
    assert apart < 1e-4 < 0.05 < moved

    # The trainer's own fp32 checkpoint, merged by hand: the same but for the bf16 that verl's merger writes.
    state = start.state_dict()
    for name in adapted:
        target = name.removeprefix("base_model.model.").replace("lora_B.default.weight", "weight")
        delta = weights[name].float() @ weights[name.replace("lora_B", "lora_A")].float()
        torch.testing.assert_close(
            merged.state_dict()[target], state[target] + alpha / rank * delta, atol=0.02, rtol=0.02
        )


def logits(model: torch.nn.Module, processor_folder: Path) -> torch.Tensor:
    """Of one picture with a question."""
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(processor_folder)
    content = [{"type": "image"}, {"type": "text", "text": "Where is the red circle?"}]
    chat = processor.apply_chat_template([{"role": "user", "content": content}], add_generation_prompt=True)
    inputs = processor(text=[chat], images=[make_scene("iou", 1).picture.render()], return_tensors="pt")
    with torch.no_grad():
        return model.eval()(**inputs).logits


def test_real_samples_train_through_the_custom_reward_function(tmp_path: Path, raw: Path, warm_model: Path) -> None:
    """Charts, choices, boxes and captions of real datasets, scored by `compute_score` under verl's own manager."""
    sources = {
        "chartqa": (raw / "chartqa_split", "--split", "test", "--limit", "8"),
        "clevr": (raw / "clevr_mini", "--limit", "8"),
        "voc": (raw / "raccoon", "--limit", "8"),
        # pictures of most captions are not in the sample, so the limit would draw rows without one
        "coco_captions": (raw / "coco_captions", "--split", "val2017", "--image-root", str(raw / "coco_mini")),
    }
    mixed_r1 = str(Path(sys.executable).with_name("mixed-r1"))
    for name, (folder, *options) in sources.items():
        command = [mixed_r1, "data", "convert", name, "--input", str(folder), "--output", f"{tmp_path}/{name}.parquet"]
        subprocess.run([*command, "--max-pixels", "12544", *options], check=True, capture_output=True)
    files = ",".join(f"{tmp_path}/{name}.parquet" for name in sources)
    run = Run(
        tmp_path,
        (
            f"data.train_files=[{files}]",
            f"data.val_files=[{files}]",
            f"actor_rollout_ref.model.path={warm_model}",
            "data.max_prompt_length=400",
            "data.train_batch_size=16",
            "actor_rollout_ref.actor.ppo_mini_batch_size=16",
            "data.val_max_samples=64",
            "data.validation_shuffle=true",
            "reward.reward_manager.name=naive",
            "reward.custom_reward_function.path=pkg://mixed_r1_verl",
            "reward.custom_reward_function.name=compute_score",
            f"+reward.custom_reward_function.reward_kwargs.embedding_model={warm_model}",
            "trainer.save_freq=-1",
        ),
    )
    run.start("trainer.total_training_steps=2")
    rows = run.validation(0)
    assert {row["reward_kind"] for row in rows} == KINDS
    assert all(row["error"] == 0 for row in rows), [row for row in rows if row["error"]][:2]
    assert sorted(run.scalars("critic/score/mean")) == [1, 2]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "+reward.reward_kwargs.mixed_r1.fromat_weight=0.2",
            "unknown key 'fromat_weight'; did you mean 'format_weight'",
        ),
        ("actor_rollout_ref.model.path=/no/such/model", "/no/such/model is neither a directory nor a hub id"),
    ],
    ids=["misspelt key", "missing model"],
)
def test_a_run_that_cannot_start_says_so_in_one_message(
    demo_data: Path, tmp_path: Path, warm_model: Path, override: str, message: str
) -> None:
    command = [
        *(sys.executable, "-m", "verl.trainer.main_ppo", "+recipe=mixed_r1_cpu"),
        f"data.train_files={demo_data}/train.parquet",
        f"data.val_files={demo_data}/val.parquet",
        f"actor_rollout_ref.model.path={warm_model}",
        override,
    ]
    ran = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert ran.returncode == 1
    assert message in ran.stderr
    assert "Traceback" not in ran.stderr
