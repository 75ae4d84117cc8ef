r"""The math reward: is the answer the same number or expression as the ground truth. Ours, not the paper's.

Two stages: one expression is read out of the answer, then it is compared with the ground truth. Plain numbers are
compared here; anything else by math-verify, in a process that is killed at a limit on its processor time. Rules:

- **One expression.** The contents of `\boxed{…}`, else the whole answer, else what is announced. Two different boxes or
  announcements are wrong, and so is a list or `3 or 4` where one value was asked.
- **Exact.** `1/2` = `0.5` = `\frac12`, but `0.333` is not `1/3`: no tolerance beyond the rounding of binary fractions.
- **Units** may be left out or added; two known ones are converted and contradict if they differ in kind. `10%` is 0.1
  and also answers a bare 10.
- **Left-hand sides** (`x = 5`) may be left out or added.
- **Too much.** Longer, deeper or higher expressions than `MathConfig` allows are not compared (`too_complex`). A
  comparison that meets that limit scores 0 (`timeout`).
- **A ground truth** in words (`forty two`) cannot be compared by mathematics and is refused; a single letter is
  compared as the letter of an option.
"""

import os
import pickle
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, lru_cache, partial
from queue import LifoQueue
from typing import Annotated, Any

from mixed_r1_verl.core.config import Interval, check_bounds
from mixed_r1_verl.rewards.answer.latex import boxed_contents
from mixed_r1_verl.rewards.answer.numbers import Number, parse_number
from mixed_r1_verl.rewards.answer.statements import find_claims, readings
from mixed_r1_verl.rewards.cheats import CLOSED_CHEATS, NUMBER_CHEATS, say
from mixed_r1_verl.rewards.kind import Gold, RewardKind, letter_or
from mixed_r1_verl.rewards.kinds import matching
from mixed_r1_verl.rewards.process import Died, Late, NotStarted, Process
from mixed_r1_verl.rewards.verdict import NOT_STARTED, GroundTruthError, Verdict


@dataclass(frozen=True)
class MathConfig:
    """Math reward (ours, not the paper's).

    Attributes:
        max_chars: a longer answer is not read and scores 0.
        max_expression_chars: a longer expression is not compared and scores 0; prose around it does not count.
        max_depth: brackets nested deeper than this are not compared.
        max_exponent: a written exponent, or a tower of numbers, above this is not compared.
        timeout_s: seconds of processor time after which the process that compares two expressions is killed.
        processes: processes that compare expressions for this process, started as they are needed.
    """

    max_chars: Annotated[int, Interval(ge=1)] = 2000
    max_expression_chars: Annotated[int, Interval(ge=1)] = 300
    max_depth: Annotated[int, Interval(ge=0, le=100)] = 20
    max_exponent: Annotated[int, Interval(ge=1, le=100_000)] = 1000
    timeout_s: Annotated[float, Interval(gt=0, le=3600)] = 3.0
    processes: Annotated[int, Interval(ge=1, le=256)] = 2

    def __post_init__(self) -> None:
        check_bounds(self, "math")


_DEFAULT = MathConfig()


def math_reward(answer: str, ground_truth: str, *, config: MathConfig = _DEFAULT) -> Verdict:
    r"""1 when the answer is the same number or expression as the ground truth, else 0.

    Args:
        answer: text of the answer block.
        ground_truth: a number or expression, in LaTeX or plain.
        config: limits on size and time.

    Returns:
        `acc` 0.0 or 1.0; `prediction` is the expression that was read. Reasons: `empty`, `too_long`, `too_complex`,
        `several_answers`, `no_answer_found`, `not_an_expression`, `timeout`, `comparison_failed`, `wrong`.

    Raises:
        GroundTruthError: when the ground truth is no expression; see `parse_ground_truth`.

    >>> math_reward(r"The answer is $\boxed{\frac{1}{2}}$.", "0.5").acc, math_reward("3 or 4", "3").acc
    (1.0, 0.0)
    >>> math_reward("9^{9^9}", "5")
    Verdict(acc=0.0, prediction='9^{9^9}', reason='too_complex')
    """
    return _gold(ground_truth, config).score(answer)


