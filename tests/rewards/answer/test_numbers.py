"""Typed numbers: everything that may be written around the digits."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixed_r1_verl.rewards.answer.numbers import find_numbers, parse_number

VALUES = [
    ("5", 5),
    ("5.", 5),
    (" 5 ", 5),
    ("0.0", 0),
    (".5", 0.5),
    ("-5", -5),
    ("- 5", -5),
    ("−5", -5),
    ("minus 3", -3),
    ("negative 3", -3),
    ("+5", 5),
    ("1,200", 1200),
    ("1,234,567.5", 1234567.5),
    ("1,20,000", 120000),
    ("140 300", 140300),
    ("1\u202f200", 1200),
    ("1'200", 1200),
    ("1e6", 1e6),
    ("1.2E-3", 0.0012),
    ("1.2×10^6", 1.2e6),
    (r"1.2 \times 10^{6}", 1.2e6),
    ("3/20", 0.15),
    (r"\frac{3}{20}", 0.15),
    ("½", 0.5),
    ("1 1/2", 1.5),
    ("2.5 million", 2.5e6),
    ("2.5M", 2.5e6),
    ("5k", 5000),
    ("5K", 5000),
    ("3 bn", 3e9),
    ("2 thousand", 2000),
    ("1.5 trillion", 1.5e12),
    ("3万", 30000),
    ("about 5", 5),
    ("~5", 5),
    ("approximately 5.5", 5.5),
    ("zero", 0),
    ("twenty-one", 21),
    ("one hundred and five", 105),
    ("three thousand two hundred", 3200),
    ("two million", 2e6),
    ("minus two", -2),
    ("2 hours and 45 minutes", 165),
    ("１２", 12),
]


@pytest.mark.parametrize(("text", "value"), VALUES)
def test_value(text: str, value: float) -> None:
    number = parse_number(text)
    assert number is not None
    assert number.value == pytest.approx(value, rel=1e-12)


TYPED = [
    ("$5", {"unit": "$"}),
    ("-$5", {"unit": "$"}),
    ("$-5", {"unit": "$"}),
    ("5$", {"unit": "$"}),
    ("US$ 5", {"unit": "US$"}),
    ("5 dollars", {"unit": "dollars"}),
    ("€5", {"unit": "€"}),
    ("5 euros", {"unit": "euros"}),
    ("$1.2 billion", {"unit": "$", "scale": 1e9}),
    ("41%", {"percent": True}),
    ("41 %", {"percent": True}),
    ("41 percent", {"percent": True}),
    ("41 per cent of adults", {"percent": True}),
    ("forty percent", {"percent": True}),
    ("£1.2m", {"unit": "£", "scale": 1e6, "value": 1.2e6}),
    ("1.2m", {"unit": "m", "scale": 1.0}),
    ("5 km", {"unit": "km"}),
    ("5km", {"unit": "km"}),
    ("9米", {"unit": "米"}),
    ("65°", {"unit": "°"}),
    ("36 cm²", {"unit": "cm^2"}),
    ("42 million people", {"unit": "people", "scale": 1e6}),
    ("5 years old", {"unit": "years old"}),
    ("two cubes", {"unit": "cubes"}),
    ("2008", {"plain": True}),
    ("2,008", {"plain": False}),
    ("2008.0", {"plain": False}),
    ("2 hours and 45 minutes", {"exact": True, "unit": "minutes"}),
]


@pytest.mark.parametrize(("text", "fields"), TYPED)
def test_type(text: str, fields: dict[str, object]) -> None:
    number = parse_number(text)
    assert number is not None
    assert {name: getattr(number, name) for name in fields} == fields


NOT_ONE_NUMBER = [
    "",
    "abc",
    "40 or 42",
    "30-49",
    "1,2",
    "3,5",
    "2013,2016",
    "1.234,56",
    "1:15",
    "2008 and 2010",
    "3rd",
    "COVID-19",
    "5 because",
    "5 people in 2008",
    "++5",
    "5%%",
    "5/",
    "1/0",
    "1e999",
    "1" * 50,
    "nan",
    "inf",
    "one or two",
    "no one",
    "twenty twenty",
    "$5€",
    "about",
    "=",
    "only",
]


@pytest.mark.parametrize("text", NOT_ONE_NUMBER)
def test_not_one_number(text: str) -> None:
    assert parse_number(text) is None


PROSE = [
    ("It rose 4% to 1,200 in Q3.", [4, 1200]),
    ("between 40 and 42", [40, 42]),
    ("40-42", []),
    ("$5-$10", []),
    ("COVID-19 in 2020", [2020]),
    ("the 3rd of 5", [5]),
    ("3+", []),
    ("a1 b2 3c", []),
    ("1.2.3", []),
]


@pytest.mark.parametrize(("text", "values"), PROSE)
def test_find_numbers(text: str, values: list[float]) -> None:
    assert [number.value for number, _, _ in find_numbers(text)] == values


@given(st.integers(-(10**9), 10**9))
def test_every_integer_is_read_back(value: int) -> None:
    for text in (str(value), f"{value:,}", f"{value:,}.0"):
        number = parse_number(text)
        assert number is not None
        assert number.value == value


@given(st.text(max_size=60))
def test_never_raises(text: str) -> None:
    parse_number(text)
    find_numbers(text)


@pytest.mark.parametrize("shape", ["1", "1,", "1 ", "-", "1,111", "$ ", "1/", "minus ", "1 per ", "1e1"])
def test_prose_of_answer_length_is_fast(shape: str) -> None:
    text = (shape * 2000)[:2000]
    start = time.thread_time()
    find_numbers(text)
    parse_number(text)
    assert time.thread_time() - start < 0.1
