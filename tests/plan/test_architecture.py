"""Names and shapes of parameters: those of transformers' own models, and published numbers of parameters."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForImageTextToText, InternVLConfig, PreTrainedModel, Qwen2_5_VLConfig, Qwen3VLConfig

from examples.demo.tiny import internvl, qwen2_5_vl
from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.plan.architecture import PUBLISHED, Architecture, load_architecture, read_architecture

CLASSES = {"qwen2_5_vl": Qwen2_5_VLConfig, "qwen3_vl": Qwen3VLConfig, "internvl": InternVLConfig}

TINY_QWEN3_VL = {
    "model_type": "qwen3_vl",
    "text_config": {
        "model_type": "qwen3_vl_text",
        "vocab_size": 576,
        "hidden_size": 192,
        "intermediate_size": 512,
        "num_hidden_layers": 4,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "head_dim": 48,
    },
    "vision_config": {
        "depth": 3,
        "hidden_size": 96,
        "intermediate_size": 256,
        "num_heads": 3,
        "out_hidden_size": 192,
        "num_position_embeddings": 64,
        "deepstack_visual_indexes": [0, 1],
    },
}


def meta_model(fields: dict[str, Any]) -> PreTrainedModel:
    """transformers' model of a configuration, without memory."""
    config = CLASSES[fields["model_type"]](**{key: value for key, value in fields.items() if key != "model_type"})
    with torch.device("meta"):
        return AutoModelForImageTextToText.from_config(config)


def shapes_of(model: PreTrainedModel) -> dict[str, tuple[int, ...]]:
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("model", PUBLISHED)
def test_published_models_have_the_parameters_of_transformers(model: str) -> None:
    assert dict(load_architecture(model).shapes) == shapes_of(meta_model(json.loads(json.dumps(PUBLISHED[model]))))


@pytest.mark.parametrize("tied", [True, False, None])
@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl", "internvl"])
def test_tiny_models_have_the_parameters_of_transformers(family: str, tied: bool | None, tmp_path: Path) -> None:
    """`None`: the field is absent, and the family's own default decides."""
    if family == "qwen3_vl":
        fields = json.loads(json.dumps(TINY_QWEN3_VL))
    else:
        module = {"qwen2_5_vl": qwen2_5_vl, "internvl": internvl}[family]
        fields = module.build_config(module.build_processor()).to_dict()
    fields.pop("tie_word_embeddings", None)
    if tied is not None:
        fields["tie_word_embeddings"] = tied
    (tmp_path / "config.json").write_text(json.dumps(fields), encoding="utf-8")
    assert dict(load_architecture(tmp_path).shapes) == shapes_of(meta_model(fields))


def test_a_flat_configuration_is_read_like_a_nested_one() -> None:
    """Published files of Qwen2.5-VL hold the language model's fields at the top."""
    nested = PUBLISHED["Qwen/Qwen2.5-VL-3B-Instruct"]
    flat = {**nested["text_config"], **{key: value for key, value in nested.items() if key != "text_config"}}
    assert read_architecture(flat).shapes == read_architecture(nested).shapes


# Numbers of parameters published with the models. docs/gpus.md names the place of each.
PUBLISHED_COUNTS = {
    "Qwen/Qwen2.5-VL-3B-Instruct": 3_754_622_976,
    "Qwen/Qwen2.5-VL-7B-Instruct": 8_292_166_656,
    "Qwen/Qwen2.5-VL-32B-Instruct": 33_452_718_336,
}
PUBLISHED_ROUNDED = {
    "Qwen/Qwen3-VL-8B-Instruct": (8.77, 2),
    "OpenGVLab/InternVL3_5-1B-HF": (1.1, 1),
    "OpenGVLab/InternVL3_5-2B-HF": (2.3, 1),
    "OpenGVLab/InternVL3_5-8B-HF": (8.5, 1),
}


@pytest.mark.parametrize("model", PUBLISHED_COUNTS)
def test_published_counts(model: str) -> None:
    assert load_architecture(model).parameters == PUBLISHED_COUNTS[model]


@pytest.mark.parametrize("model", PUBLISHED_ROUNDED)
def test_published_rounded_counts(model: str) -> None:
    billions, digits = PUBLISHED_ROUNDED[model]
    assert round(load_architecture(model).parameters / 1e9, digits) == billions


def test_published_vision_tower() -> None:
    assert load_architecture("Qwen/Qwen2.5-VL-7B-Instruct").vision_parameters == 676_550_144


