"""The matching reward, in tables named after where the cases come from; the rules are in the module's docstring."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixed_r1_verl.rewards.kinds.matching import matching_reward, parse_ground_truth, read_polarity
from mixed_r1_verl.rewards.verdict import GroundTruthError

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


# --- option texts that are letters, numbers, LaTeX, yes/no ----------------------------------------------------------

LETTERS = ("A", "B", "C", "D", "C or D")  # MATH-V: the options are in the picture
SWAPPED = ("B", "A", "C")
NUMBERS = ("10", "30", "90", "120")
DECIMALS = ("4.6", "6.5", "13.0", "26.0")
FORMULAS = (r"$90^{\circ}$", r"$100^{\circ}$", r"$\frac{6-\sqrt{2}}{2}$", r"$2 \mathrm{~m}$", r"$2\sqrt{3}$")
FRACTIONS = (r"\frac{2}{3}", r"\frac{3}{5}", r"\frac{3}{4}", r"\frac{4}{5}")
SENTENCES = ("Only in the middle square", "Only at a corner square", "It depends on the position of A and B.")
LABELLED = ("A. cat", "B. dog")
YES_NO = ("Yes", "No")
TWINS = ("red", "blue", "red")

OPTION_TEXTS = [
    ("C", "C", LETTERS, 1),
    ("C or D", "C", LETTERS, 0),
    ("C or D", "E", LETTERS, 1),
    ("E", "E", LETTERS, 1),
    ("D", "E", LETTERS, 0),
    ("C. C", "C", LETTERS, 1),
    ("C. D", "C", LETTERS, 0),
    ("A", "A", SWAPPED, 1),
    ("B", "A", SWAPPED, 0),
    ("90", "C", NUMBERS, 1),
    ("90.0", "C", NUMBERS, 1),
    ("90 degrees", "C", NUMBERS, 1),
    ("C", "C", NUMBERS, 1),
    ("C) 90", "C", NUMBERS, 1),
    ("C) 10", "C", NUMBERS, 0),
    ("C (90)", "C", NUMBERS, 1),
    ("The answer is 90", "C", NUMBERS, 1),
    ("10, 90", "C", NUMBERS, 0),
    ("9", "C", NUMBERS, 0),
    ("900", "C", NUMBERS, 0),
    ("30+60=90", "C", NUMBERS, 0),
    ("13", "C", DECIMALS, 1),
    ("13.00", "C", DECIMALS, 1),
    ("13.1", "C", DECIMALS, 0),
    ("90°", "A", FORMULAS, 1),
    ("90", "A", FORMULAS, 1),
    ("90 degrees", "A", FORMULAS, 1),
    (r"90^\circ", "A", FORMULAS, 1),
    (r"\boxed{90^\circ}", "A", FORMULAS, 1),
    (r"\frac{6-\sqrt{2}}{2}", "C", FORMULAS, 1),
    (r"\dfrac{6 - \sqrt 2}{2}", "C", FORMULAS, 1),
    ("(6-√2)/2", "C", FORMULAS, 1),
    ("2 m", "D", FORMULAS, 1),
    ("2 meters", "D", FORMULAS, 1),
    ("2", "D", FORMULAS, 1),
    ("2 cm", "D", FORMULAS, 0),
    (r"2 \sqrt{3}", "E", FORMULAS, 1),
    ("2√3", "E", FORMULAS, 1),
    ("2sqrt(3)", "E", FORMULAS, 1),
    ("4/5", "D", FRACTIONS, 1),
    ("0.8", "D", FRACTIONS, 1),
    (r"$\dfrac{4}{5}$", "D", FRACTIONS, 1),
    ("4/6", "A", FRACTIONS, 1),
    ("5/4", "D", FRACTIONS, 0),
    ("only in the middle square.", "A", SENTENCES, 1),
    ("in the middle square", "A", SENTENCES, 0),
    ("It depends on the position of A and B", "C", SENTENCES, 1),
    ("dog", "B", LABELLED, 1),
    ("B. dog", "B", LABELLED, 1),
    ("A. dog", "B", LABELLED, 0),
    ("Yes", "A", YES_NO, 1),
    ("A", "A", YES_NO, 1),
    ("A. Yes", "A", YES_NO, 1),
    ("B. Yes", "A", YES_NO, 0),
    ("Yes, the cat is there", "A", YES_NO, 1),
    ("No, the cat is not", "A", YES_NO, 0),
    ("no", "no", YES_NO, 1),
    ("I cannot tell", "no", YES_NO, 0),
    ("Yes. No.", "A", YES_NO, 0),
    ("red", "C", TWINS, 1),
    ("A", "C", TWINS, 1),
    ("blue", "C", TWINS, 0),
]


@pytest.mark.parametrize(("answer", "gold", "choices", "acc"), OPTION_TEXTS)
def test_option_texts(answer: str, gold: str, choices: tuple[str, ...], acc: int) -> None:
    assert matching_reward(answer, gold, choices=choices).acc == acc


# Only the letter is known: multi-chart and MATH-V rows whose options are in the picture or in the question.
WITHOUT_OPTIONS = [
    ("C", 1),
    ("c", 1),
    ("C.", 1),
    ("C. 45 degrees", 1),
    ("C) something", 1),
    ("The answer is C.", 1),
    ("C dog", 0),
    ("A dog", 0),
    ("C or D", 0),
    ("C) x D) y", 0),
    ("B", 0),
    ("see", 0),
]


@pytest.mark.parametrize(("answer", "acc"), WITHOUT_OPTIONS)
def test_letter_without_options(answer: str, acc: int) -> None:
    assert matching_reward(answer, "C").acc == acc


def test_an_article_is_no_option_even_where_options_are_unknown() -> None:
    assert matching_reward("A dog", "A").acc == 0
    assert matching_reward("The answer is a dog", "A").acc == 0


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
    ("Operation No Response, Unexpected Task Result", "Operation No Response", 0),
]


@pytest.mark.parametrize(("answer", "gold", "acc"), WORDS)
def test_words(answer: str, gold: str, acc: int) -> None:
    assert matching_reward(answer, gold).acc == acc


# --- broken rows ----------------------------------------------------------------------------------------------------

BROKEN = [
    ("", ()),
    ("  ", ()),
    ("???", ()),
    ("[[1, 2, 3, 4]]", ()),
    ('{"a": 1}', ()),
    ("word " * 50, ()),
    ("E", ANIMALS),
    ("horse", ANIMALS),
    ("", ANIMALS),
    ("yes", ANIMALS),
    ("blue", ("blue ", "Blue", "red")),
    ("A", tuple(str(number) for number in range(27))),
]


@pytest.mark.parametrize(("gold", "choices"), BROKEN)
def test_broken_rows_are_refused(gold: str, choices: tuple[str, ...]) -> None:
    with pytest.raises(GroundTruthError):
        parse_ground_truth(gold, choices)
    with pytest.raises(GroundTruthError):
        matching_reward("B", gold, choices=choices)


# --- real data ------------------------------------------------------------------------------------------------------


def _math_v(raw: Path) -> list[tuple[str, list[str]]]:
    lines = (raw / "math_v/data/testmini.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    return [(row["answer"], row["options"]) for row in rows if row["options"]]


def _mathvista(raw: Path) -> list[tuple[str, list[str]]]:
    rows = json.loads((raw / "mathvista/data/testmini.json").read_text(encoding="utf-8")).values()
    return [(row["answer"], row["choices"]) for row in rows if row["choices"]]


def _tabmwp(raw: Path) -> list[tuple[str, list[str]]]:
    rows = json.loads((raw / "tabmwp/data/tabmwp/problems_test1k.json").read_text(encoding="utf-8")).values()
    return [(row["answer"], row["choices"]) for row in rows if row["choices"]]


@pytest.mark.parametrize("read", [_math_v, _mathvista, _tabmwp])
def test_real_choices(raw: Path, read: object) -> None:
    """The label, the text and both score 1 in every row; every other label and every contradiction scores 0."""
    rows = read(raw)  # type: ignore[operator]
    assert len(rows) > 15
    for gold, choices in rows:
        right = parse_ground_truth(gold, choices).expected
        letters_as_texts = all(len(choice) == 1 for choice in choices[:2])
        for label, text in zip("ABCDEFGH", choices, strict=False):
            expected = float(label == right)
            written = [label, f"({label})", f"{label}. {text}", f"The answer is {label}.", rf"\boxed{{{label}}}"]
            if not letters_as_texts:
                written += [text, f"**{text}**", f"The answer is {text}"]
            for answer in written:
                assert matching_reward(answer, gold, choices=choices).acc == expected, (answer, gold, choices)
            if label != right and not letters_as_texts:
                contradiction = f"{right}. {text}"
                assert matching_reward(contradiction, gold, choices=choices).acc == 0, (contradiction, choices)


def test_real_words(raw: Path) -> None:
    """Every easy-VQA and CLEVR answer scores 1 for itself and 0 for every other one."""
    easy = (raw / "easy_vqa/easy_vqa/data/answers.txt").read_text(encoding="utf-8").split()
    clevr = json.loads((raw / "clevr_mini/CLEVR_v1.0/questions/CLEVR_train_questions.json").read_text(encoding="utf-8"))
    words = sorted({*easy, *(question["answer"] for question in clevr["questions"])})
    assert len(words) > 15
    for gold in words:
        for answer in words:
            expected = float(gold == answer)
            assert matching_reward(answer, gold).acc == expected
            assert matching_reward(f"The answer is {answer}.", gold).acc == expected


# --- properties -----------------------------------------------------------------------------------------------------

_WORDS = "A B C E (B) B) B. dog cat yes no true not or and is the answer The a I so because maybe option it's 2 two 90°"
_SIGNS = ": , . ? / \n ; - ( ) \\boxed{B} ** $ 答案是 是 否 Ｂ \u200b \\ { } [ ] ` \ud800"
_PIECES = st.sampled_from([*_WORDS.split(" "), *_SIGNS.split(" ")])
_ANSWERS = (
    st.lists(_PIECES, max_size=12).map(" ".join) | st.lists(_PIECES, max_size=12).map("".join) | st.text(max_size=60)
)
_GOLDS = [
    ("B", ANIMALS),
    ("A", NUMBERS),
    ("E", FORMULAS),
    ("A", YES_NO),
    ("C", ()),
    ("no", ()),
    ("circle", ()),
    ("2", ()),
]


@settings(max_examples=400, deadline=None)
@given(_ANSWERS, st.sampled_from(_GOLDS))
def test_any_answer_is_judged(answer: str, gold: tuple[str, tuple[str, ...]]) -> None:
    verdict = matching_reward(answer, gold[0], choices=gold[1])
    assert verdict.acc in (0.0, 1.0)
    assert (verdict.reason == "") == (verdict.acc == 1.0)
    assert matching_reward(f"\n{answer} ", gold[0], choices=gold[1]) == verdict


@settings(max_examples=400, deadline=None)
@given(_ANSWERS)
def test_at_most_one_option_scores(answer: str) -> None:
    assert sum(matching_reward(answer, gold, choices=ANIMALS).acc for gold in "ABCD") <= 1
    assert matching_reward(answer, "yes").acc + matching_reward(answer, "no").acc <= 1


@settings(max_examples=300, deadline=None)
@given(_ANSWERS)
def test_a_prediction_predicts_itself(answer: str) -> None:
    prediction = matching_reward(answer, "B", choices=ANIMALS).prediction
    if prediction:
        assert matching_reward(prediction, "B", choices=ANIMALS).prediction == prediction
    polarity, _ = read_polarity(answer)
    if polarity:
        assert read_polarity(polarity) == (polarity, "")


HOSTILE = ["a", "B ", "B,", "(", "\\boxed{", "{", "$", "*", "`", "\n", "\nB", ". ", "the answer is ", "so ", "is "]
HOSTILE += [
    "yes ",
    "no ",
    "or ",
    "not ",
    "dog, ",
    "答案是",
    "是",
    "Ｂ",
    "\u200b",
    "\\frac",
    "A.",
    "if ",
    "answer(",
    "answer of x ",
]


@pytest.mark.parametrize("shape", HOSTILE)
def test_hostile_answers_are_fast(shape: str) -> None:
    for size in (1_900, 1_000_000):
        text = (shape * size)[:size]
        start = time.perf_counter()
        for gold, choices in _GOLDS:
            matching_reward(text, gold, choices=choices)
        assert time.perf_counter() - start < 1.0
