"""Forms of answers that nobody had looked at when the rules were written, in tables by kind and question."""

import pytest

from mixed_r1_verl.rewards.kinds.chart import chart_reward
from mixed_r1_verl.rewards.kinds.matching import matching_reward
from mixed_r1_verl.rewards.kinds.math import math_reward

AGES = "Which age group leads?"
CHART: list[tuple[str, str, bool, list[str]]] = [  # gold, question, paid, answers
    ("42", "", True, ["约为42", "约42", "大约是42", "大约42%", "数值为42", "数值约为42。", "值为约42"]),
    ("42", "", False, ["约为52", "大约是24", "约40到60", "不是42", "约42万", "数值不为42"]),
    ("18-24", AGES, True, ["18–24 years", "18-24 years old", "18-24-year-olds", "aged 18-24", "ages 18 to 24"]),
    ("18-24", AGES, True, ["18-24 age group", "The age group 18 to 24", "The 18-24 age group leads.", "18 to 24"]),
    ("18-24 years", AGES, True, ["18-24", "aged 18-24"]),
    ("18-24", AGES, False, ["30-40", "18-25", "18 to 34 years", "18-24 months", "18-24 and 25-34 years", "over 18-24"]),
    ("18-24", AGES, False, ["18-24 years or 25-34 years", "aged 18", "not aged 18-24", "24-18"]),
    ("Q3 2019", "", True, ["2019 Q3", "Q3 of 2019", "3Q19", "Q3 '19", "2019-Q3", "the third quarter of 2019"]),
    ("Q3 2019", "", True, ["3rd quarter of 2019", "In Q3 2019.", "Q3 2019 had the highest value.", "Q3, 2019"]),
    ("the third quarter of 2019", "", True, ["Q3 2019"]),
    ("Q3 2019", "", False, ["Q2 2019", "2018 Q3", "3Q18", "4Q19", "the second quarter of 2019", "Q3", "2019"]),
    ("Q3 2019", "", False, ["Q3 2019 or Q2 2019", "Q3 2019 and 4Q19", "not Q3 2019", "2018 Q3 2019", "after Q3 2019"]),
    ("500000", "", True, ["half a million"]),
    ("500000", "", False, ["half a million million", "half a thousand million"]),
    ("Chile", "", True, ["Chile's"]),
    ("Chile", "", False, ["Chile's Peru", "The country's a Peru"]),
]
FRACTIONS, NUMBERS, FRUIT = (
    ("1/2", "1/3", "2/3", "3/4"),
    ("12", "15", "18", "21"),
    ("apple", "banana", "cherry", "grape"),
)
MATCHING: list[tuple[str, tuple[str, ...], bool, list[str]]] = [  # gold, choices, paid, answers
    ("4", (), True, ["图中有4个人。", "图中共有4只猫。", "有四把椅子", "图片中一共有4个"]),
    ("4", (), False, ["图中有5个人。", "图中没有4个人。", "图中至少有4个人。", "有四把或五把椅子"]),
    ("cat", (), True, ["The animal's a cat.", "That big animal's a cat"]),
    ("cat", (), False, ["The animal's a dog.", "The animal's a cat or a dog.", "The animal's not a cat."]),
    ("wood", (), True, ["It is made of wood.", "The table is made of wood.", "made out of wood"]),
    ("wood", (), False, ["It is made of plastic.", "It is not made of wood.", "It is made of wood and steel."]),
    ("stop", (), True, ['The sign says "STOP".', "It says stop"]),
    ("stop", (), False, ['The sign says "GO".', 'The sign never says "STOP".', "The sign says STOP or GO."]),
    ("left", (), True, ["The dog is to the left of the tree."]),
    ("left", (), False, ["The dog is to the right of the tree.", "to the left or right"]),
    ("D", FRACTIONS, False, ["3/4 or 5", "3:4 or 4:3", "3/4 or 4/3", "0.75 or 0.8", "4/3 or 3/4", "It is 3/4 or 5."]),
    ("B", NUMBERS, False, ["15 or 16", "16 or 15", "15 or 99", "15 and 16", "B or 16", r"\boxed{15} or 16"]),
    ("B", NUMBERS, True, ["15 or so", "15 or B", "B or 15", "15 and 15", "B, and the bar is red"]),
    (
        "B",
        FRUIT,
        False,
        ["banana or mango", "mango or banana", "B or mango", "banana and mango", "B (banana) or mango"],
    ),
    ("B", FRUIT, True, ["B, and the bar is red", "banana and it is yellow", "B or banana", "B, or in words banana"]),
]


@pytest.mark.parametrize(("gold", "question", "paid", "answers"), CHART)
def test_chart(gold: str, question: str, paid: bool, answers: list[str]) -> None:
    found = {answer: chart_reward(answer, gold, question=question).acc == 1 for answer in answers}
    assert found == dict.fromkeys(answers, paid)


@pytest.mark.parametrize(("gold", "choices", "paid", "answers"), MATCHING)
def test_matching(gold: str, choices: tuple[str, ...], paid: bool, answers: list[str]) -> None:
    found = {answer: matching_reward(answer, gold, choices=choices).acc == 1 for answer in answers}
    assert found == dict.fromkeys(answers, paid)


@pytest.mark.parametrize(("answer", "paid"), [("The area's 16.", 1), ("The area's 17.", 0), ("The area's not 16.", 0)])
def test_math(answer: str, paid: int) -> None:
    assert math_reward(answer, "16").acc == paid
