"""Which option an answer names, in tables named after where the cases come from."""

import pytest

from mixed_r1_verl.rewards.kinds.matching import matching_reward

ANIMALS = ("cat", "dog", "bird", "fish")

# --- peers' defect table: each row that concerns matching, both ways ------------------------------------------------

DEFECT_YES_NO = [
    ("I cannot tell", "no", 0),
    ("There is nothing", "no", 0),
    ("I do not know", "no", 0),
    ("no", "no", 1),
    ("No.", "no", 1),
]
DEFECT_LETTERS = [
    ("(B)", 1),
    ("B) dog", 1),
    ("The answer is B because A is wrong.", 1),
    ("The answer is a dog", 1),
    ("A dog", 1),
    ("A or B or C", 0),
    ("", 0),
]


@pytest.mark.parametrize(("answer", "gold", "acc"), DEFECT_YES_NO)
def test_defect_table_yes_no(answer: str, gold: str, acc: int) -> None:
    assert matching_reward(answer, gold).acc == acc


@pytest.mark.parametrize(("answer", "acc"), DEFECT_LETTERS)
def test_defect_table_letters(answer: str, acc: int) -> None:
    assert matching_reward(answer, "B", choices=ANIMALS).acc == acc
    # What names B, or nothing, must not score for any other option.
    for other in "ACD":
        assert matching_reward(answer, other, choices=ANIMALS).acc == 0


# --- how models write a letter or an option -------------------------------------------------------------------------

NAMES_B = [
    "B",
    "b",
    " B ",
    "B.",
    "B)",
    "(B)",
    "[B]",
    "(b)",
    "b)",
    "B:",
    "B!",
    "B.\n",
    '"B"',
    "<B>",
    "{B}",
    "B. dog",
    "b. dog",
    "b) dog",
    "B: dog",
    "B - dog",
    "B, dog",
    "B = dog",
    "B dog",
    "B (dog)",
    "(B) dog",
    "dog (B)",
    "dog",
    "Dog.",
    "DOG",
    "a dog",
    "the dog",
    "A dog.",
    "Option B",
    "option (B)",
    "Choice B: dog",
    "choice b",
    # LaTeX, markdown, code
    r"\boxed{B}",
    r"$\boxed{B}$",
    r"\boxed{\text{B}}",
    r"\text{B}",
    r"\textbf{B}",
    r"\(B\)",
    r"The answer is \(B\).",
    r"The answer is \boxed{B}.",
    r"\boxed{dog}",
    "**B**",
    "*B*",
    "**B. dog**",
    "**B**. dog",
    "`B`",
    "```\nB\n```",
    '{"answer": "B"}',
    '```json\n{"answer": "B"}\n```',
    # announced
    "Answer: B",
    "answer: b",
    "Final answer: **B**",
    "**Answer:** B",
    "Answer is B",
    "Answer (A/B/C/D): B",
    "The answer is B",
    "The answer is: B) dog.",
    "The correct answer is (B) dog.",
    "The correct option is option B.",
    "The right answer is choice B",
    "the best option is B",
    "My answer: B.",
    'The answer is: "dog"',
    "The answer is dog.",
    "The answer to the question is B.",
    "It is a dog.",
    "It's B.",
    "It must be B",
    "This is a dog",
    "There is a dog.",
    "The animal is a dog.",
    "In the image, there is a dog",
    "Looking at the image, it is a dog.",
    "Based on the image, the answer is B.",
    "So, the answer is: B) dog.",
    "I choose B.",
    "I would go with B",
    "I think it's B",
    "I'm sure that the answer is B",
    "The answer is probably B",
    "B is correct",
    "Option B is the correct answer",
    "B is the answer",
    "dog is the answer",
    # explained
    "B because A is wrong",
    "B, because it barks",
    "B because it is not A",
    "B, A is wrong",
    "B. It has a tail.",
    "B. A is wrong.",
    "B\n\nExplanation: the tail is long.",
    "B\n\nA is incorrect since it is small",
    "A is wrong, so B",
    "A is wrong so the answer is B.",
    "The dog is on the left, so the answer is B",
    "It's not A. It's not C. The answer is B.",
    "The answer is not A, it is B",
    "The answer is B. A is wrong.",
    "The options are A, B, C. The answer is B.",
    "It is a dog because it barks",
    "A. cat B. dog C. bird D. fish Answer: B",
    "A. cat, B. dog, C. bird, D. fish. Answer: B",
    "(A) cat (B) dog (C) bird (D) fish. The answer is B.",
    "A) cat\nB) dog\nC) bird\nD) fish\nAnswer: B",
    "The answer is dog, not cat.",
    "Dog, not cat",
    "dog (not cat)",
    "dog, because cat is not there",
    # said twice
    "B\nB",
    "The answer is B. The answer is B.",
    "The answer is B: dog",
]


@pytest.mark.parametrize("answer", NAMES_B)
def test_names_the_option(answer: str) -> None:
    verdict = matching_reward(answer, "B", choices=ANIMALS)
    assert verdict == (1.0, "B", "")
    assert matching_reward(answer, "dog", choices=ANIMALS).acc == 1
    for other in "ACD":
        assert matching_reward(answer, other, choices=ANIMALS) == (0.0, "B", "wrong")


# --- both letter and text: a contradiction is wrong for every gold --------------------------------------------------

CONTRADICTIONS = [
    "B) cat",
    "A) dog",
    "A. dog",
    "A: dog",
    "(A) dog",
    "A (dog)",
    "dog (A)",
    "The answer is A) dog",
    "Answer: C. dog",
    r"\boxed{A} dog is B",
    "The answer is A. The answer is B.",
    "Answer: B\nAnswer: C",
    "It is B. It is A.",
    r"\boxed{A} \boxed{B}",
    "B. A",
    "A\n\nB",
    "dog. cat.",
]
# --- several named, by every way of naming several ------------------------------------------------------------------