@dataclass
class MathGold(Gold):
    """The expression of a ground truth, and the ground truth itself as the honest answer."""

    expression: str
    config: MathConfig
    honest: str

    def score(self, answer: str) -> Verdict:
        """See `math_reward`."""
        gold, config = self.expression, self.config
        if len(answer) > config.max_chars:
            return Verdict(0.0, "", "too_long")
        if not answer or answer.isspace():
            return Verdict(0.0, "", "empty")
        if _LETTER.fullmatch(gold):
            return matching.matching_reward(answer, gold)
        expression, reason = read_expression(answer)
        if not expression:
            return Verdict(0.0, "", reason)
        if _compact(expression) == _compact(gold):
            return Verdict(1.0, expression)
        ours, theirs = _number(expression), _number(gold)
        if ours is not None and theirs is not None:
            reason = "" if _same_number(ours, theirs) else "wrong"
        elif too_complex(expression, config):
            reason = "too_complex"
        else:
            reason = _compare(gold, expression, config)
            if reason == _UNREADABLE:
                raise GroundTruthError(f"the math reward cannot read ground truth {self.honest!r}")
        return Verdict(0.0 if reason else 1.0, expression, reason)


def parse_ground_truth(ground_truth: str, *, config: MathConfig = _DEFAULT) -> str:
    r"""The expression of a ground truth, without its box, dollar signs and announcement.

    Whether math-verify can read a ground truth that is no plain number is found out by asking it, in the same
    processes that compare.

    Raises:
        GroundTruthError: when it is empty, in words, too large, or no expression that math-verify can read in time.

    >>> parse_ground_truth(r"$\boxed{60}$")
    '60'
    """
    gold, trouble = _read_ground_truth(ground_truth, config)
    if trouble:
        raise GroundTruthError(f"the math reward cannot read ground truth {ground_truth!r}: {trouble}")
    return gold


@lru_cache(maxsize=16384)
def _read_ground_truth(ground_truth: str, config: MathConfig) -> tuple[str, str]:
    """The expression and what is wrong with it. That is remembered as well: it may have taken the whole time limit."""
    gold, _ = read_expression(ground_truth)
    if not gold:
        return gold, "it holds no expression"
    if _has_words(gold) and not (parse_number(gold) and re.search(r"\d", gold)):
        return gold, "it is in words; matching or chart can"
    if too_complex(gold, config):
        return gold, "it is too large to compare"
    reason = "" if _number(gold) is not None or _LETTER.fullmatch(gold) else _compare(gold, "0", config)
    if reason == "timeout":
        return gold, f"reading it took more than math.timeout_s = {config.timeout_s} s of processor time"
    return gold, f"math-verify finds no expression in {gold!r}" if reason == _UNREADABLE else ""


# --- reading ----------------------------------------------------------------------------------------------------------

_LETTER = re.compile(r"[A-Za-z]")
_WORDS = re.compile(r"[A-Za-z]{4,}|[A-Za-z]{3,}\s+[A-Za-z]{2,}")
_COMMAND = re.compile(
    r"\\(?:begin|end|text|mathrm|operatorname|textbf|mathbf)\s*\{[^{}]*\}|\\[A-Za-z]+|\b(?:sqrt|sinh|cosh|tanh|infty|frac)\b"
)
_DELIMITERS = re.compile(r"^(?:\$\$?|\\\(|\\\[|`+)\s*|\s*(?:\$\$?|\\\)|\\\]|`+)$")


