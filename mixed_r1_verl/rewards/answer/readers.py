"""Readers of numbers, years, moments and labels: what a whole text is, and what else a running text names."""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import prod

from mixed_r1_verl.rewards.answer.claims import SAID, Claim, Claims
from mixed_r1_verl.rewards.answer.commitment import OTHER, SAME, Reader, residue, rival
from mixed_r1_verl.rewards.answer.dates import MENTION, Moment, read_moments
from mixed_r1_verl.rewards.answer.numbers import Number, find_numbers, parse_number, parse_ratio
from mixed_r1_verl.rewards.answer.text import SMALL_NUMBERS, TENS, text_key
from mixed_r1_verl.rewards.answer.words import any_of, grammar

_SIDE = re.compile(r"(?![^=]*\d[abcdnxyz]\b)[^=]*[-+*/×÷−(][^=]*|[^\d=]{1,40}(?:\([^()=]{0,20}\))?\s*")
_PREPOSITION = re.compile(
    r"^(?:(?:in|on|at|during|by|around|about|of)\s+)?(?:the\s+)?(?:year\b\s*:?\s*)?(?=[\w'])", re.IGNORECASE
)
_IN_ALL = re.compile(
    r"^(?:(?:图片?|图像|画面)[中里上])?(?:(?:一共|总共|共)?有|一共|总共|共|数?值[为是])"
    r"(?=(?:大?约|大概)?[\d一二两三四五六七八九十])"
)
_CONTEXT = grammar(r"\b(?:in|of|year|since|during|by|from|for|until)\s(?:the\s(?:year\s)?)?$")
_RELATION = grammar(
    r"\((?:followed|preceded|up|down|compared|versus|vs)\b[^()]{0,60}\)|\b(?:that|which|whose|with \w+s?)\b"
    r"[^,.;]{0,40}\b(?:than|least|most|over|under|above|below) \d+"
)
_FACTORIAL = re.compile(r"\d\s?!")
_CHEER = re.compile(  # `it is 35!`, `**35**!`, `35! Great.`: what is left is a factorial
    r"([^\W\d_]['\"]?[:,.]?[\s*]*[-−]?[$€£]?\d[\d.,]*\**|\d\*\*)\s?[!！]+"
    r"(?=\**(?:\s*$|\s+(?:[A-Z]|:\))|\s*[\u2e80-\U0010ffff]))|(\d)\s?!+(?=\**\s+[A-Z])"
)
_YEAR = re.compile(r"(?<![\d.,$€£])(?:1\d{3}|20\d{2}|2100)(?![\dA-Za-zα-ωΑ-Ω%]|[.,]\d)")
_OR_MORE = grammar(
    r"\W*(?:\w+\s)?(?:and|or|&) (?:so|more|less|over|under|above|below|up|beyond|\w+er)\b|\s*\+| up\b|"
    r"\W*(?:at (?:(?:the )?(?:very )?(?:least|most)|minimum|maximum)\b|or|as well as|tops)\b|"
    r"\W*(?:and|&|plus) [^\W\d]+\W*$|!|\W*plus\W*$"
)
_BOUND = grammar(
    r"[<>≤≥±]|(?:\d[a-z]|[a-z]\^)\S{0,20}\s?=|\d up\b|\d\s*& (?:up|over|above|more)\b|\d\s*\+(?!\s*\d)|"
    r"\|-[$€£\d.,]+\||\bl?vert\W*-|\d\s*(?:!|b\.?c(?:\.?e)?\b|(?:minus|less)\W*$)|<BOUND>|sqrt|√"
)
_NUMBER_WORD = re.compile(
    rf"(?<![\w-]){any_of((*SMALL_NUMBERS, *TENS))}(?:[ -]{any_of(list(SMALL_NUMBERS)[1:10])})?(?![\w-])",
    re.IGNORECASE,
)
_WORKING = re.compile(r"\s*(?:[(:=]|,?\s*(?:because|since|as|for|from)\b)")


