"""The math reward: is the answer the same number or expression as the ground truth. Ours, not the paper's.

A number with nothing, `%` or a known unit beside it is compared here, exactly; anything else by math-verify, in a
process that is killed at a limit on its processor time. The rules stand in `docs/rewards.md`.
"""

import os
import pickle
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import accumulate
from queue import LifoQueue
from string import ascii_lowercase
from typing import Annotated, Any

from mixed_r1_verl.core.config import Interval, check_bounds
from mixed_r1_verl.rewards.answer.commitment import settle
from mixed_r1_verl.rewards.answer.expressions import EXPRESSIONS, alike, in_words, items, number_of, to_latex
from mixed_r1_verl.rewards.answer.text import MAX_ANSWER_CHARS
from mixed_r1_verl.rewards.answer.types import Typed, option
from mixed_r1_verl.rewards.cheats import CLOSED_CHEATS, NUMBER_CHEATS, say
from mixed_r1_verl.rewards.kind import RewardKind, letter_or
from mixed_r1_verl.rewards.process import Died, Late, NotStarted, Process
from mixed_r1_verl.rewards.verdict import NOT_STARTED, GroundTruthError, Verdict


@dataclass(frozen=True)
class MathConfig:
    """Math reward (ours, not the paper's).

    Attributes:
        max_chars: a longer answer is not read and scores 0.
        max_expression_chars: a longer expression is not compared and scores 0; prose around it does not count.
        max_depth: brackets nested deeper than this are not compared.
        max_exponent: a written exponent, factorial or tower of numbers above this is not compared; the power of a
            sum with a variable not above a hundredth of it, and neither a sum or product of so many terms.
        timeout_s: seconds of processor time after which the process that compares two expressions is killed.
        processes: processes that compare expressions for this process, started as they are needed.
    """

    max_chars: Annotated[int, Interval(ge=1)] = 2000
    max_expression_chars: Annotated[int, Interval(ge=1)] = 300
    max_depth: Annotated[int, Interval(ge=0, le=100)] = 20
    max_exponent: Annotated[int, Interval(ge=1, le=100_000)] = 5000
    timeout_s: Annotated[float, Interval(gt=0, le=3600)] = 3.0
    processes: Annotated[int, Interval(ge=1, le=256)] = 2

    def __post_init__(self) -> None:
        check_bounds(self, "math")


_DEFAULT = MathConfig()


def math_reward(answer: str, ground_truth: str, *, config: MathConfig = _DEFAULT) -> Verdict:
    r"""1 when the answer, a text, is the same number or expression as the ground truth, in LaTeX or plain; else 0.

    `prediction` is the expression that was read. Reasons: `empty`, `too_long`, `too_complex`, `several_answers`,
    `no_answer_found`, `not_an_expression`, `timeout`, `comparison_failed`, `wrong`. Raises GroundTruthError as
    `parse_ground_truth` does.

    >>> math_reward(r"The answer is $\boxed{\frac{1}{2}}$.", "0.5").acc, math_reward("3 or 4", "3").acc
    (1.0, 0.0)
    >>> math_reward("9^{9^9}", "5")
    Verdict(acc=0.0, prediction='9^{9^9}', reason='too_complex')
    """
    return _gold(ground_truth, config).score(answer)


def _differ(gold: str, config: MathConfig, answer: str) -> str:
    """Why an answer is not the ground truth, or empty: item by item, in any order, with one partner each."""
    theirs, ours = items(gold), items(answer)
    if len(theirs) == len(ours) == 1 and "=" in gold and "=" in answer and ("=" in theirs[0]) != ("=" in ours[0]):
        theirs, ours = [gold], [answer]  # two equations of one curve
    if len(theirs) != len(ours) or len(theirs) > _MOST_ITEMS:
        return "wrong"
    for one in theirs:
        for place, other in enumerate(ours):
            if not (reason := _differ_in_one(one, other, config)):
                del ours[place]
                break
        else:
            return reason
    return ""


_MOST_ITEMS = 8
_VARIABLES = frozenset(ascii_lowercase) - {"g", "m"}  # no unit where only one side has it


