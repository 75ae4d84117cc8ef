"""A digest of the code that a result depends on, for keys of caches and of runs that go on.

What a module can change is what it imports. So the key of a stage is made of the sources of its modules and of every
module of this project that they import, directly or not, also within functions.
"""

import ast
import hashlib
import importlib.util
from functools import cache
from pathlib import Path

from mixed_r1_verl.core.files import sha256_of

PACKAGE = "mixed_r1_verl"


def code_digest(*modules: str) -> str:
    """Digest of the sources of some modules and of all of this package that they import.

    >>> code_digest("mixed_r1_verl.core.boxes") == code_digest("mixed_r1_verl.core.boxes")
    True
    """
    names = sorted(imported_modules(*modules))
    text = "\n".join(f"{name} {sha256_of(path)}" for name in names if (path := _source(name)))
    return hashlib.sha256(text.encode()).hexdigest()


def imported_modules(*modules: str) -> set[str]:
    """The modules themselves and every module of this package that they import, directly or not.

    A package brings its `__init__`; importing a module brings the packages that it lies in.
    """
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in found and _source(name) is not None:
            found.add(name)
            waiting += _imports(name)
    return found


@cache
def _source(name: str) -> Path | None:
    """The file of a module; None for what is no module with a source."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, AttributeError, ValueError):
        return None
    return Path(spec.origin) if spec is not None and spec.origin and spec.origin.endswith(".py") else None


@cache
def _imports(name: str) -> tuple[str, ...]:
    path = _source(name)
    assert path is not None
    found = {name.rpartition(".")[0]}
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module)
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
    return tuple(sorted(one for one in found if one.split(".")[0] == PACKAGE))