SEVERAL = [
    "A or B",
    "A or B or C",
    "A, B",
    "A,B,C,D",
    "A;B",
    "A|B",
    "A/B",
    "b/c",
    "A & B",
    "A + B",
    "A-B",
    "A–D",
    "A to D",
    "A through D",
    "A.B.C.D",
    "A B C D",
    "ABCD",
    "AB",
    "A\tB",
    "A and B",
    "A and/or B",
    "Both A and B",
    "The answers are A and B",
    "the answer is either A or B",
    "The answer is A or the answer is B",
    "B or maybe C",
    "B, or C",
    "A (or B)",
    "A, possibly B",
    "A. Alternatively, B",
    "Option A, Option B",
    "option A\noption B",
    "(A) (B) (C) (D)",
    "(B) and (C)",
    "A. cat\nB. dog\nC. bird\nD. fish",
    "A) cat B) dog C) bird D) fish",
    "A. cat B. dog C. bird D. fish",
    "A cat, B dog",
    "A. cat B. dog C. bird D. fish Answer: B or C",
    "A. cat B. dog. Answer: B",
    "cat or dog",
    "cat and dog",
    "cat/dog",
    "dog, cat",
    "dog - cat",
    "dog cat",
    "cat\ndog",
    "a dog or a cat",
    "The answer is cat or dog",
    "There is a dog and a cat.",
    "B、C",
    "答案是A和B",
    "选A或B",
]
# --- nothing that could be called a commitment ----------------------------------------------------------------------

NOTHING = [
    "",
    " \n",
    ".",
    "?",
    "E",
    "(E)",
    "B?",
    "Is it B?",
    "not B",
    "It's not B",
    "B is wrong",
    "B is not the answer",
    "B isn't right",
    "(B) is wrong",
    "The answer is not B",
    "I don't think the answer is B",
    "neither A nor B",
    "Not A, not C, not D",
    "If the answer is B then it barks",
    "Maybe B",
    "Perhaps the answer is B",
    "The answer could be B",
    "It could be B",
    "None of the above",
    "All of the above",
    "I cannot tell",
    "I see a dog in the picture",
    "A dog is what I see",
    "doggy",
    "hot dog",
    "dogs",
    "d o g",
    "BB",
    "B" * 50,
    "В",  # Cyrillic
    "答案不是B",
    "不选B",
    "\u200b",
    "B " * 2000,
]


@pytest.mark.parametrize("answer", CONTRADICTIONS + SEVERAL + NOTHING)
def test_names_nothing(answer: str) -> None:
    for gold in "ABCD":
        assert matching_reward(answer, gold, choices=ANIMALS).acc == 0


# --- Chinese and full-width answers ---------------------------------------------------------------------------------

CHINESE = [
    "答案是B",
    "答案：B",
    "答案为B。",
    "正确答案为B",
    "答案应该是 B",
    "选B。",
    "我选B",
    "故选B",
    "选项B",
    "选项B正确",
]
CHINESE += ["B是正确的", "B。因为有尾巴", "B，因为有尾巴", "Ｂ", "（Ｂ）", "【B】", "Ｂ．ｄｏｇ"]


@pytest.mark.parametrize("answer", CHINESE)
def test_chinese_and_full_width(answer: str) -> None:
    assert matching_reward(answer, "B", choices=ANIMALS).prediction == "B"


# --- what is probable is claimed; what excludes other options claims what is left -----------------------------------

PROBABLE_OR_LEFT = [
    "Probably B",
    "Probably B.",
    "It is probably B",
    "It's most likely B.",
    "Most likely B",
    "Presumably a dog",
    "It is clearly a dog",
    "Answer: probably B",
    "The answer is most likely B",
    "B, probably",
    "B probably",
    "So probably B",
    "I think it is probably B",
    "Since A is wrong, B",
    "Since A is not right, it is B",
    "Since A, C and D are wrong, B",
    "Because A and C are wrong, B.",
    "Given that A is wrong, B",
    "Since it has a tail, B",
    "As it barks, it is a dog",
    "A, C and D are wrong, so B",
    "A, C, and D are incorrect. B.",
    "(A) and (C) are wrong, so (B)",
    "A and C are wrong, so the answer is B",
    "A and C do not fit, so B",
    "A or C cannot be right, so B",
    "A is out, C is out, D is out, so B",
    "Options A, C and D are incorrect, so B is right",
    "cat, bird and fish are wrong, so dog",
    "A cat and a bird are ruled out, so it is a dog",
    "Neither A nor C, so B",
    "Not A but B",
    "The answer is not A but B",
    "It is not a cat but a dog",
]
STILL_NOTHING = [
    "Probably A or B",
    "Probably not B",
    "Since A is wrong, B or C",
    "Since A is wrong, not B",
    "Since A is wrong, B is wrong",
    "If A is wrong, B",
    "A, C and D are wrong",
    "A and B are right",
    "A and B are correct",
    "A, B and C fit, so B or C",
    "A, B are possible",
    "It is not only A but also B",
    "Not A but C or B",
]


@pytest.mark.parametrize("answer", PROBABLE_OR_LEFT)
def test_a_probable_option_and_the_one_that_is_left_are_named(answer: str) -> None:
    assert matching_reward(answer, "B", choices=ANIMALS) == (1.0, "B", "")


@pytest.mark.parametrize("answer", STILL_NOTHING)
def test_these_still_name_nothing(answer: str) -> None:
    for gold in "ABCD":
        assert matching_reward(answer, gold, choices=ANIMALS).acc == 0
