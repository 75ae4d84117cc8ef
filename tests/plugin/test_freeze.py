"""What `actor.freeze_vision_tower` freezes, by family; a run with it is in tests/test_train_variants.py."""

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForImageTextToText

from mixed_r1_verl.core.verl_config import compose
from mixed_r1_verl.plan.architecture import load_architecture
from mixed_r1_verl.plugin.freeze import freeze


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl", "internvl"])
@pytest.mark.parametrize("lora", [False, True])
def test_tower_and_projector_are_frozen_and_nothing_else(tiny_models: Path, family: str, lora: bool) -> None:
    model = AutoModelForImageTextToText.from_pretrained(tiny_models / family)
    if lora:
        from peft import LoraConfig, get_peft_model

        model = get_peft_model(model, LoraConfig(target_modules="all-linear"))
    freeze(model)
    learning = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert learning and all("language_model." in name or "lm_head." in name for name in learning)
    if not lora:
        architecture = load_architecture(tiny_models / family)
        frozen = sum(parameter.numel() for parameter in model.parameters() if not parameter.requires_grad)
        assert frozen == architecture.vision_parameters > 0


@pytest.mark.parametrize("module", [torch.nn.Linear(2, 2), torch.nn.ModuleDict({"lm_head": torch.nn.Linear(2, 2)})])
def test_a_model_of_another_kind_is_refused(module: torch.nn.Module) -> None:
    with pytest.raises(ValueError, match="is no language model beside a vision tower"):
        freeze(module)


@pytest.mark.parametrize("overrides", [(), ("+recipe/device=cpu",), ("+recipe/adapter=lora",)])
def test_the_recipes_hand_the_key_on(overrides: tuple[str, ...]) -> None:
    for value in (False, True):
        key = f"actor_rollout_ref.actor.freeze_vision_tower={str(value).lower()}"
        config = compose("mixed_r1", (*overrides, key))
        assert config.actor_rollout_ref.model.override_config.freeze_vision_tower is value
