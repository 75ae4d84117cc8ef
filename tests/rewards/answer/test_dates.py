"""Dates and times of day, read from the texts that charts and tables print."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixed_r1_verl.rewards.answer.dates import Moment, read_moments

# text, readings as year, month, day, weekday + 1
DATES: list[tuple[str, list[tuple[int, ...]]]] = [
    # axis labels of ChartQA and PlotQA
    ("Jan 2016", [(2016, 1, 0, 0)]),
    ("Sept. 2019", [(2019, 9, 0, 0)]),
    ("March", [(0, 3, 0, 0)]),
    ("Jan '19", [(2019, 1, 0, 0)]),
    ("May-98", [(1998, 5, 0, 0)]),
    ("2020-02-14", [(2020, 2, 14, 0)]),
    # calendars and schedules of TabMWP
    ("Monday", [(0, 0, 0, 1)]),
    ("Sun.", [(0, 0, 0, 7)]),
    ("July 4, 1999", [(1999, 7, 4, 0)]),
    ("the 4th of July", []),
    ("4th of July", [(0, 7, 4, 0)]),
    ("Friday, 1 October 2021", [(2021, 10, 1, 5)]),
    # both readings of a date with slashes; one where the other has no such month
    ("04/10/2020", [(2020, 4, 10, 0), (2020, 10, 4, 0)]),
    ("25/12/2020", [(2020, 12, 25, 0)]),
    # Chinese
    ("2021年5月3日", [(2021, 5, 3, 0)]),
    ("5月", [(0, 5, 0, 0)]),
    # no dates
    ("2011-12", []),
    ("Mayor", []),
    ("13", []),
    ("", []),
]


@pytest.mark.parametrize(("text", "dates"), DATES)
def test_dates(text: str, dates: list[tuple[int, ...]]) -> None:
    assert [one.parts for one in read_moments(text) if one.sort == "date"] == dates


CLOCKS: list[tuple[str, list[tuple[int, ...]]]] = [
    ("1:15 P.M.", [(795, True)]),
    ("12:00 a.m.", [(0, True)]),
    ("12 pm", [(720, True)]),
    ("07:05", [(425, False)]),
    ("13:15", [(795, False)]),
    ("13 pm", []),
    ("25:00", []),
    ("7", []),
    ("7:60", []),
]


@pytest.mark.parametrize(("text", "times"), CLOCKS)
def test_clock(text: str, times: list[tuple[int, ...]]) -> None:
    assert [one.parts for one in read_moments(text) if one.sort == "time"] == times


@given(st.integers(1000, 2100), st.integers(1, 12), st.integers(1, 28))
def test_iso_dates_have_one_reading(year: int, month: int, day: int) -> None:
    assert read_moments(f"{year}-{month:02d}-{day:02d}") == [Moment("date", (year, month, day, 0))]


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    for sort, parts in read_moments(text):
        assert sort != "date" or 1 <= parts[1] <= 12 or parts[3]
        assert sort != "time" or 0 <= parts[0] <= 24 * 60 + 59
