"""Numbers as models write them: an exact value with sign, scale, percent, currency and unit."""

import re
from collections.abc import Container
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import lru_cache

from mixed_r1_verl.rewards.answer.text import ORDINALS, SMALL_NUMBERS, TENS, plain_text
from mixed_r1_verl.rewards.answer.units import Measure, in_one_unit, measure
from mixed_r1_verl.rewards.answer.words import any_of, grammar

_SCALE_NAMES = {
    **{12: "dozen dozens", 10**2: "hundred", 10**3: "thousand thousands k 千", 10**4: "万", 10**5: "lakh lakhs"},
    **{10**6: "million millions mn mln mio 百万", 10**7: "crore crores", 10**8: "亿", 10**9: "billion billions bn bln"},
    **{10**12: "trillion trillions tn trn"},
}
SCALES = {name: scale for scale, names in _SCALE_NAMES.items() for name in names.split()}
_CAPITAL_SCALES = {"K": 10**3, "M": 10**6, "MM": 10**6, "B": 10**9, "T": 10**12}  # only on to the digits: `5M`
_MONEY_SCALES = {"m": 10**6, "b": 10**9}  # `£1.2m` is money, `1.2m` is a length
_ZERO = Fraction(0)
_PERCENT = r"%|(?i:per\s?cent(?:s|age\ points?)?|pct|percentage\ points?|pp)"


@dataclass(frozen=True)
class Number:
    """A number as it was written."""

    value: Fraction  # with the scale word, without the percent sign: `2.5 million` is 2500000, `41%` is 41
    scale: int = field(default=1, compare=False)  # the power of ten of the scale word; 1 without one
    percent: bool = False
    unit: str = field(default="", compare=False)  # unit, currency or counted noun as it stands; empty without one
    plain: bool = field(default=False, compare=False)  # written as digits alone, so that it may be a year
    exact: bool = field(default=False, compare=False)  # a composite (`2 hours and 45 minutes`), without tolerance

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"{float(self.value):.12g}{'%' if self.percent else ''}{unit}"

    @property
    def measure(self) -> Measure | None:
        """What the unit measures; None without a unit or for a counted noun."""
        return measure(self.unit) if self.unit else None

    def _in_one_unit(self, other: "Number") -> tuple[Fraction, Fraction] | None:
        """Both values where their units agree or one has none; None when the units contradict each other."""
        if not self.unit and not other.unit:
            return self.value, other.value
        one, two = self.measure, other.measure
        if one and two:
            sizes = in_one_unit(one, two)
            return (self.value * sizes[0], other.value * sizes[1]) if sizes else None
        foreign = bool((self.percent and other.unit) or (other.percent and self.unit))
        if self.unit and other.unit and not foreign:
            nouns, others = ({word.rstrip("s") for word in number.unit.lower().split()} for number in (self, other))
            foreign = not (nouns & others and one is two is None)
        return None if foreign else (self.value, other.value)

    def agrees(
        self, gold: "Number", *, tolerance: Fraction = _ZERO, scales: Container[int] = (), one_scale: bool = False
    ) -> bool:
        """Whether a number is a ground truth within a relative tolerance, in one unit.

        A composite (`2 hours and 45 minutes`) has no tolerance; `scales` are scale words that need not be said, as the
        question says them; with `one_scale` a percentage is its digits and never a share.

        >>> share, length = parse_number("0.41"), parse_number("2000 m")
        >>> parse_number("41%").agrees(share), parse_number("41%").agrees(share, one_scale=True)
        (True, False)
        >>> parse_number("2 km").agrees(length), parse_number("2").agrees(length), parse_number("$2000").agrees(length)
        (True, False, False)
        """
        converted = self._in_one_unit(gold)
        if converted is None:
            return False
        pairs, (value, target) = [converted], converted
        if self.percent != gold.percent and not one_scale:  # 41% is 41 percent and 0.41
            share = abs(target) < 1 and self.percent  # 50% answers 0.5, and 0.5% does not
            pairs = [] if share and target else pairs
            pairs.append((value / 100, target) if self.percent else (value, target / 100))
        if self.scale != gold.scale:
            pairs += [(value / self.scale, target)] if self.scale in scales else []
            pairs += [(value, target / gold.scale)] if gold.scale in scales else []
        tolerance = _ZERO if gold.exact or self.exact else tolerance
        return any(_close(value, target, tolerance) for value, target in pairs)


