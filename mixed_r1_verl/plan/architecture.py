"""A model's parameters, name by name and shape by shape, from the fields of its Hugging Face `config.json`.

The names and shapes are those of transformers' own modules, so that counts, shards and LoRA adapters follow from them
without loading a model, torch or transformers. A test compares them with transformers' models on the meta device.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

Shapes = dict[str, tuple[int, ...]]


class ArchitectureError(ValueError):
    """The configuration is not one that can be planned for."""


@dataclass(frozen=True)
class Decoder:
    """The language model.

    Attributes:
        qk_norm: queries and keys are normalised in each head (Qwen3).
        bias: the projections of queries, keys and values have biases (Qwen2).
        tied: the output head is the embedding table.
    """

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    qk_norm: bool
    bias: bool
    tied: bool

    @property
    def q_size(self) -> int:
        return self.heads * self.head_dim

    @property
    def kv_size(self) -> int:
        return self.kv_heads * self.head_dim


@dataclass(frozen=True)
class Vision:
    """The vision tower.

    Attributes:
        patch_values: numbers of one flattened patch as the processor hands it over.
        merge: patches that become one token of the language model.
        gated: the MLP is SwiGLU with RMS norms (Qwen2.5-VL); else two linear layers with layer norms.
        fused: one matrix makes queries, keys and values (Qwen).
    """

    layers: int
    hidden: int
    intermediate: int
    patch_values: int
    merge: int
    gated: bool
    fused: bool


@dataclass(frozen=True)
class Architecture:
    """A vision-language model without its weights.

    Attributes:
        family: `model_type` of the configuration.
        shapes: parameter name → shape, as `named_parameters()` of the transformers model gives them.
    """

    family: str
    decoder: Decoder
    vision: Vision
    shapes: Mapping[str, tuple[int, ...]]

    @cached_property
    def parameters(self) -> int:
        """Number of parameters; a tied output head counts once."""
        return sum(map(math.prod, self.shapes.values()))

    @cached_property
    def vision_parameters(self) -> int:
        """Parameters of the tower and of what joins it to the language model."""
        return sum(math.prod(shape) for name, shape in self.shapes.items() if not _is_language(name))

    @property
    def embedding_parameters(self) -> int:
        """Parameters of the embedding table."""
        return self.decoder.vocab * self.decoder.hidden

    @property
    def language_matmul_parameters(self) -> int:
        """Parameters that every token of the language model is multiplied with: all but the looked-up embeddings."""
        looked_up = 0 if self.decoder.tied else self.embedding_parameters
        return self.parameters - self.vision_parameters - looked_up

    def shard_parameters(self, gpus: int) -> int:
        """The most parameters on one of `gpus` FSDP2 ranks; tensors are cut along their first dimension."""
        return sum(math.ceil(shape[0] / gpus) * math.prod(shape[1:]) for shape in self.shapes.values())

    def layer_parameters(self) -> int:
        """Parameters of one decoder layer, the largest module that FSDP2 gathers at once besides the root."""
        return sum(math.prod(shape) for name, shape in self.shapes.items() if ".language_model.layers.0." in name)

    def root_parameters(self) -> int:
        """Parameters in no layer that FSDP2 wraps; gathered for the whole forward and backward pass.

        verl wraps the embedding and the head one by one when they are not tied; tied ones stay in the root.
        """
        return sum(
            math.prod(shape)
            for name, shape in self.shapes.items()
            if not re.search(r"\.(layers|blocks|layer)\.\d+\.", name)
            and (self.decoder.tied or not re.search(r"(embed_tokens|lm_head|pos_embed)\.weight$", name))
        )

    def kv_bytes_per_token(self, bytes_per_value: int = 2, tensor_parallel: int = 1) -> int:
        """Bytes that one token takes in the KV cache of one GPU.

        Keys and values of every layer; heads are shared out among the GPUs of a tensor-parallel group, and copied
        where there are more GPUs than heads (vLLM).

        Example:
            >>> from mixed_r1_verl.plan.published import published_architecture
            >>> published_architecture("Qwen/Qwen2.5-VL-7B-Instruct").kv_bytes_per_token()
            57344
        """
        heads = max(1, self.decoder.kv_heads // tensor_parallel)
        return 2 * self.decoder.layers * heads * self.decoder.head_dim * bytes_per_value

    def lora_shapes(self, rank: int, exclude: str | Sequence[str] | None = None) -> Shapes:
        """Shapes of the adapters that PEFT adds for `target_modules: all-linear`.

        Every linear layer but the output head gets two matrices, (rank, in) and (out, rank).

        Args:
            rank: r of LoRA.
            exclude: PEFT's `exclude_modules`: a regular expression for the whole module name, or name endings.
        """
        shapes: Shapes = {}
        for name, shape in self.shapes.items():
            module = name.removesuffix(".weight")
            if not name.endswith(".weight") or len(shape) != 2 or _is_table(module) or _excluded(module, exclude):
                continue
            shapes[f"{module}.lora_A.weight"] = (rank, shape[1])
            shapes[f"{module}.lora_B.weight"] = (shape[0], rank)
        return shapes


def read_architecture(config: Mapping[str, Any]) -> Architecture:
    """The architecture of a parsed `config.json`.

    Raises:
        ArchitectureError: naming the family or the field that is unknown or missing.

    Example:
        >>> read_architecture({"model_type": "llava"})
        Traceback (most recent call last):
        ...
        mixed_r1_verl.plan.architecture.ArchitectureError: model_type 'llava' is not planned for; known: ...
    """
    family = str(config.get("model_type", ""))
    if family not in _FAMILIES:
        raise ArchitectureError(f"model_type {family!r} is not planned for; known: {', '.join(_FAMILIES)}")
    # Older files of Qwen2.5-VL hold the language model's fields at the top.
    text = config.get("text_config") or config
    tower = config.get("vision_config") or {}
    try:
        return _FAMILIES[family](config, text, tower)
    except KeyError as error:
        raise ArchitectureError(f"config.json of {family} lacks the field {error.args[0]!r}") from None


def _is_language(name: str) -> bool:
    return name.startswith(("model.language_model.", "lm_head."))


def _is_table(module: str) -> bool:
    """Whether a two-dimensional weight is a table or the head, neither of which LoRA adapts."""
    return module.endswith(("embed_tokens", "pos_embed", "lm_head"))


def _excluded(module: str, exclude: str | Sequence[str] | None) -> bool:
    if not exclude:
        return False
    if isinstance(exclude, str):
        return re.fullmatch(exclude, module) is not None
    return any(module == name or module.endswith(f".{name}") for name in exclude)


def _decoder(text: Mapping[str, Any], *, qwen3: bool, tied: bool) -> Decoder:
    heads = text["num_attention_heads"]
    return Decoder(
        layers=text["num_hidden_layers"],
        hidden=text["hidden_size"],
        intermediate=text["intermediate_size"],
        heads=heads,
        kv_heads=text.get("num_key_value_heads") or heads,
        head_dim=(text.get("head_dim") or 128) if qwen3 else text["hidden_size"] // heads,
        vocab=text["vocab_size"],
        qk_norm=qwen3,
        bias=not qwen3,
        tied=tied,
    )


def _linear(name: str, out: int, inner: int, bias: bool = True) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (out, inner)
    if bias:
        yield f"{name}.bias", (out,)


def _norm(name: str, size: int, bias: bool = True) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (size,)
    if bias:
        yield f"{name}.bias", (size,)


def _decoder_shapes(decoder: Decoder) -> Iterator[tuple[str, tuple[int, ...]]]:
    top = "model.language_model"
    hidden, inner = decoder.hidden, decoder.intermediate
    yield f"{top}.embed_tokens.weight", (decoder.vocab, hidden)
    for number in range(decoder.layers):
        layer = f"{top}.layers.{number}"
        yield from _linear(f"{layer}.self_attn.q_proj", decoder.q_size, hidden, decoder.bias)
        yield from _linear(f"{layer}.self_attn.k_proj", decoder.kv_size, hidden, decoder.bias)
        yield from _linear(f"{layer}.self_attn.v_proj", decoder.kv_size, hidden, decoder.bias)
        yield from _linear(f"{layer}.self_attn.o_proj", hidden, decoder.q_size, False)
        if decoder.qk_norm:
            yield f"{layer}.self_attn.q_norm.weight", (decoder.head_dim,)
            yield f"{layer}.self_attn.k_norm.weight", (decoder.head_dim,)
        yield from _linear(f"{layer}.mlp.gate_proj", inner, hidden, False)
        yield from _linear(f"{layer}.mlp.up_proj", inner, hidden, False)
        yield from _linear(f"{layer}.mlp.down_proj", hidden, inner, False)
        yield f"{layer}.input_layernorm.weight", (hidden,)
        yield f"{layer}.post_attention_layernorm.weight", (hidden,)
    yield f"{top}.norm.weight", (hidden,)
    if not decoder.tied:
        yield "lm_head.weight", (decoder.vocab, hidden)


def _qwen_vision(tower: Mapping[str, Any], *, patch: int, gated: bool) -> tuple[Vision, tuple[int, ...]]:
    """The tower of a Qwen model, and the shape of one patch: channels, frames, height, width."""
    side, merge = tower.get("patch_size", patch), tower.get("spatial_merge_size", 2)
    shape = (tower.get("in_channels", 3), tower.get("temporal_patch_size", 2), side, side)
    vision = Vision(
        layers=tower["depth"],
        hidden=tower["hidden_size"],
        intermediate=tower["intermediate_size"],
        patch_values=math.prod(shape),
        merge=merge * merge,
        gated=gated,
        fused=True,
    )
    return vision, shape


def _qwen2_5_vl(config: Mapping[str, Any], text: Mapping[str, Any], tower: Mapping[str, Any]) -> Architecture:
    decoder = _decoder(text, qwen3=False, tied=bool(config.get("tie_word_embeddings", False)))
    vision, patch = _qwen_vision(tower, patch=14, gated=True)

    def shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
        top, hidden, inner = "model.visual", vision.hidden, vision.intermediate
        yield f"{top}.patch_embed.proj.weight", (hidden, *patch)
        for number in range(vision.layers):
            block = f"{top}.blocks.{number}"
            yield from _norm(f"{block}.norm1", hidden, False)
            yield from _norm(f"{block}.norm2", hidden, False)
            yield from _linear(f"{block}.attn.qkv", 3 * hidden, hidden)
            yield from _linear(f"{block}.attn.proj", hidden, hidden)
            yield from _linear(f"{block}.mlp.gate_proj", inner, hidden)
            yield from _linear(f"{block}.mlp.up_proj", inner, hidden)
            yield from _linear(f"{block}.mlp.down_proj", hidden, inner)
        merged = hidden * vision.merge
        yield from _norm(f"{top}.merger.ln_q", hidden, False)
        yield from _linear(f"{top}.merger.mlp.0", merged, merged)
        yield from _linear(f"{top}.merger.mlp.2", tower["out_hidden_size"], merged)
        yield from _decoder_shapes(decoder)

    return Architecture("qwen2_5_vl", decoder, vision, dict(shapes()))


def _qwen3_vl(config: Mapping[str, Any], text: Mapping[str, Any], tower: Mapping[str, Any]) -> Architecture:
    decoder = _decoder(text, qwen3=True, tied=bool(config.get("tie_word_embeddings", False)))
    vision, patch = _qwen_vision(tower, patch=16, gated=False)

    def shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
        top, hidden, inner = "model.visual", vision.hidden, vision.intermediate
        yield f"{top}.patch_embed.proj.weight", (hidden, *patch)
        yield f"{top}.patch_embed.proj.bias", (hidden,)
        yield f"{top}.pos_embed.weight", (tower.get("num_position_embeddings", 2304), hidden)
        for number in range(vision.layers):
            block = f"{top}.blocks.{number}"
            yield from _norm(f"{block}.norm1", hidden)
            yield from _norm(f"{block}.norm2", hidden)
            yield from _linear(f"{block}.attn.qkv", 3 * hidden, hidden)
            yield from _linear(f"{block}.attn.proj", hidden, hidden)
            yield from _linear(f"{block}.mlp.linear_fc1", inner, hidden)
            yield from _linear(f"{block}.mlp.linear_fc2", hidden, inner)
        merged = hidden * vision.merge
        mergers = [("merger", hidden)]
        mergers += [(f"deepstack_merger_list.{i}", merged) for i in range(len(tower["deepstack_visual_indexes"]))]
        for name, normed in mergers:
            yield from _norm(f"{top}.{name}.norm", normed)
            yield from _linear(f"{top}.{name}.linear_fc1", merged, merged)
            yield from _linear(f"{top}.{name}.linear_fc2", tower["out_hidden_size"], merged)
        yield from _decoder_shapes(decoder)

    return Architecture("qwen3_vl", decoder, vision, dict(shapes()))


def _internvl(config: Mapping[str, Any], text: Mapping[str, Any], tower: Mapping[str, Any]) -> Architecture:
    kind = text.get("model_type", "qwen2")
    if kind not in ("qwen2", "qwen3"):
        raise ArchitectureError(
            f"InternVL with a language model of type {kind!r} is not planned for: qwen2 or qwen3 is"
        )
    # transformers reads the tie from the top level, and InternVL's default there is true.
    decoder = _decoder(text, qwen3=kind == "qwen3", tied=bool(config.get("tie_word_embeddings", True)))
    patch, image = _side(tower.get("patch_size", 14)), _side(tower.get("image_size", 448))
    channels = tower.get("num_channels", 3)
    merge = round(1 / config.get("downsample_ratio", 0.5)) ** 2
    vision = Vision(
        layers=tower.get("num_hidden_layers", 24),
        hidden=tower.get("hidden_size", 1024),
        intermediate=tower.get("intermediate_size", 4096),
        patch_values=channels * patch * patch,
        merge=merge,
        gated=False,
        fused=False,
    )
    if tower.get("use_qk_norm") or tower.get("norm_type", "layer_norm") != "layer_norm":
        raise ArchitectureError("InternVL's larger vision tower (use_qk_norm, rms_norm) is not planned for")

    def shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
        top, hidden, inner = "model.vision_tower", vision.hidden, vision.intermediate
        yield f"{top}.embeddings.cls_token", (1, 1, hidden)
        if tower.get("use_mask_token", False):
            yield f"{top}.embeddings.mask_token", (1, 1, hidden)
        if tower.get("use_absolute_position_embeddings", True):
            yield f"{top}.embeddings.position_embeddings", (1, (image // patch) ** 2 + 1, hidden)
        yield f"{top}.embeddings.patch_embeddings.projection.weight", (hidden, channels, patch, patch)
        yield f"{top}.embeddings.patch_embeddings.projection.bias", (hidden,)
        bias = bool(tower.get("attention_bias", False))
        for number in range(vision.layers):
            layer = f"{top}.encoder.layer.{number}"
            yield f"{layer}.lambda_1", (hidden,)
            yield f"{layer}.lambda_2", (hidden,)
            for name in ("q_proj", "k_proj", "v_proj"):
                yield from _linear(f"{layer}.attention.{name}", hidden, hidden, bias)
            yield from _linear(f"{layer}.attention.projection_layer", hidden, hidden)
            yield from _linear(f"{layer}.mlp.fc1", inner, hidden)
            yield from _linear(f"{layer}.mlp.fc2", hidden, inner)
            yield from _norm(f"{layer}.layernorm_before", hidden)
            yield from _norm(f"{layer}.layernorm_after", hidden)
        if not tower.get("use_mean_pooling", True):
            yield from _norm(f"{top}.layernorm", hidden)
        merged = hidden * merge
        yield from _norm("model.multi_modal_projector.layer_norm", merged)
        yield from _linear("model.multi_modal_projector.linear_1", decoder.hidden, merged)
        yield from _linear("model.multi_modal_projector.linear_2", decoder.hidden, decoder.hidden)
        yield from _decoder_shapes(decoder)

    return Architecture("internvl", decoder, vision, dict(shapes()))


def _side(size: int | Sequence[int]) -> int:
    return size if isinstance(size, int) else size[0]


_FAMILIES = {"qwen2_5_vl": _qwen2_5_vl, "qwen3_vl": _qwen3_vl, "internvl": _internvl}
