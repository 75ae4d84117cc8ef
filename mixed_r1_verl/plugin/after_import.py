"""Act on a module of verl when a process imports it, and cost nothing in the processes that never do.

verl loads plugins in every Ray process. Importing its reward loop or its vLLM rollout there, only to register or mend
something in it, would add seconds and hundreds of megabytes to each.
"""

import sys
from collections.abc import Callable, Sequence
from functools import wraps
from importlib import machinery
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from types import ModuleType
from typing import Any

Action = Callable[[ModuleType], None]


class _Finder(MetaPathFinder):
    def __init__(self, name: str, action: Action):
        self.name = name
        self.action = action

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> machinery.ModuleSpec | None:
        if fullname != self.name:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(fullname)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_act(module: ModuleType) -> None:
                execute(module)
                self.action(module)

            spec.loader.exec_module = execute_and_act  # type: ignore[method-assign]
        return spec


def after_import(name: str, action: Action) -> None:
    """Call `action(module)` once the module is imported: now if it is already, else right after its own code has run.

    Calling this again with the same arguments is harmless as long as `action` may run twice.

    >>> after_import("json", lambda module: print(module.__name__))
    json
    """
    if name in sys.modules:
        action(sys.modules[name])
    elif not any(isinstance(finder, _Finder) and finder.name == name for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder(name, action))


def wrap_once(owner: type | ModuleType, name: str, around: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
    """Replace a function of a class or module by `around(function)`; one that is already replaced stays as it is.

    >>> class Greeter:
    ...     def greet(self, name):
    ...         return f"Hello {name}"
    >>> def loud(greet):
    ...     return lambda self, name: greet(self, name) + "!"
    >>> wrap_once(Greeter, "greet", loud)
    >>> wrap_once(Greeter, "greet", loud)
    >>> Greeter().greet("Ada")
    'Hello Ada!'
    """
    function = getattr(owner, name)
    if not hasattr(function, "_mixed_r1"):
        replacement: Any = wraps(function)(around(function))
        replacement._mixed_r1 = True
        setattr(owner, name, replacement)
