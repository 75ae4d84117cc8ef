"""Seconds of each stage of a step, estimated.

Nothing here was measured on a GPU by us. Generation is taken as bound by memory bandwidth, the rest as bound by
arithmetic; the efficiencies below are assumptions, and a real step may take half or twice the time.
"""

import math
from dataclasses import dataclass

from mixed_r1_verl.plan.architecture import Architecture
from mixed_r1_verl.plan.batch import Batch, prompt_tokens
from mixed_r1_verl.plan.data import DataStatistics
from mixed_r1_verl.plan.gpus import HOST_LINK, NODE_LINK, Gpu
from mixed_r1_verl.plan.memory import KVCache, actor_state
from mixed_r1_verl.plan.settings import Settings

TRAIN_MFU = 0.35
"""Share of the peak rate that forward and backward passes reach, recomputation counted as work."""

FORWARD_MFU = 0.40
"""The same for forward passes."""

BANDWIDTH_SHARE = 0.60
"""Share of the memory bandwidth that decoding reaches."""

LINK_SHARE = 0.60
"""Share of a link's rate that collectives reach."""

SYNC_RATE = 10e9
"""Bytes per second at which verl gathers weights and hands them to vLLM."""


@dataclass(frozen=True)
class StepTime:
    """Seconds of a step.

    Attributes:
        stages: verl's name of the stage (`timing_s/…`) → seconds.
        response_tokens: mean length of a response that was assumed.
    """

    stages: dict[str, float]
    response_tokens: float

    @property
    def total(self) -> float:
        return sum(self.stages.values())


def plan_time(
    settings: Settings,
    architecture: Architecture,
    gpu: Gpu,
    batch: Batch,
    kv: KVCache,
    response_tokens: float,
    data: DataStatistics | None = None,
) -> StepTime:
    """Estimated seconds of each stage.

    Args:
        settings: of the run.
        architecture: of the model.
        gpu: each of the GPUs.
        batch: arithmetic of the step.
        kv: vLLM's cache, which bounds how many sequences run at once.
        response_tokens: mean length of a response.
        data: of the data file.
    """
    forward = batch.responses_per_gpu * _flops(settings, architecture, batch.tokens, data) / settings.sequence_parallel
    # A backward pass costs as much as two forward passes, one where weights get no gradient; recomputation one more.
    passes = 1 + (1 if settings.lora_rank else 2) + settings.checkpointing
    micro_batches = batch.updates * batch.micro_batches
    gather = _gather(settings, architecture, gpu)
    state = actor_state(settings, architecture)
    offloaded = state["parameters"] * settings.param_offload + state["optimizer"] * settings.optimizer_offload
    rounds = math.ceil(batch.responses_per_gpu * batch.tokens / settings.forward_tokens)
    log_prob = max(forward / (gpu.flops * FORWARD_MFU), rounds * gather)
    update = max(passes * forward * settings.epochs / (gpu.flops * TRAIN_MFU), micro_batches * 3 * gather)
    if settings.offload_policy:  # gradients out, parameters in, and the optimizer's step on the host, per update
        update += batch.updates * 6 * state["parameters"] / HOST_LINK
    stages = {
        "gen": _generation(settings, architecture, gpu, batch, kv, response_tokens, data),
        "old_log_prob": log_prob,
    }
    if settings.reference:
        # The reference lies in pinned host memory: FSDP2 fetches each shard anew for every micro batch.
        fetch = 0.0 if settings.lora_rank else state["parameters"] / HOST_LINK
        stages["ref"] = max(log_prob, rounds * fetch)
    stages["update_actor"] = update + 2 * offloaded / HOST_LINK
    adapters = 0 if settings.lora_merge else architecture.lora_parameters(settings.lora_rank, settings.lora_exclude)
    stages["update_weights"] = (adapters or architecture.parameters) * settings.rollout_bytes / SYNC_RATE
    return StepTime(stages, response_tokens)


def _flops(settings: Settings, architecture: Architecture, tokens: float, data: DataStatistics | None) -> float:
    """Operations of a forward pass over one sequence: 2 per parameter and token, and attention.

    Attention over `tokens` causal positions costs 2 · tokens² · q_size a layer (two products, half of them masked), a
    third of what verl's MFU counter takes for forward and backward.
    """
    decoder, vision = architecture.decoder, architecture.vision
    text = 2 * architecture.language_matmul_parameters * tokens + 2 * tokens**2 * decoder.q_size * decoder.layers
    image = settings.prompt_tokens if data is None else data.mean_image
    return text + 2 * architecture.vision_parameters * image * vision.merge


def _gather(settings: Settings, architecture: Architecture, gpu: Gpu) -> float:
    """Seconds to gather all parameters once."""
    if settings.shard == 1:
        return 0.0
    link = gpu.link if settings.shard <= settings.per_node else NODE_LINK
    return architecture.parameters * settings.compute_bytes * (1 - 1 / settings.shard) / (link * LINK_SHARE)


def _generation(
    settings: Settings,
    architecture: Architecture,
    gpu: Gpu,
    batch: Batch,
    kv: KVCache,
    response_tokens: float,
    data: DataStatistics | None,
) -> float:
    """Prefill of every prompt once a group (the cache keeps prefixes), then decoding.

    Each decoding step reads the weights once and the cache of every running sequence; it takes no less than its
    arithmetic. The last sequences run on alone up to the greatest length.
    """
    prompt = prompt_tokens(settings, data)
    parallel = settings.tensor_parallel
    responses = math.ceil(batch.responses / settings.replicas)
    prompts = math.ceil(batch.prompts / settings.replicas)
    prefill = prompts * _flops(settings, architecture, prompt, data) / (gpu.flops * FORWARD_MFU * parallel)
    held = kv.tokens / (prompt + response_tokens)
    running = max(1.0, min(responses, settings.max_sequences, held))
    weights = architecture.parameters * settings.rollout_bytes / parallel
    cache = running * (prompt + response_tokens / 2) * kv.bytes_per_token
    arithmetic = running * 2 * architecture.language_matmul_parameters / (gpu.flops * FORWARD_MFU * parallel)
    step = max((weights + cache) / (gpu.bandwidth * BANDWIDTH_SHARE), arithmetic)
    alone = max(0.0, settings.response_tokens - response_tokens) * weights / (gpu.bandwidth * BANDWIDTH_SHARE)
    return prefill + responses * response_tokens / running * step + alone