def _close(value: Fraction, target: Fraction, tolerance: Fraction) -> bool:
    """|value - target| <= tolerance * |target|: in whole numbers, which takes a tenth of the time of fractions."""
    (above, below), (goal, parts) = value.as_integer_ratio(), target.as_integer_ratio()
    return abs(above * parts - goal * below) * tolerance.denominator <= abs(goal) * below * tolerance.numerator


_DIGITS = r"\d{1,3}(?:,\d{2,3}){0,8},\d{3}(?!\d)(?:\.\d{1,30})?|\d{1,40}(?:\.\d{1,30})?|\.\d{1,30}"
_SPACED = r"\d{1,3}(?:[ '’]\d{3}){1,8}(?!\d)(?:\.\d{1,30})?"
_POWER = r"[eE][-+]?\d{1,3}(?!\d)| ?[×x*] ?10 ?\^ ?\(?[-+]?\d{1,3}\)?(?!\d)"
_CURRENCY_SIGN = r"(?:US|A|C|HK|S|NZ)?\$|€|£|¥|₹|₩|(?:USD|EUR|GBP|CNY|RMB|INR|JPY|Rs\.?)(?![A-Za-z])"
_SCALE_WORD = rf"{any_of(SCALES)}(?!(?<=[a-z])[a-z])"
_GAPS = re.compile(r"[, '’]")
_NO_EXPONENT = re.compile(r"^(?:[eE]| ?[×x*] ?10 ?\^ ?)|[()]")


def _number_pattern(digits: str) -> str:
    return (
        rf"(?P<sign>[-+]|(?i:minus|negative)\s)?\s?(?P<currency>{_CURRENCY_SIGN})?\s?(?P<inner>[-+])?"
        rf"(?:(?P<whole>\d{{1,9}})(?:\ |\ (?i:and)\ )(?=\d{{1,9}}\s?/\s?\d))?(?P<digits>{digits})"
        rf"(?P<power>{_POWER})?(?:\s?/\s?(?P<under>\d{{1,15}}(?:\.\d{{1,15}})?)(?![\d/]))?"
        rf"(?:(?P<capital>(?:MM|[KMBT])(?![A-Za-z]))|\s?(?P<scale>(?i:{_SCALE_WORD})))?"
        rf"(?:\s?(?P<percent>(?:{_PERCENT})(?![A-Za-z])))?"
    )


_COMMON = re.compile(r"(-?)([0-9]{1,15})(?:\.([0-9]{1,15}))?(%)?")  # what nearly every number is, read at once
_WHOLE_NUMBER = re.compile(_number_pattern(f"{_SPACED}|{_DIGITS}") + r"(?P<rest>.{0,60})\Z", re.DOTALL)
_NUMBER_IN_PROSE = re.compile(
    r"(?<![\w,$€£¥^√])(?<!(?<!\.)\.)(?<![A-Za-z]-)(?<!\d[-/])(?!(?:1[5-9]|20)\d0'?s(?!\w)|(?<=')\d0s(?!\w))"
    + _number_pattern(_DIGITS)
    + r"(?!\d|(?:st|nd|rd|th)(?![A-Za-z])|[,.:/]\d|-\s?[$€£A-Za-z\d]|\+|\^|\s?[α-ωΑ-Ω]|"
    r"(?!(?:[kcm]?m|k?g|h|min|m?s)\b)[A-Za-z])"
)
_LEADS = grammar(r"^(?:<LEAD>\.?|[~≈=:])\s*")
_NOUN = re.compile(r"(?!(?:in|of|on|at|by|for|from|with|per|pi)\b)[^\W\d_]{2}[^\W\d_'.\-]+(?:[ '.\-/][^\W\d_]+){0,5}")
_NO_NOUN = grammar(r"(?:^|[\s-])<NO_NOUN>(?=[\s-]|$)")
_COMPOSITE = re.compile(
    r"(?P<major>\d{1,6})\s?(?P<major_unit>[A-Za-z]{1,8}|')(?:,|\s)*(?:and\s+)?"
    r"(?P<minor>\d{1,6})\s?(?P<minor_unit>[A-Za-z]{1,8}|\"|)"
)
_DECADE = re.compile(r"[\s\"(\[]*(?:(?:1[5-9]|20)\d0|'\d0)s\b")  # `1990s`, `'90s`: not so many seconds
_FIRST_WORD = re.compile(r"[A-Za-z]+")
_STARTS = (
    "about approximately approx around roughly nearly almost circa ca minus negative only exactly just us a an half "
    "precisely c hk s nz usd eur gbp cny rmb inr jpy rs"
)
_NUMBER_STARTS = frozenset((*_STARTS.split(), *SMALL_NUMBERS, *TENS))


