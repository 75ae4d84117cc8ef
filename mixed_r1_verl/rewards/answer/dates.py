"""Dates, months, weekdays, decades and times of day as charts and tables name them."""

import re
from typing import NamedTuple

from mixed_r1_verl.rewards.answer.text import TENS


def _numbered(names: str, **more: int) -> dict[str, int]:
    """Names and their first three letters, numbered from 1."""
    return {word: place for place, name in enumerate(names.split(), 1) for word in (name, name[:3])} | more


def _any_of(words: dict[str, int]) -> str:
    return rf"(?:{'|'.join(sorted(words, key=len, reverse=True))})"


_MONTHS = _numbered("january february march april may june july august september october november december", sept=9)
_WEEKDAYS = _numbered("monday tuesday wednesday thursday friday saturday sunday", tues=2, thur=4, thurs=4)
_MONTH = rf"(?P<month>{_any_of(_MONTHS)})\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>\d{4}|'\d{2})"
_DATE_FORMS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"{_MONTH}(?:\s+{_DAY})?(?:,?\s*{_YEAR})?",
        rf"{_MONTH}[ -](?P<year>\d{{2}}|\d{{4}})",
        r"(?P<month>0?[1-9]|1[0-2])/(?P<year>(?:1[5-9]|20)\d\d)",
        rf"{_DAY}\s+(?:of\s+)?{_MONTH}(?:,?\s*{_YEAR})?",
        rf"{_DAY}-{_MONTH}-{_YEAR}",
        rf"{_YEAR},?\s+{_MONTH}(?:\s+{_DAY})?",
        r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})",  # 2011-12 is a span of years
        r"(?P<month>\d{1,2})[-/.](?P<day>\d{1,2})[-/.](?P<year>\d{4})(?P<either>)",
        r"(?:(?P<year>\d{4})年)?(?P<month>\d{1,2})月(?:(?P<day>\d{1,2})[日号])?",
    )
)
_WEEKDAY = re.compile(rf"(?P<weekday>{_any_of(_WEEKDAYS)})\.?(?:(?P<rest>[ ,].*)|)", re.IGNORECASE)
_CLOCK = re.compile(r"(?P<hour>\d{1,2})(?::(?P<minute>\d{2}))?(?::00)?\s?(?P<meridiem>[ap]\.?\s?m\.?)?", re.IGNORECASE)
_TENS = "|".join(word.removesuffix("y") for word in TENS)
_DECADE = re.compile(
    rf"(?:the\s+)?(?:(?:(?P<year>(?:1[5-9]|20)\d0)|'?(?P<short>\d0))'?s|(?P<tens>{_TENS})ies)", re.IGNORECASE
)

_QUARTERS = {word: place % 4 + 1 for place, word in enumerate("first second third fourth 1st 2nd 3rd 4th".split())}
_QUARTER = (
    rf"(?:(?P<year_before>(?:1[5-9]|20)\d\d)[\s,/-]*)?(?:q(?P<quarter>[1-4])|(?P<leading>[1-4])q|"
    rf"(?P<nth>{_any_of(_QUARTERS)})[\s-]quarter)"
    r"(?:[\s,/-]*(?:of\s+)?(?P<year_behind>(?:1[5-9]|20)\d\d|'\d\d|(?<=q)\d\d)(?!\d))?"
)
_A_QUARTER = re.compile(rf"(?:the\s+)?{_QUARTER}", re.IGNORECASE)
_SPAN = re.compile(r"(?P<first>(?:1[0-9]|20)\d\d)\s?[-/]\s?(?P<last>\d{4}|\d{2})")
MENTION = re.compile(
    rf"(?<![\w-])(?:{_QUARTER}|"
    rf"{_any_of(_MONTHS)}\b\.?(?:\s+\d{{1,2}}(?:st|nd|rd|th)?\b)?(?:,?\s*\d{{4}})?|{_any_of(_WEEKDAYS)}\b\.?|"
    r"\d{1,2}:\d{2}(?:\s?[ap]\.?m\b\.?)?|\d{1,2}\s?[ap]\.?m\b\.?|(?:1[0-9]|20)\d\d(?:'?s|\s?[-/]\s?(?:\d\d){1,2})?|'?\d0s)(?![\w-])",
    re.IGNORECASE,
)
"""A quarter, month, weekday, time of day, year, season or decade in a running text."""


