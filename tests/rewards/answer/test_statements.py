"""Where answers commit themselves: announcements, boxes, descriptions, bare sentences, and what is none of these."""

import pytest

from mixed_r1_verl.rewards.answer.statements import find_claims, offered_numbers, readings, said
from mixed_r1_verl.rewards.answer.text import text_key

ANNOUNCED = [
    ("The answer is B.", ["B."]),
    ("Answer: B", ["B"]),
    ('"answer": "B"', ['"B"']),
    ("Final answer = B", ["B"]),
    ("The answer to the second question is B.", ["B."]),
    ("A is wrong, so B", ["B"]),
    ("There is a tail, so the answer is B.", ["a tail, so the answer is B.", "B."]),
    ("Therefore, it is B", ["B"]),
    ("I think that the answer is B", ["B"]),
    ("I would go with B", ["B"]),
    ("It is not A, it is B", ["not A, it is B", "B"]),
    ("答案是B", ["B"]),
    ("故选B", ["B"]),
    # not announced
    ("The answer is not clear. If the answer is B, it barks.", ["not clear."]),
    ("I don't think the answer is B", []),
    ("Maybe the answer is B", []),
    ("The answer could be B", []),
    ("The wrong answer is B", []),
    ("Is the answer B?", []),
    ("The options are A and B", []),
    ("答案不是B", []),
    ("A dog barks", []),
]


@pytest.mark.parametrize(("text", "announced"), ANNOUNCED)
def test_announced(text: str, announced: list[str]) -> None:
    assert sorted(find_claims(text).announced) == sorted(announced)


def test_the_other_places() -> None:
    claims = find_claims("The color of the cube is red.\nSo, \\boxed{red}")
    assert claims.boxed == ("red",)
    assert claims.described == ("red.",)
    assert claims.sentences == ("The color of the cube is red.", "red")
    assert find_claims("The cube is not what is red.").described == ()


READINGS = [
    ("dog, because it barks.", ["dog, because it barks", "dog"]),
    ("dog, not cat", ["dog, not cat", "dog"]),
    ("dog - it barks", ["dog - it barks", "dog"]),
    ("dog is the correct answer", ["dog is the correct answer", "dog"]),
    ("Chile (42%)", ["Chile (42%)", "Chile"]),
    ("Child (before age 5)", ["Child (before age 5)"]),
    ("Upper half", ["Upper half"]),
]


@pytest.mark.parametrize(("claim", "expected"), READINGS)
def test_readings(claim: str, expected: list[str]) -> None:
    assert readings(claim) == expected


SAID = [
    ("Chile", ["Chile"]),
    ("Peru", []),
    ("Chile.", ["Chile"]),
    ("Chile. Its bar is the longest.", ["Chile"]),
    ("The answer is Chile. The bar is long.", ["Chile"]),
    ("The country is Chile.", ["Chile"]),
    ("Peru. Its bar is the longest.", ["the longest"]),
    ("Chile. Peru.", []),
    ("It is not Chile", []),
]


@pytest.mark.parametrize(("text", "expected"), SAID)
def test_said(text: str, expected: list[str]) -> None:
    assert said(text, text_key, "chile") == expected


OFFERED = [
    ("42", [42]),
    ("[42]", [42]),
    ("The bar shows 42 in 2008", [42]),
    ("in 2008", [2008]),
    ("12 + 30 = 42", [42]),
    ("12 (54 - 42)", [12]),
    ("42 in Chile", [42]),
    ("42 or 43", []),
    ("The answer is 42 or 43", []),
    ("The answer is 42, or maybe 43", []),
    ("42, 43", [42, 43]),
    ("over 42", []),
    ("no number", []),
]


@pytest.mark.parametrize(("text", "values"), OFFERED)
def test_offered_numbers(text: str, values: list[float]) -> None:
    assert [number.value for number in offered_numbers(text)] == values
