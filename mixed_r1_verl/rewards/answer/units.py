"""Units as a table with dimensions: two are comparable when these agree, and a word that is not here is no unit."""

import re
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple


class Measure(NamedTuple):
    """Size in the base units, and the dimensions: sorted (base, exponent)."""

    size: Fraction
    dimensions: tuple[tuple[str, int], ...]


_PREFIXES = {
    **{"n": (-9, "nano"), "μ": (-6, "micro"), "m": (-3, "milli"), "c": (-2, "centi"), "d": (-1, "deci")},
    **{"h": (2, "hecto"), "k": (3, "kilo"), "M": (6, "mega"), "G": (9, "giga"), "T": (12, "tera")},
}
_POWERS = {"square": 2, "sq": 2, "sq.": 2, "cubic": 3, "cu": 3, "平方": 2, "立方": 3}
_POWERS_BEFORE = {"squared": 2, "cubed": 3}
_FACTOR = re.compile(r"([^\W\d_]+|[°℃℉]\s?[A-Za-z]?|[¢$€£¥₹₩])\.?(?:\^?\(?(-?[1-4])\)?)?")
_JOINED = re.compile(r"(\s*/\s*|\s+per\s+|\s*[*·]\s*|\s+|(?<=^平方)|(?<=^立方))")
_TEMPERATURE = re.compile(r"(?:deg(?:ree)?s?\.?\s|°\s?)(c|f)(?:elsius|ahrenheit)?", re.IGNORECASE)


def _dimensions(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for sign, name, exponent in re.findall(r"([*/]?)([a-z][a-z ]*)(\d?)", text):
        found[name.strip()] = found.get(name.strip(), 0) + (-1 if sign == "/" else 1) * int(exponent or 1)
    return found


def _read_table() -> dict[str, tuple[Fraction, dict[str, int]]]:
    units: dict[str, tuple[Fraction, dict[str, int]]] = {}
    for line in Path(__file__).with_name("units.txt").read_text(encoding="utf-8").splitlines()[1:]:
        head, _, spellings = line.partition("|")
        size, _, dimensions = head.strip().partition(" ")
        for spelling in spellings.split():
            name = spelling.lstrip("*~").replace("_", " ")
            for written in (name, f"{name}s") if "~" in spelling else (name,):
                units[written] = Fraction(size), _dimensions(dimensions)
                for symbol, (power, word) in _PREFIXES.items() if "*" in spelling else ():
                    prefixed = (word if "~" in spelling else symbol) + written
                    units.setdefault(prefixed, (Fraction(size) * Fraction(10) ** power, _dimensions(dimensions)))
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
    text = text.strip(" .~-").removesuffix(" old")
    if degrees := _TEMPERATURE.fullmatch(text):
        text = f"°{degrees[1].upper()}"
    if not text or len(text) > 60:
        return None
    size, dimensions, sign, power = Fraction(1), dict[str, int](), 1, 1
    for piece in [text] if text.lower() in _LOWERED else _JOINED.split(text):
        word = piece.strip()
        if word in ("/", "per"):
            sign = -1
        elif word.lower() in _POWERS:
            power = _POWERS[word.lower()]
        elif word in _POWERS_BEFORE and dimensions:
            last = next(reversed(dimensions))
            size, dimensions[last] = size ** _POWERS_BEFORE[word], dimensions[last] * _POWERS_BEFORE[word]
        elif word and word not in "*·":
            factor = _FACTOR.fullmatch(word)
            name = word if word.lower() in _LOWERED else factor[1].replace("° ", "°") if factor else ""
            unit = _UNITS.get(name) or _LOWERED.get(name.lower())
            if unit is None:
                return None
            exponent = sign * power * int((factor and factor[2]) or 1)
            size, power = size * unit[0] ** exponent, 1
            for base, times in unit[1].items():
                dimensions[base] = dimensions.get(base, 0) + exponent * times
    known = tuple(sorted((base, times) for base, times in dimensions.items() if times))
    return Measure(size, known) if dimensions else None


_EITHER = {"angle": ("celsius", "fahrenheit"), "pound": ("mass", "sterling")}


def in_one_unit(one: Measure, other: Measure) -> tuple[Fraction, Fraction] | None:
    """The sizes of both where they measure the same; a bare degree or pound is one of any sort.

    >>> km, m = measure("km"), measure("m")
    >>> in_one_unit(km, m), in_one_unit(km, measure("s"))
    ((Fraction(1000, 1), Fraction(1, 1)), None)
    """
    if one.dimensions == other.dimensions:
        return one.size, other.size
    names = [known.dimensions[0][0] for known in (one, other) if len(known.dimensions) == 1]
    either = len(names) == 2 and (names[1] in _EITHER.get(names[0], ()) or names[0] in _EITHER.get(names[1], ()))
    return (one.size, other.size) if either else None
