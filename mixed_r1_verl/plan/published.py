"""Published configurations of the models that the recipes train, so that a plan needs no checkpoint.

Only the fields that decide sizes, each model's from the `config.json` on its Hugging Face page. A test holds the
numbers of parameters that follow against published ones: a wrong field would give another number. docs/gpus.md says
which.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from mixed_r1_verl.plan import PlanError
from mixed_r1_verl.plan.architecture import Architecture, read_architecture


def _qwen2_5_vl(
    hidden: int, inner: int, layers: int, heads: int, kv: int, vocab: int, tied: bool, vision_inner: int = 3420
) -> dict[str, Any]:
    return {
        "model_type": "qwen2_5_vl",
        "tie_word_embeddings": tied,
        "text_config": _text("qwen2_5_vl_text", hidden, inner, layers, heads, kv, vocab),
        "vision_config": {
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": vision_inner,
            "num_heads": 16,
            "out_hidden_size": hidden,
            "patch_size": 14,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
        },
    }


def _qwen3_vl(
    hidden: int, inner: int, layers: int, heads: int, kv: int, tied: bool, tower: tuple[int, int, int, list[int]]
) -> dict[str, Any]:
    depth, vision_hidden, vision_inner, deepstack = tower
    return {
        "model_type": "qwen3_vl",
        "tie_word_embeddings": tied,
        "text_config": {**_text("qwen3_vl_text", hidden, inner, layers, heads, kv, 151936), "head_dim": 128},
        "vision_config": {
            "depth": depth,
            "hidden_size": vision_hidden,
            "intermediate_size": vision_inner,
            "num_heads": 16,
            "out_hidden_size": hidden,
            "patch_size": 16,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "num_position_embeddings": 2304,
            "deepstack_visual_indexes": deepstack,
        },
    }


def _internvl(kind: str, hidden: int, inner: int, layers: int, heads: int, kv: int, vocab: int) -> dict[str, Any]:
    text = _text(kind, hidden, inner, layers, heads, kv, vocab)
    if kind == "qwen3":
        text["head_dim"] = 128
    return {
        "model_type": "internvl",
        "tie_word_embeddings": False,
        "downsample_ratio": 0.5,
        "text_config": text,
        "vision_config": {  # InternViT-300M
            "hidden_size": 1024,
            "intermediate_size": 4096,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "attention_bias": True,
            "image_size": [448, 448],
            "patch_size": [14, 14],
        },
    }


def _text(kind: str, hidden: int, inner: int, layers: int, heads: int, kv: int, vocab: int) -> dict[str, Any]:
    return {
        "model_type": kind,
        "hidden_size": hidden,
        "intermediate_size": inner,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "num_key_value_heads": kv,
        "vocab_size": vocab,
    }


PUBLISHED: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {
        "Qwen/Qwen2.5-VL-3B-Instruct": _qwen2_5_vl(2048, 11008, 36, 16, 2, 151936, True),
        "Qwen/Qwen2.5-VL-7B-Instruct": _qwen2_5_vl(3584, 18944, 28, 28, 4, 152064, False),
        "Qwen/Qwen2.5-VL-32B-Instruct": _qwen2_5_vl(5120, 27648, 64, 40, 8, 152064, False, 3456),
        "Qwen/Qwen3-VL-4B-Instruct": _qwen3_vl(2560, 9728, 36, 32, 8, True, (24, 1024, 4096, [5, 11, 17])),
        "Qwen/Qwen3-VL-8B-Instruct": _qwen3_vl(4096, 12288, 36, 32, 8, False, (27, 1152, 4304, [8, 16, 24])),
        "OpenGVLab/InternVL3-1B-hf": _internvl("qwen2", 896, 4864, 24, 14, 2, 151674),
        "OpenGVLab/InternVL3-2B-hf": _internvl("qwen2", 1536, 8960, 28, 12, 2, 151674),
        "OpenGVLab/InternVL3-8B-hf": _internvl("qwen2", 3584, 18944, 28, 28, 4, 151674),
        "OpenGVLab/InternVL3_5-1B-HF": _internvl("qwen3", 1024, 3072, 28, 16, 8, 151936),
        "OpenGVLab/InternVL3_5-2B-HF": _internvl("qwen3", 2048, 6144, 28, 16, 8, 151936),
        "OpenGVLab/InternVL3_5-8B-HF": _internvl("qwen3", 4096, 12288, 36, 32, 8, 151936),
    }
)
"""Hub id → fields of `config.json`."""


@lru_cache(maxsize=32)
def published_architecture(model: str) -> Architecture:
    """The architecture of a model in `PUBLISHED`.

    Example:
        >>> published_architecture("Qwen/Qwen2.5-VL-3B-Instruct").parameters
        3754622976
    """
    return read_architecture(PUBLISHED[model])


def load_architecture(model: str | Path) -> Architecture:
    """The architecture of a model directory, or of a hub id whose configuration comes with this package.

    Raises:
        PlanError: neither, or an unreadable configuration.
    """
    if str(model) in PUBLISHED:
        return published_architecture(str(model))
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
