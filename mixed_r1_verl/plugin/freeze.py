"""A vision tower that does not learn: the reader that verl's key `actor.freeze_vision_tower` lacks."""

from collections.abc import Callable
from typing import Any

from mixed_r1_verl.core.families import LANGUAGE_MODEL


def build_frozen(build_fsdp_module: Callable[..., Any], engine: Any, args: Any, kwargs: Any) -> Any:
    """Around `FSDPEngine._build_fsdp_module(module)`: freezes tower and projector before FSDP cuts them.

    The optimizer keeps no state for what has no gradient. An engine sees the model's configuration alone, so the
    recipes hand the key on in `model.override_config`.
    """

    def build(module: Any) -> Any:
        if engine.model_config.override_config.get("freeze_vision_tower"):
            freeze(module)
        return build_fsdp_module(module)

    return build(*args, **kwargs)


def freeze(module: Any) -> None:
    """Take the gradient from all parameters but the language model's, from adapters of LoRA too.

    Raises:
        ValueError: they are not named as those of a language model beside a vision tower.
    """
    named = ((name.removeprefix("base_model.model."), parameter) for name, parameter in module.named_parameters())
    parameters = [(name.startswith(LANGUAGE_MODEL), parameter) for name, parameter in named]
    if {language for language, _ in parameters} != {True, False}:
        raise ValueError(f"freeze_vision_tower: {type(module).__name__} is no language model beside a vision tower")
    for language, parameter in parameters:
        parameter.requires_grad_(language and parameter.requires_grad)
