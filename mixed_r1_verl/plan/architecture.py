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

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.core.families import LANGUAGE_MODEL, LAYERS, MAX_LAYERS

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
MOST = 10**8  # of any of these


@dataclass(frozen=True)
class Architecture:
    """A vision-language model without its weights."""

    family: str  # `model_type` of the configuration
    text: Any  # transformers' configuration of the language model, all defaults filled in
    tower: Any  # the same of the vision tower
    # parameter name → shape, as `named_parameters()` of the transformers model gives them
    shapes: Mapping[str, tuple[int, ...]]
    merge: int  # patches that become one token of the language model

    @property
    def kv_heads(self) -> int:
        return int(self.text.num_key_value_heads or self.text.num_attention_heads)

    @property
    def head_dim(self) -> int:
        return int(getattr(self.text, "head_dim", None) or self.text.hidden_size // self.text.num_attention_heads)

    @property
    def q_size(self) -> int:
        """Values of a token's queries in one layer."""
        return int(self.text.num_attention_heads) * self.head_dim

    @property
    def kv_size(self) -> int:
        """Values of a token's keys, or of its values, in one layer."""
        return self.kv_heads * self.head_dim

    @property
    def tower_layers(self) -> int:
        return int(self.tower.depth if hasattr(self.tower, "depth") else self.tower.num_hidden_layers)

    @property
    def tied(self) -> bool:
        """Whether the output head is the embedding table."""
        return "lm_head.weight" not in self.shapes

    @cached_property
    def patch_values(self) -> int:
        """Numbers of one flattened patch: one filter of the convolution that cuts the picture sees a whole patch."""
        cut = re.compile(r".*\.patch_embed\w*\.proj\w*\.weight")
        return next(math.prod(shape[1:]) for name, shape in self.shapes.items() if cut.fullmatch(name))

    @cached_property
    def parameters(self) -> int:
        """Number of parameters; a tied output head counts once."""
        return sum(map(math.prod, self.shapes.values()))

    @cached_property
    def vision_parameters(self) -> int:
        """Parameters of the tower and of what joins it to the language model."""
        return sum(math.prod(shape) for name, shape in self.shapes.items() if not name.startswith(LANGUAGE_MODEL))

    @property
    def embedding_parameters(self) -> int:
        """Parameters of the embedding table."""
        return int(self.text.vocab_size * self.text.hidden_size)

    @property
    def language_matmul_parameters(self) -> int:
        """Parameters that every token of the language model is multiplied with: all but the looked-up embeddings."""
        looked_up = 0 if self.tied else self.embedding_parameters
        return self.parameters - self.vision_parameters - looked_up

    def shard_parameters(self, gpus: int, beginning: str | tuple[str, ...] = "") -> int:
        """The most parameters on one of `gpus` FSDP2 ranks, of those whose names begin so.

        Tensors are cut along their first dimension.
        """
        return _shard({name: shape for name, shape in self.shapes.items() if name.startswith(beginning)}, gpus)

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
            and (self.tied or not re.search(r"(embed_tokens|lm_head|pos_embed)\.weight$", name))
        )

    def kv_bytes_per_token(self, bytes_per_value: int = 2, tensor_parallel: int = 1) -> int:
        """Bytes that one token takes in the KV cache of one GPU.

        Keys and values of every layer; heads are shared out among the GPUs of a tensor-parallel group, and copied
        where there are more GPUs than heads (vLLM).

        >>> load_architecture("Qwen/Qwen2.5-VL-7B-Instruct").kv_bytes_per_token()
        57344
        """
        heads = max(1, self.kv_heads // tensor_parallel)
        return 2 * int(self.text.num_hidden_layers) * heads * self.head_dim * bytes_per_value

    def lora_shapes(self, rank: int, exclude: str | Sequence[str] | None = None) -> Shapes:
        """Shapes of the adapters that PEFT adds for `target_modules: all-linear`.

        Every linear layer but the output head gets two matrices, (rank, in) and (out, rank).

        Args:
            rank: r of LoRA.
            exclude: PEFT's `exclude_modules`: a regular expression for the whole module name, or name endings.
        """
        if exclude is not None and not isinstance(exclude, str):
            exclude = "|".join(rf"(?:.*\.)?{re.escape(ending)}" for ending in exclude)
        no_linear = ("embed_tokens", "pos_embed", "lm_head")
        shapes: Shapes = {}
        for name, shape in self.shapes.items():
            module = name.removesuffix(".weight")
            linear = len(shape) == 2 and module != name and not module.endswith(no_linear)
            if linear and not (exclude and re.fullmatch(exclude, module)):
                shapes[f"{module}.lora_A.weight"] = (rank, shape[1])
                shapes[f"{module}.lora_B.weight"] = (shape[0], rank)
        return shapes

    def lora_parameters(self, rank: int, exclude: str | Sequence[str] | None = None, *, gpus: int = 1) -> int:
        """The most parameters of these adapters on one of `gpus` FSDP2 ranks; 0 without adapters."""
        return _shard(self.lora_shapes(rank, exclude), gpus) if rank else 0


def _shard(shapes: Mapping[str, tuple[int, ...]], gpus: int) -> int:
    return sum(math.ceil(shape[0] / gpus) * math.prod(shape[1:]) for shape in shapes.values())


@cache
def load_architecture(model: str | Path) -> Architecture:
    """The architecture of a model directory, or of a hub id in `PUBLISHED`.

    Raises:
        ConfigError: neither, or an unreadable configuration.

    >>> load_architecture("Qwen/Qwen2.5-VL-3B-Instruct").parameters
    3754622976
    """
    if str(model) in PUBLISHED:
        return read_architecture(PUBLISHED[str(model)])
    path = Path(model).expanduser() / "config.json"
    if not path.is_file():
        raise ConfigError(
            f"{model} is neither a directory with a config.json nor a model whose configuration is known; "
            f"give --model DIR, or one of: {', '.join(PUBLISHED)}"
        )
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path}: {error}") from None
    if not isinstance(config, dict):
        raise ConfigError(f"{path} holds no object")
    return read_architecture(config)


