"""Bytes on one GPU in each phase of a step of verl with FSDP2 and vLLM on the same GPUs.

Parameters, gradients, optimizer state and the KV cache follow exactly from shapes. Activations follow from what the
layers keep for the backward pass: with flash attention nothing grows with the square of the length, and a transformer
layer keeps a fixed number of bytes per token (the counting is that of Korthikanti et al., "Reducing Activation
Recomputation in Large Transformer Models", arXiv 2205.05198, section 4, done here for RMS norm, grouped heads and
SwiGLU; a test compares it with what torch saves). What cannot be derived is an allowance, named as one below.
"""

import math
from dataclasses import dataclass

from mixed_r1_verl.plan.architecture import Architecture
from mixed_r1_verl.plan.data import DataStatistics
from mixed_r1_verl.plan.gpus import GIB, Gpu
from mixed_r1_verl.plan.settings import Settings

CONTEXTS = 1.0 * GIB
"""Allowance: CUDA contexts and NCCL buffers of the actor's and vLLM's process."""

SLEEPING_VLLM = 0.5 * GIB
"""Allowance: what a sleeping vLLM keeps beside its context."""

CUDA_GRAPHS = 1.0 * GIB
"""Allowance: vLLM's captured graphs."""

FRAGMENTATION = 0.05
"""Allowance: share of the GPU's memory that torch's allocator cannot hand out."""

KV_BLOCK = 16
"""Tokens of one block of vLLM's KV cache."""


@dataclass(frozen=True)
class Phase:
    """One phase of a step on the fullest GPU.

    Attributes:
        parts: name → bytes.
        limit: bytes that the phase may take.
    """

    name: str
    parts: dict[str, float]
    limit: float

    @property
    def total(self) -> float:
        return sum(self.parts.values())

    @property
    def fits(self) -> bool:
        return self.total <= self.limit


@dataclass(frozen=True)
class KVCache:
    """vLLM's KV cache on one GPU.

    Attributes:
        bytes_per_token: on one GPU of a tensor-parallel group.
        bytes: what is left for it.
        tokens: how many tokens it holds, in whole blocks.
        sequences: sequences of the greatest length that it holds at once.
    """

    bytes_per_token: int
    bytes: float
    tokens: int
    sequences: float

    @property
    def fits(self) -> bool:
        return self.sequences >= 1


@dataclass(frozen=True)
class Memory:
    """The memory of a run.

    Attributes:
        phases: of a step on one GPU.
        kv: vLLM's cache.
        host: name → bytes in one node's main memory.
    """

    phases: tuple[Phase, ...]
    kv: KVCache
    host: dict[str, float]

    @property
    def fits(self) -> bool:
        return self.kv.fits and all(phase.fits for phase in self.phases)


def actor_state(settings: Settings, architecture: Architecture) -> dict[str, float]:
    """Bytes of parameters, gradients and AdamW's two moments on one GPU, as FSDP shards them.

    Adapters are in the base model's dtype (verl casts them). Gradients are reduced in fp32 and kept in the parameters'
    dtype. verl trains every parameter that is not LoRA's base: `freeze_vision_tower` is read nowhere in it.
    """
    base = architecture.shard_parameters(settings.shard)
    adapters = architecture.lora_parameters(settings.lora_rank, settings.lora_exclude, gpus=settings.shard)
    width, trained = settings.model_bytes, adapters or base
    return {
        "parameters": base * width,
        **({"LoRA adapters": adapters * width} if adapters else {}),
        "gradients": trained * width,
        "optimizer": 2 * trained * width,
    }


def decoder_layer_bytes(architecture: Architecture, width: int = 2) -> int:
    """Bytes per token that one decoder layer keeps for its backward pass.

    Two RMS norms keep their input in fp32 and, in the compute dtype, their normalised and their scaled output;
    attention keeps queries, keys, values and its output; SwiGLU keeps gate, its activation, up and their product.
    Qwen3's norms of queries and keys keep theirs likewise.
    """
    decoder = architecture.decoder
    norms = 2 * decoder.hidden * (4 + 2 * width)
    attention = width * (2 * decoder.q_size + 2 * decoder.kv_size)
    if decoder.qk_norm:
        norms += (decoder.q_size + decoder.kv_size) * (4 + width)
    return norms + attention + 4 * width * decoder.intermediate