@lru_cache(maxsize=8192)
def parse_number(text: str) -> Number | None:
    """Read a text that is one number with what belongs to it, or None.

    >>> parse_number("-$1,200.50").unit, float(parse_number("-$1,200.50").value)
    ('$', -1200.5)
    >>> [str(parse_number(text).value) for text in ("2.5 million people", "3/20", "twenty-one", "two thirds")]
    ['2500000', '3/20', '21', '2/3']
    >>> [parse_number(text) for text in ("40 or 42", "30-49", "more than 5", "5x")]
    [None, None, None, None]
    """
    if not (common := _COMMON.fullmatch(text)):
        text = plain_text(text)
        if "0s" in text and _DECADE.match(text):
            return None
        text = text.strip(' \t\r\n"()[]').rstrip(".,;:!。 ").removeprefix("'")
        if not text or len(text) > 200:
            return None
        common = _COMMON.fullmatch(text)
    if common:
        sign, whole, decimals, percent = common.groups("")
        value = Fraction(int(sign + whole + decimals), 10 ** len(decimals))
        return Number(value, percent=bool(percent), plain=text == whole)
    if (word := _FIRST_WORD.match(text)) and word[0].lower() not in _NUMBER_STARTS:  # nearly every label ends here
        return None
    text = text if text[0].isdecimal() else _LEADS.sub("", text)
    if (composite := _COMPOSITE.fullmatch(text)) and (number := _composite(composite)):
        return number
    match = _WHOLE_NUMBER.match(text)
    return (_suffixed(_number(match), match["rest"]) if match else None) or _number_in_words(text)


_RATIO = re.compile(r"(\d{1,6})\s*(?::\s*|to\s+(?=\d$))(\d{1,6})")  # 18 to 24 is a range


def parse_ratio(text: str) -> Number | None:
    """Read a text that is one ratio of whole numbers, by its value.

    >>> str(parse_ratio("4 : 6").value), parse_ratio("4:6:1")
    ('2/3', None)
    """
    match = _RATIO.fullmatch(text.strip())
    return Number(Fraction(int(match[1]), int(match[2]))) if match and int(match[2]) else None


def find_numbers(text: str) -> list[tuple[Number, int, int]]:
    """Every number in a prose text with its place, without units. Digits within words (`G7`, `3rd`) are none.

    >>> [(int(number.value), start) for number, start, _ in find_numbers("It rose 4% to 1,200 in Q3.")]
    [(4, 8), (1200, 14)]
    """
    found = ((_number(match), *match.span()) for match in _NUMBER_IN_PROSE.finditer(text))
    return [(number, start, end) for number, start, end in found if number is not None]