def read_architecture(config: Mapping[str, Any]) -> Architecture:
    """The architecture of a parsed `config.json`.

    Raises:
        ConfigError: naming the family or the field that is unknown or missing.

    >>> read_architecture({"model_type": "llava"})
    Traceback (most recent call last):
    ...
    mixed_r1_verl.core.config.ConfigError: model_type 'llava' is not planned for; known: ...
    """
    import torch
    from transformers import AutoConfig, AutoModelForImageTextToText

    family = str(config.get("model_type", ""))
    _require_planned(family, config)
    fields = {name: value for name, value in copy.deepcopy(dict(config)).items() if name != "model_type"}
    try:
        whole: Any = AutoConfig.for_model(family, **fields)
        with torch.device("meta"):
            model = AutoModelForImageTextToText.from_config(whole)
    except Exception as error:  # its own kinds, division by 0, whatever a field of the wrong kind leads to
        reason = " ".join(str(error).split())[:400]
        raise ConfigError(f"transformers builds no {family} of this config.json: {reason}") from None
    tower = whole.vision_config
    side = tower.spatial_merge_size if hasattr(tower, "spatial_merge_size") else round(1 / whole.downsample_ratio)
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    return Architecture(family, whole.get_text_config(), tower, shapes, side**2)


def _require_planned(family: str, config: Mapping[str, Any]) -> None:
    if family not in FAMILIES:
        raise ConfigError(f"model_type {family!r} is not planned for; known: {', '.join(FAMILIES)}")
    # Older files of Qwen2.5-VL hold the language model's fields at the top.
    text, tower = config.get("text_config") or config, config.get("vision_config") or {}
    if not isinstance(text, Mapping) or not isinstance(tower, Mapping):
        raise ConfigError(f"config.json of {family}: text_config and vision_config must be mappings")
    if family == "internvl":
        if (kind := text.get("model_type", "qwen2")) not in ("qwen2", "qwen3"):
            raise ConfigError(f"InternVL with a language model of type {kind!r} is not planned for: qwen2 or qwen3 is")
        if tower.get("use_qk_norm") or tower.get("norm_type", "layer_norm") != "layer_norm":
            raise ConfigError("InternVL's larger vision tower (use_qk_norm, rms_norm) is not planned for")
    wanted = [(text, name) for name in SIZES] + [(tower, name) for name in QWEN_SIZES if family != "internvl"]
    for fields, name in [*wanted, *[(tower, layers) for layers in LAYERS if layers in tower]]:
        if name not in fields:
            raise ConfigError(f"config.json of {family} lacks the field {name!r}")
        most = MAX_LAYERS if name in LAYERS else MOST
        if not isinstance(fields[name], int) or not 1 <= fields[name] <= most:
            raise ConfigError(f"config.json of {family}: {name} is no whole number from 1 to {most}")
