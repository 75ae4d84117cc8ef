"""Units as a table with dimensions: two are comparable when these agree, and a word that is not here is no unit."""

import re
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple


class Measure(NamedTuple):
    """Size in the base units, and the dimensions: sorted (base, exponent). `degree` stands for any sort of degree."""

    size: Fraction
    dimensions: tuple[tuple[str, int], ...]


# Size, dimensions, spellings. One after `*` takes the prefixes of the SI; `~` is an English word that has a plural.
_TABLE = """
1 length | *m *~meter *~metre 米 公尺
1/10 length | 分米
1/100 length | 厘米 公分
1/1000 length | 毫米
1000 length | 公里 千米
127/5000 length | in inch inches
381/1250 length | ft foot feet 英尺
1143/1250 length | ~yard yd yds
201168/125 length | ~mile mi 英里
1852 length | nmi 海里
25146/125 length | ~furlong
500 length | 里
1/3 length | 尺
1/30 length | 寸
1 mass | *g *~gram *~gramme 克
500 mass | 斤
1000 mass | 千克 公斤 kilo kilos
1/1000 mass | 毫克
1000000 mass | t ~tonne 吨 ~ton
45359237/100000 mass | lb lbs ~pound
45359237/1600000 mass | oz ~ounce
1 time | *s *~second ~sec 秒 秒钟
60 time | min mins ~minute 分钟
3600 time | h hr hrs ~hour 小时 个小时
86400 time | ~day 天
604800 time | ~week wk wks 周
1 month | ~month 个月
12 month | ~year yr yrs 年
120 month | ~decade
1 angle | ° ~degree deg 度
1 celsius | °C C ℃ celsius centigrade
1 fahrenheit | °F F ℉ fahrenheit
1 kelvin | K ~kelvin
1/1000 length3 | *L *l *~liter *~litre 升
1/1000000 length3 | 毫升 cc
10000 length2 | ha ~hectare 公顷
2000/3 length2 | 亩
316160658/78125 length2 | ~acre
463/900 length/time | ~knot 节
5/18 length/time | kmh kph 公里/小时
1397/3125 length/time | mph
1000 mass*length2/time2 | *J *~joule
1000 mass*length2/time3 | *W *~watt
3600000 mass*length2/time2 | *Wh
1000 mass*length/time2 | *N *~newton
1000 mass/length/time2 | *Pa *~pascal
100000000 mass/length/time2 | *bar
1 current | *A *~ampere *~amp
1 voltage | *V *~volt
1 resistance | *Ω *~ohm
1 charge | *~coulomb
1 /time | *Hz *~hertz
1 substance | *mol *~mole
1 energy of food | *cal ~calorie
1 electronvolt | *eV
1 data | *B *~byte
1 unit | ~unit
1/100 dollar | ~cent ¢
"""
_PREFIXES = {
    **{"n": (-9, "nano"), "μ": (-6, "micro"), "m": (-3, "milli"), "c": (-2, "centi"), "d": (-1, "deci")},
    **{"h": (2, "hecto"), "k": (3, "kilo"), "M": (6, "mega"), "G": (9, "giga"), "T": (12, "tera")},
}
_WORDS_BEFORE = {"square": 2, "sq": 2, "sq.": 2, "cubic": 3, "cu": 3, "平方": 2, "立方": 3}
_WORDS_AFTER = {"squared": 2, "cubed": 3}
_FACTOR = re.compile(r"([^\W\d_]+|[°℃℉]\s?[A-Za-z]?|¢)\.?(?:\^?\(?(-?[1-4])\)?)?")
_JOINED = re.compile(r"\s*/\s*|\s+per\s+|\s*[*·]\s*|\s+")