def _differ_in_one(gold: str, answer: str, config: MathConfig) -> str:
    if alike(gold, answer):
        return ""
    ours, theirs = number_of(answer), number_of(gold)
    if ours and theirs:
        units = {ours.unit, theirs.unit}
        return "" if ours.agrees(theirs) and not ("" in units and units & _VARIABLES) else "wrong"
    if too_complex(answer, config):
        return "too_complex"
    pair = to_latex(gold, answer)
    reason = _compare(*pair, config) if pair else "wrong"
    if reason == _UNREADABLE:
        raise GroundTruthError(f"the math reward cannot read ground truth {gold!r}")
    return reason


def parse_ground_truth(ground_truth: str, *, config: MathConfig = _DEFAULT) -> str:
    r"""The expression of a ground truth, without its box, dollar signs and announcement.

    Raises GroundTruthError when it is empty, in words, too large, or no expression that math-verify, which is asked in
    the processes that compare, can read in time.

    >>> parse_ground_truth(r"$\boxed{60}$")
    '60'
    """
    gold, _ = settle(ground_truth, EXPRESSIONS)
    if trouble := _trouble_with(gold, config) if gold else "it holds no expression":
        raise GroundTruthError(f"the math reward cannot read ground truth {ground_truth!r}: {trouble}")
    return str(gold)


@lru_cache(maxsize=16384)
def _trouble_with(gold: str, config: MathConfig) -> str:
    """What is wrong with an expression as a ground truth. It is remembered: it may have taken the whole time limit."""
    if in_words(gold):
        return "it is in words; matching or chart can"
    if too_complex(gold, config):
        return "it is too large to compare"
    for item in [] if _LETTER.fullmatch(gold) else items(gold):
        pair = to_latex(item, item)
        known = number_of(item) is not None or "dots" in item
        reason = "" if known else _compare(pair[0], "0", config) if pair else _UNREADABLE
        if reason == "timeout":
            return f"reading it took more than math.timeout_s = {config.timeout_s} s of processor time"
        if reason == _UNREADABLE:
            return f"math-verify finds no expression in {gold!r}"
    return ""


_LETTER = re.compile(r"[A-Za-z]")
_POWER, _CLOSED = r"(?:\^|\*\*)[\s{(]*", r"[\s})]*"
_EXPONENT = re.compile(r"(?:\^|\*\*)[\s{(+-]*(\d+)|(\d+)\s*[})]*\s*!")
_OF_A_SUM = re.compile(rf"[)\]]\s*\}}?\s*{_POWER}(\d+)|\\(?:prod|sum)(?![A-Za-z])[^^]{{0,80}}\^[\s{{(]*(\d+)")
_VARIABLE = re.compile(r"(?<![\\A-Za-z])[A-Za-z](?![A-Za-z])")
_TOWER = re.compile(rf"{_POWER}(\d{{1,12}}){_CLOSED}{_POWER}(\d{{1,12}})")
_HUGE = re.compile(rf"\d{{60}}|!\s*[}})]*\s*!|(?:{_POWER}\d{{1,12}}{_CLOSED}){{3}}")


