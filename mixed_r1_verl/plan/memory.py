"""Bytes on one GPU in each phase of a step of verl with FSDP2 and vLLM on the same GPUs.

Parameters, gradients, optimizer state and the KV cache follow exactly from shapes. Activations follow from what the
layers keep for the backward pass: with flash attention nothing grows with the square of the length, and a transformer
layer keeps a fixed number of bytes per token (the counting is that of Korthikanti et al., "Reducing Activation
Recomputation in Large Transformer Models", arXiv 2205.05198, section 4, done here for RMS norm, grouped heads and
SwiGLU; a test compares it with what torch saves). What cannot be derived is an allowance, named as one below.
"""

import math
from dataclasses import dataclass
from typing import Any

from mixed_r1_verl.core.families import LANGUAGE_MODEL
from mixed_r1_verl.plan.architecture import Architecture
from mixed_r1_verl.plan.data import DataStatistics
from mixed_r1_verl.plan.gpus import GIB, Gpu
from mixed_r1_verl.plan.settings import Settings

CONTEXTS = 1.0 * GIB  # allowance: CUDA contexts and NCCL buffers of the actor's and vLLM's process
SLEEPING_VLLM = 0.5 * GIB  # allowance: what a sleeping vLLM keeps beside its context
CUDA_GRAPHS = 1.0 * GIB  # allowance: vLLM's captured graphs
FRAGMENTATION = 0.05  # allowance: share of the GPU's memory that torch's allocator cannot hand out
KV_BLOCK = 16  # tokens of one block of vLLM's KV cache


@dataclass(frozen=True)
class Phase:
    """One phase of a step on the fullest GPU: name → bytes, and the bytes that it may take."""

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
    """vLLM's KV cache on one GPU."""

    bytes_per_token: int  # on one GPU of a tensor-parallel group
    bytes: float  # what is left for it
    tokens: int  # how many tokens it holds, in whole blocks
    sequences: float  # sequences of the greatest length that it holds at once

    @property
    def fits(self) -> bool:
        return self.sequences >= 1


@dataclass(frozen=True)
class Memory:
    """The memory of a run: of each phase on one GPU, of vLLM's cache, and name → bytes of one node's main memory."""

    phases: tuple[Phase, ...]
    kv: KVCache
    host: dict[str, float]

    @property
    def fits(self) -> bool:
        return self.kv.fits and all(phase.fits for phase in self.phases)


def actor_state(settings: Settings, architecture: Architecture) -> dict[str, float]:
    """Bytes of parameters, gradients and AdamW's two moments on one GPU, as FSDP shards them.

    Adapters are in the base model's dtype (verl casts them). Gradients are reduced in fp32 and kept in the parameters'
    dtype. Every parameter is trained that is neither LoRA's base nor of a frozen tower.
    """
    base = architecture.shard_parameters(settings.shard)
    language = architecture.shard_parameters(settings.shard, LANGUAGE_MODEL)
    adapters = architecture.lora_parameters(settings.lora_rank, settings.lora_exclude, gpus=settings.shard)
    width, trained = settings.model_bytes, adapters or (language if settings.freeze_vision_tower else base)
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
    a = architecture
    norms = 2 * a.text.hidden_size * (4 + 2 * width)
    if "model.language_model.layers.0.self_attn.q_norm.weight" in a.shapes:
        norms += (a.q_size + a.kv_size) * (4 + width)
    return int(norms + width * (2 * a.q_size + 2 * a.kv_size + 4 * a.text.intermediate_size))


def _is_gated(architecture: Architecture) -> bool:
    """Whether the tower's MLP is SwiGLU with RMS norms (Qwen2.5-VL), else two linear layers with layer norms."""
    return "model.visual.blocks.0.mlp.gate_proj.weight" in architecture.shapes


def vision_layer_bytes(architecture: Architecture, width: int = 2) -> int:
    """The same per patch for one layer of the vision tower.

    Layer norms keep input and output only. Where one matrix makes queries, keys and values, its whole output stays
    beside the rotated queries and keys, because the values are a view of it.
    """
    tower, gated = architecture.tower, _is_gated(architecture)
    norms = 2 * tower.hidden_size * ((4 + 2 * width) if gated else 2 * width)
    attention = (6 if "model.visual.blocks.0.attn.qkv.weight" in architecture.shapes else 4) * width * tower.hidden_size
    return int(norms + attention + (4 if gated else 2) * width * tower.intermediate_size)


def activations(settings: Settings, architecture: Architecture, tokens: float, patches: float, *, train: bool) -> float:
    """Bytes of activations of one micro batch on one GPU.

    With gradient checkpointing each layer keeps its input, and one layer at a time is recomputed in full; the gradients
    that flow through it are taken as large again as its MLP. Without a backward pass one layer's working set is enough,
    as it is for a tower that is frozen.
    """
    width, text, tower = settings.compute_bytes, architecture.text, architecture.tower
    layer = tokens * decoder_layer_bytes(architecture, width)
    block = patches * vision_layer_bytes(architecture, width)
    working = max(
        layer + tokens * 3 * width * text.intermediate_size,
        block + patches * (3 if _is_gated(architecture) else 2) * width * tower.intermediate_size,
    )
    working += patches * architecture.patch_values * 4
    layers, blocks = text.num_hidden_layers, 0 if settings.freeze_vision_tower else architecture.tower_layers
    if not train:
        return float(working)
    if not settings.checkpointing:
        return float(layers * layer + blocks * block + working)
    inputs = width * (layers * tokens * text.hidden_size + blocks * patches * tower.hidden_size)
    return float((0 if settings.activation_offload else inputs) + working)


