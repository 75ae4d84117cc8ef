r"""The matching reward: multiple choice, yes/no and true/false, and short answers that are one word or count.

The answer is read first (`read` of the gold) and compared second. Rules for ambiguous families:

- **Letters.** A single letter is an option's label, also where option texts are letters themselves. `(B)`, `B)`, `B.`,
  `b`, `Option B`, `\boxed{B}`, `**B**`, `答案是B` name B. Before a word `A` is an article: `A dog` and `It is a dog`
  name the option whose text is *dog*.
- **Texts.** An option's text names it, by `text_key` or as the same number (`13` = `13.0`, `4/5` = `\frac{4}{5}`, a
  missing unit is forgiven where only one option fits). Part of a text names nothing.
- **Both.** `B) dog` names B if *dog* is B's text and is a contradiction if it is another option's. A text that is
  nobody's is taken for an explanation: `B. It has a tail.`
- **Several.** `A or B`, `A, B`, `A/B`, two statements that differ, the option list copied out: wrong, even if the right
  one is among them. `B because A is wrong` and `dog, not cat` name one.
- **Doubt.** `not B`, `B is wrong`, `if the answer is B`, `could be B`, `B?` name nothing; *I think* and *probably* do
  not weaken a single claim. Excluding all other options names nothing.
- **Yes/no.** The text must begin with the word or announce it; `True` means yes and `False` no; *not true* means no.
  `No idea`, `No circle`, `Nothing`, `I cannot tell`, `Yes and no` answer nothing.
- **Words.** Without options any other ground truth up to 100 characters is compared by `text_key` without the plural
  *s*, a number by value and without tolerance. Never by substring.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from string import ascii_uppercase

from mixed_r1_verl.rewards.answer.numbers import Number, parse_number
from mixed_r1_verl.rewards.answer.options import BARE_LABEL, NOTHING, SEVERAL, Options, polarity_of, read_polarity
from mixed_r1_verl.rewards.answer.statements import offered_numbers, said
from mixed_r1_verl.rewards.answer.text import MAX_ANSWER_CHARS, plain_text, singular, text_key
from mixed_r1_verl.rewards.cheats import CLOSED_CHEATS, LABEL_CHEAT, Target, say
from mixed_r1_verl.rewards.kind import Gold, RewardKind, choices_of
from mixed_r1_verl.rewards.verdict import GroundTruthError, Verdict

__all__ = ["KIND", "MatchingGold", "matching_reward", "parse_ground_truth"]

MAX_WORD_CHARS = 100
"""A ground truth without options that is longer than this is no short answer."""


def matching_reward(answer: str, ground_truth: str, *, choices: Sequence[str] = ()) -> Verdict:
    """1 when the answer names the right option, polarity, word or count and nothing else; else 0.

    Args:
        answer: text of the answer block.
        ground_truth: an option letter or text, `yes`/`no`/`true`/`false`, or a short word or number.
        choices: option texts in the order A, B, C, …; empty for anything but multiple choice.

    Returns:
        `acc` 0.0 or 1.0; `prediction` is the letter, `yes`/`no` or text that was read.

    Raises:
        GroundTruthError: see `parse_ground_truth`.

    >>> matching_reward("The answer is a dog", "B", choices=["cat", "dog", "bird", "fish"])
    Verdict(acc=1.0, prediction='B', reason='')
    >>> matching_reward("A or B or C", "B", choices=["cat", "dog", "bird"])
    Verdict(acc=0.0, prediction='', reason='several_answers')
    >>> matching_reward("I cannot tell", "no").acc
    0.0
    """
    return parse_ground_truth(ground_truth, choices).score(answer)


@dataclass(frozen=True)
class MatchingGold(Gold):
    """A ground truth of the matching reward.

    Attributes:
        expected: what is to be read out of the answer: a label, `yes` or `no`, or the key of a word or number.
        read: what an answer says, and the reason where it says nothing.
        honest, form: see `Gold`.
    """

    expected: str
    read: Callable[[str], tuple[str, str]]
    honest: str
    form: str = ""

    def score(self, answer: str) -> Verdict:
        """1 when the answer says what is expected, else 0."""
        if len(answer) > MAX_ANSWER_CHARS:
            return Verdict(0.0, "", "too_long")
        if not answer or answer.isspace():
            return Verdict(0.0, "", "empty")
        prediction, reason = self.read(answer)
        if prediction == self.expected:
            return Verdict(1.0, prediction)
        return Verdict(0.0, prediction, "wrong" if prediction else reason)


def parse_ground_truth(ground_truth: str, choices: Sequence[str] = ()) -> MatchingGold:
    """Read a ground truth of the matching reward.

    Raises:
        GroundTruthError: when it is empty, names no option of those given, or is no short answer.

    >>> parse_ground_truth("dog", ["cat", "dog"]).expected, parse_ground_truth("TRUE").expected
    ('B', 'yes')
    """
    return _parse_ground_truth(ground_truth, tuple(choices) if len(choices) else ())


@lru_cache(maxsize=16384)
def _parse_ground_truth(ground_truth: str, choices: tuple[str, ...]) -> MatchingGold:
    text, honest = plain_text(ground_truth), ground_truth.strip()
    if not text_key(text):
        raise GroundTruthError(f"the matching reward cannot read ground truth {ground_truth!r}: it is empty")
    if len(choices) > len(ascii_uppercase):
        raise GroundTruthError(f"{len(choices)} choices; the matching reward labels at most {len(ascii_uppercase)}")
    label = BARE_LABEL.fullmatch(text)
    letter = label[1].upper() if label else ""
    if choices or letter:
        letters = "".join(sorted({*ascii_uppercase[:8], letter}))
        options = Options.of(choices) if choices else Options.lettered(letters)
        named = options.labels.get(letter) or options.named(text)
        if named is None:
            raise GroundTruthError(f"ground truth {ground_truth!r} is none of the {len(choices)} choices {choices!r}")
        return MatchingGold(named, options.read, named, f"{len(choices)} options" if choices else "")
    polarity = polarity_of(text_key(text))
    if polarity:
        return MatchingGold(polarity, read_polarity, honest, "polar")
    if len(text) > MAX_WORD_CHARS or honest[0] in "[{":
        raise GroundTruthError(
            f"the matching reward cannot read ground truth {ground_truth!r}: it expects a letter, yes/no or a word"
        )
    key, number = _word_key(text), parse_number(text)
    return MatchingGold(key, partial(_read_number, key, number) if number else partial(_read_word, key), honest)


def _word_key(text: str) -> str:
    return singular(text_key(text))


def _read_word(expected: str, answer: str) -> tuple[str, str]:
    whole = _word_key(answer)
    if whole == expected:
        return whole, ""
    keys = {_word_key(text) for text in said(answer, _word_key, expected)}
    if len(keys) > 1:
        return "", SEVERAL
    return (keys.pop(), "") if keys else (whole, "") if 0 < len(whole) <= MAX_WORD_CHARS else ("", NOTHING)


def _read_number(expected: str, gold: Number, answer: str) -> tuple[str, str]:
    numbers = offered_numbers(answer)
    if len(numbers) != 1:
        return "", SEVERAL if numbers else NOTHING
    number = numbers[0]
    if abs(number.value - gold.value) <= 1e-9 * max(1.0, abs(gold.value)) and number.percent == gold.percent:
        return expected, ""
    return f"{number.value:.12g}{'%' if number.percent else ''}", ""


def _instruction(ground_truth: str, choices: Sequence[str]) -> str:
    if choices:
        return "Answer with the letter of the right option."
    folded = ground_truth.strip().casefold()
    if folded in ("yes", "no"):
        return "Answer with yes or no."
    return "Answer with true or false." if folded in ("true", "false") else "Answer with one word or number."


def _letters(target: Target) -> str:
    return ascii_uppercase[: max(len(target.choices), 4)]


KIND = RewardKind(
    "matching",
    lambda ground_truth, extra_info, scoring: parse_ground_truth(ground_truth, choices_of(extra_info)),
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
