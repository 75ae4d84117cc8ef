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
    """verl's name of each stage (`timing_s/…`) → seconds, and the mean length of a response that was assumed."""

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
    """Estimated seconds of each stage, for responses of a mean length."""
    s, state = settings, actor_state(settings, architecture)
    matmul, weights = architecture.language_matmul_parameters, architecture.parameters
    adapters = 0 if s.lora_merge else architecture.lora_parameters(s.lora_rank, s.lora_exclude)

    # Generation: prefill of every prompt once a group (the cache keeps prefixes), then decoding. A step of decoding
    # reads the weights once and the cache of every running sequence; it takes no less than its arithmetic. The last
    # sequences run on alone up to the greatest length.
    prompt, rate = prompt_tokens(s, data), gpu.flops * FORWARD_MFU * s.tensor_parallel
    responses, prompts = (math.ceil(number / s.replicas) for number in (batch.responses, batch.prompts))
    running = max(1.0, min(responses, s.max_sequences, kv.tokens / (prompt + response_tokens)))
    read = weights * s.rollout_bytes / s.tensor_parallel
    cache = running * (prompt + response_tokens / 2) * kv.bytes_per_token
    step = max((read + cache) / (gpu.bandwidth * BANDWIDTH_SHARE), running * 2 * matmul / rate)
    alone = max(0.0, s.response_tokens - response_tokens) * read / (gpu.bandwidth * BANDWIDTH_SHARE)
    prefill = prompts * _flops(s, architecture, prompt, data) / rate
    stages = {"gen": prefill + responses * response_tokens / running * step + alone}

    gather = 0.0
    if s.shard > 1:
        link = gpu.link if s.shard <= s.per_node else NODE_LINK
        gather = weights * s.compute_bytes * (1 - 1 / s.shard) / (link * LINK_SHARE)
    forward = batch.responses_per_gpu * _flops(s, architecture, batch.tokens, data) / s.sequence_parallel
    rounds = math.ceil(batch.responses_per_gpu * batch.tokens / s.forward_tokens)
    stages["old_log_prob"] = max(forward / (gpu.flops * FORWARD_MFU), rounds * gather)
    if s.reference:
        # The reference lies in pinned host memory: FSDP2 fetches each shard anew for every micro batch.
        fetch = 0.0 if s.lora_rank else state["parameters"] / HOST_LINK
        stages["ref"] = max(stages["old_log_prob"], rounds * fetch)
    # A backward pass costs as much as two forward passes, one where weights get no gradient; recomputation one more.
    passes = 1 + (1 if s.lora_rank else 2) + s.checkpointing
    gathers = batch.updates * batch.micro_batches * 3
    update = max(passes * forward * s.epochs / (gpu.flops * TRAIN_MFU), gathers * gather)
    if s.offload_policy:  # gradients out, parameters in, and the optimizer's step on the host, per update
        update += batch.updates * 6 * state["parameters"] / HOST_LINK
    offloaded = state["parameters"] * s.param_offload + state["optimizer"] * s.optimizer_offload
    stages["update_actor"] = update + 2 * offloaded / HOST_LINK
    stages["update_weights"] = (adapters or weights) * s.rollout_bytes / SYNC_RATE
    return StepTime(stages, response_tokens)


def _flops(settings: Settings, architecture: Architecture, tokens: float, data: DataStatistics | None) -> float:
    """Operations of a forward pass over one sequence: 2 per parameter and token, and attention.

    Attention over `tokens` causal positions costs 2 · tokens² · q_size a layer (two products, half of them masked), a
    third of what verl's MFU counter takes for forward and backward.
    """
    attention = 2 * tokens**2 * architecture.q_size * architecture.text.num_hidden_layers
    image = settings.prompt_tokens if data is None else data.mean_image
    patches = image * architecture.merge
    matmul = architecture.language_matmul_parameters * tokens + architecture.vision_parameters * patches
    return float(2 * matmul + attention)
