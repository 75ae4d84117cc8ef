"""Option texts that are letters, numbers, formulas or yes and no, and letters without texts."""

import pytest

from mixed_r1_verl.rewards.kinds.matching import matching_reward

ANIMALS = ("cat", "dog", "bird", "fish")

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
    ("1 0", "A", NUMBERS, 0),
    ("30 to 40", "A", ("18 to 24", "25 to 34"), 0),
    ("0.75", "A", ("18 to 24", "25 to 34"), 0),
    ("18 to 24", "A", ("18 to 24", "25 to 34"), 1),
    ("Option B: 10", "A", NUMBERS, 0),
    ("Option B: 30", "B", NUMBERS, 1),
    ("It cannot be determined.", "B", ("12", "cannot be determined"), 1),
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
