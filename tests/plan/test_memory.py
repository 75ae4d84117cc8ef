"""Bytes that are kept, against what torch really keeps; and what each knob changes."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import Qwen2_5_VLConfig, Qwen3VLConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLDecoderLayer, Qwen2_5_VLVisionBlock
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLTextDecoderLayer, Qwen3VLVisionBlock

from mixed_r1_verl.plan.architecture import load_architecture, read_architecture
from mixed_r1_verl.plan.gpus import GIB, GPUS
from mixed_r1_verl.plan.memory import (
    actor_state,
    decoder_layer_bytes,
    logits,
    plan_memory,
    vision_layer_bytes,
)
from mixed_r1_verl.plan.settings import Settings, compose_for, read_settings

TOKENS = 256
TEXT = {
    "vocab_size": 512,
    "hidden_size": 256,
    "intermediate_size": 768,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,  # no grouping: torch's attention on the CPU would copy keys, flash-attn does not
    "head_dim": 64,
}
QWEN2_5 = {
    "model_type": "qwen2_5_vl",
    "text_config": {key: value for key, value in TEXT.items() if key != "head_dim"},
    "vision_config": {"depth": 1, "hidden_size": 128, "intermediate_size": 384, "num_heads": 2, "out_hidden_size": 256},
}
QWEN3 = {
    "model_type": "qwen3_vl",
    "text_config": TEXT,
    "vision_config": {**QWEN2_5["vision_config"], "deepstack_visual_indexes": []},  # type: ignore[dict-item]
}


def kept_bytes(module: torch.nn.Module, run: Callable[[torch.Tensor], Any], hidden: int, angles: torch.Tensor) -> float:
    """Bytes per token that torch saves for the backward pass of a layer in bfloat16.

    Left out are parameters, and the rotary angles, of which all layers share one copy.
    """
    module.to(torch.bfloat16)
    own = {tensor.untyped_storage().data_ptr() for tensor in (*module.parameters(), angles)}
    storages: dict[int, int] = {}
    alive = []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
            alive.append(tensor)
        return tensor

    inputs = torch.randn(TOKENS, hidden, dtype=torch.bfloat16, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run(inputs)
    return sum(storages.values()) / TOKENS


def text_layer(layer: type, config: Any) -> float:
    config._attn_implementation = "sdpa"
    module = layer(config, 0)
    angles = torch.randn(3, 1, TOKENS, 64) if isinstance(module, Qwen2_5_VLDecoderLayer) else torch.randn(1, TOKENS, 64)
    angles = angles.to(torch.bfloat16)

    def run(inputs: torch.Tensor) -> Any:
        return module(inputs[None], position_embeddings=(angles, angles), attention_mask=None, position_ids=None)

    return kept_bytes(module, run, 256, angles)


def vision_block(block: type, config: Any) -> float:
    config._attn_implementation = "sdpa"
    module = block(config)
    angles = torch.randn(TOKENS, 64)

    def run(inputs: torch.Tensor) -> Any:
        return module(inputs, cu_seqlens=torch.tensor([0, TOKENS]), position_embeddings=(angles, angles))

    return kept_bytes(module, run, 128, angles)


def configs(fields: dict[str, Any], kind: type) -> tuple[Any, Any]:
    rotary = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [8, 12, 12]}
    config = kind(
        text_config={**fields["text_config"], "rope_parameters": rotary}, vision_config=dict(fields["vision_config"])
    )
    return config.text_config, config.vision_config


@pytest.mark.parametrize(
    ("fields", "kind", "layer"),
    [
        (QWEN2_5, Qwen2_5_VLConfig, Qwen2_5_VLDecoderLayer),
        (QWEN3, Qwen3VLConfig, Qwen3VLTextDecoderLayer),
    ],
)
def test_decoder_layer_keeps_what_torch_saves(fields: dict[str, Any], kind: type, layer: type) -> None:
    measured = text_layer(layer, configs(fields, kind)[0])
    assert decoder_layer_bytes(read_architecture(fields)) == pytest.approx(measured, rel=0.1)


@pytest.mark.parametrize(
    ("fields", "kind", "block"),
    [(QWEN2_5, Qwen2_5_VLConfig, Qwen2_5_VLVisionBlock), (QWEN3, Qwen3VLConfig, Qwen3VLVisionBlock)],
)
def test_vision_layer_keeps_what_torch_saves(fields: dict[str, Any], kind: type, block: type) -> None:
    measured = vision_block(block, configs(fields, kind)[1])
    assert vision_layer_bytes(read_architecture(fields)) == pytest.approx(measured, rel=0.1)


QWEN_7B = load_architecture("Qwen/Qwen2.5-VL-7B-Instruct")
H100 = GPUS["H100"]


@pytest.fixture(scope="module")
def settings() -> Settings:
    """Of the recipe `mixed_r1` on 8 GPUs."""
    return read_settings(compose_for("mixed_r1", 8))


def phase(settings: Settings, name: str) -> dict[str, float]:
    return next(phase.parts for phase in plan_memory(settings, QWEN_7B, H100).phases if phase.name == name)


def test_state_of_full_training_is_16_bytes_a_parameter(settings: Settings) -> None:
    state = actor_state(settings, QWEN_7B)
    assert state["optimizer"] == 2 * state["parameters"] == 2 * state["gradients"]
    assert sum(state.values()) == pytest.approx(16 * 8_292_166_656 / 8, rel=1e-4)


def test_lora_keeps_gradients_and_moments_of_the_adapters_only(settings: Settings) -> None:
    lora = dataclasses.replace(settings, lora_rank=64, lora_exclude=".*visual.*")
    state = actor_state(lora, QWEN_7B)
    # r (in + out) for q, k, v, o, gate, up and down of each of 28 layers
    per_layer = 64 * (2 * (3584 + 3584) + 2 * (3584 + 512) + 3 * (3584 + 18944))
    assert state["LoRA adapters"] == pytest.approx(4 * 28 * per_layer / 8, rel=1e-3)
    assert state["optimizer"] == 2 * state["gradients"] == 2 * state["LoRA adapters"]
    assert state["parameters"] == actor_state(settings, QWEN_7B)["parameters"]


def test_a_frozen_tower_has_parameters_only(settings: Settings) -> None:
    state = actor_state(dataclasses.replace(settings, freeze_vision_tower=True), QWEN_7B)
    assert state["parameters"] == actor_state(settings, QWEN_7B)["parameters"]
    assert state["optimizer"] == 2 * state["gradients"]
    assert state["gradients"] == pytest.approx(4 * (8_292_166_656 - 676_550_144) / 8, rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "name", "part"),
    [
        ({"freeze_vision_tower": True}, "update", "activations"),
        ({"param_offload": True}, "rollout", "parameters"),
        ({"optimizer_offload": True}, "rollout", "optimizer"),
        ({"optimizer_offload": True}, "log-probabilities", "optimizer"),
        ({"offload_policy": True}, "update", "gradients"),
        ({"fused_kernels": True}, "update", "logits"),
        ({"activation_offload": True}, "update", "activations"),
        ({"update_tokens": 4096}, "update", "activations"),
        ({"update_tokens": 4096}, "update", "logits"),
        ({"chunked_entropy": True}, "log-probabilities", "logits"),
        ({"utilization": 0.4}, "rollout", "vLLM"),
        ({"tensor_parallel": 2}, "weight sync", "vLLM weights"),
        ({"bucket": 2**28}, "weight sync", "transfer buckets"),
        ({"shard": 16, "gpus": 16}, "update", "optimizer"),
    ],
)
def test_a_knob_saves_what_it_says(settings: Settings, changes: dict[str, Any], name: str, part: str) -> None:
    changed = dataclasses.replace(settings, **changes)
    assert phase(changed, name).get(part, 0.0) < phase(settings, name)[part]


@pytest.mark.parametrize(
    ("changes", "name", "part"),
    [
        ({"checkpointing": False}, "update", "activations"),
        ({"remove_padding": False}, "update", "logits"),
        ({"sleep": False}, "update", "sleeping vLLM"),
        ({"deferred_gradients": True}, "update", "unsharded gradients"),
    ],
)
def test_a_knob_costs_what_it_says(settings: Settings, changes: dict[str, Any], name: str, part: str) -> None:
    changed = dataclasses.replace(settings, **changes)
    assert phase(changed, name)[part] > phase(settings, name).get(part, 0.0)


def test_unsharded_gradients_are_four_bytes_of_every_parameter(settings: Settings) -> None:
    """FSDP2 keeps them in the dtype of the reduction while their synchronisation is deferred."""
    changed = dataclasses.replace(settings, deferred_gradients=True)
    assert phase(changed, "update")["unsharded gradients"] == pytest.approx(4 * 8_292_166_656, rel=1e-3)


def test_logits_of_a_micro_batch(settings: Settings) -> None:
    """12,288 tokens of 152,064 bfloat16 logits; flash-attn's cross entropy works in place."""
    assert logits(settings, QWEN_7B, 12288, train=True) == 12288 * 152064 * 2