def _number(match: re.Match[str]) -> Number | None:
    """The number of a match, without what follows it."""
    sign, currency, inner, above, digits, power, under, capital, scale_word, percent, *_ = match.groups()
    whole, _, decimals = (digits if digits.isdigit() else _GAPS.sub("", digits)).partition(".")
    value = Fraction(int(whole + decimals), 10 ** len(decimals))
    if power:
        value *= Fraction(10) ** int(_NO_EXPONENT.sub("", power))
    if under and not Fraction(under):
        return None
    value = value / Fraction(under) if under else value
    scale = SCALES[scale_word.lower()] if scale_word else _CAPITAL_SCALES.get(capital, 1)
    if above or scale > 1:
        value = (value + int(above or 0)) * scale
    if (sign and inner) or (power and abs(value) > 10**250):
        return None
    plain = digits.isdigit() and match[0].strip() == digits
    value = value if (sign or inner or "+") == "+" else -value
    return Number(value, scale, bool(percent), currency or "", plain=plain)


_SHARE = re.compile(r"(?:of|from|in)\s[^\d]{1,50}|[^\W\d_]{1,20}(?:\s[^\W\d_]{1,20}){0,4}")
_OUT_OF = re.compile(r"out of (\d{1,9}|[a-z]{3,8})\b\s*(.*)", re.IGNORECASE)
_PER = re.compile(
    r"(\$|dollars?|usd|euros?|€|eur|£|gbp|yuan|元|yen|rupees?)?\s*(?:/|\b(?:per|an?|each)\s)\s*[a-z]+", re.I
)
_TOTAL = re.compile(r"[\s,]*\b(?:in (?:total|all)|altogether|overall|total|only)\.?$", re.IGNORECASE)
_COUNTED = re.compile(r"[个人只张把辆次名位岁件本条块支头棵朵颗](?:[^\W\d_A-Za-z]{0,4})")


def _suffixed(number: Number | None, rest: str) -> Number | None:
    """The number with the unit, currency or percent sign that follows it; None when the rest is no such thing."""
    attached = rest[:1].isalnum()
    rest = _TOTAL.sub("", rest).strip().lstrip("-").rstrip(".").strip()
    if number is None or not rest:
        return number
    if number.percent:  # of what: `of adults`
        return number if _SHARE.fullmatch(rest) and not _NO_NOUN.search(rest) else None
    if out_of := _OUT_OF.fullmatch(rest):
        whole = parse_number(out_of[1])
        return Number(number.value / whole.value, unit=out_of[2]) if whole and whole.value > 0 else None
    per = _PER.fullmatch(rest)
    if per and (per[1] or number.unit):  # money is money, whatever it is paid for
        return replace(number, unit=number.unit or per[1], plain=False)
    number = replace(number, plain=False)
    lowered, known = rest.lower(), measure(rest)
    if re.fullmatch(_PERCENT, lowered):
        return replace(number, percent=True)
    if number.unit and lowered in _MONEY_SCALES and number.scale == 1:
        return replace(number, value=number.value * _MONEY_SCALES[lowered], scale=_MONEY_SCALES[lowered])
    if known and number.unit:
        return number if number.measure and in_one_unit(known, number.measure) else None
    if known:
        return replace(number, unit="pounds" if lowered == "pound" else rest)
    noun = _COUNTED.fullmatch(rest) or (not attached and _NOUN.fullmatch(rest) and not _NO_NOUN.search(rest))
    return replace(number, unit=number.unit or lowered) if noun else None


def _composite(match: re.Match[str]) -> Number | None:
    """`2 hours and 45 minutes`, `5 ft 10 in`: in the smaller unit, whose name it gets."""
    major, minor = match["major_unit"], match["minor_unit"].replace('"', "in")
    minor = {"'": "in", "hm": "min"}.get(f"{major[0]}{minor}".lower(), minor)  # 5'10, 2h 45m
    one, other = measure(major.replace("'", "ft")), measure(minor)
    sizes = in_one_unit(one, other) if one and other else None
    if sizes is None or sizes[0] <= sizes[1] or int(match["minor"]) * sizes[1] >= sizes[0]:
        return None
    return Number(int(match["major"]) * sizes[0] / sizes[1] + int(match["minor"]), unit=minor, exact=True)