def vision_layer_bytes(architecture: Architecture, width: int = 2) -> int:
    """The same per patch for one layer of the vision tower.

    Layer norms keep input and output only. Where one matrix makes queries, keys and values, its whole output stays
    beside the rotated queries and keys, because the values are a view of it.
    """
    vision = architecture.vision
    norms = 2 * vision.hidden * ((4 + 2 * width) if vision.gated else 2 * width)
    attention = (6 if vision.fused else 4) * width * vision.hidden
    return norms + attention + (4 if vision.gated else 2) * width * vision.intermediate


def activations(settings: Settings, architecture: Architecture, tokens: float, patches: float, *, train: bool) -> float:
    """Bytes of activations of one micro batch on one GPU.

    With gradient checkpointing each layer keeps its input, and one layer at a time is recomputed in full; the gradients
    that flow through it are taken as large again as its MLP. Without a backward pass one layer's working set is enough.
    """
    width = settings.compute_bytes
    decoder, vision = architecture.decoder, architecture.vision
    layer = tokens * decoder_layer_bytes(architecture, width)
    block = patches * vision_layer_bytes(architecture, width)
    working = max(
        layer + tokens * 3 * width * decoder.intermediate,
        block + patches * (3 if vision.gated else 2) * width * vision.intermediate,
    )
    pixels = patches * vision.patch_values * 4
    if not train:
        return working + pixels
    if not settings.checkpointing:
        return decoder.layers * layer + vision.layers * block + working + pixels
    inputs = width * (decoder.layers * tokens * decoder.hidden + vision.layers * patches * vision.hidden)
    return (0 if settings.activation_offload else inputs) + working + pixels


def logits(settings: Settings, architecture: Architecture, tokens: float, *, train: bool) -> float:
    """Bytes of the logits and of what is made from them.

    In training flash-attn's cross entropy writes the gradient into them; without it (no padding removal) log-softmax
    and its gradient come on top. Without training verl also asks for the entropy, which needs one more copy unless it
    is taken in chunks. Fused kernels keep none.
    """
    if settings.fused_kernels:
        return 0.0
    one = tokens * architecture.decoder.vocab * settings.compute_bytes
    if train:
        return one * (1 if settings.remove_padding else 3)
    return one * (1 if settings.chunked_entropy else 2)


def micro_batch_patches(
    settings: Settings, architecture: Architecture, tokens: float, data: DataStatistics | None
) -> float:
    """Vision patches in a micro batch: the data's share of image tokens, or without data the whole prompt."""
    whole = settings.prompt_tokens + settings.response_tokens
    if data is None:
        share = settings.prompt_tokens / whole
    else:
        share = data.image[1] / max(1, min(data.prompt[1], settings.prompt_tokens) + settings.response_tokens)
    return tokens * min(1.0, share) * architecture.vision.merge