@dataclass(frozen=True)
class Quantities(Reader):
    """The reader of one number."""

    years: bool = False  # of one year, to which other numbers are no rivals
    ratios: bool = False  # also as a ratio (`1:2`)

    def guarded(self, text: str) -> str:
        """The text without the marks that are no factorial: behind a number in prose, or before a new sentence."""
        return _CHEER.sub(r"\1\2. ", text) if "!" in text or "！" in text else text

    def read(self, text: str) -> Number | None:
        """The number that a text is, or that a calculation in it ends in."""
        text = text.strip().strip("[]")
        text = text if text[:1].isdecimal() else _IN_ALL.sub("", text)
        if _FACTORIAL.search(text) and not self.years:
            return None
        if self.ratios and (ratio := parse_ratio(text)):
            return ratio
        *sides, text = text.split("=")
        text = text if text[:1].isdecimal() else _PREPOSITION.sub("", text)
        number = parse_number(text.removesuffix("年" if self.years else ""))
        if number is None or (self.years and not is_a_year(number)):
            return None
        fits = (one.value == number.value if (one := parse_number(side)) else _SIDE.fullmatch(side) for side in sides)
        return number if not sides or all(fits) else None

    def mark(self, text: str, value: Number) -> str:
        """Numbers in a running text; a year of a place in time, a calculation of the value and asides are none."""
        text = re.sub(r"(?<=[,;])(?=\d)", " ", _RELATION.sub(" ", text))
        if re.match(r"\s*[;|/&<>≤≥]", text):
            return rival(text)
        if self.years:
            return _YEAR.sub(lambda match: SAME if int(match[0]) == value.value else OTHER, text)
        if _WORKING.match(text) and _works_out(text, value.value):
            return ""
        for number, start, end in sorted([*find_numbers(text), *_spoken(text)], key=lambda place: -place[1]):
            if number.value != value.value and not self._context(number, text, start, end):
                text = text[:start] + OTHER + text[end:]
        return rival(text) if _OR_MORE.match(text) else text

    @staticmethod
    def _context(number: Number, text: str, start: int, end: int) -> bool:
        """Whether a number is no quantity: the year of something, or the `one` of `the red one`."""
        year = is_a_year(number) and _CONTEXT.search(text[max(0, start - 16) : start])
        return bool(year) or text[start:end].lower() == "one"

    def glean(self, found: Claims) -> Number | None:
        """The only number of an answer that claims none: `The bar for Chile shows 42`."""
        text = found.whole
        if any(sign in text for sign in "?;^") or _BOUND.search(text) or residue(text):
            return None
        said = find_numbers(text) or _spoken(text)
        numbers = [number for number, start, end in said if not self._context(number, text, start, end)]
        numbers = numbers or [number for number, _, _ in said]
        if self.years:
            years = [] if re.search(r"\d{4}[-/]\d", text) else _YEAR.findall(text)
            numbers = [number for year in years if (number := parse_number(year))]
        return numbers[0] if len({number.value for number in numbers}) == 1 else None


def _spoken(text: str) -> list[tuple[Number, int, int]]:
    """The numbers in words of a running text, with their places."""
    places = ((parse_number(match[0]), match.start(), match.end()) for match in _NUMBER_WORD.finditer(text))
    return [(number, start, end) for number, start, end in places if number is not None]


def is_a_year(number: Number) -> bool:
    """Whether a number might be a year."""
    return number.plain and 1000 <= number.value <= 2100


def _works_out(text: str, value: Fraction) -> bool:
    """Whether a value is the sum, difference, product or quotient of the other numbers of a text."""
    digits = map(parse_number, re.findall(r"\d[\d,]*(?:\.\d+)?", text))
    said = [*filter(None, digits), *(number for number, _, _ in _spoken(text))]
    first, *others = [number.value for number in said if number.value != value] or [value]
    if not 1 <= len(others) < 12:
        return False
    results = (first + sum(others), first - sum(others), first * prod(others), first / (prod(others) or 1))
    return any(abs(result - value) <= abs(value) / 1000 for result in results)


_PERIOD = grammar(r"^the (?=\d{4}\s?[-/])| (?:season|(?:school|fiscal) year)$")


class Moments(Reader):
    """The reader of one date, time of day, decade or season, in all its readings."""

    mention = MENTION

    def read(self, text: str) -> tuple[Moment, ...] | None:
        return tuple(read_moments(_PERIOD.sub("", _PREPOSITION.sub("", text.strip().strip("[]\"'"))))) or None

    def alien(self, claim: Claim) -> bool:
        """Whether a short claim is a year, or anything is announced or boxed in a word or three."""
        return bool(MENTION.fullmatch(claim.text.strip(" .!,;"))) or claim.terse


