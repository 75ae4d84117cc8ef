"""What type of answer a row asks for, guessed from its question and its ground truth."""

import pytest

from mixed_r1_verl.rewards.answer.types import ANSWER_TYPES, answer_type_of, guess_answer_type
from mixed_r1_verl.rewards.verdict import GroundTruthError

ASKS_YEAR = [
    "In which year was the plague?",
    "When did the line peak?",
    "Name the year of the plague.",
    "What two years have the same value?",
    "Which year(s) recorded the maximum?",
    "In the chart, what year had the most visitors?",
    "Until which year did it fall?",
    "Sales peaked when?",
    "What is the year with the second highest number of sales?",
]
ASKS_NO_YEAR = [
    "How many cars were sold in the year 2010?",
    "What was the GDP in the year 2010?",
    "What is the total of both years?",
    "What was the year-over-year growth?",
    "What is that year's total?",
    "How high was it when the war began?",
    "",
]


@pytest.mark.parametrize("question", ASKS_YEAR)
def test_asks_year(question: str) -> None:
    assert guess_answer_type("1066", question) == guess_answer_type("1680", question) == "year"


@pytest.mark.parametrize("question", ASKS_NO_YEAR)
def test_asks_no_year(question: str) -> None:
    assert guess_answer_type("1066", question) != "year"


GUESSES = [
    ("1680", "", "year"),
    ("1680", "How many cars were sold?", "number"),
    ("1680", "Which bar is the highest?", "year"),
    ("1250", "", "number"),
    ("1066", "When was the battle?", "year"),
    ("2616", "When was it?", "number"),
    ("2,008", "", "number"),
    ("5G", "", "label"),
    ("42 km", "", "number"),
    ("1990s", "", "date"),
    ("2010/11", "", "date"),
    ("1:15 P.M.", "", "date"),
    ("May 2015", "", "date"),
    ("03/2010", "", "date"),
    ("3/2010", "What is the date of the peak?", "date"),
    ("1/2000", "", "number"),
    ("Correct", "", "label"),
    ("yes", "", "yes_no"),
    ("[1, 2]", "Which bars are equal?", "set"),
    ("[1, 2]", "List them in ascending order.", "list"),
    ("a; b", "", "set"),
    ("Chile", "", "label"),
    ("C", "", "choice"),
    (r"\frac{1}{2}x+1", "", "expression"),
]


@pytest.mark.parametrize(("truth", "question", "expected"), GUESSES)
def test_guess(truth: str, question: str, expected: str) -> None:
    assert guess_answer_type(truth, question) == expected


def test_a_row_that_says_its_type() -> None:
    assert [answer_type_of({"answer_type": name}) for name in ANSWER_TYPES] == list(ANSWER_TYPES)
    assert answer_type_of({}) == answer_type_of({"answer_type": None}) == ""
    with pytest.raises(GroundTruthError, match="answer_type 'colour' is none of choice"):
        answer_type_of({"answer_type": "colour"})