def read_expression(text: str) -> tuple[str, str]:
    r"""The one expression that a text gives as its answer, or empty with the reason.

    >>> read_expression(r"Thus the area is $\frac{3}{4}$."), read_expression(r"\boxed{1} or \boxed{2}")
    (('\\frac{3}{4}', ''), ('', 'several_answers'))
    """
    boxed = list(dict.fromkeys(content for content in map(_bare, boxed_contents(text)) if content))
    if len(boxed) > 1:
        return "", matching.SEVERAL
    if boxed:
        return boxed[0], ""
    whole = _bare(text)
    if not _is_prose(whole):
        return (whole, "") if whole else ("", matching.NOTHING)
    claims = find_claims(text, plain=False)
    announced = [_bare(readings(claim)[-1]) for claim in (*claims.announced, *claims.described)]
    announced = [claim for claim in announced if not _is_prose(claim)]
    if len({_compact(claim) for claim in announced}) > 1:
        return "", matching.SEVERAL
    return (announced[0], "") if announced and announced[0] else ("", matching.NOTHING)


def _is_prose(text: str) -> bool:
    return _has_words(text) and parse_number(text) is None


def _has_words(text: str) -> bool:
    return _WORDS.search(_COMMAND.sub(" ", text)) is not None


def _bare(text: str) -> str:
    """An expression without mathematics delimiters, markdown emphasis and the full stop of its sentence."""
    for _ in range(6):
        stripped = _DELIMITERS.sub("", text.strip().strip("*").rstrip(".。").strip())
        if stripped == text:
            break
        text = stripped
    return text


def _compact(text: str) -> str:
    return re.sub(r"\s|\\[,;!]|\\left|\\right", "", text).replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")


_NAME = re.compile(r"^\s*[A-Za-z](?:_\{?\w{1,8}\}?)?\s*=\s*")


def _number(expression: str) -> Number | None:
    """The plain number that an expression is; `5!` is none."""
    return None if "!" in expression else parse_number(_NAME.sub("", expression))


def _same_number(ours: Number, theirs: Number) -> bool:
    """Equal up to binary rounding, in one unit; a percentage counts by its value and by its digits."""
    a, b = ours.quantity(), theirs.quantity()
    if a and b and a[0] != b[0]:
        return False
    if ours.currency and theirs.currency and ours.currency != theirs.currency:
        return False
    value, target = (a[1], b[1]) if a and b else (ours.value, theirs.value)
    pairs = [(value, target)]
    if ours.percent != theirs.percent:
        pairs.append((value / 100, target) if ours.percent else (value, target / 100))
    return any(abs(x - y) <= 1e-9 * max(abs(x), abs(y)) for x, y in pairs)


# --- limits -----------------------------------------------------------------------------------------------------------

_EXPONENT = re.compile(r"(?:\^|\*\*)[\s{(+-]*(\d+)")
_TALL_TOWER = re.compile(r"(?:(?:\^|\*\*)[\s{(]*\d{1,12}[\s})]*){3}")
_TOWER = re.compile(r"(?:\^|\*\*)[\s{(]*(\d{1,12})[\s})]*(?:\^|\*\*)[\s{(]*(\d{1,12})")
_HUGE = re.compile(r"\d{60}|\d{4,}\s*[})]*\s*!|!\s*[})]*\s*!")


def too_complex(expression: str, config: MathConfig = _DEFAULT) -> bool:
    """Whether an expression is beyond what may be given to SymPy: by length, nesting, exponents or digits.

    >>> too_complex("2^{10}"), too_complex("2^{3^{2}}"), too_complex("9^{9^9}"), too_complex("10^{99999}")
    (False, False, True, True)
    """
    if len(expression) > config.max_expression_chars or _HUGE.search(expression) or _TALL_TOWER.search(expression):
        return True
    depth = deepest = 0
    for bracket in re.findall(r"[({\[\])}]", expression):
        depth = depth + 1 if bracket in "({[" else max(depth - 1, 0)
        deepest = max(deepest, depth)
    if deepest > config.max_depth:
        return True
    if any(len(digits) > 9 or int(digits) > config.max_exponent for digits in _EXPONENT.findall(expression)):
        return True
    for base, exponent in _TOWER.findall(expression):
        if int(exponent) > 30 or int(base) ** int(exponent) > config.max_exponent:
            return True
    return expression.count("^") + expression.count("**") > config.max_depth or expression.count("!") > 4


# --- comparing --------------------------------------------------------------------------------------------------------