def too_complex(expression: str, config: MathConfig = _DEFAULT) -> bool:
    """Whether an expression is beyond what may be given to SymPy: by length, nesting, exponents or digits.

    >>> too_complex("2^{10}"), too_complex("2^{3^{2}}"), too_complex("9^{9^9}"), too_complex("10^{99999}")
    (False, False, True, True)
    """
    if len(expression) > config.max_expression_chars or _HUGE.search(expression):
        return True
    steps = (1 if bracket in "({[" else -1 for bracket in re.findall(r"[({\[\])}]", expression))
    depth = max(accumulate(steps, lambda depth, step: max(depth + step, 0), initial=0))
    if max(depth, expression.count("^") + expression.count("**")) > config.max_depth or expression.count("!") > 4:
        return True
    sums = _OF_A_SUM.findall(expression) if _VARIABLE.search(expression) else ()
    for powers, most in ((_EXPONENT.findall(expression), config.max_exponent), (sums, config.max_exponent // 100)):
        if any(len(digits) > 9 or int(digits or 0) > most for pair in powers for digits in pair):
            return True
    towers = [(int(base), int(exponent)) for base, exponent in _TOWER.findall(expression)]
    return any(exponent > 30 or base**exponent > config.max_exponent for base, exponent in towers)


_UNREADABLE = "unreadable_ground_truth"
_GRACE_S = 10.0
"""Seconds on the clock beyond the time limit after which a comparison that waits for a processor is given up."""

_starting = threading.Lock()
_free: dict[tuple[int, int], "LifoQueue[Process]"] = {}


def _compare(gold: str, answer: str, config: MathConfig) -> str:
    """Why two LaTeX expressions differ, or empty. Waits for a free process if all are busy."""
    free = comparing_processes(config.processes)
    process = free.get()
    try:
        [reason] = process.run([pickle.dumps((gold, answer))], config.timeout_s + _GRACE_S, config.timeout_s)
        return str(reason)
    except Late as late:  # on the clock: no fault of the expression, and no verdict on a ground truth
        return "comparison_failed" if late.on_clock else "timeout"
    except Died:
        return "comparison_failed"
    except NotStarted:
        return NOT_STARTED
    finally:
        free.put(process)


def comparing_processes(size: int) -> "LifoQueue[Process]":
    """The processes of this process that are free to compare; a forked child gets its own, as pipes cannot be shared.

    They start when they are needed; the last one that was used is the first to be used again.
    """
    with _starting:
        key = os.getpid(), size
        if key not in _free:
            _free[key] = LifoQueue()
            for _ in range(size):
                _free[key].put(Process(prepare_comparing, quiet=True))
        return _free[key]


def prepare_comparing() -> Callable[[], Callable[[str, str], str]]:
    """Import math-verify; the answers of the process are why two LaTeX expressions differ, or empty.

    math-verify's own time limits are off: they need the main thread, and what is stuck is killed from outside.
    """
    import logging

    from math_verify import LatexExtractionConfig, parse, verify

    for name in ("math_verify", "math_verify.parser", "math_verify.grader", "latex2sympy2_extended"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    config = [LatexExtractionConfig(boxed_match_priority=0)]

    def parsed(latex: str) -> list[Any]:
        return parse(rf"\boxed{{{latex}}}", extraction_config=config, parsing_timeout=None, fallback_mode="no_fallback")

    cached = lru_cache(maxsize=256)(parsed)

    def compare(gold: str, answer: str) -> str:
        try:
            expected = cached(gold)
            if not expected:
                return _UNREADABLE
            found = parsed(answer)
            if not found:
                return "not_an_expression"
            same = verify(expected, found, timeout_seconds=None) and not _apart(expected[0], found[0])
            return "" if same else "wrong"
        except (Exception, RecursionError, MemoryError):  # SymPy raises anything for an odd expression
            return "comparison_failed"

    compare(r"\frac{1}{2}+x", "x+0.5")  # builds the parser's tables once, for all forks
    return lambda: compare


def _apart(one: Any, other: Any) -> bool:
    """Whether two numbers differ that math-verify takes for equal because it rounds: fractions of huge powers."""
    if not all(getattr(side, "is_number", False) and side.is_finite for side in (one, other)):
        return False
    if one.is_Rational and other.is_Rational:
        return bool(one != other)
    return bool(abs((one - other).evalf(30)) > 1e-12 * abs(one.evalf(30)))


@lru_cache(maxsize=16384)
def _gold(ground_truth: str, config: MathConfig) -> Typed:
    gold, honest = parse_ground_truth(ground_truth, config=config), ground_truth.strip()
    if _LETTER.fullmatch(gold):
        return replace(option(gold), honest=honest, most=min(config.max_chars, MAX_ANSWER_CHARS))
    differ = partial(_differ, gold, config)
    return Typed((EXPRESSIONS,), partial(alike, gold), honest, most=config.max_chars, differ=differ)


KIND = RewardKind(
    "math",
    lambda ground_truth, extra_info, scoring: _gold(ground_truth, scoring.options),
    partial(letter_or, "Answer with a number or an expression."),
    config=MathConfig,
    answers="closed",
    cheats=(
        *CLOSED_CHEATS,
        *NUMBER_CHEATS,
        say("tower", "9^{9^{9^{9}}}"),
        say("free_variable", "x"),
        say("equation_of_power", lambda target: f"x^2={target.honest}", sort="smuggled"),
        say("real_line", r"(-\infty, \infty)"),
        say("set_of_all", r"\{" + ", ".join(map(str, range(-50, 51))) + r"\}"),
    ),
)
