"""Yes and no, words, phrases and counts, in tables named after where the cases come from."""

import pytest

from mixed_r1_verl.rewards.kinds.matching import matching_reward

# --- yes/no and true/false ------------------------------------------------------------------------------------------

SAYS_NO = [
    "no",
    "No",
    "NO",
    "No.",
    "No!",
    "(no)",
    "**No**",
    r"\boxed{No}",
    r"\text{no}",
    "Ｎｏ",
    "no no",
    "No, it is not.",
    "No, there is a square.",
    "No there is not",
    "No because there is no cat",
    "No, I cannot see one",
    "The answer is no",
    "The answer is 'no'.",
    "Answer: No",
    "I say no",
    "I think no",
    "I believe it is no",
    "There is no dog, so no",
    "Is it yes? No.",
    "There is no dog.",
    "There are no dogs in the picture",
    "There isn't a dog.",
    "It's a no",
    "False",
    "false.",
    "It is false",
    "Answer: false.",
    "The statement is false.",
    "It is not true",
    "not true",
    "否",
    "不",
    "不是",
    "不是的",
    "没有",
    "答案：否",
]
SAYS_YES = [
    "yes",
    "Yes.",
    "yes!!!",
    "“Yes”",
    "YES.",
    "Yes it is",
    "Yes, there are no dogs",
    "Yes, it is not a circle.",
    "Yes, no doubt.",
    "There are no dogs, so yes",
    "Definitely yes",
    "The answer: YES",
    "The answer is yes because there is a cat.",
    "It's a yes",
    "true",
    "True.",
    "The statement is true.",
    "Yes, it is true",
    "Probably yes",
    "It is probably yes",
    "Most likely true",
    "Since there is a cat, yes",
    "It is not false",
    "是",
    "是的，有一个",
    "对",
    "答案是：是",
]
SAYS_NEITHER = [
    "",
    "I cannot tell",
    "I can not tell",
    "There is nothing",
    "I do not know",
    "I don't know",
    "unknown",
    "no idea",
    "There is no way to tell.",
    "There is no doubt",
    "There is no dog?",
    "Maybe there is no dog.",
    "No answer",
    "No way to tell",
    "No circle",
    "No one",
    "Nobody",
    "none",
    "not",
    "not yes",
    "know",
    "noon",
    "Norway",
    "yesterday",
    "eyes",
    "nottrue",
    "N/A",
    "0",
    "1",
    "y",
    "Yes?",
    "Yes and no",
    "Yes or no",
    "yes/no",
    "yes, no",
    "No, yes",
    "no or yes",
    "no\nyes",
    "yes no yes",
    "Yes. Actually, no.",
    "Yes, but actually no",
    "Yes but no",
    "No or maybe yes",
    "Neither yes nor no",
    "maybe no",
    "The answer is not yes",
    "true or false",
    "是不是",
    "不知道",
    "yes " * 2000,
]


@pytest.mark.parametrize("answer", SAYS_NO)
def test_says_no(answer: str) -> None:
    for gold in ("no", "No", "false", "FALSE"):
        assert matching_reward(answer, gold) == (1.0, "no", "")
    for gold in ("yes", "true"):
        assert matching_reward(answer, gold) == (0.0, "no", "wrong")


@pytest.mark.parametrize("answer", SAYS_YES)
def test_says_yes(answer: str) -> None:
    for gold in ("yes", "Yes", "true"):
        assert matching_reward(answer, gold) == (1.0, "yes", "")
    assert matching_reward(answer, "no") == (0.0, "yes", "wrong")


@pytest.mark.parametrize("answer", SAYS_NEITHER)
def test_says_neither_yes_nor_no(answer: str) -> None:
    for gold in ("yes", "no", "true", "false"):
        assert matching_reward(answer, gold).acc == 0


# --- words, phrases and counts: easy-VQA, CLEVR, VLM-R1 -------------------------------------------------------------

WORDS = [
    ("circle", "circle", 1),
    ("Circle.", "circle", 1),
    ("a circle", "circle", 1),
    ("circles", "circle", 1),
    ("The shape is a circle.", "circle", 1),
    ("It is a circle", "circle", 1),
    ("The answer is circle", "circle", 1),
    ("There are no corners, so the answer is circle.", "circle", 1),
    ("circle, because it has no corners", "circle", 1),
    ("circle. There are no corners in it.", "circle", 1),
    (r"\boxed{circle}", "circle", 1),
    ("semicircle", "circle", 0),
    ("circle or square", "circle", 0),
    ("circle. square.", "circle", 0),
    ("circle, square, triangle", "circle", 0),
    ("not a circle", "circle", 0),
    ("It is not a circle", "circle", 0),
    ("Is it a circle?", "circle", 0),
    ("a red circle", "circle", 0),
    ("The answer is circle. The answer is square.", "circle", 0),
    ("grey", "gray", 1),
    ("The color of the rectangle is red.", "red", 1),
    ("reddish", "red", 0),
    ("rubber", "rubber", 1),
    ("The object is rubber", "rubber", 1),
    ("metal", "rubber", 0),
    ("2", "2", 1),
    ("two", "2", 1),
    ("2.0", "2", 1),
    ("2 cubes", "2", 1),
    ("There are 2 cubes.", "2", 1),
    ("There are two.", "2", 1),
    (r"\boxed{2}", "2", 1),
    ("1 + 1 = 2", "2", 1),
    ("zero", "0", 1),
    ("3", "2", 0),
    ("2.04", "2", 0),
    ("20", "2", 0),
    ("-2", "2", 0),
    ("2%", "2", 0),
    ("2 or 3", "2", 0),
    ("1, 2, 3", "2", 0),
    ("It may be 2", "2", 0),
    ("more than 2", "2", 0),
    ("no", "0", 0),
    ("Operation No Response", "Operation No Response", 1),
    ("operation no response.", "Operation No Response", 1),
    ("The defect is Operation No Response.", "Operation No Response", 1),
    ("Unexpected Task Result", "Operation No Response", 0),
    ("No Defect", "No Defect", 1),
    ("Yeah", "yes", 1),
    ("Correct.", "yes", 1),
    ("Nope", "no", 1),
    ("yeah, no", "no", 0),
    ("Incorrect", "yes", 0),
    ("The red one", "red", 1),
    ("the red line", "red", 1),
    ("the red line or the blue line", "red", 0),
    ("It is the red one.", "red", 1),
    ("The dark red one", "red", 0),
    ("The red one or the blue one", "red", 0),
    ("the dog's", "dog", 1),
    ("1/2", "1:2", 1),
    ("2000 m", "2 km", 1),
    ("2 km", "2 m", 0),
    ("$5", "5€", 0),
    ("2:1", "1:2", 0),
    ("11:33", "10:30", 0),
    ("1/3", "10:30", 0),
    ("Operation No Response, Unexpected Task Result", "Operation No Response", 0),
]


@pytest.mark.parametrize(("answer", "gold", "acc"), WORDS)
def test_words(answer: str, gold: str, acc: int) -> None:
    assert matching_reward(answer, gold).acc == acc
