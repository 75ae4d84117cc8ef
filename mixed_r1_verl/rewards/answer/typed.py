"""A ground truth as a value of its type: what reads an answer to it, and when the two are the same."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from operator import eq
from string import ascii_uppercase
from typing import Any

from mixed_r1_verl.rewards.answer.commitment import NOTHING, Reader, settle, unreadable
from mixed_r1_verl.rewards.answer.dates import read_moments
from mixed_r1_verl.rewards.answer.numbers import Number, parse_number, parse_ratio
from mixed_r1_verl.rewards.answer.options import POLARITY, Options, Polarity, polarity_of
from mixed_r1_verl.rewards.answer.readers import Labels, Moments, Quantities
from mixed_r1_verl.rewards.answer.text import plain_text
from mixed_r1_verl.rewards.answer.types import guess_answer_type
from mixed_r1_verl.rewards.kind import Gold
from mixed_r1_verl.rewards.verdict import GroundTruthError, Verdict


@dataclass(frozen=True)
class Typed(Gold):
    """One right answer.

    Attributes:
        readers: what reads an answer; the second reads what the first finds nothing in.
        same: whether a value that was read is the one that is right.
        honest, form: see `Gold`.
    """

    readers: tuple[Reader, ...]
    same: Callable[[Any], bool]
    honest: str = ""
    form: str = ""

    def score(self, answer: str) -> Verdict:
        """1 when the one value that an answer commits itself to is the same, else 0."""
        if reason := unreadable(answer):
            return Verdict(0.0, "", reason)
        for reader in self.readers:
            value, trouble = settle(answer, reader)
            if value is not None:
                right = self.same(value)
                shown = plain_text(answer) if isinstance(value, tuple) else str(value)
                return Verdict(float(right), shown, "" if right else "wrong")
            reason = reason or trouble
            if trouble != NOTHING:
                break
        return Verdict(0.0, "", reason)


_LETTERS = re.compile(r"[A-Za-z](?:\s*(?:[,;/&]|and)\s*[A-Za-z])*", re.IGNORECASE)


def option(text: str, choices: tuple[str, ...] = ()) -> Typed:
    """The option that a ground truth names by letter or text, or the several ones (`A, C`).

    Raises:
        GroundTruthError: when it names none.
    """
    bare = text.strip("()[].: ")
    letters = re.sub(r"(?i)and|[^a-z]", "", bare).upper() if _LETTERS.fullmatch(bare) else ""
    options = Options.of(choices) if choices else Options.lettered(sorted({*ascii_uppercase[:8], *letters}))
    named = options.labels.get(letters) or options.named(text)
    if named is None and (letters or (bare.isupper() and bare.isalpha())):
        options = replace(options, several=True)
        named = options.read(text)
    if named is None:
        raise GroundTruthError(f"ground truth {text!r} is none of the {len(choices)} choices {choices!r}")
    readers: tuple[Reader, ...] = (options, Polarity(options.polar)) if options.polar else (options,)
    return Typed(readers, partial(eq, named), named, f"{len(choices)} options" if choices else "")


def lettered(text: str) -> bool:
    """Whether a ground truth is a letter or several: `B`, `A and C`."""
    return _LETTERS.fullmatch(text.strip("()[].: ")) is not None


def typed(
    text: str, kind: str = "", *, exact: bool = False, scales: frozenset[int] = frozenset(), tolerance: float = 0.0
) -> Typed:
    """One right answer that is no list.

    Args:
        text: the ground truth.
        kind: its type; empty to guess it.
        exact: as one word or count: a percentage is no share, a plural and a place (`in the kitchen`) are the same.
        scales: scale words that the question says.
        tolerance: relative error up to which a quantity is right.

    >>> typed("1:2").score("2 : 4").acc, typed("100", tolerance=0.05).score("about 104").acc, typed("May").form
    (1.0, 1.0, '')
    """
    kind, honest = kind or guess_answer_type(text), text.strip()
    if kind == "choice" and lettered(text):
        return option(text)
    if kind == "yes_no" and (polarity := polarity_of(text)):
        return Typed((POLARITY,), partial(eq, polarity), honest, "polar")
    if kind in ("number", "percent") and ":" in text and (ratio := parse_ratio(text)):
        return Typed((Quantities(ratios=True),), partial(eq, ratio), honest)
    parts = [] if kind == "label" else [text] if exact else text.split(" / ")
    golds = [number for part in parts if (number := parse_number(part))]
    if not (len(golds) == 2 and _one_in_two_scales(golds[0].value, golds[1].value)):
        golds = golds[:1] if kind in ("number", "percent", "year") else []
    if golds and kind == "year":
        readers = (Quantities(years=True), Quantities())
        return Typed(readers, lambda year: year == golds[0] and not year.unit, honest)
    if golds:
        agrees = partial(Number.agrees, scales=scales, tolerance=tolerance, one_scale=exact or kind == "percent")
        percents = {gold.percent for gold in golds} if exact else {True, False}
        same = lambda value: value.percent in percents and any(agrees(value, gold) for gold in golds)  # noqa: E731
        return Typed((Quantities(),), same, honest)
    named = exact and text.isalpha()  # `sun` and `march` are words of other things as well
    if kind == "date" and not named and (moments := read_moments(text)):
        return Typed((Moments(),), lambda readings: any(map(moments[0].same, readings)), honest)
    return Typed((Labels(text, forms=exact),), bool, honest)


def _one_in_two_scales(one: Fraction, other: Fraction) -> bool:
    """`2.72 / 2720`: one value in two scales, either of which is right."""
    small, large = sorted((abs(one), abs(other)))
    return one * other > 0 and large / small in (10, 100, 10**3, 10**6, 10**9)
