"""The matching reward: broken rows, real data, properties, hostile shapes; its tables stand in the files beside."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixed_r1_verl.rewards.kinds.matching import matching_reward, parse_ground_truth
from mixed_r1_verl.rewards.verdict import GroundTruthError

ANIMALS = ("cat", "dog", "bird", "fish")
NUMBERS = ("10", "30", "90", "120")
FORMULAS = (r"$90^{\circ}$", r"$100^{\circ}$", r"$\frac{6-\sqrt{2}}{2}$", r"$2 \mathrm{~m}$", r"$2\sqrt{3}$")
YES_NO = ("Yes", "No")

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
        right = parse_ground_truth(gold, tuple(choices)).honest
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
    polarity = matching_reward(answer, "yes").prediction
    if polarity:
        assert matching_reward(polarity, "yes").prediction == polarity


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
        start = time.thread_time()
        for gold, choices in _GOLDS:
            matching_reward(text, gold, choices=choices)
        assert time.thread_time() - start < 1.0
