"""Dates, months, weekdays and clock times as charts and tables name them."""

import re

_MONTHS = {
    name: index
    for index, names in enumerate(
        (
            ("january", "jan"),
            ("february", "feb"),
            ("march", "mar"),
            ("april", "apr"),
            ("may",),
            ("june", "jun"),
            ("july", "jul"),
            ("august", "aug"),
            ("september", "sep", "sept"),
            ("october", "oct"),
            ("november", "nov"),
            ("december", "dec"),
        ),
        start=1,
    )
    for name in names
}
_WEEKDAYS = {
    name: index
    for index, names in enumerate(
        (
            ("monday", "mon"),
            ("tuesday", "tue", "tues"),
            ("wednesday", "wed"),
            ("thursday", "thu", "thur", "thurs"),
            ("friday", "fri"),
            ("saturday", "sat"),
            ("sunday", "sun"),
        )
    )
    for name in names
}
_MONTH = rf"(?P<month>{'|'.join(sorted(_MONTHS, key=len, reverse=True))})\.?"
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
    )
)
_ISO_DATE = re.compile(r"(?P<year>\d{4})[-/.](?P<month>\d{1,2})[-/.](?P<day>\d{1,2})")  # 2011-12 is a span of years
_SLASHED_DATE = re.compile(r"(?P<first>\d{1,2})[-/.](?P<second>\d{1,2})[-/.](?P<year>\d{4})")
_CHINESE_DATE = re.compile(r"(?:(?P<year>\d{4})年)?(?P<month>\d{1,2})月(?:(?P<day>\d{1,2})[日号])?")
_WEEKDAY = re.compile(rf"(?P<weekday>{'|'.join(sorted(_WEEKDAYS, key=len, reverse=True))})\.?", re.IGNORECASE)
_CLOCK = re.compile(r"(?P<hour>\d{1,2})(?::(?P<minute>\d{2}))?(?::00)?\s?(?P<meridiem>[ap]\.?\s?m\.?)?", re.IGNORECASE)

Date = tuple[int, int, int, int]
"""Year, month, day, weekday + 1; 0 where the date does not say."""


def read_dates(text: str) -> list[Date]:
    """The readings of a text that is one date, month or weekday; more than one for `04/10/2020`, none for other texts.

    >>> read_dates("Monday, 3 May 2021"), read_dates("04/10/2020"), read_dates("in May")
    ([(2021, 5, 3, 1)], [(2020, 4, 10, 0), (2020, 10, 4, 0)], [])
    """
    text = text.strip().rstrip(".,")
    if len(text) > 30:
        return []
    weekday = _WEEKDAY.match(text)
    day_of_week = 0
    if weekday:
        rest = text[weekday.end() :].strip(" ,")
        if not rest:
            return [(0, 0, 0, _WEEKDAYS[weekday["weekday"].lower()] + 1)]
        if text[weekday.end()] in " ,":
            day_of_week, text = _WEEKDAYS[weekday["weekday"].lower()] + 1, rest
    for form in (*_DATE_FORMS, _ISO_DATE, _CHINESE_DATE):
        match = form.fullmatch(text)
        if match:
            parts = match.groupdict()
            month = parts["month"]
            number = int(month) if month.isdigit() else _MONTHS[month.lower()]
            return _valid([(_full_year(parts.get("year")), number, int(parts.get("day") or 0), day_of_week)])
    match = _SLASHED_DATE.fullmatch(text)
    if match:
        first, second, year = int(match["first"]), int(match["second"]), int(match["year"])
        return _valid([(year, first, second, day_of_week), (year, second, first, day_of_week)])
    return []


def _full_year(text: str | None) -> int:
    if not text:
        return 0
    year = int(text.lstrip("'"))
    return year if year >= 100 else year + (2000 if year < 70 else 1900)


def _valid(dates: list[Date]) -> list[Date]:
    return [date for date in dates if 1 <= date[1] <= 12 and date[2] <= 31]


def read_clock(text: str) -> tuple[int | None, bool]:
    """Minutes since midnight, and whether a.m. or p.m. was said; None for a text that is no time of day.

    >>> read_clock("1:15 P.M."), read_clock("13:15"), read_clock("13")
    ((795, True), (795, False), (None, False))
    """
    match = _CLOCK.fullmatch(text.strip().rstrip(",")) if len(text) <= 20 else None
    if match is None or not (match["minute"] or match["meridiem"]):
        return None, False
    hour, minute = int(match["hour"]), int(match["minute"] or 0)
    if hour > 24 or minute > 59 or (match["meridiem"] and not 1 <= hour <= 12):
        return None, False
    if match["meridiem"]:
        hour = hour % 12 + (12 if match["meridiem"].lower().startswith("p") else 0)
    return hour * 60 + minute, bool(match["meridiem"])
