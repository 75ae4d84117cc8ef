"""A model's parameters, name by name and shape by shape, from the fields of its Hugging Face `config.json`.

Names and shapes are those of transformers' own model on torch's meta device, which takes no memory; counts, shards,
LoRA adapters and what a layer looks like follow from them.
"""

import copy
import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import yaml

from mixed_r1_verl.plan import PlanError

Shapes = dict[str, tuple[int, ...]]
PUBLISHED: Mapping[str, Mapping[str, Any]] = yaml.safe_load(
    Path(__file__).with_name("published.yaml").read_text(encoding="utf-8")
)
"""Hub id → fields of `config.json` of the models that recipes name."""

FAMILIES = ("qwen2_5_vl", "qwen3_vl", "internvl")
SIZES = ("num_attention_heads", "num_hidden_layers", "hidden_size", "intermediate_size", "vocab_size")
"""Fields that a language model's configuration must have: transformers would take others for absent ones."""
QWEN_SIZES = ("depth", "hidden_size", "intermediate_size", "out_hidden_size")
"""The same of Qwen's vision tower; all of InternVL's have the size that transformers takes."""


@dataclass(frozen=True)
class Decoder:
    """The language model.

    Attributes:
        qk_norm: queries and keys are normalised in each head (Qwen3).
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
            >>> load_architecture("Qwen/Qwen2.5-VL-7B-Instruct").kv_bytes_per_token()
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
            if _has_adapters(name, shape, exclude):
                module = name.removesuffix(".weight")
                shapes[f"{module}.lora_A.weight"] = (rank, shape[1])
                shapes[f"{module}.lora_B.weight"] = (shape[0], rank)
        return shapes

    def lora_parameters(self, rank: int, exclude: str | Sequence[str] | None = None, *, gpus: int = 1) -> int:
        """The most parameters of these adapters on one of `gpus` FSDP2 ranks; 0 without adapters."""
        shapes = self.lora_shapes(rank, exclude).values() if rank else ()
        return sum(math.ceil(shape[0] / gpus) * shape[1] for shape in shapes)


def load_architecture(model: str | Path) -> Architecture:
    """The architecture of a model directory, or of a hub id in `PUBLISHED`.

    Raises:
        PlanError: neither, or an unreadable configuration.

    Example:
        >>> load_architecture("Qwen/Qwen2.5-VL-3B-Instruct").parameters
        3754622976
    """
    if str(model) in PUBLISHED:
        return _published(str(model))
    path = Path(model).expanduser() / "config.json"
    if not path.is_file():
        raise PlanError(
            f"{model} is neither a directory with a config.json nor a model whose configuration is known; "
            f"give --model DIR, or one of: {', '.join(PUBLISHED)}"
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise PlanError(f"{path}: {error}") from None
    if not isinstance(config, dict):
        raise PlanError(f"{path} holds no object")
    return read_architecture(config)


@cache
def _published(model: str) -> Architecture:
    return read_architecture(PUBLISHED[model])


def read_architecture(config: Mapping[str, Any]) -> Architecture:
    """The architecture of a parsed `config.json`.

    Raises:
        PlanError: naming the family or the field that is unknown or missing.

    Example:
        >>> read_architecture({"model_type": "llava"})
        Traceback (most recent call last):
        ...
        mixed_r1_verl.plan.PlanError: model_type 'llava' is not planned for; known: ...
    """
    family = str(config.get("model_type", ""))
    _require_planned(family, config)
    model_config, shapes = _meta_model(family, config)
    text, tower = model_config.get_text_config(), model_config.vision_config
    heads = text.num_attention_heads
    names = set(shapes)
    decoder = Decoder(
        layers=text.num_hidden_layers,
        hidden=text.hidden_size,
        intermediate=text.intermediate_size,
        heads=heads,
        kv_heads=text.num_key_value_heads or heads,
        head_dim=getattr(text, "head_dim", None) or text.hidden_size // heads,
        vocab=text.vocab_size,
        qk_norm="model.language_model.layers.0.self_attn.q_norm.weight" in names,
        tied="lm_head.weight" not in names,
    )
    # One filter of the convolution that cuts the picture into patches sees one whole patch.
    patch = next(shape for name, shape in shapes.items() if re.search(r"\.patch_embed\w*\.proj\w*\.weight$", name))
    side = (
        tower.spatial_merge_size if hasattr(tower, "spatial_merge_size") else round(1 / model_config.downsample_ratio)
    )
    vision = Vision(
        layers=tower.depth if hasattr(tower, "depth") else tower.num_hidden_layers,
        hidden=tower.hidden_size,
        intermediate=tower.intermediate_size,
        patch_values=math.prod(patch[1:]),
        merge=side**2,
        gated="model.visual.blocks.0.mlp.gate_proj.weight" in names,
        fused="model.visual.blocks.0.attn.qkv.weight" in names,
    )
    return Architecture(family, decoder, vision, shapes)


def _require_planned(family: str, config: Mapping[str, Any]) -> None:
    if family not in FAMILIES:
        raise PlanError(f"model_type {family!r} is not planned for; known: {', '.join(FAMILIES)}")
    # Older files of Qwen2.5-VL hold the language model's fields at the top.
    text, tower = config.get("text_config") or config, config.get("vision_config") or {}
    if family == "internvl":
        if (kind := text.get("model_type", "qwen2")) not in ("qwen2", "qwen3"):
            raise PlanError(f"InternVL with a language model of type {kind!r} is not planned for: qwen2 or qwen3 is")
        if tower.get("use_qk_norm") or tower.get("norm_type", "layer_norm") != "layer_norm":
            raise PlanError("InternVL's larger vision tower (use_qk_norm, rms_norm) is not planned for")
    wanted = [(text, name) for name in SIZES] + [(tower, name) for name in QWEN_SIZES if family != "internvl"]
    for fields, name in wanted:
        if name not in fields:
            raise PlanError(f"config.json of {family} lacks the field {name!r}")


def _meta_model(family: str, config: Mapping[str, Any]) -> tuple[Any, Shapes]:
    """transformers' configuration with all defaults, and the shapes of its model's parameters."""
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    fields = {name: value for name, value in copy.deepcopy(dict(config)).items() if name != "model_type"}
    try:
        whole = AutoConfig.for_model(family, **fields)
        with torch.device("meta"):
            model = AutoModelForImageTextToText.from_config(whole)
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise PlanError(
            f"transformers builds no {family} of this config.json: {' '.join(str(error).split())}"
        ) from None
    return whole, {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}


def _is_language(name: str) -> bool:
    return name.startswith(("model.language_model.", "lm_head."))


def _has_adapters(name: str, shape: Sequence[int], exclude: str | Sequence[str] | None) -> bool:
    """Whether LoRA adapts a parameter: a matrix, no table and not the head, that is not excluded."""
    module = name.removesuffix(".weight")
    if len(shape) != 2 or module == name or module.endswith(("embed_tokens", "pos_embed", "lm_head")):
        return False
    if isinstance(exclude, str):
        return not (exclude and re.fullmatch(exclude, module))
    return not any(module == name or module.endswith(f".{name}") for name in exclude or ())
