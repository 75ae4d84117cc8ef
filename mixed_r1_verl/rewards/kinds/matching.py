"""The matching reward: multiple choice, yes/no and true/false, and short answers that are one word or count.

An answer is read once, as a value of the row's type, and compared exactly. The rules stand in `docs/rewards.md`.
"""

from collections.abc import Sequence
from functools import lru_cache
from string import ascii_uppercase

from mixed_r1_verl.rewards.answer.numbers import parse_number
from mixed_r1_verl.rewards.answer.options import polarity_of
from mixed_r1_verl.rewards.answer.text import plain_text, text_key
from mixed_r1_verl.rewards.answer.types import Typed, answer_type_of, guess_answer_type, lettered, option, typed
from mixed_r1_verl.rewards.cheats import CLOSED_CHEATS, LABEL_CHEAT, Target, say
from mixed_r1_verl.rewards.kind import RewardKind, choices_of, letter_or
from mixed_r1_verl.rewards.verdict import GroundTruthError, Verdict

__all__ = ["KIND", "matching_reward", "parse_ground_truth"]

MAX_WORD_CHARS = 100
"""A ground truth without options that is longer than this is no short answer."""


def matching_reward(answer: str, ground_truth: str, *, choices: Sequence[str] = ()) -> Verdict:
    """1 when the answer names the right option, polarity, word or count and nothing else; else 0.

    Args:
        answer: text of the answer block.
        ground_truth: an option letter or text, `yes`/`no`/`true`/`false`, or a short word or number; GroundTruthError
            is raised when it is empty, names no option of those given, or is no short answer.
        choices: option texts in the order A, B, C, …; empty for anything but multiple choice.

    Returns:
        `acc` 0.0 or 1.0; `prediction` is the letter, `yes`/`no` or text that was read.

    >>> matching_reward("The answer is a dog", "B", choices=["cat", "dog", "bird", "fish"])
    Verdict(acc=1.0, prediction='B', reason='')
    >>> matching_reward("A or B or C", "B", choices=["cat", "dog", "bird"])
    Verdict(acc=0.0, prediction='', reason='several_answers')
    >>> matching_reward("I cannot tell", "no").acc
    0.0
    """
    return parse_ground_truth(ground_truth, tuple(choices)).score(answer)


@lru_cache(maxsize=16384)
def parse_ground_truth(ground_truth: str, choices: tuple[str, ...] = (), answer_type: str = "") -> Typed:
    """Read a ground truth as `matching_reward` does; `answer_type` is what the row says of it.

    >>> parse_ground_truth("dog", ("cat", "dog")).honest, parse_ground_truth("TRUE").form
    ('B', 'polar')
    """
    text = plain_text(ground_truth)
    if not text_key(text):
        raise GroundTruthError(f"the matching reward cannot read ground truth {ground_truth!r}: it is empty")
    if len(choices) > len(ascii_uppercase):
        raise GroundTruthError(f"{len(choices)} choices; the matching reward labels at most {len(ascii_uppercase)}")
    if choices or (lettered(text) and answer_type in ("", "choice", "set")):
        return option(text, choices)
    guessed = "yes_no" if polarity_of(text) else "number" if parse_number(text) else guess_answer_type(text)
    gold = typed(text, answer_type or guessed, exact=True)
    if gold.form != "polar" and (len(text) > MAX_WORD_CHARS or ground_truth.strip()[0] in "[{"):
        raise GroundTruthError(
            f"the matching reward cannot read ground truth {ground_truth!r}: it expects a letter, yes/no or a word"
        )
    return gold


def _instruction(ground_truth: str, choices: Sequence[str]) -> str:
    pairs = {"yes": "yes or no", "no": "yes or no", "true": "true or false", "false": "true or false"}
    sentence = f"Answer with {pairs.get(ground_truth.strip().casefold(), 'one word or number')}."
    return letter_or(sentence, ground_truth, choices)


def _letters(target: Target) -> str:
    return ascii_uppercase[: max(len(target.choices), 4)]


KIND = RewardKind(
    "matching",
    lambda ground_truth, row, scoring: parse_ground_truth(ground_truth, choices_of(row), answer_type_of(row)),
    _instruction,
    columns=("choices", "answer_type"),
    answers="closed",
    cheats=(
        say("first_option", "A"),
        say("all_letters", lambda target: ", ".join(_letters(target))),
        say("letters_in_a_row", _letters),
        say("letters_with_or", lambda target: " or ".join(_letters(target))),
        say("all_options", lambda target: "; ".join(target.choices) or "yes; no"),
        say("listed_options", lambda target: "\n".join(map("{}. {}".format, _letters(target), target.choices))),
        say("hedging", "It could be A, but B is also possible, and C or D cannot be ruled out."),
        say("boxed_letters", lambda target: "".join(map("\\boxed{{{}}}".format, _letters(target)))),
        say("prose_without_choice", "A dog is a nice animal, and no one knows why. I do not know."),
        LABEL_CHEAT,
        *CLOSED_CHEATS,
    ),
)
