"""The converters that come with this package, by name."""

import difflib
import importlib
import inspect
import pkgutil
import re
from functools import lru_cache

import mixed_r1_verl.data_preprocess
from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.data.convert import Converter

NO_SAMPLE = "no raw sample was at hand"
_QUIRKS = re.compile(r"Quirks?: ")


@lru_cache(maxsize=1)
def converters() -> dict[str, Converter]:
    """All converters: every module of `mixed_r1_verl.data_preprocess` lists its own in `CONVERTERS`.

    Example:
        >>> "chartqa" in converters()
        True
    """
    return dict(sorted((name, converter) for name, (converter, _) in _found().items()))


@lru_cache(maxsize=1)
def _found() -> dict[str, tuple[Converter, str]]:
    """Converters with the docstrings of their modules."""
    found: dict[str, tuple[Converter, str]] = {}
    for module_info in pkgutil.iter_modules(mixed_r1_verl.data_preprocess.__path__):
        module = importlib.import_module(f"mixed_r1_verl.data_preprocess.{module_info.name}")
        for converter in getattr(module, "CONVERTERS", ()):
            if converter.name in found:
                raise RuntimeError(f"two converters are called {converter.name!r}")
            found[converter.name] = (converter, inspect.cleandoc(module.__doc__ or ""))
    return found


def documentation(name: str) -> str:
    """What a converter reads and what it makes of it, as its file says.

    Raises:
        DataError: there is no such converter.

    Example:
        >>> documentation("dvqa").splitlines()[0]
        'DVQA: questions on synthetic bar charts.'
    """
    return _found()[get_converter(name).name][1]


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


def get_converter(name: str) -> Converter:
    """The converter of a name.

    Raises:
        DataError: there is none; the message names the nearest.
    """
    known = converters()
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise DataError(f"no converter is called {name!r}{hint} Run `mixed-r1 data list` to see all.")