# 2 (keys, values) × layers × key-value heads × 128 × 2 bytes, from the published configurations.
KV_BYTES = {
    "Qwen/Qwen2.5-VL-3B-Instruct": 2 * 36 * 2 * 128 * 2,
    "Qwen/Qwen2.5-VL-7B-Instruct": 2 * 28 * 4 * 128 * 2,
    "Qwen/Qwen2.5-VL-32B-Instruct": 2 * 64 * 8 * 128 * 2,
    "Qwen/Qwen3-VL-4B-Instruct": 2 * 36 * 8 * 128 * 2,
    "OpenGVLab/InternVL3-1B-hf": 2 * 24 * 2 * 64 * 2,
    "OpenGVLab/InternVL3_5-8B-HF": 2 * 36 * 8 * 128 * 2,
}


@pytest.mark.parametrize("model", KV_BYTES)
def test_kv_bytes_per_token(model: str) -> None:
    architecture = load_architecture(model)
    assert architecture.kv_bytes_per_token() == KV_BYTES[model]
    assert architecture.kv_bytes_per_token(tensor_parallel=2) == KV_BYTES[model] // 2
    # more GPUs than heads: each holds a copy of one
    assert architecture.kv_bytes_per_token(tensor_parallel=64) == KV_BYTES[model] // architecture.kv_heads


def test_the_cache_is_what_weights_and_forward_pass_leave(settings: Settings) -> None:
    kv = plan_memory(settings, QWEN_7B, H100).kv
    assert kv.tokens % 16 == 0 and kv.tokens * kv.bytes_per_token <= kv.bytes
    assert kv.bytes < 0.6 * 79 * GIB - 2 * 8_292_166_656
    starved = plan_memory(dataclasses.replace(settings, utilization=0.2), QWEN_7B, H100)
    assert starved.kv.tokens == 0 and not starved.kv.fits and not starved.fits


def test_more_gpus_never_need_more_memory_each(settings: Settings) -> None:
    totals = []
    for gpus in (1, 2, 4, 8, 16, 32):
        memory = plan_memory(dataclasses.replace(settings, gpus=gpus, shard=gpus), QWEN_7B, H100)
        totals.append(max(phase.total for phase in memory.phases))
    assert totals == sorted(totals, reverse=True)