class Moment(NamedTuple):
    """A date, time of day, decade, season or quarter of a year.

    Attributes:
        sort: which of these it is.
        parts: `date`: year, month, day, weekday + 1, each 0 where it is not said; `time`: minutes since midnight, and
            whether a.m. or p.m. was said; `decade`: its first year; `span`: its first and last year;
            `quarter`: year and quarter.
    """

    sort: str
    parts: tuple[int, ...]

    def same(self, other: "Moment") -> bool:
        """Whether two are the same, as far as both say it.

        Beside other parts a weekday may be left out; without a.m. or p.m. on one side the face of the clock must agree.

        >>> read_moments("3 May 2021")[0].same(read_moments("Monday, 3 May 2021")[0])
        True
        >>> quarter = read_moments("1:15 pm")[0]
        >>> quarter.same(read_moments("1:15")[0]), quarter.same(read_moments("1:15 am")[0])
        (True, False)
        """
        one, two = self.parts, other.parts
        if self.sort != other.sort or one == two:
            return self == other
        if self.sort == "date":
            return any(one[:3]) and one[:3] == two[:3] and 0 in (one[3], two[3])
        if self.sort == "time":
            bare = two[0] if one[1] else one[0]
            return one[0] == two[0] or (one[1] != two[1] and 60 <= bare < 780 and (one[0] - two[0]) % 720 == 0)
        return False


def read_moments(text: str) -> list[Moment]:
    """The readings of a text that is one moment, the likeliest first; none for other texts.

    >>> read_moments("Monday, 3 May 2021"), read_moments("in May")
    ([Moment(sort='date', parts=(2021, 5, 3, 1))], [])
    >>> [[one.parts for one in read_moments(text)] for text in ("04/10/2020", "1:15 P.M.", "'20s", "2019/20")]
    [[(2020, 4, 10, 0), (2020, 10, 4, 0)], [(795, 1)], [(2020,), (1920,)], [(2019, 2020)]]
    """
    text = text.strip().rstrip(".,")
    for sort, read in (("time", _time), ("date", _dates), ("decade", _decades), ("span", _span), ("quarter", _quarter)):
        if readings := read(text):
            return [Moment(sort, parts) for parts in readings]
    return []


def _dates(text: str) -> list[tuple[int, ...]]:
    weekday = 0
    if match := _WEEKDAY.fullmatch(text):
        text, weekday = (match["rest"] or "").strip(" ,"), _WEEKDAYS[match["weekday"].lower()]
        if not text:
            return [(0, 0, 0, weekday)]
    parts = next((match.groupdict() for form in _DATE_FORMS if (match := form.fullmatch(text))), None)
    if parts is None:
        return []
    year = _full_year(parts.get("year") or "")
    month, day = _MONTHS.get(parts["month"].lower()) or int(parts["month"]), int(parts.get("day") or 0)
    readings = [(year, month, day, weekday), *([(year, day, month, weekday)] if "either" in parts else [])]
    return [date for date in readings if 1 <= date[1] <= 12 and date[2] <= 31]


def _full_year(written: str) -> int:
    """A year, also of two digits; 0 for none."""
    written = written.lstrip("'")
    return int(written or 0) + (0 if len(written) != 2 else 2000 if written < "70" else 1900)


def _time(text: str) -> list[tuple[int, ...]]:
    match = _CLOCK.fullmatch(text)
    if match is None or not (match["minute"] or match["meridiem"]):
        return []
    hour, minute, half = int(match["hour"]), int(match["minute"] or 0), (match["meridiem"] or "")[:1].lower()
    if hour > 24 or minute > 59 or (half and not 1 <= hour <= 12):
        return []
    return [((hour % 12 + 12 * (half == "p") if half else hour) * 60 + minute, int(bool(half)))]


def _decades(text: str) -> list[tuple[int, ...]]:
    match = _DECADE.fullmatch(text)
    if match is None or match["year"]:
        return [(int(match["year"]),)] if match else []
    short = int(match["short"]) if match["short"] else TENS[match["tens"].lower() + "y"]
    return sorted([(1900 + short,), (2000 + short,)], reverse=short < 30)


def _span(text: str) -> list[tuple[int, ...]]:
    match = _SPAN.fullmatch(text)
    if match is None:
        return []
    first = int(match["first"])
    last = int(match["last"]) if len(match["last"]) == 4 else first - first % 100 + int(match["last"])
    return [(first, last if last > first else last + 100)] if last != first else []


def _quarter(text: str) -> list[tuple[int, ...]]:
    match = _A_QUARTER.fullmatch(text)
    if match is None or bool(match["year_before"]) == bool(match["year_behind"]):
        return []
    quarter = _QUARTERS[match["nth"].lower()] if match["nth"] else int(match["quarter"] or match["leading"])
    return [(_full_year(match["year_before"] or match["year_behind"]), quarter)]