_FRACTIONS = {"half": 2, "halves": 2, "quarter": 4, "quarters": 4}
_FRACTIONS |= {name + s: parts for parts, name in enumerate(ORDINALS[2:10], 3) for s in ("", "s")}
_VALUES = {**SMALL_NUMBERS, **TENS, "a": 1, "an": 1}
_BIG = [name for name in SCALES if len(name) > 4 and SCALES[name] >= 1000]
_SCALE, _FRACTION = rf"{any_of(SCALES)}\b", rf"{any_of(_FRACTIONS)}\b"
_DIGIT = rf"{any_of(list(SMALL_NUMBERS)[:10])}\b"
_BELOW_100 = rf"(?:{any_of(TENS)}\b(?: {_DIGIT})?|{any_of(SMALL_NUMBERS)}\b|an?(?= (?:{_SCALE}|{_FRACTION})))"
_BELOW_1000 = rf"{_BELOW_100}(?: hundred\b(?: (?:and )?{_BELOW_100})?| dozens?\b)?"
_IN_WORDS = re.compile(
    rf"(?P<minus>(?:minus|negative) )?(?P<amount>\d{{1,9}}(?= (?:and an? )?{_FRACTION})|(?=half\b)|"
    rf"{_BELOW_1000}(?: {any_of(_BIG)}\b(?:(?: and)? {_BELOW_1000})?)*)"
    rf"(?: point(?P<decimals>(?: {_DIGIT})+))?(?:(?P<more> and (?:an?|{_DIGIT}))? ?(?P<part>{_FRACTION}))?"
    rf"(?:(?: |(?<=half) an? )(?P<scale>{_SCALE}))?(?! ?{any_of([*SMALL_NUMBERS, *TENS, *_FRACTIONS])}\b)"
)
_SIGN = re.compile(r"^- ?(?=\w)")
_JOINT = re.compile(rf"(?<=\w)-(?=[a-z])|(?<=[a-z]), (?={_BELOW_1000})")

_CIPHER = "([一二两三四五六七八九])"
_CHINESE = re.compile(rf"(?=[十{_CIPHER[2:-2]}])(?:{_CIPHER}百(零)?)?(?:{_CIPHER}?(十))?{_CIPHER}?")


def _number_in_words(text: str) -> Number | None:
    """`twenty-one`, `a hundred and five`, `two thirds`, `one and a half million`, each with an optional noun."""
    if match := _CHINESE.match(text):
        hundreds, zero, tens, ten, ones = (
            "_一二三四五六七八九十零".find((sign or "_").replace("两", "二")) for sign in match.groups()
        )
        ones *= 10 if hundreds and not (zero or ten) else 1  # 一百七 is 170
        value = Fraction(100 * hundreds + ten * (tens or 1) + ones)
        return _suffixed(Number(value), text[match.end() :])
    text = _JOINT.sub(" ", _SIGN.sub("minus ", " ".join(text.lower().split())))  # between digits signs and commas stay
    if not (match := _IN_WORDS.match(text)):
        return None
    decimals = "".join(str(SMALL_NUMBERS[word]) for word in (match["decimals"] or "zero").split())
    value = _amount(match["amount"] or "one") + Fraction(f"0.{decimals}")
    if match["part"]:
        part = Fraction(1, _FRACTIONS[match["part"]])
        value = value + _amount(match["more"]) * part if match["more"] else value * part
    scale = SCALES.get(match["scale"], 1)
    return _suffixed(Number(value * scale * (-1 if match["minus"] else 1), scale), text[match.end() :])


def _amount(words: str) -> Fraction:
    total = current = 0
    for word in words.split():
        if word in _BIG:
            total, current = total + current * SCALES[word], 0
        elif word in SCALES:
            current *= SCALES[word]
        elif word != "and":
            current += _VALUES.get(word) or int(word if word.isdigit() else 0)
    return Fraction(total + current)
