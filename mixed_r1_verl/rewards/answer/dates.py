"""Dates, months, weekdays, decades and times of day as charts and tables name them."""

import re
from collections.abc import Callable
from typing import NamedTuple

from mixed_r1_verl.rewards.answer.text import TENS
from mixed_r1_verl.rewards.answer.words import any_of


def _numbered(names: str, **more: int) -> dict[str, int]:
    """Names and their first three letters, numbered from 1."""
    return {word: place for place, name in enumerate(names.split(), 1) for word in (name, name[:3])} | more


_MONTHS = _numbered("january february march april may june july august september october november december", sept=9)
_WEEKDAYS = _numbered("monday tuesday wednesday thursday friday saturday sunday", tues=2, thur=4, thurs=4)
_QUARTERS = {word: place % 4 + 1 for place, word in enumerate("first second third fourth 1st 2nd 3rd 4th".split())}
_TENS = {f"{word.removesuffix('y')}ies": value for word, value in TENS.items()}
_MONTH = rf"(?P<month>{any_of(_MONTHS)})\.?"
_DAY = r"(?P<day>\d{1,2})(?:st|nd|rd|th)?"
_YEAR = r"(?P<year>\d{4}|'\d{2})"
_WEEKDAY = rf"(?P<weekday>{any_of(_WEEKDAYS)})\.?"
_DATES = (
    rf"{_MONTH}(?:\s+{_DAY})?(?:,?\s*{_YEAR})?",
    rf"{_MONTH}-(?P<year>\d{{2}}|\d{{4}})",
    r"(?P<month>0?[1-9]|1[0-2])/(?P<year>(?:1[5-9]|20)\d\d)",
    rf"{_DAY}\s+(?:of\s+)?{_MONTH}(?:,?\s*{_YEAR})?",
    rf"{_DAY}-{_MONTH}-{_YEAR}",
    rf"{_YEAR},?\s+{_MONTH}(?:\s+{_DAY})?",
    r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})",  # 2011-12 is a span of years
    r"(?P<month>\d{1,2})[-/.](?P<day>\d{1,2})[-/.](?P<year>\d{4})(?P<either>)",
    r"(?:(?P<year>\d{4})年)?(?P<month>\d{1,2})月(?:(?P<day>\d{1,2})[日号])?",
)
_CLOCK = r"(?P<hour>\d{1,2})(?::(?P<minute>\d{2}))?(?::00)?\s?(?P<half>[ap]\.?\s?m\.?)?"
_DECADE = rf"(?:the\s+)?(?:(?:(?P<year>(?:1[5-9]|20)\d0)|'?(?P<short>\d0))'?s|(?P<tens>{any_of(_TENS)}))"
_SPAN = r"(?P<first>(?:1[0-9]|20)\d\d)\s?[-/]\s?(?P<last>\d{4}|\d{2})"
_QUARTER = (
    rf"(?:(?P<year_before>(?:1[5-9]|20)\d\d)[\s,/-]*)?(?:q(?P<quarter>[1-4])|(?P<leading>[1-4])q|"
    rf"(?P<nth>{any_of(_QUARTERS)})[\s-]quarter)"
    r"(?:[\s,/-]*(?:of\s+)?(?P<year_behind>(?:1[5-9]|20)\d\d|'\d\d|(?<=q)\d\d)(?!\d))?"
)
MENTION = re.compile(
    rf"(?<![\w-])(?:{_QUARTER}|"
    rf"{any_of(_MONTHS)}\b\.?(?:\s+\d{{1,2}}(?:st|nd|rd|th)?\b)?(?:,?\s*\d{{4}})?|{any_of(_WEEKDAYS)}\b\.?|"
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
    for sort, parts, form in _FORMS:
        if (match := form.fullmatch(text)) and (readings := parts(**match.groupdict(""))):
            return [Moment(sort, reading) for reading in readings]
    return []


def _date(
    month: str = "", year: str = "", day: str = "", weekday: str = "", either: str | None = None
) -> list[tuple[int, ...]]:
    one, two = _MONTHS.get(month.lower()) or int(month or 0), int(day or 0)
    places = [(one, two)] if either is None else [(one, two), (two, one)]
    named = _WEEKDAYS.get(weekday.lower(), 0)
    return [(_year(year), one, two, named) for one, two in places if bool(month) <= one <= 12 and two <= 31]


def _year(written: str) -> int:
    """A year, also of two digits; 0 for none."""
    written = written.lstrip("'")
    return int(written or 0) + (0 if len(written) != 2 else 2000 if written < "70" else 1900)


def _time(hour: str, minute: str, half: str) -> list[tuple[int, ...]]:
    hours, minutes, afternoon = int(hour), int(minute or 0), half[:1].lower() == "p"
    if not (minute or half) or hours > 24 or minutes > 59 or (half and not 1 <= hours <= 12):
        return []
    return [((hours % 12 + 12 * afternoon if half else hours) * 60 + minutes, int(bool(half)))]


def _decade(year: str, short: str, tens: str) -> list[tuple[int, ...]]:
    last = int(short) if short else _TENS.get(tens.lower(), 0)
    return [(int(year),)] if year else sorted([(1900 + last,), (2000 + last,)], reverse=last < 30)


def _span(first: str, last: str) -> list[tuple[int, ...]]:
    start, end = int(first), int(first[: -len(last)] + last)
    return [(start, end if end > start else end + 100)] if end != start else []


def _quarter(year_before: str, year_behind: str, quarter: str, leading: str, nth: str) -> list[tuple[int, ...]]:
    if bool(year_before) == bool(year_behind):
        return []
    return [(_year(year_before or year_behind), _QUARTERS.get(nth.lower()) or int(quarter or leading))]


_SORTS: tuple[tuple[str, Callable[..., list[tuple[int, ...]]], str], ...] = (
    ("time", _time, _CLOCK),
    ("date", _date, rf"{_WEEKDAY}[ ,]*"),
    *(("date", _date, rf"(?:{_WEEKDAY}[ ,]+)?{date}") for date in _DATES),
    ("decade", _decade, _DECADE),
    ("span", _span, _SPAN),
    ("quarter", _quarter, rf"(?:the\s+)?{_QUARTER}"),
)
_FORMS = [(sort, parts, re.compile(form, re.IGNORECASE)) for sort, parts, form in _SORTS]
