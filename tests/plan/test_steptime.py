"""Estimated seconds: what they are made of, and that they move the right way."""

import dataclasses
from typing import Any

import pytest

from mixed_r1_verl.plan.architecture import load_architecture
from mixed_r1_verl.plan.batch import plan_batch
from mixed_r1_verl.plan.gpus import GPUS
from mixed_r1_verl.plan.memory import plan_memory
from mixed_r1_verl.plan.settings import Settings, compose_for, read_settings
from mixed_r1_verl.plan.steptime import FORWARD_MFU, plan_time

QWEN_7B = load_architecture("Qwen/Qwen2.5-VL-7B-Instruct")


@pytest.fixture(scope="module")
def settings() -> Settings:
    """Of the recipe `mixed_r1` on 8 GPUs."""
    return read_settings(compose_for("mixed_r1", 8))


def seconds(settings: Settings, gpu: str = "H100", length: float = 512) -> dict[str, float]:
    batch = plan_batch(settings, length)
    kv = plan_memory(settings, QWEN_7B, GPUS[gpu]).kv
    return plan_time(settings, QWEN_7B, GPUS[gpu], batch, kv)


def test_log_probabilities_are_two_operations_a_parameter_and_token(settings: Settings) -> None:
    """By hand: 256 sequences of 2,560 tokens on a GPU, every prompt full of pictures of four patches a token."""
    text = 2 * (8_292_166_656 - 676_550_144 - 152064 * 3584) * 2560 + 2 * 2560**2 * 3584 * 28
    vision = 2 * 676_550_144 * 2048 * 4
    expected = 256 * (text + vision) / (989e12 * FORWARD_MFU)
    assert seconds(settings)["old_log_prob"] == pytest.approx(expected)


def test_peak_rates_are_verls() -> None:
    from verl.utils.flops_counter import _DEVICE_FLOPS

    known = {name: gpu for name, gpu in GPUS.items() if name.split("-")[0] in _DEVICE_FLOPS}
    assert {name: gpu.flops for name, gpu in known.items()} == {
        name: _DEVICE_FLOPS[name.split("-")[0]] for name in known
    }
    assert len(known) == 11


def test_stages_are_named_as_in_verls_metrics(settings: Settings) -> None:
    assert list(seconds(settings)) == ["gen", "old_log_prob", "ref", "update_actor", "update_weights"]
    assert "ref" not in seconds(dataclasses.replace(settings, reference=False))


@pytest.mark.parametrize(
    ("changes", "stage"),
    [
        ({"gpus": 16, "shard": 16}, "gen"),
        ({"gpus": 16, "shard": 16}, "update_actor"),
        ({"checkpointing": False}, "update_actor"),
        ({"train_batch": 128}, "update_actor"),
        ({"lora_rank": 64}, "update_weights"),
        ({"freeze_vision_tower": True}, "update_actor"),
    ],
)
def test_faster(settings: Settings, changes: dict[str, Any], stage: str) -> None:
    assert seconds(dataclasses.replace(settings, **changes))[stage] < seconds(settings)[stage]


def test_slower_gpus_and_longer_responses_take_longer(settings: Settings) -> None:
    step = sum(seconds(settings).values())
    assert sum(seconds(settings, "A100-80GB").values()) > step
    assert sum(seconds(settings, length=1024).values()) > step
    offloaded = dataclasses.replace(settings, param_offload=True, optimizer_offload=True)
    assert seconds(offloaded)["update_actor"] > seconds(settings)["update_actor"]


def test_a_cache_too_small_for_one_sequence_still_gives_a_time(settings: Settings) -> None:
    assert seconds(dataclasses.replace(settings, utilization=0.1))["gen"] > 0
