"""Frozen dataclasses as configuration: read from nested mappings, refused where a key, a type or a number is wrong.

A numeric field says which numbers make sense, and the class checks them whenever it is made:

    @dataclass(frozen=True)
    class ChartConfig:
        tolerance: Annotated[float, Interval(ge=0, lt=1)] = 0.05

        def __post_init__(self) -> None:
            check_bounds(self, "chart")
"""

import dataclasses
import difflib
import math
import re
import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, NamedTuple, TypeVar

__all__ = ["ConfigError", "Count", "Interval", "Share", "bounds_of", "check_bounds", "read_dataclass", "suggestion"]

C = TypeVar("C")


class Interval(NamedTuple):
    """The numbers that a field may hold, between bounds of which each may be missing.

    >>> 0 in Interval(ge=0, lt=1), 1 in Interval(ge=0, lt=1), str(Interval(gt=0))
    (True, False, 'above 0')
    """

    gt: float = -math.inf
    ge: float = -math.inf
    lt: float = math.inf
    le: float = math.inf

    def __contains__(self, value: object) -> bool:
        return isinstance(value, int | float) and self.gt < value < self.lt and self.ge <= value <= self.le

    def __str__(self) -> str:
        words = {"gt": "above", "ge": "at least", "lt": "below", "le": "at most"}
        given = (f"{words[name]} {bound}" for name, bound in self._asdict().items() if math.isfinite(bound))
        return " and ".join(given) or "finite"


class ConfigError(ValueError):
    """A key or value of a configuration is not one that is known."""


Share = Annotated[float, Interval(ge=0, le=1)]
Count = Annotated[int, Interval(ge=1)]


def suggestion(word: str, known: Iterable[str]) -> str:
    """The end of a message about a word that is not known: the nearest known one, or all of them.

    >>> suggestion("mathcing", ["matching", "chart"]), suggestion("x", ["matching", "chart"])
    ("; did you mean 'matching'?", '; known are matching, chart')
    """
    known = [str(name) for name in known]
    near = difflib.get_close_matches(str(word), known, n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known are {', '.join(known)}"


@lru_cache(maxsize=256)
def _hints(cls: type) -> dict[str, Any]:
    return typing.get_type_hints(cls, include_extras=True)


def bounds_of(hint: Any) -> Interval | None:
    """The bounds that the type of a field declares; None for a type that holds no number.

    Looks into optional types, tuples and mappings, whose members the bounds then hold for.

    >>> print(bounds_of(Annotated[float, Interval(ge=0)]), bounds_of(int | None), bounds_of(str), sep=", ")
    at least 0, finite, None
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if hint in (int, float):
        return Interval()
    if origin is Literal:
        return None
    if origin is Annotated:
        inner = bounds_of(arguments[0])
        return inner and next((bounds for bounds in arguments[1:] if isinstance(bounds, Interval)), inner)
    return next((found for found in map(bounds_of, arguments) if found is not None), None)


def check_bounds(config: Any, path: str = "") -> None:
    """Refuse numbers outside the bounds that the fields of a dataclass declare, and numbers that are not finite.

    `path` is what stands before the names of its fields in messages.

    Raises:
        ConfigError: naming the field, its value and what it must be.
    """
    for name, hint in _hints(type(config)).items():  # type: ignore[arg-type]
        bounds = bounds_of(hint)
        if bounds is None:
            continue
        for place, value in _numbers(getattr(config, name), f"{path}.{name}".strip(".")):
            if not math.isfinite(value) or value not in bounds:
                raise ConfigError(f"{place} is {value}; it must be {bounds if math.isfinite(value) else 'finite'}")


def _numbers(value: Any, place: str) -> Iterator[tuple[str, float]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _numbers(item, f"{place}.{key}")
    elif isinstance(value, tuple | list):
        for number, item in enumerate(value):
            yield from _numbers(item, f"{place}[{number}]")
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield place, value


def read_dataclass(cls: type[C], mapping: Mapping[str, Any], path: str = "") -> C:
    """Build a configuration dataclass from nested mappings; unknown keys and wrong types are refused.

    Whole numbers may stand for floats, and lists for tuples.

    Args:
        cls, mapping: the dataclass and its values, those of nested dataclasses as nested mappings.
        path: what stands before the names of its keys in messages.

    Raises:
        ConfigError: naming the key, and the nearest known one.
    """
    if not isinstance(mapping, Mapping):
        raise ConfigError(f"{path or 'the configuration'} must be a mapping, not {type(mapping).__name__}")
    hints = _hints(cls)  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for key, value in mapping.items():
        name = f"{path}.{key}" if path else str(key)
        if key not in hints:
            raise ConfigError(f"unknown key {name!r}{suggestion(key, hints)}")
        values[key] = _read_value(hints[key], value, name)
    fields = (field for field in dataclasses.fields(cls) if field.init and field.name not in values)  # type: ignore[arg-type]
    missing = [field.name for field in fields if field.default is field.default_factory is dataclasses.MISSING]
    if missing:
        raise ConfigError(f"{path + ' lacks' if path else 'missing'} {', '.join(map(repr, missing))}")
    return cls(**values)


def _read_value(hint: Any, value: Any, name: str) -> Any:
    if hint is Any:
        return value
    if dataclasses.is_dataclass(hint):
        return read_dataclass(typing.cast(type, hint), value, name)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _read_value(arguments[0], value, name)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _read_value(next(argument for argument in arguments if argument is not type(None)), value, name)
    if origin is Literal:
        if value not in arguments:
            raise ConfigError(f"{name} is {value!r}{suggestion(str(value), arguments)}")
        return value
    if origin is tuple:
        if isinstance(value, str) or not hasattr(value, "__iter__"):
            raise ConfigError(f"{name} must be a list, not {value!r}")
        return tuple(_read_value(arguments[0], item, f"{name}[{i}]") for i, item in enumerate(value))
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(value, Mapping):
            raise ConfigError(f"{name} must be a mapping, not {value!r}")
        return {str(key): _read_value(arguments[1], item, f"{name}.{key}") for key, item in value.items()}
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ConfigError(f"{name} must be {hint.__name__}, not {value!r}")
    if isinstance(value, str) and _NO_TEXT.search(value):
        raise ConfigError(f"{name} holds a character that no file or name can have: {value!r}")
    return value


_NO_TEXT = re.compile("[\0\ud800-\udfff]")
