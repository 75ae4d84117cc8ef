"""What a reward function returns, and what it raises for a row that is itself broken."""

from typing import NamedTuple

NOT_STARTED = "the scoring processes do not start"
"""The reason of samples that wait for processes in vain; a scoring pool ends with it."""

ABSTAINED = "abstained"  # the reason of a sample that its kind cannot judge; it counts in no mean of a curve

SHORTENED = "the limit while samples of this kind hang"
"""Stands in the reason of samples that met a time limit which had been shortened."""


class Verdict(NamedTuple):
    """The judgement of one answer by one task reward.

    Attributes:
        acc: task reward in [0, 1].
        prediction: what was read out of the answer, as text; empty when nothing was.
        reason: a short snake_case code that says why `acc` is not 1 (`no_answer_found`, `several_answers`); empty when
            there is nothing to say.
    """

    acc: float
    prediction: str = ""
    reason: str = ""


class GroundTruthError(ValueError):
    """The row's own ground truth cannot be read by the reward that is to score it."""
