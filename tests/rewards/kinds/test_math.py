"""The math reward, in tables named after where the cases come from; the rules are in the module's docstring."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from processor_time import spent_by_children

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.rewards.answer.commitment import settle
from mixed_r1_verl.rewards.answer.expressions import EXPRESSIONS, to_latex
from mixed_r1_verl.rewards.kind import Scoring
from mixed_r1_verl.rewards.kinds.math import (
    KIND,
    MathConfig,
    math_reward,
    parse_ground_truth,
    too_complex,
)
from mixed_r1_verl.rewards.verdict import GroundTruthError

Case = tuple[str, str, int]  # answer, gold, acc

# --- TRL's accuracy reward ------------------------------------------------------------------------------------------

TRL: list[Case] = [
    (r"\boxed{\frac{63}{400}}", r"\frac{63}{400}", 1),
    (r"\boxed{\frac{63}{400}}", "63/400", 1),
    (r"\boxed{\frac{64}{400}}", r"\frac{63}{400}", 0),
    (r"\boxed{3}", "6", 0),
    (r"\boxed{\frac{1}{3}}", r"\frac{1}{3}", 1),
]
# --- after the families of Math-Verify's parametrised tests ---------------------------------------------------------

MATH_VERIFY: list[Case] = [
    # numbers
    ("0.5", "1/2", 1),
    (r"\frac12", "0.5", 1),
    (r"\dfrac{1}{2}", r"\frac{1}{2}", 1),
    (r"-\frac{1}{2}", "-0.5", 1),
    ("1,200", "1200", 1),
    ("10,000", "10000", 1),
    ("1e3", "1000", 1),
    ("4.80", "4.8", 1),
    ("−2", "-2", 1),
    ("8!", "40320", 1),
    ("2^{10}", "1024", 1),
    ("2^10", "1024", 1),
    ("2**10", "1024", 1),
    ("0.333", "1/3", 0),
    ("3.14159", r"\pi", 0),
    ("3.0001", "3", 0),
    ("5", "6", 0),
    ("-5", "5", 0),
    # percent and units
    ("10%", "0.1", 1),
    ("10", "10%", 1),
    (r"10\%", "10", 1),
    ("5 cm", "5", 1),
    (r"36 \mathrm{~cm}^{2}", "36", 1),
    (r"$90^{\circ}$", "90", 1),
    ("65 degrees", "65°", 1),
    ("100 cm", "1 m", 1),
    ("1 kg", "1 m", 0),
    ("$5", "5", 1),
    # roots and constants
    (r"2\sqrt{2}", "√8", 1),
    (r"1/\sqrt{2}", r"\frac{\sqrt{2}}{2}", 1),
    ("sqrt(2)/2", r"\frac{\sqrt{2}}{2}", 1),
    (r"\sqrt{2}", r"\sqrt{3}", 0),
    ("2π", r"2\pi", 1),
    ("2pi", r"2\pi", 1),
    # algebra
    ("(x+1)^2", "x^2+2x+1", 1),
    ("x^2", "x^3", 0),
    ("2x+3", "y=2x+3", 1),
    ("x=5", "5", 1),
    ("5", "x=5", 1),
    ("x = 6", "5", 0),
    ("x>3", "x>3", 1),
    ("x<3", "x>3", 0),
    # sets, tuples, intervals, matrices
    (r"\{2,1\}", r"\{1,2\}", 1),
    (r"\{1,3\}", r"\{1,2\}", 0),
    (r"\left(\frac{1}{2}, 3\right)", r"(\frac{1}{2},3)", 1),
    ("(3,1)", "(1,3)", 0),
    ("[0,1)", "[0,1)", 1),
    ("[0,1]", "[0,1)", 0),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}", 1),
    (r"\begin{pmatrix}1\\3\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}", 0),
    (r"\infty", r"\infty", 1),
    # not an expression
    (r"\frac{1}{", "1", 0),
    ("I do not know", "1", 0),
    ("{}", "1", 0),
]
# --- how an answer is announced; one expression only ----------------------------------------------------------------

ANNOUNCED: list[Case] = [
    ("The answer is 7.", "7", 1),
    ("Answer: 7", "7", 1),
    ("I think it is 7", "7", 1),
    ("seven", "7", 1),
    (r"\approx 7", "7", 1),
    ("about 7", "7", 0),
    ("The answer is roughly 7.", "7", 0),
    ("~7", "7", 0),
    ("1/2", "1:2", 1),
    ("2:1", "1:2", 0),
    ("**7**", "7", 1),
    ("$7$", "7", 1),
    (r"\(7\)", "7", 1),
    (r"\[7\]", "7", 1),
    ("7.", "7", 1),
    (r"The answer is $\boxed{7}$.", "7", 1),
    (r"\boxed{7} because 3+4=7", "7", 1),
    (r"The area is $\frac{3}{4}$.", "0.75", 1),
    (r"\boxed{7}, that is \boxed{7}", "7", 1),
    ("7 or 8", "7", 0),
    ("7, 8", "7", 0),
    ("7, 8, 9", "7", 0),
    ("7/8", "7", 0),
    ("The answer is 7 or 8", "7", 0),
    ("The answer is 7. The answer is 8.", "7", 0),
    (r"\boxed{7}, \boxed{8}", "7", 0),
    (r"\boxed{7 \text{ or } 8}", "7", 0),
    ("The answer is not 7", "7", 0),
    ("It is 8, not 7", "7", 0),
    ("There were 7 apples and 8 pears in the basket", "7", 0),
    ("", "7", 0),
    (" ", "7", 0),
    ("A", r"$\boxed{A}$", 1),
    ("(A)", "A", 1),
    ("The answer is A.", "A", 1),
    ("A or B", "A", 0),
    ("B", "A", 0),
]
# --- real golds: GeoQA (R1-V) with Chinese units and root signs, LMM-R1 with boxes ----------------------------------

REAL: list[Case] = [
    (r"12\sqrt{3}", "12√{3}cm", 1),
    (r"12\sqrt{3}\text{ cm}", "12√{3}cm", 1),
    (r"\frac{6\sqrt{10}}{5}", r"\frac{6}{5}√{10}", 1),
    (r"5\sqrt{3}", "5√{3}", 1),
    (r"6\sqrt{2}-6", "6√{2}-6", 1),
    (r"6-6\sqrt{2}", "6√{2}-6", 0),
    ("9", "9米", 1),
    ("9 m", "9米", 1),
    ("9 meters", "9米", 1),
    (r"16\pi", "16π平方米", 1),
    ("16π m²", "16π平方米", 1),
    (r"\frac{4}{3}", r"\frac{4}{3}米", 1),
    (r"\frac{1}{2}", r"\frac{1}{2}cm²", 1),
    (r"\frac{20}{7}", r"\frac{20}{7}cm", 1),
    ("65", "65°", 1),
    ("17.5°", "17.5°", 1),
    ("60", r"$\boxed{60}$", 1),
    ("61", r"$\boxed{60}$", 0),
]


@pytest.mark.parametrize(("answer", "gold", "acc"), TRL + MATH_VERIFY + ANNOUNCED + REAL)
def test_case(answer: str, gold: str, acc: int) -> None:
    verdict = math_reward(answer, gold)
    assert verdict.acc == acc
    assert (verdict.reason == "") == (acc == 1)


def test_every_real_gold_scores_1_for_itself(raw: Path) -> None:
    lines = (raw / "r1_v/src/eval/prompts/geoqa_test_prompts.jsonl").read_text(encoding="utf-8").splitlines()
    golds = [json.loads(line)["ground_truth"] for line in lines]
    lines = (raw / "lmm_r1/examples/data/test_message.jsonl").read_text(encoding="utf-8").splitlines()
    golds += [json.loads(line)["answer"] for line in lines]
    assert len(golds) > 100
    for gold in golds:
        for answer in (gold, rf"\boxed{{{gold}}}", f"The answer is {gold}."):
            assert math_reward(answer, gold).acc == 1, (answer, gold)
        assert math_reward("1234567", gold).acc == 0


# --- broken rows ----------------------------------------------------------------------------------------------------

BROKEN = ["", "  ", "forty two", "Answer is forty two.", "Tuesday", r"\frac{1}{", "???", "9^{9^9}", "((((" * 10 + "1"]
BROKEN += [r"\boxed{1} \boxed{2}", "1 + " * 200 + "1"]


@pytest.mark.parametrize("gold", BROKEN)
def test_broken_rows_are_refused(gold: str) -> None:
    with pytest.raises(GroundTruthError):
        parse_ground_truth(gold)
    with pytest.raises(GroundTruthError):
        math_reward("5", gold)


# --- limits ---------------------------------------------------------------------------------------------------------

TOO_COMPLEX = [
    "9^{9^9}",
    "9^{9^{9}}",
    "9^9^9",
    "9**9**9",
    "9^{(9^{9})}",
    "10^{99999}",
    "10^{10^{10}}",
    "2^{2^{2^{2^{2}}}}",
    "(9^{9})^{(9^{9})}",
    "99999!",
    "9!!!!!",
    "9!!",
    "9" * 80,
    "(" * 30 + "1" + ")" * 30,
    r"\sqrt{" * 25 + "2" + "}" * 25,
    r"\frac{1}{" * 30 + "2" + "}" * 30,
    "x+" * 200 + "x",
    r"x^{500}+(x+1)^{999}",
    "(x+1)^{1000}",
    "(x+y+z+w)^{900}",
    r"\prod_{k=1}^{999}(x+k)",
    r"\sum_{k=1}^{400} x^k",
]


@pytest.mark.parametrize("expression", TOO_COMPLEX)
def test_too_complex_expressions_are_not_compared(expression: str) -> None:
    assert too_complex(expression)
    assert math_reward(expression, "5x+y") == (0.0, expression, "too_complex")


@pytest.mark.parametrize(
    "expression", ["2^{10}", "2^{3^{2}}", "e^{x^{2}}", "x^{n+1}", "8!", r"\sqrt{\sqrt{2}}", "10^{-3}"]
)
def test_ordinary_powers_are_compared(expression: str) -> None:
    assert not too_complex(expression)


def test_limits_are_configurable() -> None:
    assert too_complex("2^{100}", MathConfig(max_exponent=50))
    assert too_complex("x+y+z", MathConfig(max_expression_chars=3))
    assert too_complex("((1))", MathConfig(max_depth=1))
    assert math_reward("7" + " " * 50, "7", config=MathConfig(max_chars=10)).reason == "too_long"


@pytest.mark.parametrize(
    "options",
    [
        {"processes": 0},  # would wait for ever
        {"timeout_s": 0.0},  # would switch the limit off
        {"timeout_s": -1.0},
        {"timeout_s": float("nan")},
        {"timeout_s": float("inf")},
        {"max_chars": 0},
        {"max_expression_chars": -5},
        {"max_depth": -1},
        {"max_exponent": 0},
    ],
)
def test_settings_that_cannot_work_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"math.{next(iter(options))}"):
        MathConfig(**options)  # type: ignore[arg-type]


# What passes the limits and still does not end in time; the next comparison must not notice.
BOMBS = [r"9^{9\cdot 9^{9}}", r"\binom{99999999}{4444444}", r"\int_0^1 e^{x^{x^{x}}} dx"]


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_costs_at_most_the_time_limit(bomb: str) -> None:
    config = MathConfig(timeout_s=1.0)
    parse_ground_truth("5x+y", config=config)
    before = spent_by_children()
    verdict = math_reward(bomb, "5x+y", config=config)
    assert verdict.acc == 0
    assert verdict.reason in ("timeout", "comparison_failed", "wrong")
    assert spent_by_children() - before < 5.0  # with the start of another process
    assert math_reward("y+5x", "5x+y").acc == 1


# --- properties -----------------------------------------------------------------------------------------------------

_PIECES = st.sampled_from(
    [r"\boxed{", r"\frac{", r"\sqrt{", r"\text{", "cm", "or", "is", "The answer is ", *"}{()^_$12x=+-!,°%π√ "]
)


@settings(max_examples=300, deadline=None)
@given(st.lists(_PIECES, max_size=14).map("".join) | st.text(max_size=50))
def test_reading_never_raises(text: str) -> None:
    expression, reason = settle(text, EXPRESSIONS)
    assert bool(expression) != bool(reason)
    too_complex(expression or "")
    to_latex(expression or "", expression or "")


@settings(max_examples=60, deadline=None)
@given(st.lists(_PIECES, max_size=8).map("".join))
def test_any_answer_is_judged(text: str) -> None:
    verdict = math_reward(text, "5x+y")
    assert verdict.acc in (0.0, 1.0)


@given(st.integers(-(10**6), 10**6), st.integers(1, 1000))
def test_every_fraction_equals_itself(over: int, under: int) -> None:
    for answer in (f"{over}/{under}", rf"\frac{{{over}}}{{{under}}}", rf"\boxed{{{over}/{under}}}"):
        assert math_reward(answer, f"{over}/{under}").acc == 1
    assert math_reward(f"{over + 1}/{under}", f"{over}/{under}").acc == 0


HOSTILE = [
    "(",
    "{",
    "\\frac{",
    "\\boxed{",
    "\\sqrt",
    "^",
    "9^",
    "1",
    "1+",
    "x",
    "x ",
    "$",
    "!",
    "√(",
    "the answer is ",
    "\n",
]


@pytest.mark.parametrize("shape", HOSTILE)
def test_hostile_answers_are_fast(shape: str) -> None:
    for size in (1_900, 1_000_000):
        text = (shape * size)[:size]
        start = time.thread_time()
        assert math_reward(text, "5").acc == 0
        assert time.thread_time() - start < 1.0


# --- the gold of a row ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("truth", [*(case[1] for case in REAL), r"$\boxed{A}$", "x^2+2x+1"])
def test_the_honest_answer_scores_1(truth: str) -> None:
    gold = KIND.parse(truth, {}, Scoring(MathConfig(), dict))
    assert gold.score(gold.honest) == math_reward(truth, truth)
    assert gold.score(gold.honest).acc == 1.0


def test_the_kind_brings_cheats_of_its_own() -> None:
    names = [cheat.name for cheat in KIND.cheats]
    assert len(set(names)) == len(names)
    assert {"tower", "number_ladder", "infinity", "yes_and_no", "equation_of_power"} < set(names)
