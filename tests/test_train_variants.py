"""More runs of verl with the tiny model: LoRA, real samples under verl's own reward manager, runs that cannot start."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from training import KINDS, PEARSON, Run
from transformers import AutoModelForImageTextToText

from examples.demo.data import build_demo
from examples.demo.scenes import make_scene
from mixed_r1_verl.core.families import LANGUAGE_MODEL
from mixed_r1_verl.plan.architecture import load_architecture
from mixed_r1_verl.plan.memory import actor_state
from mixed_r1_verl.plan.settings import compose_for, read_settings

pytestmark = [pytest.mark.verl, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def demo_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    build_demo(folder, rows=64, val_rows=16)
    return folder


def test_lora_trains_and_its_merged_model_answers_as_the_adapter_does(
    demo_data: Path, tmp_path: Path, warm_model: Path
) -> None:
    from peft import PeftModel

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
            "actor_rollout_ref.actor.freeze_vision_tower=true",
            "trainer.save_freq=3",
        ),
    )
    run.start("trainer.total_training_steps=3")
    rows = run.validation(0)
    assert {row["reward_kind"] for row in rows} == KINDS
    assert all(row["error"] == 0 for row in rows), [row for row in rows if row["error"]][:2]
    assert sorted(run.scalars("critic/score/mean")) == [1, 2, 3]
    only_the_language_model_has_learned(run, warm_model)


def only_the_language_model_has_learned(run: Run, start: Path) -> None:
    """The tower is bitwise what it was, and the optimizer holds what `mixed-r1 plan` counts, to the byte."""
    before = AutoModelForImageTextToText.from_pretrained(start, dtype=torch.float32).state_dict()
    weights = run.weights(3)
    moved = {name for name, weight in weights.items() if not torch.equal(weight, before[name])}
    assert moved and all(name.startswith(LANGUAGE_MODEL) for name in moved)
    actor = run.folder / "checkpoints" / "global_step_3" / "actor"
    state = torch.load(actor / "optim_world_size_1_rank_0.pt", weights_only=False)["state"]
    kept = [
        getattr(one[name], "_local_tensor", one[name]) for one in state.values() for name in ("exp_avg", "exp_avg_sq")
    ]
    architecture = load_architecture(start)
    assert len(kept) == 2 * sum(name.startswith(LANGUAGE_MODEL) for name in architecture.shapes)
    key = "actor_rollout_ref.actor.freeze_vision_tower=true"
    planned = actor_state(read_settings(compose_for("mixed_r1_cpu", 1, [key])), architecture)
    assert sum(moment.nbytes for moment in kept) == planned["optimizer"]


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
