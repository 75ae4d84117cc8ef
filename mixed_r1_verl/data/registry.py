"""The installed converters, by name: this package's own and those of others.

A distribution offers converters by an entry point of the group `mixed_r1_verl.converters` that names a module, or a
package of modules, each with a tuple `CONVERTERS`:

    [project.entry-points."mixed_r1_verl.converters"]
    mine = "my_package.my_converters"
"""

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import EntryPoint, entry_points
from types import ModuleType
from typing import NamedTuple

from mixed_r1_verl.core.config import suggestion
from mixed_r1_verl.core.rows import DataError, shown
from mixed_r1_verl.data.converter import Converter

GROUP = "mixed_r1_verl.converters"
NO_SAMPLE = "no raw sample was at hand"
_QUIRKS = re.compile(r"Quirks?: ")


class _Found(NamedTuple):
    """What the entry points gave: converters with the modules that list them, and what could not be loaded."""

    converters: dict[str, tuple[Converter, ModuleType]]
    broken: tuple[str, ...]


def converters() -> dict[str, Converter]:
    """All installed converters, sorted by name.

    >>> "chartqa" in converters()
    True
    """
    return {name: converter for name, (converter, _) in sorted(_find().converters.items())}


def broken_entry_points() -> tuple[str, ...]:
    """One line for each entry point that could not be loaded, and each converter whose name was taken already."""
    return _find().broken


@lru_cache(maxsize=1)
def _find() -> _Found:
    found = _Found({}, ())
    # This package's own come first, so that nobody takes their names.
    points = sorted(set(entry_points(group=GROUP)), key=lambda point: (point.name != "mixed_r1_verl", point.name))
    for point in points:
        try:
            offered = [(converter, module) for module in _modules(point) for converter in module.CONVERTERS]
        except Exception as error:  # another distribution's fault must not end the use of the rest
            found = found._replace(broken=(*found.broken, f"{point.value}: {shown(error)}"))
            continue
        for converter, module in offered:
            first = found.converters.setdefault(converter.name, (converter, module))
            if first[0] is not converter:
                line = f"{module.__name__}: {first[1].__name__} has a converter {converter.name!r} already"
                found = found._replace(broken=(*found.broken, line))
    return found


def _modules(point: EntryPoint) -> Iterator[ModuleType]:
    """The modules with converters that an entry point names."""
    module = point.load()
    names = [f"{module.__name__}.{found.name}" for found in pkgutil.iter_modules(getattr(module, "__path__", ()))]
    for one in (module, *map(importlib.import_module, names)):
        if hasattr(one, "CONVERTERS"):
            yield one


def get_converter(name: str) -> Converter:
    """The converter of a name.

    Raises:
        DataError: there is none; the message names the nearest, and what could not be loaded.
    """
    known = converters()
    if name in known:
        return known[name]
    if not known:
        raise DataError("no converter is installed; install this package anew: pip install --no-deps -e .")
    broken = "".join(f"; not loaded: {line}" for line in broken_entry_points())
    raise DataError(f"no converter is called {name!r}{suggestion(name, known)}{broken}")


def documentation(name: str) -> str:
    """What a converter reads and what it makes of it, as it says itself, or its file.

    Raises:
        DataError: there is no such converter.

    >>> documentation("clevr").splitlines()[0]
    'CLEVR: questions on rendered solids, answered with yes/no, a count or one word.'
    """
    converter = get_converter(name)
    return converter.about or inspect.cleandoc(_find().converters[name][1].__doc__ or "")


def markdown_table() -> str:
    """The converters as the table of `docs/data.md`, from their own docstrings; those of one file share a line."""
    by_file: dict[str, list[Converter]] = {}
    for name, converter in converters().items():
        by_file.setdefault(documentation(name), []).append(converter)
    lines = ["| name | data | licence | quirks | known from |", "| --- | --- | --- | --- | --- |"]
    for text, group in by_file.items():
        paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
        quirks = next((_QUIRKS.sub("", paragraph) for paragraph in paragraphs if _QUIRKS.match(paragraph)), "")
        cells = (
            ", ".join(f"`{converter.name}`" for converter in group),
            paragraphs[0].rstrip("."),
            "; ".join(dict.fromkeys(converter.licence for converter in group)),
            quirks.rstrip("."),
            "public description" if NO_SAMPLE in " ".join(paragraphs) else "raw data",
        )
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"
