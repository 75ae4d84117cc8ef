"""Text normalisation: what models write around an answer, and which labels are the same."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixed_r1_verl.rewards.answer.latex import BOX, BOX_END, mark_boxes, unlatex
from mixed_r1_verl.rewards.answer.text import plain_text, text_key

CLEAN = [
    # LaTeX
    (r"\boxed{B}", "B"),
    (r"$\boxed{\text{B}}$", "B"),
    (r"\(x = 5\)", "x = 5"),
    (r"\[ 5 \]", "5"),
    (r"\frac{1}{2}", "1/2"),
    (r"\frac12", "1/2"),
    (r"\frac {1} {2}", "1/2"),
    (r"2\text{ }1/2", "2 1/2"),
    (r"{\text}}x{y", "xy"),
    (r"\frac{a+b}{2}", "(a+b)/2"),
    (r"1\frac{1}{2}", "1 1/2"),
    (r"\frac { 20 } { 3 }", "20/3"),
    (r"90^{\circ}", "90°"),
    (r"90^\circ", "90°"),
    (r"5\%", "5%"),
    (r"\$5", "$5"),
    (r"$\$5$", "$5"),
    (r"2\sqrt{3}", "2√3"),
    (r"\sqrt{x+1}", "√(x+1)"),
    (r"4\,\text{cm}", "4 cm"),
    (r"x^{2}", "x^2"),
    (r"x^{n+1}", "x^(n+1)"),
    (r"3 \times 10^{6}", "3 × 10^6"),
    (r"\mathrm{E}_{\mathrm{x}}", "E_x"),
    (r"\left(1, 2\right)", "(1, 2)"),
    # money is no mathematics
    ("$5 and $6", "$5 and $6"),
    ("$5", "$5"),
    ("from $5 to $10", "from $5 to $10"),
    # markdown and code
    ("**B**", "B"),
    ("*B*", "B"),
    ("__B__", "B"),
    ("`B`", "B"),
    ("```\nB\n```", "B"),
    ("```text\nB\n```", "B"),
    ("# Answer", "Answer"),
    ("> B", "B"),
    ("- cat\n- dog", "cat\ndog"),
    ("**Answer:** B", "Answer: B"),
    ("2*3", "2*3"),
    ("2**3", "2**3"),
    ("snake_case", "snake_case"),
    # characters
    ("Ｂ", "B"),
    ("（Ｂ）", "(B)"),
    ("１，２００", "1,200"),
    ("−5", "-5"),
    ("–5", "-5"),
    ("½", "1/2"),
    ("3½", "3 1/2"),
    ("km²", "km^2"),
    ("10⁻³", "10^-3"),
    ("“B”", '"B"'),
    ("答案是B。", "答案是B."),
    ("B\u200b", "B"),
    ("1\u202f200", "1 200"),
    ("5\u00a0km", "5 km"),
]


@pytest.mark.parametrize(("text", "expected"), CLEAN)
def test_clean(text: str, expected: str) -> None:
    assert plain_text(text) == expected


SAME = [
    ("Indonesia", "indonesia."),
    ("the Dominican Republic", "Dominican Republic"),
    ("light blue", "Light-Blue"),
    ("gray", "Grey"),
    ("18–29", "18 to 29"),
    ("1,200", "1200"),
    ("0.10", "0.1"),
    ("Third", "3rd"),
    ("two cubes", "2 cubes"),
    ("Don’t know", "Don't know"),
    ("U.S.", "US"),
    ("1:15 P.M.", "1:15 pm"),
    ("R&D", "R and D"),
    ("COVID-19", "covid 19"),
    ("Child (before age 5)", "child before age 5"),
    ("men's vault event", "mens vault event"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_same_label(one: str, other: str) -> None:
    assert text_key(one) == text_key(other) != ""


DIFFERENT = [
    ("blue", "light blue"),
    ("Should", "Should not"),
    ("30-49", "30-50"),
    ("5", "-5"),
    ("1.5", "15"),
    ("A) dog", "dog"),
    ("Vitamin A", "Vitamin"),
    ("Rep", "Dem"),
    ("<18", ">18"),
    ("65+", "65"),
    ("$5", "5"),
    ("5%", "5"),
    ("Korea", "Korea; United States"),
]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_label(one: str, other: str) -> None:
    assert text_key(one) != text_key(other)


def test_boxes_are_marked() -> None:
    assert mark_boxes(r"\boxed{1} and \boxed {\frac{1}{2}}") == rf"{BOX}1{BOX_END} and {BOX}\frac{{1}}{{2}}{BOX_END}"
    assert mark_boxes(r"\boxed{a \boxed{b}}.") == rf"{BOX}a \boxed{{b}}{BOX_END}."
    assert mark_boxes(r"\boxed 5, \boxed{6}") == rf"\boxed 5, {BOX}6{BOX_END}"
    for text in (r"\boxed{unclosed", "no box"):
        assert mark_boxes(text) == text


def test_deep_latex_is_left_alone() -> None:
    for deep in ("{" * 500 + "}" * 500, r"\frac" * 400, r"\sqrt" * 400, "^" * 900):
        assert isinstance(unlatex(deep), str)


@given(st.text(max_size=200))
def test_a_key_is_tidy_and_blind_to_white_space_around(text: str) -> None:
    key = text_key(text)
    assert key == " ".join(key.split())
    assert key == key.lower() or not key.isascii()
    assert text_key(f"  {text}\n") == key
    plain_text(text)


_LATEX_PIECES = st.sampled_from(
    ["\\frac", "\\boxed", "{", "}", "$", "^", "_", "\\", "\\(", "x", "1", " ", "~", "\\sqrt"]
)


@given(st.lists(_LATEX_PIECES, max_size=40))
def test_any_mixture_of_latex_is_read(pieces: list[str]) -> None:
    text = "".join(pieces)
    assert "\\" not in unlatex(text) or len(text) > 0
    mark_boxes(text)


@pytest.mark.parametrize("shape", ["\\boxed", "\\boxed{", "{", "$", "\\frac{", "*", "`", "_", "^", "a ", "\n", "- "])
def test_a_megabyte_takes_less_than_a_second(shape: str) -> None:
    text = (shape * 1_000_000)[:1_000_000]
    start = time.thread_time()
    mark_boxes(text)
    text_key(text)
    assert time.thread_time() - start < 1.0