@pytest.mark.parametrize("exclude", [None, r".*visual.*", ["o_proj", "model.visual.merger.mlp.0"]])
def test_lora_adapters_are_those_of_peft(exclude: Any) -> None:
    fields = json.loads(json.dumps(PUBLISHED["Qwen/Qwen2.5-VL-3B-Instruct"]))
    fields["text_config"]["num_hidden_layers"] = fields["vision_config"]["depth"] = 2
    lora = LoraConfig(r=16, target_modules="all-linear", exclude_modules=exclude, task_type="CAUSAL_LM")
    model = get_peft_model(meta_model(fields), lora)
    adapters = {
        name.removeprefix("base_model.model.").replace(".default.", "."): tuple(parameter.shape)
        for name, parameter in model.named_parameters()
        if "lora_" in name
    }
    assert read_architecture(fields).lora_shapes(16, exclude) == adapters


@pytest.mark.parametrize("gpus", [1, 3, 8])
def test_shards_are_those_of_torch(gpus: int) -> None:
    architecture = load_architecture("OpenGVLab/InternVL3-1B-hf")
    largest = sum(torch.empty(shape, device="meta").chunk(gpus)[0].numel() for shape in architecture.shapes.values())
    assert architecture.shard_parameters(gpus) == largest


def test_root_and_layer_are_what_fsdp2_gathers() -> None:
    """verl's own choice of modules to wrap, on the meta model: what it leaves is the root."""
    from verl.utils.fsdp_utils import _select_fsdp2_wrap_targets

    for model in ("Qwen/Qwen2.5-VL-3B-Instruct", "Qwen/Qwen3-VL-8B-Instruct", "OpenGVLab/InternVL3-1B-hf"):
        fields = json.loads(json.dumps(PUBLISHED[model]))
        meta = meta_model(fields)
        wrapped = _select_fsdp2_wrap_targets(meta, list(meta._no_split_modules))
        inside = {id(parameter) for module in wrapped for parameter in module.parameters()}
        architecture: Architecture = read_architecture(fields)
        assert architecture.root_parameters() == sum(p.numel() for p in meta.parameters() if id(p) not in inside)
        assert architecture.layer_parameters() == sum(
            p.numel() for p in meta.model.language_model.layers[0].parameters()
        )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "model_type '' is not planned for"),
        ('{"model_type": "llava"}', "known: qwen2_5_vl"),
        ('{"model_type": "qwen2_5_vl", "vision_config": {}}', "lacks the field 'num_attention_heads'"),
        ('{"model_type": "qwen2_5_vl", "text_config": 0.5}', "must be mappings"),
        ("[]", "holds no object"),
        ("{", "Expecting property name"),
        ('{"model_type": "internvl", "text_config": {"model_type": "gpt_oss"}}', "type 'gpt_oss' is not planned for"),
    ],
)
def test_bad_configurations(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        load_architecture(tmp_path)


@pytest.mark.parametrize(("part", "name"), [("text_config", "num_hidden_layers"), ("vision_config", "depth")])
@pytest.mark.parametrize("value", [2**62, 501, 0, -1, 2.0, None, "28"])
def test_layers_without_end_are_not_built(part: str, name: str, value: object) -> None:
    fields = json.loads(json.dumps(PUBLISHED["Qwen/Qwen2.5-VL-3B-Instruct"]))
    fields[part][name] = value
    with pytest.raises(ConfigError, match=f"{name} is no whole number from 1 to 500"):
        read_architecture(fields)


ODD = ("num_key_value_heads", 0), ("hidden_act", "[/]"), ("rms_norm_eps", "a" * 5000), ("max_position_embeddings", None)


@pytest.mark.parametrize(("name", "value"), ODD, ids=[name for name, _ in ODD])
def test_what_transformers_does_not_build_is_one_short_message(name: str, value: object) -> None:
    fields = json.loads(json.dumps(PUBLISHED["Qwen/Qwen2.5-VL-3B-Instruct"]))
    fields["text_config"][name] = value
    with pytest.raises(ConfigError, match="transformers builds no qwen2_5_vl of this") as refused:
        read_architecture(fields)
    assert len(str(refused.value)) < 500


def test_an_unknown_model_is_told_apart_from_a_directory() -> None:
    with pytest.raises(ConfigError, match="give --model DIR, or one of: Qwen/"):
        load_architecture("nobody/nothing")
