"""The converters that come with this package, by name."""

import difflib
import importlib
import pkgutil
from functools import lru_cache

import mixed_r1_verl.data_preprocess
from mixed_r1_verl.data.convert import Converter
from mixed_r1_verl.data.raw import DataError


@lru_cache(maxsize=1)
def converters() -> dict[str, Converter]:
    """All converters: every module of `mixed_r1_verl.data_preprocess` lists its own in `CONVERTERS`.

    Example:
        >>> "chartqa" in converters()
        True
    """
    found: dict[str, Converter] = {}
    for module_info in pkgutil.iter_modules(mixed_r1_verl.data_preprocess.__path__):
        module = importlib.import_module(f"mixed_r1_verl.data_preprocess.{module_info.name}")
        for converter in getattr(module, "CONVERTERS", ()):
            if converter.name in found:
                raise RuntimeError(f"two converters are called {converter.name!r}")
            found[converter.name] = converter
    return dict(sorted(found.items()))


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
