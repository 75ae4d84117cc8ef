"""Numbers as models write them: a typed value with sign, scale, percent, currency and unit.

`parse_number` reads a text that is one number and nothing else; `find_numbers` finds those in prose. Neither
judges: whether `41%` may stand for `0.41` is decided by the reward that compares.
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TypeVar

from mixed_r1_verl.rewards.answer.text import SMALL_NUMBERS, TENS, plain_text

_Meaning = TypeVar("_Meaning")


def _table(rows: Mapping[str, _Meaning]) -> dict[str, _Meaning]:
    """Every one of the words that are separated by commas, with what they mean."""
    return {word: meaning for listing, meaning in rows.items() for word in listing.split(", ")}


SCALES = _table(
    {
        "hundred": 1e2,
        "thousand, thousands, k": 1e3,
        "lakh": 1e5,
        "million, millions, mn, mln, mio": 1e6,
        "crore": 1e7,
        "billion, billions, bn, bln": 1e9,
        "trillion, trillions, tn, trn": 1e12,
        "万": 1e4,
        "百万": 1e6,
        "亿": 1e8,
    }
)
_CAPITAL_SCALES = {"K": 1e3, "M": 1e6, "MM": 1e6, "B": 1e9, "T": 1e12}  # only written on to the digits: `5M`, not `5 M`
_MONEY_SCALES = {"m": 1e6, "b": 1e9}  # `£1.2m` is money, `1.2m` is a length
_CURRENCIES = _table(
    {
        "$, us$, usd, dollar, dollars": "$",
        "€, eur, euro, euros": "€",
        "£, gbp, pound, pounds": "£",
        "¥, jpy, yen": "¥",
        "cny, rmb, yuan, 元": "cny",
        "₹, inr, rupees, rs": "₹",
        "₩, krw, won": "₩",
        "cent, cents, ¢": "cent",
    }
)
_PERCENTS = frozenset(("%", "percent", "percents", "per cent", "pct", "percentage points", "percentage point", "pp"))
_UNITS = _table(  # the quantity, and the size of the unit in that quantity's base unit
    {
        "s, sec, secs, second, seconds, 秒": ("time", 1.0),
        "min, mins, minute, minutes, 分钟": ("time", 60.0),
        "h, hr, hrs, hour, hours, 小时": ("time", 3600.0),
        "day, days, 天": ("time", 86400.0),
        "week, weeks": ("time", 604800.0),
        "month, months": ("months", 1.0),
        "year, years, yr, yrs, 年": ("months", 12.0),
        "mm, millimeter, millimeters, 毫米": ("length", 1e-3),
        "cm, centimeter, centimeters, 厘米": ("length", 1e-2),
        "m, meter, meters, metre, metres, 米": ("length", 1.0),
        "km, kilometer, kilometers, kilometre, kilometres, 公里, 千米": ("length", 1e3),
        "in, inch, inches": ("length", 0.0254),
        "ft, foot, feet": ("length", 0.3048),
        "mile, miles, mi": ("length", 1609.344),
        "mg, milligram, milligrams": ("mass", 1e-3),
        "g, gram, grams, 克": ("mass", 1.0),
        "kg, kilogram, kilograms, 千克, 公斤": ("mass", 1e3),
        "t, tonne, tonnes": ("mass", 1e6),
        "cm^2, cm2, 平方厘米": ("area", 1e-4),
        "m^2, m2, 平方米": ("area", 1.0),
        "km^2, km2, 平方公里": ("area", 1e6),
        "°, degree, degrees, deg, 度": ("angle", 1.0),
        "°c, celsius, degrees celsius": ("temperature in C", 1.0),
        "°f, fahrenheit, degrees fahrenheit": ("temperature in F", 1.0),
    }
)


@dataclass(frozen=True)
class Number:
    """A number as it was written.

    Attributes:
        value: its value with the scale word, without the percent sign (`2.5 million` is 2500000, `41%` is 41).
        scale: the power of ten of the scale word; 1 without one.
        percent: whether it is written as a percentage.
        currency: canonical currency (`$`, `€`, …); empty without one.
        unit: the unit or counted noun in lower case; empty without one.
        plain: written as digits alone, so that it may be a year.
        exact: a clock-like composite (`2 hours and 45 minutes`) that admits no tolerance.
    """

    value: float
    scale: float = 1.0
    percent: bool = False
    currency: str = ""
    unit: str = ""
    plain: bool = False
    exact: bool = False

    def unit_key(self) -> tuple[str, float] | str:
        """What is the same for two spellings of a unit, and empty without one."""
        return _UNITS.get(self.unit) or self.currency or self.unit.rstrip("s")

    def quantity(self) -> tuple[str, float] | None:
        """Kind of quantity and value in its base unit, for a unit that is known; None for any other."""
        known = _UNITS.get(self.unit)
        return (known[0], self.value * known[1]) if known else None

    def in_one_unit(self, other: "Number") -> tuple[float, float] | None:
        """Both values where their units agree or one has none; None when the units contradict each other.

        >>> parse_number("2 km").in_one_unit(parse_number("500 m")), parse_number("$2").in_one_unit(parse_number("2%"))
        ((2000.0, 500.0), None)
        """
        if self.currency and other.currency and self.currency != other.currency:
            return None
        ours, theirs = self.quantity(), other.quantity()
        if ours and theirs:
            return (ours[1], theirs[1]) if ours[0] == theirs[0] else None
        nouns, others = ({word.rstrip("s") for word in number.unit.split()} for number in (self, other))
        if nouns and others and not nouns & others:
            return None
        if (self.percent and (other.currency or other.unit)) or (other.percent and (self.currency or self.unit)):
            return None
        return self.value, other.value


_DIGITS = r"\d{1,3}(?:,\d{2,3}){0,8},\d{3}(?!\d)(?:\.\d{1,30})?|\d{1,40}(?:\.\d{1,30})?|\.\d{1,30}"
_SPACED = r"\d{1,3}(?:[ '’]\d{3}){1,8}(?!\d)(?:\.\d{1,30})?"
_POWER = r"[eE][-+]?\d{1,3}(?!\d)| ?[×x*] ?10 ?\^ ?\(?[-+]?\d{1,3}\)?"
_CURRENCY_SIGN = r"(?:US|A|C|HK|S|NZ)?\$|€|£|¥|₹|₩|(?:USD|EUR|GBP|CNY|RMB|INR|JPY|Rs\.?)(?![A-Za-z])"
_SCALE_WORD = rf"(?:{'|'.join(sorted(SCALES, key=len, reverse=True))})(?!(?<=[a-z])[a-z])"


def _number_pattern(digits: str) -> str:
    return (
        rf"(?P<sign>[-+]|(?i:minus|negative)\s)?\s?(?P<currency>{_CURRENCY_SIGN})?\s?(?P<inner>[-+])?"
        rf"(?:(?P<whole>\d{{1,9}})\ (?=\d{{1,9}}\s?/\s?\d))?(?P<digits>{digits})"
        rf"(?P<power>{_POWER})?(?:\s?/\s?(?P<under>\d{{1,15}}(?:\.\d{{1,15}})?)(?![\d/]))?"
        rf"(?:(?P<capital>(?:MM|[KMBT])(?![A-Za-z]))|\s?(?P<scale>(?i:{_SCALE_WORD})))?"
        rf"(?:\s?(?P<percent>%|(?i:per\s?cent(?:s|age\ points?)?|pct|percentage\ points?|pp)(?![A-Za-z])))?"
    )


_WHOLE_NUMBER = re.compile(_number_pattern(f"{_SPACED}|{_DIGITS}") + r"(?P<rest>.{0,60})\Z", re.DOTALL)
_NUMBER_IN_PROSE = re.compile(
    r"(?<![\w.,$€£¥])(?<![A-Za-z]-)(?<!\d[-/])(?!(?:1[5-9]|20)\d0'?s(?!\w)|(?<=')\d0s(?!\w))"
    + _number_pattern(_DIGITS)
    + r"(?!\d|(?:st|nd|rd|th)(?![A-Za-z])|[,.:/]\d|-\s?[$€£A-Za-z\d]|\+|(?!(?:[kcm]?m|k?g|h|min|m?s)\b)[A-Za-z])"
)
_LEADS = re.compile(
    r"^(?:about|approximately|approx\.?|around|roughly|nearly|almost|circa|ca\.|~|≈|=|:)\s*", re.IGNORECASE
)
_UNIT = re.compile(r"[^\W\d_][^\W\d_'.\-]*(?:[ '.\-/^][^\W\d_]+){0,6}(?:\^?[23])?|°\s?[CFcf]?")
_NO_UNIT_WORDS = frozenset(
    (
        "st nd rd th or and to not but than is was are were be been because since as which so due given based rather "
        "instead if vs versus though although however no yes maybe perhaps possibly about while whereas the then plus "
        "minus times it they this that there i we you he she thousand million billion trillion hundred"
    ).split()
)
_COMPOSITE_TIME = re.compile(
    r"(?P<major>\d{1,6})\s?(?P<major_unit>[A-Za-z]{1,8})(?:,|\s)*(?:and\s+)?"
    r"(?P<minor>\d{1,6})\s?(?P<minor_unit>[A-Za-z]{1,8})"
)
_DECADE = re.compile(r"[\s\"(\[]*(?:(?:1[5-9]|20)\d0|'\d0)s\b")  # `1990s`, `'90s`: not so many seconds
_FIRST_WORD = re.compile(r"[A-Za-z]+")
_NUMBER_STARTS = frozenset(
    (
        *"about approximately approx around roughly nearly almost circa ca minus negative".split(),
        *"us a c hk s nz usd eur gbp cny rmb inr jpy rs".split(),
        *SMALL_NUMBERS,
        *TENS,
    )
)


@lru_cache(maxsize=8192)
def parse_number(text: str) -> Number | None:
    """Read a text that is one number with what belongs to it, or None.

    >>> parse_number("-$1,200.50")
    Number(value=-1200.5, scale=1.0, percent=False, currency='$', unit='', plain=False, exact=False)
    >>> parse_number("2.5 million people").value, parse_number("3/20").value, parse_number("twenty-one").value
    (2500000.0, 0.15, 21.0)
    >>> parse_number("40 or 42") is None, parse_number("30-49") is None
    (True, True)
    """
    text = plain_text(text)
    if "0s" in text and _DECADE.match(text):
        return None
    text = text.strip(" \t\r\n\"'()[]").rstrip(".,;:!。 ")
    if not text or len(text) > 200:
        return None
    if text.isascii() and text.isdigit() and len(text) <= 15:
        return Number(float(text), plain=True)
    word = _FIRST_WORD.match(text)
    if word and word[0].lower() not in _NUMBER_STARTS:  # nearly every label and sentence ends here
        return None
    text = _LEADS.sub("", text)
    composite = _COMPOSITE_TIME.fullmatch(text)
    if composite:
        return _composite_time(composite)
    match = _WHOLE_NUMBER.match(text)
    if match is None:
        return _number_in_words(text)
    return _with_unit(_number(match), match["rest"])


def find_numbers(text: str) -> list[tuple[Number, int, int]]:
    """Every number in a prose text with its place, without units. Digits within words (`G7`, `3rd`) are none.

    >>> [(number.value, start) for number, start, _ in find_numbers("It rose 4% to 1,200 in Q3.")]
    [(4.0, 8), (1200.0, 14)]
    """
    found = []
    for match in _NUMBER_IN_PROSE.finditer(text):
        number = _number(match)
        if number is not None:
            found.append((number, match.start(), match.end()))
    return found


def _number(match: re.Match[str]) -> Number | None:
    """The number of a match, without what follows it."""
    try:
        value = float(re.sub(r"[, '’]", "", match["digits"]))
        if match["power"]:
            value *= 10.0 ** int(re.sub(r"^(?:[eE]| ?[×x*] ?10 ?\^ ?)|[()]", "", match["power"]))
        if match["under"]:
            value /= float(match["under"])
    except (OverflowError, ValueError, ZeroDivisionError):
        return None
    scale = _CAPITAL_SCALES[match["capital"]] if match["capital"] else 1.0
    if match["scale"]:
        scale = SCALES[match["scale"].lower()]
    value = (value + float(match["whole"] or 0)) * scale
    sign, inner = match["sign"] or "", match["inner"] or ""
    if (sign and inner) or not math.isfinite(value):
        return None
    if (sign or inner)[:1].lower() in ("-", "m", "n"):  # minus, negative
        value = -value
    currency = (match["currency"] or "").rstrip(".").lower()
    plain = match["digits"].isdigit() and match[0].strip() == match["digits"]
    return Number(value, scale, bool(match["percent"]), _CURRENCIES.get(currency, currency), plain=plain)


_PREPOSITIONS = frozenset(("in", "of", "on", "at", "by", "for", "from"))
_SHARE = re.compile(r"(?:of|from|in)\s[^\d]{1,50}|[^\W\d_]{1,20}(?:\s[^\W\d_]{1,20}){0,4}")


def _with_unit(number: Number | None, rest: str) -> Number | None:
    """The number with the unit, currency or percent sign that follows it; None when the rest is no such thing."""
    rest = rest.strip()
    if number is None or not rest:
        return number
    if number.percent:  # of what: `of adults`
        return number if _SHARE.fullmatch(rest) and _NO_UNIT_WORDS.isdisjoint(rest.lower().split()) else None
    unit = _unit(rest)
    if unit is None:
        return None
    number = replace(number, plain=False)
    if unit in _PERCENTS:
        return replace(number, percent=True)
    if unit in _CURRENCIES:
        return replace(number, currency=_CURRENCIES[unit]) if number.currency in ("", _CURRENCIES[unit]) else None
    if number.currency and unit in _MONEY_SCALES and number.scale == 1.0:
        return replace(number, value=number.value * _MONEY_SCALES[unit], scale=_MONEY_SCALES[unit])
    return replace(number, unit=unit)


def _unit(rest: str) -> str | None:
    """The unit or counted noun after a number; None when the rest is no such thing."""
    rest = rest.lstrip("-").rstrip(".").strip()
    if rest in _CURRENCIES:
        return rest
    if not _UNIT.fullmatch(rest):
        return None
    lowered = rest.lower().replace("° ", "°")
    parts = re.split(r"[ \-]", lowered)
    if not _NO_UNIT_WORDS.isdisjoint(parts) or (parts[0] in _PREPOSITIONS and len(parts) > 1):
        return None
    return lowered


def _composite_time(match: re.Match[str]) -> Number | None:
    major, minor = _UNITS.get(match["major_unit"].lower()), _UNITS.get(match["minor_unit"].lower())
    if major is None or minor is None or major[0] != minor[0] or major[1] <= minor[1]:
        return None
    size, unit = (
        (1.0, "months") if major[0] == "months" else (60.0, "minutes") if minor[1] >= 60.0 else (1.0, "seconds")
    )
    return Number((float(match["major"]) * major[1] + float(match["minor"]) * minor[1]) / size, unit=unit, exact=True)


_SPOKEN_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SMALL = "|".join(sorted(SMALL_NUMBERS, key=len, reverse=True))
_ONES = "|".join(list(SMALL_NUMBERS)[1:10])
_TO_99 = rf"(?:(?:{'|'.join(TENS)})(?: (?:{_ONES})\b)?|(?:{_SMALL}))\b"
_TO_999 = rf"(?:(?:{_SMALL}) hundred\b(?: (?:and )?{_TO_99})?|{_TO_99})"
_SCALE = rf" (?:{'|'.join(_SPOKEN_SCALES)})\b"
_SPOKEN = re.compile(
    rf"(?P<sign>(?:minus|negative) )?(?P<words>{_TO_999}(?:{_SCALE} (?:and )?{_TO_999})*(?:{_SCALE})?)(?P<rest> .*|)"
)


def _number_in_words(text: str) -> Number | None:
    """`twenty-one`, `three hundred and five`, `two million`, `minus two`, each with an optional counted noun."""
    match = _SPOKEN.fullmatch(" ".join(text.lower().replace("-", " ").split()))
    if match is None or any(word in SMALL_NUMBERS or word in TENS for word in match["rest"].split()):
        return None
    total = current = 0
    for word in match["words"].split():
        if word == "hundred":
            current *= 100
        elif word in _SPOKEN_SCALES:
            total, current = total + current * _SPOKEN_SCALES[word], 0
        else:
            current += SMALL_NUMBERS.get(word, 0) + TENS.get(word, 0)
    return _with_unit(Number(float(total + current) * (-1 if match["sign"] else 1)), match["rest"])