def _dimensions(text: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for sign, name, exponent in re.findall(r"([*/]?)([a-z][a-z ]*)(\d?)", text):
        found[name.strip()] = found.get(name.strip(), 0) + (-1 if sign == "/" else 1) * int(exponent or 1)
    return found


def _read_table() -> dict[str, tuple[Fraction, dict[str, int]]]:
    units: dict[str, tuple[Fraction, dict[str, int]]] = {}
    for line in _TABLE.strip().splitlines():
        head, _, spellings = line.partition("|")
        size, _, dimensions = head.strip().partition(" ")
        for spelling in spellings.split():
            name = spelling.lstrip("*~")
            for written in (name, f"{name}s") if "~" in spelling else (name,):
                units[written] = Fraction(size), _dimensions(dimensions)
                for symbol, (power, word) in _PREFIXES.items() if "*" in spelling else ():
                    prefixed = (word if "~" in spelling else symbol) + written
                    units.setdefault(prefixed, (Fraction(size) * Fraction(10) ** power, _dimensions(dimensions)))
    return units


_UNITS = _read_table()
_LOWERED = {name.lower(): unit for name, unit in reversed(_UNITS.items()) if len(name) > 2 or not name.isupper()}


def _named(name: str) -> tuple[Fraction, dict[str, int]] | None:
    return _UNITS.get(name) or _LOWERED.get(name.lower())


@lru_cache(maxsize=4096)
def measure(text: str) -> Measure | None:
    """What a unit measures; None for a text that is no unit.

    >>> measure("km/h") == measure("kilometers per hour"), measure("cm^2") == measure("square centimeters")
    (True, True)
    >>> measure("apples"), measure("x"), measure("cm^2") == measure("cm^3")
    (None, None, False)
    """
    text = re.sub(
        r"^deg(?:ree)?s?\.? (?=[CF]\b|celsius|fahrenheit)",
        "°",
        text.strip(" .~-").removesuffix(" old"),
        flags=re.IGNORECASE,
    )
    text = re.sub(r"°\s?(?:celsius|fahrenheit)", lambda match: f"°{match[0].strip('° ')[0].upper()}", text, flags=re.I)
    if not text or len(text) > 60:
        return None
    size, dimensions, sign, power = Fraction(1), dict[str, int](), 1, 1
    for piece in re.split(rf"({_JOINED.pattern})", re.sub(r"^(平方|立方)", r"\1 ", text)):
        word = piece.strip()
        if word in ("/", "per"):
            sign = -1
        elif word.lower() in _WORDS_BEFORE:
            power = _WORDS_BEFORE[word.lower()]
        elif word in _WORDS_AFTER and dimensions:
            last = next(reversed(dimensions))
            size, dimensions[last] = size ** _WORDS_AFTER[word], dimensions[last] * _WORDS_AFTER[word]
        elif word and word not in "*·":
            factor = _FACTOR.fullmatch(word)
            unit = _named(factor[1].replace("° ", "°")) if factor else None
            if factor is None or unit is None:
                return None
            exponent = sign * power * int(factor[2] or 1)
            size, power = size * unit[0] ** exponent, 1
            for base, times in unit[1].items():
                dimensions[base] = dimensions.get(base, 0) + exponent * times
    known = tuple(sorted((base, times) for base, times in dimensions.items() if times))
    return Measure(size, known) if dimensions else None


_DEGREES = frozenset(("angle", "celsius", "fahrenheit"))


def in_one_unit(one: Measure, other: Measure) -> tuple[Fraction, Fraction] | None:
    """The sizes of both where they measure the same; a bare degree is one of any sort.

    >>> km, m = measure("km"), measure("m")
    >>> in_one_unit(km, m), in_one_unit(km, measure("s"))
    ((Fraction(1000, 1), Fraction(1, 1)), None)
    """
    if one.dimensions == other.dimensions:
        return one.size, other.size
    kinds = {base for base, _ in (*one.dimensions, *other.dimensions)}
    degrees = len(one.dimensions) == len(other.dimensions) == 1 and kinds <= _DEGREES and "angle" in kinds
    return (one.size, other.size) if degrees else None
