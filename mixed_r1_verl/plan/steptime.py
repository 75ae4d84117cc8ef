"""Seconds of each stage of a step, estimated.

Nothing here was measured on a GPU by us. Generation is taken as bound by memory bandwidth, the rest as bound by
arithmetic; the efficiencies below are assumptions, and a real step may take half or twice the time.
"""

import math

from mixed_r1_verl.plan.architecture import Architecture
from mixed_r1_verl.plan.batch import Batch
from mixed_r1_verl.plan.gpus import HOST_LINK, NODE_LINK, Gpu
from mixed_r1_verl.plan.memory import KVCache, actor_state
from mixed_r1_verl.plan.settings import Settings

TRAIN_MFU = 0.35  # share of the peak rate that forward and backward passes reach, recomputation counted as work
FORWARD_MFU = 0.40  # the same for forward passes
BANDWIDTH_SHARE = 0.60  # share of the memory bandwidth that decoding reaches
LINK_SHARE = 0.60  # share of a link's rate that collectives reach
SYNC_RATE = 10e9  # bytes per second at which verl gathers weights and hands them to vLLM


def plan_time(settings: Settings, architecture: Architecture, gpu: Gpu, batch: Batch, kv: KVCache) -> dict[str, float]:
    """Estimated seconds of each stage of a step, by verl's name of it (`timing_s/…`)."""
    s, state = settings, actor_state(settings, architecture)
    matmul, weights = architecture.language_matmul_parameters, architecture.parameters
    adapters = 0 if s.lora_merge else architecture.lora_parameters(s.lora_rank, s.lora_exclude)

    # Generation: prefill of every prompt once a group (the cache keeps prefixes), then decoding. A step of decoding
    # reads the weights once and the cache of every running sequence; it takes no less than its arithmetic. The last
    # sequences run on alone up to the greatest length.
    length, rate = batch.response_tokens, gpu.flops * FORWARD_MFU * s.tensor_parallel
    responses, prompts = (math.ceil(number / s.replicas) for number in (batch.responses, batch.prompts))
    running = max(1.0, min(responses, s.max_sequences, kv.tokens / batch.tokens))
    read = weights * s.rollout_bytes / s.tensor_parallel
    cache = running * (batch.prompt_tokens + length / 2) * kv.bytes_per_token
    step = max((read + cache) / (gpu.bandwidth * BANDWIDTH_SHARE), running * 2 * matmul / rate)
    alone = max(0.0, s.response_tokens - length) * read / (gpu.bandwidth * BANDWIDTH_SHARE)
    prefill = prompts * _flops(architecture, batch.prompt_tokens, batch.image_tokens) / rate
    stages = {"gen": prefill + responses * length / running * step + alone}

    gather = 0.0
    if s.shard > 1:
        link = gpu.link if s.shard <= s.per_node else NODE_LINK
        gather = weights * s.compute_bytes * (1 - 1 / s.shard) / (link * LINK_SHARE)
    sequences = batch.responses_per_gpu / s.sequence_parallel
    forward = sequences * _flops(architecture, batch.tokens, batch.image_tokens)
    rounds = math.ceil(batch.responses_per_gpu * batch.tokens / s.forward_tokens)
    stages["old_log_prob"] = max(forward / (gpu.flops * FORWARD_MFU), rounds * gather)
    if s.reference:
        # The reference lies in pinned host memory: FSDP2 fetches each shard anew for every micro batch.
        fetch = 0.0 if s.lora_rank else state["parameters"] / HOST_LINK
        stages["ref"] = max(stages["old_log_prob"], rounds * fetch)
    # A backward pass costs as much as two forward passes, one where weights get no gradient; recomputation one more.
    passes = 1 + (1 if s.lora_rank else 2) + s.checkpointing
    gathers = batch.updates * batch.micro_batches * 3
    work = passes * forward
    if s.freeze_vision_tower:  # the tower runs forwards once
        work -= (passes - 1) * (forward - sequences * _flops(architecture, batch.tokens, 0))
    update = max(work * s.epochs / (gpu.flops * TRAIN_MFU), gathers * gather)
    if s.offload_policy:  # gradients out, parameters in, and the optimizer's step on the host, per update
        update += batch.updates * 6 * state["parameters"] / HOST_LINK
    offloaded = state["parameters"] * s.param_offload + state["optimizer"] * s.optimizer_offload
    stages["update_actor"] = update + 2 * offloaded / HOST_LINK
    stages["update_weights"] = (adapters or weights) * s.rollout_bytes / SYNC_RATE
    return stages


def _flops(architecture: Architecture, tokens: float, image_tokens: float) -> float:
    """Operations of a forward pass over one sequence: 2 per parameter and token, and attention.

    Attention over `tokens` causal positions costs 2 · tokens² · q_size a layer (two products, half of them masked), a
    third of what verl's MFU counter takes for forward and backward.
    """
    attention = 2 * tokens**2 * architecture.q_size * architecture.text.num_hidden_layers
    patches = image_tokens * architecture.merge
    matmul = architecture.language_matmul_parameters * tokens + architecture.vision_parameters * patches
    return float(2 * matmul + attention)
