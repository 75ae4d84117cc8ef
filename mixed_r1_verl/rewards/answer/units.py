"""Units as a table with dimensions: two are comparable when these agree, and a word that is not here is no unit."""

import re
from collections import Counter
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple


class Measure(NamedTuple):
    """Size in the base units, and the dimensions: (base, exponent)."""

    size: Fraction
    dimensions: frozenset[tuple[str, int]]


_PREFIXES = {
    **{"n": (-9, "nano"), "μ": (-6, "micro"), "m": (-3, "milli"), "c": (-2, "centi"), "d": (-1, "deci")},
    **{"h": (2, "hecto"), "k": (3, "kilo"), "M": (6, "mega"), "G": (9, "giga"), "T": (12, "tera")},
}
_POWERS = {"square": 2, "sq": 2, "sq.": 2, "cubic": 3, "cu": 3, "平方": 2, "立方": 3}
_FACTOR = re.compile(r"([^\W\d_]+|[°℃℉]\s?[A-Za-z]?|[¢$€£¥₹₩])\.?(?:\^?\(?(-?[1-4])\)?)?")
_JOINED = re.compile(r"\s*(/)\s*|\s+(per)\s+|\s*[*·]\s*|\s+|(?<=^平方)|(?<=^立方)")
_TEMPERATURE = re.compile(r"(?:deg(?:ree)?s?\.?\s|°\s?)(c|f)(?:elsius|ahrenheit)?", re.IGNORECASE)


def _read_table() -> dict[str, tuple[Fraction, dict[str, int]]]:
    units: dict[str, tuple[Fraction, dict[str, int]]] = {}
    for line in Path(__file__).with_name("units.txt").read_text(encoding="utf-8").splitlines()[1:]:
        head, _, spellings = line.partition("|")
        number, *bases = head.split()
        size = Fraction(number)
        dimensions = {base: int(power or 1) for base, _, power in (part.partition("^") for part in bases)}
        for marks, name in re.findall(r"([*~]*)(\S+)", spellings):
            name = name.replace("_", " ")
            for written in (name, f"{name}s") if "~" in marks else (name,):
                units[written] = size, dimensions
                for symbol, (power, word) in _PREFIXES.items() if "*" in marks else ():
                    prefixed = (word if "~" in marks else symbol) + written
                    units.setdefault(prefixed, (size * Fraction(10) ** power, dimensions))
    return units


_UNITS = _read_table()
_LOWERED = {name.lower(): unit for name, unit in reversed(_UNITS.items()) if len(name) > 2 or not name.isupper()}


@lru_cache(maxsize=4096)
def measure(text: str) -> Measure | None:
    """What a unit measures; None for a text that is no unit.

    >>> measure("km/h") == measure("kilometers per hour"), measure("cm^2") == measure("square centimeters")
    (True, True)
    >>> measure("apples"), measure("x"), measure("cm^2") == measure("cm^3")
    (None, None, False)
    """
    text = text.strip(" .~-").removesuffix(" old").replace(" squared", "^2").replace(" cubed", "^3")
    if degrees := _TEMPERATURE.fullmatch(text):
        text = f"°{degrees[1].upper()}"
    if len(text) > 60:
        return None
    size, dimensions, sign, power = Fraction(1), Counter[str](), 1, 1
    for word in filter(None, [text] if text.lower() in _LOWERED else _JOINED.split(text)):
        if word in ("/", "per"):
            sign = -1
        elif word.lower() in _POWERS:
            power = _POWERS[word.lower()]
        else:
            factor = _FACTOR.fullmatch(word)
            name = word if word.lower() in _LOWERED else factor[1].replace("° ", "°") if factor else ""
            unit = _UNITS.get(name) or _LOWERED.get(name.lower())
            if unit is None:
                return None
            exponent = sign * power * int((factor and factor[2]) or 1)
            size, power = size * unit[0] ** exponent, 1
            for base, times in unit[1].items():
                dimensions[base] += exponent * times
    exponents = frozenset((base, times) for base, times in dimensions.items() if times)
    return Measure(size, exponents) if dimensions else None


_EITHER = ({"angle", "celsius"}, {"angle", "fahrenheit"}, {"pound", "mass"}, {"pound", "sterling"})


def in_one_unit(one: Measure, other: Measure) -> tuple[Fraction, Fraction] | None:
    """The sizes of both where they measure the same; a bare degree or pound is one of any sort.

    >>> km, m = measure("km"), measure("m")
    >>> in_one_unit(km, m), in_one_unit(km, measure("s"))
    ((Fraction(1000, 1), Fraction(1, 1)), None)
    """
    bases = {base for base, _ in one.dimensions | other.dimensions}
    return (one.size, other.size) if one.dimensions == other.dimensions or bases in _EITHER else None
