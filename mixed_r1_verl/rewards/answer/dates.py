"""Dates, months, weekdays, decades and times of day as charts and tables name them."""

import re

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

_SPAN = re.compile(r"(?P<first>(?:1[0-9]|20)\d\d)\s?[-/]\s?(?P<last>\d{4}|\d{2})")
MOMENT = re.compile(
    rf"(?<![\w-])(?:{_any_of(_MONTHS)}\b\.?(?:\s+\d{{1,2}}(?:st|nd|rd|th)?\b)?(?:,?\s*\d{{4}})?|{_any_of(_WEEKDAYS)}\b\.?|"
    r"\d{1,2}:\d{2}(?:\s?[ap]\.?m\b\.?)?|\d{1,2}\s?[ap]\.?m\b\.?|(?:1[0-9]|20)\d\d(?:'?s|\s?[-/]\s?(?:\d\d){1,2})?|'?\d0s)(?![\w-])",
    re.IGNORECASE,
)
"""A month, weekday, time of day, year, season or decade in a running text."""

Date = tuple[int, int, int, int]
"""Year, month, day, weekday + 1; 0 where the date does not say."""
Time = tuple[int, bool]
"""Minutes since midnight, and whether a.m. or p.m. was said."""


def read_dates(text: str) -> list[Date]:
    """The readings of a text that is one date, month or weekday; more than one for `04/10/2020`, none for other texts.

    >>> read_dates("Monday, 3 May 2021"), read_dates("04/10/2020"), read_dates("in May")
    ([(2021, 5, 3, 1)], [(2020, 4, 10, 0), (2020, 10, 4, 0)], [])
    """
    text, weekday = text.strip().rstrip(".,"), 0
    match = _WEEKDAY.fullmatch(text)
    if match:
        text, weekday = (match["rest"] or "").strip(" ,"), _WEEKDAYS[match["weekday"].lower()]
        if not text:
            return [(0, 0, 0, weekday)]
    parts = next((match.groupdict() for form in _DATE_FORMS if (match := form.fullmatch(text))), None)
    if parts is None:
        return []
    written = (parts.get("year") or "").lstrip("'")
    year = int(written or 0) + (0 if len(written) != 2 else 2000 if written < "70" else 1900)
    month, day = _MONTHS.get(parts["month"].lower()) or int(parts["month"]), int(parts.get("day") or 0)
    readings = [(year, month, day, weekday), *([(year, day, month, weekday)] if "either" in parts else [])]
    return [date for date in readings if 1 <= date[1] <= 12 and date[2] <= 31]


def same_date(one: Date, other: Date) -> bool:
    """Whether two dates have the same parts; beside other parts a weekday may be left out.

    >>> same_date((2021, 5, 3, 1), (2021, 5, 3, 0)), same_date((2021, 5, 3, 0), (0, 5, 3, 0))
    (True, False)
    """
    if not any(one[:3]) or not any(other[:3]):
        return one == other
    return one[:3] == other[:3] and 0 in (one[3], other[3], one[3] - other[3])


def read_times(text: str) -> list[Time]:
    """The time of day that a text is, as minutes since midnight and whether a.m. or p.m. was said; none for others.

    >>> read_times("1:15 P.M."), read_times("13:15"), read_times("13")
    ([(795, True)], [(795, False)], [])
    """
    match = _CLOCK.fullmatch(text.strip().rstrip(","))
    if match is None or not (match["minute"] or match["meridiem"]):
        return []
    hour, minute = int(match["hour"]), int(match["minute"] or 0)
    if hour > 24 or minute > 59 or (match["meridiem"] and not 1 <= hour <= 12):
        return []
    if match["meridiem"]:
        hour = hour % 12 + (12 if match["meridiem"].lower().startswith("p") else 0)
    return [(hour * 60 + minute, bool(match["meridiem"]))]


def same_time(one: Time, other: Time) -> bool:
    """Whether two times are the same; without a.m. or p.m. on one side the face of the clock must be.

    >>> same_time((795, True), (75, False)), same_time((795, True), (75, True))
    (True, False)
    """
    bare = other[0] if one[1] else one[0]
    return one[0] == other[0] or (one[1] != other[1] and 60 <= bare < 780 and (one[0] - other[0]) % 720 == 0)


def read_spans(text: str) -> list[tuple[int, int]]:
    """The first and last year of a text that is a season or span of years.

    >>> read_spans("2019/20"), read_spans("2010-2015"), read_spans("2019")
    ([(2019, 2020)], [(2010, 2015)], [])
    """
    match = _SPAN.fullmatch(text.strip().rstrip(".,"))
    if match is None:
        return []
    first = int(match["first"])
    last = int(match["last"]) if len(match["last"]) == 4 else first - first % 100 + int(match["last"])
    return [(first, last if last > first else last + 100)] if last != first else []


def read_decades(text: str) -> list[int]:
    """The first year of the decade that a text is; two of them, the likelier first, where the century is not said.

    >>> read_decades("the 1990s"), read_decades("'20s"), read_decades("nineties"), read_decades("1995")
    ([1990], [2020, 1920], [1990, 2090], [])
    """
    match = _DECADE.fullmatch(text.strip().rstrip(".,"))
    if match is None:
        return []
    if match["year"]:
        return [int(match["year"])]
    short = int(match["short"]) if match["short"] else TENS[match["tens"].lower() + "y"]
    return [1900 + short, 2000 + short] if short >= 30 else [2000 + short, 1900 + short]