# What math-verify does not read by itself.
_PLAIN_SIGNS = str.maketrans(
    {"∞": r"\infty ", "·": r"\cdot ", "²": "^{2}", "³": "^{3}", "，": ",", "（": "(", "）": ")", "°": "", "%": r"\%"}
)
_UNIT_AFTER = re.compile(
    r"(?<=[\d})π])\s*(?:\\[,;~]|~)*\s*(?:平方|立方)?(?:厘米|毫米|千米|公里|分米|米|度|元|个|人|千克|克|"
    r"(?:square\s+|cubic\s+)?(?:mm|cm|dm|km|m|kg|g|units?|degrees?|meters?|inches|feet))(?:\^?\{?[23]\}?)?\s*\.?$"
)


def to_latex(expression: str) -> str:
    r"""Write plain mathematics (`12√{3}cm`, `sqrt(2)`, `x**10`, `16π`) as the LaTeX that math-verify reads.

    >>> to_latex("12√{3}cm"), to_latex("sqrt(2)/2"), to_latex("x**10"), to_latex("(√(2)+1)^12")
    ('12\\sqrt{3}', '\\sqrt{2}/2', 'x^{10}', '(\\sqrt{2}+1)^{12}')
    """
    text = re.sub(r"\^\s*\{?\s*(?:\\circ|\\degree|°)\s*\}?|\\degree", "", expression)
    text = text.replace("\\%", "%").translate(_PLAIN_SIGNS).replace("**", "^")
    text = re.sub(r"(?<![\\A-Za-z])pi\b", r"\\pi ", text)
    text = re.sub(r"(?<![\\A-Za-z])sqrt\b", "√", text)
    text = re.sub(r"√\s*\{", r"\\sqrt{", text)
    text = re.sub(r"√\s*\(([^()]*)\)", r"\\sqrt{\1}", text)
    text = re.sub(r"√\s*([A-Za-z]|\d+(?:\.\d+)?)", r"\\sqrt{\1}", text)
    text = re.sub(r"\^\s*(-?\d{2,}|-\d)", r"^{\1}", text)
    return _UNIT_AFTER.sub("", text.strip()).strip()


_UNREADABLE = "unreadable_ground_truth"
_GRACE_S = 10.0
"""Seconds on the clock beyond the time limit after which a comparison that waits for a processor is given up."""

_starting = threading.Lock()


def _compare(gold: str, answer: str, config: MathConfig) -> str:
    """Why an answer is not the ground truth, or empty. Waits for a free process if all are busy."""
    request = pickle.dumps((to_latex(gold), to_latex(answer)))
    free = comparing_processes(config.processes)
    process = free.get()
    try:
        [reason] = process.run([request], config.timeout_s + _GRACE_S, config.timeout_s)
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
        return _free_processes(os.getpid(), size)


@cache
def _free_processes(pid: int, size: int) -> "LifoQueue[Process]":
    free: LifoQueue[Process] = LifoQueue()
    for _ in range(size):
        free.put(Process(prepare_comparing, quiet=True))
    return free


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
            return "" if verify(expected, found, timeout_seconds=None) else "wrong"
        except (Exception, RecursionError, MemoryError):  # SymPy raises anything for an odd expression
            return "comparison_failed"

    compare(r"\frac{1}{2}+x", "x+0.5")  # builds the parser's tables once, for all forks
    return lambda: compare


_CHEATS = (
    *CLOSED_CHEATS,
    *NUMBER_CHEATS,
    say("tower", "9^{9^{9^{9}}}"),
    say("free_variable", "x"),
    say("real_line", r"(-\infty, \infty)"),
    say("set_of_all", r"\{" + ", ".join(map(str, range(-50, 51))) + r"\}"),
)


def _gold(ground_truth: str, config: MathConfig) -> MathGold:
    return MathGold(parse_ground_truth(ground_truth, config=config), config, ground_truth.strip())


KIND = RewardKind(
    "math",
    lambda ground_truth, extra_info, scoring: _gold(ground_truth, scoring.options),
    partial(letter_or, "Answer with a number or an expression."),
    config=MathConfig,
    answers="closed",
    cheats=_CHEATS,
)