_PLACE = grammar(r"^(?:in|on|at|inside|near|under|by|to|made (?:out )?of) (?:(?:the|an?) )?")
_OF_IT = grammar(r"(?<=\w)(?:'s|s'| (?:ones?|lines?|bars?|curves?|slices?))$")  # Chile's; the red one
_RANGE = re.compile(  # of a key: aged 18-24, the 18-24 age group
    r"(?:aged?|ages|group|range|bracket|of| )*\b(\d[\d.]* - \d[\d.]*)"
    r"(?: (?:years?|yrs?|olds?|age|group|range|bracket))*"
)
_VALUE_OF_IT = grammar(  # Chile 12%, but not the top 10%
    r"\b(?!(?:top|bottom|under|over|less|more|above|below|first|last|up|down)\b)(\w+) "
    r"(?:[$€£]\d[\d.,]*|\d[\d.,]*\s?%)$"
)
_NEUTRAL = grammar(r"\W*(?:(?:the|an?) )?<NEUTRAL>")
_IS = grammar(r"(?:\b(?:is|are|was|were)|'s) (?=\w)")
_CAPITAL = re.compile(r"(?<=[\w,;:(\"' -])(?<![.!?] )(?<![.!?]\" )\b[A-Z][a-z]{2,}\b")
_PLAIN_TAIL = grammar(
    r"[\s.!\"')]*$|\W*\(?\W*(?:with|at|by|of|about|around|in|has|had|having)?\s*(?:about |around |a )?"
    r"[$€£]?\d(?-i:[^A-Z]){0,40}$|[\s,.;:(—-]*(?:<TAIL>|the\b)"
)
_BESIDE = grammar(r"\b(?:also|as well|too|both|or|besides|while|whereas|although|though)\b|^\W*(?:and|&|/)\W")
_POINTING = grammar(r"(?:it|its|the|this|that|these|there|they|an?)\b")
_NO_CLAIM = grammar(r"\W*(?:no|not|never|neither|there (?:is|are) no)\b")
_EXPLAINING_WORDS = 4
_POINT = re.compile(r"[.!?](?=\s)")  # within a label, which has no space at its end
_MASKS = dict(zip(".!?", "\ue000\ue001\ue002", strict=True))
_UNMASK = {ord(mask): point for point, mask in _MASKS.items()}


@dataclass(frozen=True)
class Labels(Reader):
    """The reader of one label. What is a label nobody can list: only the one that is right, and what is none."""

    gold: str  # the label that is right
    forms: bool = False  # whether a plural and a place (`in the kitchen`) are the same label

    @cached_property
    def _key(self) -> str:
        return _range_or_key(self.gold)

    def guarded(self, text: str) -> str:
        """The text with the points within the label masked: `No. of students` is no end of a sentence."""
        if not _POINT.search(self.gold):
            return text
        name = re.compile(rf"(?<!\w){re.escape(self.gold)}(?!\w)", re.IGNORECASE)
        return name.sub(lambda match: _POINT.sub(lambda point: _MASKS[point[0]], match[0]), text)

    def read(self, text: str) -> str | None:
        """The label that is right, if a text is it."""
        text = text.translate(_UNMASK)
        key = _range_or_key(text)
        if key != self._key:
            text = _OF_IT.sub("", _VALUE_OF_IT.sub(r"\1", text))
            placed = self.forms or text[:3].lower() in ("in ", "on ", "at ")
            key = text_key(_PLACE.sub("", text) if placed else text)
        if key == self._key or (self.forms and _same_word(key, self._key)):
            return self.gold
        parts, golds = text.split(","), self.gold.split(",")  # in any order: `Other adults, Sandwich generation`
        return self.gold if golds[1:] and sorted(map(text_key, parts)) == sorted(map(text_key, golds)) else None

    def mark(self, text: str, value: str) -> str:
        """Names in a running text, what something is said to be, and any short thing beside the label."""
        gold = re.escape(self.gold)
        text = re.sub(rf"(?<!\w){gold}(?!\w)", SAME, text.translate(_UNMASK), flags=re.IGNORECASE)
        short = text[:1] in "(,;/&|-–—" or len(text.split()) < _EXPLAINING_WORDS or not text[:1].isspace()
        beside = (short and text[:1] != "\n" and not _PLAIN_TAIL.match(text)) or _BESIDE.search(text)
        said = (text[verb.end() :] for verb in _IS.finditer(text))
        if beside or not all(one.startswith(SAME) or _NEUTRAL.match(one) for one in said):
            return rival(text)
        return _CAPITAL.sub(OTHER, text)

    def alien(self, claim: Claim) -> bool:
        """Whether a claim names another label: what is no explanation, no superlative and no denial."""
        text = claim.text.strip(" .,;:!")
        if _NO_CLAIM.match(text):
            return False
        if claim.strength == SAID:
            return not (_NEUTRAL.match(text) and _POINTING.match(claim.subject))
        return claim.strength > SAID or len(text.split()) < _EXPLAINING_WORDS


def _range_or_key(text: str) -> str:
    """The key of a label, or of its range alone where the rest only says that it is one of years or ages."""
    key = text_key(text)
    match = _RANGE.fullmatch(key)
    return match[1] if match else key


def _same_word(one: str, other: str) -> bool:
    """Whether two keys are one word, in the singular or plural: `box` and `boxes`, `berry` and `berries`."""
    short, long = sorted((one, other), key=len)
    if len(short) < 3 or not short[-1].isalpha():
        return short == long
    if short[-1] == "y" and short[-2] not in "aeiou":
        return long in (short, f"{short[:-1]}ies")
    return long in (short, f"{short}es" if short.endswith(("s", "x", "z", "ch", "sh")) else f"{short}s")
