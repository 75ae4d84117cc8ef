"""Batch arithmetic and rules, against verl's own functions where they can be called alone."""

import dataclasses
import types
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tensordict import TensorDict
from verl.trainer.ppo.v1.trainer_base import PPOTrainer

from mixed_r1_verl.plan.architecture import load_architecture
from mixed_r1_verl.plan.batch import broken_rules, plan_batch, remarks
from mixed_r1_verl.plan.data import DataStatistics
from mixed_r1_verl.plan.settings import Settings, compose_for, read_settings
from mixed_r1_verl.plugin.rules import refusals

QWEN_7B = load_architecture("Qwen/Qwen2.5-VL-7B-Instruct")
DATA = DataStatistics(1000, (300, 900, 1200), 1200, (400, 1000, 2500), 350.0, 450.0, 4, True)


@pytest.fixture(scope="module")
def settings() -> Settings:
    """Of the recipe `mixed_r1` on 8 GPUs."""
    return read_settings(compose_for("mixed_r1", 8))


def test_the_recipe_in_numbers(settings: Settings) -> None:
    batch = plan_batch(settings, 512)
    assert (batch.prompts, batch.responses, batch.padded) == (256, 2048, 2048)
    assert (batch.mini_batch_responses, batch.updates, batch.responses_per_gpu) == (512, 4, 256)
    # 64 responses of an update on each GPU, of 2,048 + 512 tokens at most, into micro batches of 12,288
    assert batch.micro_batches == 14
    assert plan_batch(settings, 512, DATA).steps_per_epoch == 996 // 256


@given(
    train=st.integers(1, 600),
    mini=st.integers(1, 300),
    rollouts=st.integers(1, 16),
    gpus=st.sampled_from([1, 2, 8, 24]),
)
def test_the_batch_is_padded_as_by_verl(train: int, mini: int, rollouts: int, gpus: int) -> None:
    """verl's own `_get_required_batch_multiple`, on the settings of the trainer."""
    actor = types.SimpleNamespace(ppo_mini_batch_size=mini)
    rollout = types.SimpleNamespace(n=rollouts)
    trainer = types.SimpleNamespace(
        use_critic=False,
        global_steps=1,
        config=types.SimpleNamespace(
            trainer=types.SimpleNamespace(critic_warmup=0),
            actor_rollout_ref=types.SimpleNamespace(actor=actor, rollout=rollout),
        ),
    )
    multiple = PPOTrainer._get_required_batch_multiple(trainer, gpus)
    settings = dataclasses.replace(_BASE, train_batch=train, mini_batch=mini, rollouts=rollouts, gpus=gpus, shard=gpus)
    padded = plan_batch(settings, 100).padded
    assert padded % multiple == 0 and 0 <= padded - train * rollouts < multiple


_BASE = Settings(
    **{field.name: 1 for field in dataclasses.fields(Settings)}  # type: ignore[arg-type]
)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gpus": 12}, "512 is not a multiple of the 12 data-parallel ranks"),
        (
            {"micro": 7},
            "64 responses of a mini batch on each rank are not a multiple of ppo_micro_batch_size_per_gpu 7",
        ),
        ({"micro": 8, "forward_micro": 24}, "256 responses of a batch on each rank are not a multiple of log_prob"),
        ({"update_tokens": 2048}, "ppo_max_token_len_per_gpu × sequence parallel = 2048 is less than one sequence"),
        ({"forward_tokens": 2048}, "log_prob_max_token_len_per_gpu × sequence parallel = 2048 is less"),
        ({"tensor_parallel": 3}, "8 GPUs are not a multiple of rollout.tensor_model_parallel_size 3"),
        ({"tensor_parallel": 8}, "28 attention heads are not a multiple of tensor_model_parallel_size 8"),
        ({"sequence_parallel": 8}, "28 attention heads are not a multiple of ulysses_sequence_parallel_size"),
        ({"shard": 3}, "8 GPUs are not a multiple of fsdp_size 3"),
        ({"sequence_parallel": 3}, "8 GPUs are not a multiple of ulysses_sequence_parallel_size 3"),
        ({"max_sequence": 1024}, "rollout.max_model_len 1024 is less than one sequence of 3072 tokens"),
        ({"batched_tokens": 1024}, "the largest picture has 1200 tokens"),
        ({"train_batch": 1024}, "do not fill one batch of 1024"),
    ],
)
def test_broken_rules(settings: Settings, changes: dict[str, Any], message: str) -> None:
    found = list(broken_rules(dataclasses.replace(settings, **changes), QWEN_7B, DATA))
    assert any(message in line for line in found), found


def test_the_recipe_breaks_no_rule(settings: Settings) -> None:
    assert list(broken_rules(settings, QWEN_7B, DATA)) == []


@pytest.mark.parametrize(("responses", "micro", "refused"), [(64, 8, False), (64, 7, True)])
def test_verl_refuses_micro_batches_that_do_not_divide(responses: int, micro: int, refused: bool) -> None:
    """The rule of `broken_rules`, as verl's worker applies it."""
    from verl.utils import tensordict_utils as tu
    from verl.workers.engine.utils import prepare_micro_batches

    data = TensorDict({"input_ids": torch.zeros(responses, 4)}, batch_size=responses)
    tu.assign_non_tensor(data, use_dynamic_bsz=False, micro_batch_size_per_gpu=micro)
    if refused:
        with pytest.raises(AssertionError, match="must be divisible"):
            prepare_micro_batches(data)
    else:
        assert len(prepare_micro_batches(data)[0]) == responses // micro


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train_batch": 100}, "fills the batch of 800 responses up to 1024"),
        ({"tensor_parallel": 16}, "larger than a node"),
        ({}, "4 of 1000 prompts are longer than max_prompt_length 2048"),
    ],
)
def test_remarks(settings: Settings, changes: dict[str, Any], message: str) -> None:
    assert any(message in line for line in remarks(dataclasses.replace(settings, **changes), QWEN_7B, DATA))


def test_no_engine_of_verl_reads_freeze_vision_tower() -> None:
    """If this fails, verl has begun to freeze, and `plugin/freeze.py` may go."""
    from pathlib import Path

    import verl.workers.engine

    sources = Path(verl.workers.engine.__file__).parent.parent.rglob("*.py")
    readers = [file.name for file in sources if "freeze_vision_tower" in file.read_text(encoding="utf-8")]
    assert readers == ["actor.py"]  # the declaration


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ((), None),
        (
            ("actor_rollout_ref.actor.use_dynamic_bsz=false", "actor_rollout_ref.actor.ppo_micro_batch_size_per_gpu=2",
             "data.train_batch_size=32"),
            "train_batch_size (32) must be >= actor.ppo_mini_batch_size (64)",
        ),
        (("actor_rollout_ref.actor.loss_agg_mode=token_mean",), "Invalid loss_agg_mode"),
    ],
)  # fmt: skip
def test_refusals_are_verls_own(overrides: tuple[str, ...], message: str | None) -> None:
    found = refusals(compose_for("mixed_r1", 8, overrides))
    assert (found == []) if message is None else (message in found[0])
