"""Every numeric field of every configuration says which numbers make sense, and refuses all others."""

import dataclasses
import importlib
import math
import pkgutil
import typing

import pytest

import mixed_r1_verl
from mixed_r1_verl.core.config import ConfigError, Interval, bounds_of
from mixed_r1_verl.rewards.config import MixedRewardConfig

ROOMS = ("mixed_r1_verl.rewards.", "mixed_r1_verl.engine.config", "mixed_r1_verl.responses.")


def configurations() -> list[type]:
    """All frozen dataclasses of the package that are called Config or Sampling."""
    found = []
    for module in pkgutil.walk_packages(mixed_r1_verl.__path__, "mixed_r1_verl."):
        if not module.name.startswith(ROOMS):
            continue
        for value in vars(importlib.import_module(module.name)).values():
            named = isinstance(value, type) and value.__name__.endswith(("Config", "Sampling"))
            if named and dataclasses.is_dataclass(value) and value not in found:
                found.append(value)
    return found


def numeric_fields() -> list[tuple[type, str, Interval]]:
    return [
        (cls, name, bounds)
        for cls in configurations()
        for name, hint in typing.get_type_hints(cls, include_extras=True).items()
        if (bounds := bounds_of(hint)) is not None
    ]


def outside(bounds: Interval) -> list[float]:
    """Numbers just beyond the bounds, and those that no field may hold."""
    return [math.nan, math.inf, -math.inf, bounds.gt, bounds.ge - 1, bounds.lt, bounds.le + 1]


@pytest.mark.parametrize(
    ("cls", "name", "bounds"), numeric_fields(), ids=lambda value: getattr(value, "__name__", None)
)
def test_a_numeric_field_refuses_nonsense(cls: type, name: str, bounds: Interval) -> None:
    seed = name == "seed"  # any whole number will do
    assert bounds != Interval() or seed, f"{cls.__name__}.{name} declares no bound"
    required = [one for one in dataclasses.fields(cls) if one.default is one.default_factory is dataclasses.MISSING]
    if required:
        pytest.skip(f"{cls.__name__} cannot be made without {required[0].name}")
    default = getattr(cls(), name)
    for value in outside(bounds):
        nested = (value,) if isinstance(default, tuple) else {"chart": value} if isinstance(default, dict) else value
        with pytest.raises(ConfigError):
            cls(**{name: nested})


def test_there_are_configurations() -> None:
    assert {"MixedRewardConfig", "ChartConfig", "IoUConfig", "OpenEndedConfig", "JudgeConfig", "MathConfig"} <= {
        cls.__name__ for cls in configurations()
    }


@pytest.mark.parametrize("text", ["a\0b", "a\ud83d"])
def test_text_that_no_file_can_be_called_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="embedding_model holds a character"):
        MixedRewardConfig.from_mapping({"embedding_model": text})
