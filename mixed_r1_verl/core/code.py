"""A digest of the code that a result depends on, for keys of caches and of runs that go on.

What a module can change is what it imports. So the key of a stage is made of the sources of its modules and of every
module of this project, or of their own, that they import, directly or not, also within functions.
"""

import hashlib
import importlib.util
import pkgutil
import re
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

from mixed_r1_verl.core.files import sha256_of

PACKAGE = "mixed_r1_verl"
# Read by patterns, for a parser takes a hundred times as long; what only looks like an import does no harm.
_IMPORT = re.compile(r"import\b[ \t]*(\((?:#.*|[^)#])*\)|[^\n;]*)")
_FROM = re.compile(r"\bfrom\b[ \t]*([\w.]+)[ \t]*\Z")


def code_digest(*modules: str) -> str:
    """Digest of the sources of some modules and of all of this package, and of their own, that they import.

    >>> code_digest("mixed_r1_verl.core.boxes") == code_digest("mixed_r1_verl.core.boxes")
    True
    """
    paths = {path for name in imported_modules(*modules) if (path := _source(name))}
    folders = {path.parent for path in paths if path.is_relative_to(Path(__file__).parent.parent)}
    paths |= {path for folder in folders for path in folder.iterdir() if path.suffix in (".txt", ".json")}  # their data
    text = "\n".join(f"{path.parent.name}/{path.name} {sha256_of(path)}" for path in sorted(paths))
    return hashlib.sha256(text.encode()).hexdigest()


@cache
def running_code(*modules: str) -> str:
    """`code_digest` of what this process runs: read once, for what it has imported stays as it is."""
    return code_digest(*modules)


@cache
def library_versions(*names: str) -> dict[str, str]:
    """The installed versions of libraries that a result depends on."""
    return {name: version(name) for name in names}


def imported_modules(*modules: str) -> set[str]:
    """The modules themselves and every module of this package, or of their own, that they import, directly or not.

    A package brings its `__init__`; importing a module brings the packages that it lies in.
    """
    own = {PACKAGE, *(name.split(".")[0] for name in modules)}
    found: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name.split(".")[0] in own and name not in found and _source(name) is not None:
            found.add(name)
            waiting += _imports(name)
    return found


@cache
def _source(name: str) -> Path | None:
    """The file of a module; None for what is no module with a source. No module is imported but a top-level package."""
    parent, _, child = name.rpartition(".")
    above = _source(parent) if parent else None
    if above is not None and above.name != "__init__.py":
        return None
    if above is not None:
        for path in (above.parent / child / "__init__.py", above.parent / f"{child}.py"):
            if path.is_file():
                return path
    file = getattr(sys.modules.get(name), "__file__", None)
    if not file and name.count(".") < 2:  # deeper ones would import what they lie in
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, AttributeError, ValueError):
            return None
        file = spec.origin if spec else None
    return Path(file) if file and file.endswith(".py") else None


@cache
def _imports(name: str) -> tuple[str, ...]:
    """Every name that the import statements of a module could mean; those that are no module have no source."""
    path = _source(name)
    assert path is not None
    text = path.read_text(encoding="utf-8", errors="replace").replace("\\\n", " ")
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found = {name.rpartition(".")[0]}
    for match in _IMPORT.finditer(text):
        words = re.findall(r"[\w.]+", re.sub(r"#.*", "", match[1]))
        origin = _FROM.search(text[text.rfind("\n", 0, match.start()) + 1 : match.start()])
        if origin is None:
            found.update(words)
            continue
        module = origin[1]
        dots = len(module) - len(module.lstrip("."))
        if dots <= package.count(".") + 1:
            module = importlib.util.resolve_name(module, package) if dots else module
            found.update([module, *(f"{module}.{word}" for word in words)])
    if "__path__" in text:  # a package that imports its modules by their names
        found.update(f"{name}.{module.name}" for module in pkgutil.iter_modules([str(path.parent)]))
    return tuple(sorted(found))