def logits(settings: Settings, architecture: Architecture, tokens: float, *, train: bool) -> float:
    """Bytes of the logits and of what is made from them.

    In training flash-attn's cross entropy writes the gradient into them; without it (no padding removal) log-softmax
    and its gradient come on top. Without training verl also asks for the entropy, which needs one more copy unless it
    is taken in chunks. Fused kernels keep none.
    """
    if settings.fused_kernels:
        return 0.0
    copies = (1 if settings.remove_padding else 3) if train else (1 if settings.chunked_entropy else 2)
    return float(tokens * architecture.text.vocab_size * settings.compute_bytes * copies)


def _patches(settings: Settings, architecture: Architecture, tokens: float, data: DataStatistics | None) -> float:
    """Vision patches in a micro batch: the data's share of image tokens, or without data the whole prompt."""
    image = prompt = settings.prompt_tokens
    if data is not None:
        image, prompt = data.image[1], min(data.prompt[1], prompt)
    return tokens * min(1.0, image / max(1, prompt + settings.response_tokens)) * architecture.merge


def plan_memory(settings: Settings, architecture: Architecture, gpu: Gpu, data: DataStatistics | None = None) -> Memory:
    """Memory of every phase; without `data` every prompt is taken as full of pictures."""
    state, width = actor_state(settings, architecture), settings.compute_bytes
    on_gpu = {} if settings.offload_policy else state
    weights = {name: size for name, size in on_gpu.items() if name in ("parameters", "LoRA adapters")}
    optimizer = {name: size for name, size in on_gpu.items() if name == "optimizer" and not settings.optimizer_offload}
    resident = ({} if settings.param_offload else weights) | optimizer

    # What FSDP2 gathers: the root for the whole pass, and a layer with the next one prefetched; and the head.
    layer, root = architecture.layer_parameters(), architecture.root_parameters()
    head = 0 if architecture.tied else architecture.embedding_parameters
    gathered = width * (root + 2 * layer + head)
    # In its backward pass the head (or the root with the tied table) has a gradient in the compute dtype and is reduced
    # in fp32.
    reduced = 0 if settings.lora_rank else max(layer, head or root) * (width + 4)

    def passing(tokens: float, gathered: float, *, train: bool) -> dict[str, float]:
        """What a pass over one micro batch takes beside the model."""
        patches = _patches(settings, architecture, tokens, data)
        return {
            "gathered layers": gathered,
            "activations": activations(settings, architecture, tokens, patches, train=train),
            "logits": logits(settings, architecture, tokens, train=train),
            "sleeping vLLM": SLEEPING_VLLM if settings.sleep else settings.utilization * gpu.memory,
            "contexts": CONTEXTS,
        }

    log_probs = {**weights, **optimizer, **passing(settings.forward_tokens, gathered, train=False)}
    update = {**on_gpu, **passing(settings.update_tokens, gathered + reduced, train=True)}
    if settings.deferred_gradients:
        update["unsharded gradients"] = 4 * state["gradients"] / settings.model_bytes * settings.shard

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
    usable = gpu.memory * (1 - FRAGMENTATION)
    phases = (
        Phase("rollout", rollout, gpu.memory),  # vLLM's share is not handed out by torch's allocator
        Phase("log-probabilities", log_probs, usable),
        Phase("update", update, usable),
        Phase("weight sync", sync, usable),
    )
    kv = _kv_cache(settings, architecture, gpu, vllm_weights)
    return Memory(phases, kv, _host(settings, architecture, state, vllm_weights))


def _kv_cache(settings: Settings, architecture: Architecture, gpu: Gpu, weights: float) -> KVCache:
    """What vLLM's share leaves for the cache, after weights, its profiled forward pass and its graphs."""
    text, tower = architecture.text, architecture.tower
    width, parallel = settings.rollout_bytes, settings.tensor_parallel

    def layer(tokens: int, part: Any) -> float:
        return float(tokens * width * (3 * part.hidden_size + 3 * part.intermediate_size / parallel))

    prefill, encoder = layer(settings.batched_tokens, text), layer(settings.batched_tokens * architecture.merge, tower)
    sampler = settings.max_sequences * text.vocab_size * (width + 2 * 4)
    left = settings.utilization * gpu.memory - weights - max(prefill + sampler, encoder)
    left -= 0 if settings.eager else CUDA_GRAPHS
    per_token = architecture.kv_bytes_per_token(width, parallel)
    tokens = max(0, int(left // (per_token * KV_BLOCK)) * KV_BLOCK)
    longest = math.ceil(settings.max_sequence / KV_BLOCK) * KV_BLOCK
    return KVCache(per_token, max(0.0, left), tokens, tokens / longest)


def _host(settings: Settings, architecture: Architecture, state: dict[str, float], vllm: float) -> dict[str, float]:
    """Main memory of one node, in bytes."""
    s = settings
    each: dict[str, tuple[bool, float]] = {
        "reference policy": (s.reference and not s.lora_rank, state["parameters"]),  # CPUOffloadPolicy, pinned
        "offloaded parameters": (
            s.param_offload or s.offload_policy,
            state["parameters"] + state.get("LoRA adapters", 0),
        ),
        "offloaded optimizer": (s.optimizer_offload or s.offload_policy, state["optimizer"]),
        "offloaded gradients": (s.offload_policy, state["gradients"]),
        "vLLM asleep (level 1)": (bool(s.lora_rank) and s.sleep and not s.lora_merge, vllm),
    }
    host = {name: size * s.per_node for name, (there, size) in each.items() if there}
    # verl loads tied models in full on every rank, others on the first alone (get_init_weight_context_manager).
    copies = settings.per_node if architecture.tied else 1
    host["loading, for a moment"] = architecture.parameters * settings.model_bytes * copies
    return host
