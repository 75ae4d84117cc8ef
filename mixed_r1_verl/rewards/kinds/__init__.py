"""The reward kinds that come with this package: every module here is one, and is called as the kind is.

To add one, write a module that ends in `KIND = RewardKind(...)`. A kind of your own needs no place here:
`custom.NAME=package.module:object` in the reward block names a `RewardKind` or a function (`rewards/custom.py`).
"""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from functools import cache
from typing import cast

from mixed_r1_verl.rewards.kind import RewardKind

__all__ = ["KINDS"]


class _Kinds(Mapping[str, RewardKind]):
    """The kinds by name; a module is imported when its kind is asked for."""

    def __iter__(self) -> Iterator[str]:
        return iter(_names())

    def __len__(self) -> int:
        return len(_names())

    def __contains__(self, name: object) -> bool:
        return name in _names()

    def __getitem__(self, name: str) -> RewardKind:
        if name not in _names():
            raise KeyError(name)
        return cast(RewardKind, importlib.import_module(f"{__name__}.{name}").KIND)


@cache
def _names() -> tuple[str, ...]:
    return tuple(module.name for module in pkgutil.iter_modules(__path__))


KINDS: Mapping[str, RewardKind] = _Kinds()
"""The built-in kinds by name."""