def plan_memory(settings: Settings, architecture: Architecture, gpu: Gpu, data: DataStatistics | None = None) -> Memory:
    """Memory of every phase.

    Args:
        settings: of the run.
        architecture: of the model.
        gpu: each of the GPUs.
        data: of the data file; without it every prompt is taken as full of pictures.
    """
    state = actor_state(settings, architecture)
    width = settings.compute_bytes
    usable = gpu.memory * (1 - FRAGMENTATION)
    trained_on_gpu = {} if settings.offload_policy else state
    weights = {name: size for name, size in trained_on_gpu.items() if name in ("parameters", "LoRA adapters")}
    kept = () if settings.optimizer_offload else ("optimizer",)
    optimizer = {name: size for name, size in trained_on_gpu.items() if name in kept}
    resident = ({} if settings.param_offload else weights) | optimizer

    # What FSDP2 gathers: the root for the whole pass, and a layer with the next one prefetched.
    gathered = width * (architecture.root_parameters() + 2 * architecture.layer_parameters())
    head = 0 if architecture.decoder.tied else architecture.embedding_parameters * width
    sleeping = SLEEPING_VLLM if settings.sleep else settings.utilization * gpu.memory

    def passing(tokens: float, *, train: bool) -> dict[str, float]:
        """What a pass over one micro batch takes beside the model."""
        patches = micro_batch_patches(settings, architecture, tokens, data)
        return {
            "activations": activations(settings, architecture, tokens, patches, train=train),
            "logits": logits(settings, architecture, tokens, train=train),
            "sleeping vLLM": sleeping,
            "contexts": CONTEXTS,
        }

    log_probs = {
        **weights,
        **optimizer,
        "gathered layers": gathered + head,
        **passing(settings.forward_tokens, train=False),
    }
    update = {
        **trained_on_gpu,
        # In its backward pass the head (or the root with the tied table) has a gradient in the compute dtype and is
        # reduced in fp32.
        "gathered layers": gathered + head + _reduced(settings, architecture),
        **passing(settings.update_tokens, train=True),
    }
    if settings.deferred_gradients:
        trained = state["gradients"] / settings.model_bytes * settings.shard
        update["unsharded gradients"] = 4 * trained

    vllm_weights = architecture.parameters * settings.rollout_bytes / settings.tensor_parallel
    if not settings.lora_merge:
        adapters = architecture.lora_parameters(settings.lora_rank, settings.lora_exclude)
        vllm_weights += adapters * settings.rollout_bytes
    sync = {
        **resident,
        "vLLM weights": vllm_weights,
        "transfer buckets": 2 * settings.bucket,
        "largest tensor": 4 * architecture.embedding_parameters,
        "contexts": CONTEXTS,
    }
    rollout = {**resident, "vLLM": settings.utilization * gpu.memory, "contexts": CONTEXTS}
    phases = (
        Phase("rollout", rollout, gpu.memory),  # vLLM's share is not handed out by torch's allocator
        Phase("log-probabilities", log_probs, usable),
        Phase("update", update, usable),
        Phase("weight sync", sync, usable),
    )
    kv = _kv_cache(settings, architecture, gpu, vllm_weights)
    return Memory(phases, kv, _host(settings, architecture, state, vllm_weights))


def _reduced(settings: Settings, architecture: Architecture) -> float:
    if settings.lora_rank:
        return 0.0
    largest = max(
        architecture.layer_parameters(),
        architecture.root_parameters() if architecture.decoder.tied else architecture.embedding_parameters,
    )
    return largest * (settings.compute_bytes + 4)


def _kv_cache(settings: Settings, architecture: Architecture, gpu: Gpu, weights: float) -> KVCache:
    """What vLLM's share leaves for the cache, after weights, its profiled forward pass and its graphs."""
    decoder, vision = architecture.decoder, architecture.vision
    width, parallel = settings.rollout_bytes, settings.tensor_parallel
    prefill = settings.batched_tokens * width * (3 * decoder.hidden + 3 * decoder.intermediate / parallel)
    sampler = settings.max_sequences * decoder.vocab * (width + 2 * 4)
    encoder = settings.batched_tokens * vision.merge * width * (3 * vision.hidden + 3 * vision.intermediate / parallel)
    left = settings.utilization * gpu.memory - weights - max(prefill + sampler, encoder)
    left -= 0 if settings.eager else CUDA_GRAPHS
    per_token = architecture.kv_bytes_per_token(width, parallel)
    tokens = max(0, int(left // (per_token * KV_BLOCK)) * KV_BLOCK)
    longest = math.ceil(settings.max_sequence / KV_BLOCK) * KV_BLOCK
    return KVCache(per_token, max(0.0, left), tokens, tokens / longest)


def _host(settings: Settings, architecture: Architecture, state: dict[str, float], vllm: float) -> dict[str, float]:
    """Main memory of one node, in bytes."""
    host: dict[str, float] = {}
    if settings.reference and not settings.lora_rank:
        host["reference policy"] = state["parameters"] * settings.per_node  # CPUOffloadPolicy, pinned
    if settings.param_offload or settings.offload_policy:
        host["offloaded parameters"] = (state["parameters"] + state.get("LoRA adapters", 0)) * settings.per_node
    if settings.optimizer_offload or settings.offload_policy:
        host["offloaded optimizer"] = state["optimizer"] * settings.per_node
    if settings.offload_policy:
        host["offloaded gradients"] = state["gradients"] * settings.per_node
    if settings.lora_rank and settings.sleep and not settings.lora_merge:
        host["vLLM asleep (level 1)"] = vllm * settings.per_node
    # verl loads tied models in full on every rank, others on the first alone (get_init_weight_context_manager).
    copies = settings.per_node if architecture.decoder.tied else 1
    host["loading, for a moment"] = architecture.parameters * settings.model_bytes * copies
    return host
