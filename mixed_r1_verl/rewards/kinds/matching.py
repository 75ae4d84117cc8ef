r"""The matching reward: multiple choice, yes/no and true/false, and short answers that are one word or count.

The answer is read first (`read` of the parsed ground truth) and compared second. Rules for ambiguous families:

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

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from mixed_r1_verl.rewards.answer.numbers import Number, parse_number
from mixed_r1_verl.rewards.answer.statements import find_claims, offered_numbers, readings, said
from mixed_r1_verl.rewards.answer.text import MAX_ANSWER_CHARS, plain_text, singular, text_key
from mixed_r1_verl.rewards.kind import Gold, RewardKind, Scoring, choices_of, plain_gold
from mixed_r1_verl.rewards.verdict import GroundTruthError, Verdict

MAX_WORD_CHARS = 100
"""A ground truth without options that is longer than this is no short answer."""

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
SEVERAL = "several_answers"
NOTHING = "no_answer_found"


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
    gold = parse_ground_truth(ground_truth, choices)
    if len(answer) > MAX_ANSWER_CHARS:
        return Verdict(0.0, "", "too_long")
    if not answer or answer.isspace():
        return Verdict(0.0, "", "empty")
    prediction, reason = gold.read(answer)
    if prediction and prediction != gold.expected:
        reason = "wrong"
    return Verdict(1.0 if prediction == gold.expected else 0.0, prediction, reason)


def parse_ground_truth(ground_truth: str, choices: Sequence[str] = ()) -> "Choice | Polarity | Word":
    """Read a ground truth of the matching reward.

    Raises:
        GroundTruthError: when it is empty, names no option of those given, or is no short answer.

    >>> parse_ground_truth("dog", ["cat", "dog"]).expected, parse_ground_truth("TRUE").expected
    ('B', 'yes')
    """
    return _parse_ground_truth(ground_truth, tuple(choices) if len(choices) else ())


@lru_cache(maxsize=16384)
def _parse_ground_truth(ground_truth: str, choices: tuple[str, ...]) -> "Choice | Polarity | Word":
    text = plain_text(ground_truth)
    if not text_key(text):
        raise GroundTruthError(f"the matching reward cannot read ground truth {ground_truth!r}: it is empty")
    if len(choices) > len(_LETTERS):
        raise GroundTruthError(f"{len(choices)} choices; the matching reward labels at most {len(_LETTERS)}")
    if choices:
        options = Choice.of(choices)
        label = _BARE_LABEL.fullmatch(text)
        if label and label[1].upper() in options.labels:
            return options.expecting(label[1].upper())
        named = options.named(text)
        if named is None:
            raise GroundTruthError(f"ground truth {ground_truth!r} is none of the {len(choices)} choices {choices!r}")
        return options.expecting(named)
    label = _BARE_LABEL.fullmatch(text)
    if label:
        letter = label[1].upper()
        return Choice((), tuple(sorted({*_LETTERS[:8], letter})), (), {}, {}).expecting(letter)
    polarity = _POLARITIES.get(text_key(text))
    if polarity:
        return Polarity(polarity)
    if len(text) > MAX_WORD_CHARS or ground_truth.strip()[0] in "[{":
        raise GroundTruthError(
            f"the matching reward cannot read ground truth {ground_truth!r}: it expects a letter, yes/no or a word"
        )
    number = parse_number(text)
    return Word(_word_key(text), number)


# --- multiple choice --------------------------------------------------------------------------------------------------

_BARE_LABEL = re.compile(r"[\s\"'(\[<]*([A-Za-z])[\s\"')\].:,>]*")
_LABEL = re.compile(
    r"[\s\"'(\[]*(?:(?:the\s+)?(?:correct\s+)?(?:(?:option|choice|letter)\s*:?\s*|answer\s+(?!\()|选项\s*))?"
    r"(?P<open>[(\[\"'])?(?P<label>[A-Za-z])(?P<close>[)\]\"'])?(?![A-Za-z0-9])(?!'[A-Za-z])",
    re.IGNORECASE,
)
_ANOTHER = re.compile(
    r"\s*(?:[,/&+;|.-]|\b(?:or|and|to|through|maybe|perhaps|possibly)\b|和|或|及|还是)*"
    r"\s*(?:\b(?:or|and|maybe|possibly|perhaps)\b\s*)*(?:\b(?i:option|choice|letter)\s+)?"
    r"[(\[]?(?P<label>[A-Z])[)\]]?(?=\s*(?:$|[,.;:/&|)\]+-]|or\b|and\b|[(\[]?[A-Z]\b))"
)
_HEDGE = re.compile(
    r"\b(?i:or|maybe|perhaps|possibly|alternatively|either)\b\W*"
    r"(?:(?i:it|the|is|could|be|also|option|choice|answer)\W+|'s\s)*[(\[]?(?P<label>[A-Z])(?![A-Za-z'])(?!\s+[a-z])"
)
_LISTED = re.compile(r"(?<![A-Za-z])[(\[]?(?P<label>[A-Z])[)\]](?!\s*(?:is|was|isn't|are|cannot|has|shows|does)\b)")
_DENIAL = re.compile(
    r"\s*(?:is|was|isn't|wasn't|are|cannot|can't|could|may|might|would|will|seems|looks|does|doesn't|has|shows)\b",
    re.IGNORECASE,
)
_AFTER_LABEL = re.compile(
    r"\s*(?:$|[.,;:!=)\]\u2192-]|\b(?:because|since|as|for|which|so|due|given|where|but|not|rather|instead|based|with)\b|"
    r"(?P<verdict>(?:is|was|must be|should be|seems|would be)\s+(?:the\s+)?(?:most\s+|only\s+|best\s+)?"
    r"(?:correct|right|best|true|answer|accurate|appropriate|likely|closest)|(?:选项|项)?(?:是)?(?:正确|对)的?))",
    re.IGNORECASE,
)
_LABELLED_AFTER = re.compile(
    r"(?P<text>[^()\[\]]+?)\s*[(\[](?:option\s+|choice\s+)?(?P<label>[A-Za-z])[)\]]", re.IGNORECASE
)
_SEPARATORS = re.compile(r"^[\s,;:/|&-]*(?:(?:or|and|maybe|perhaps|possibly)\b\s*)*", re.IGNORECASE)
_LABEL_PREFIX = re.compile(r"\s*[(\[]?([A-Z])[)\].:]\s*(?=\S)")


@dataclass(frozen=True)
class Choice:
    """A multiple-choice ground truth.

    Attributes:
        texts: option texts in order; empty when only letters are known.
        labels: the letters that name an option.
        text_keys: text key of each option.
        keys: text key to the label that it names; a key of several options is left out.
        values: number to the label that it names; likewise.
        expected: the right label.
    """

    texts: tuple[str, ...]
    labels: tuple[str, ...]
    text_keys: tuple[str, ...]
    keys: dict[str, str]
    values: dict[tuple[float, bool], str]
    expected: str = ""

    @staticmethod
    def of(choices: Sequence[str]) -> "Choice":
        """Options by their texts; a label written into every text (`A. cat`, `B. dog`) is taken off."""
        texts = tuple(plain_text(choice) for choice in choices)
        labels = tuple(_LETTERS[: len(texts)])
        prefixes = [_LABEL_PREFIX.match(text) for text in texts]
        if all(match and match[1] == label for match, label in zip(prefixes, labels, strict=True)):
            texts = tuple(text[match.end() :] for text, match in zip(texts, prefixes, strict=True) if match)
        keys: dict[str, set[str]] = {}
        values: dict[tuple[float, bool], set[str]] = {}
        first_with: dict[str, str] = {}
        for label, text in zip(labels, texts, strict=True):
            same = first_with.setdefault(text, label)  # identical options are one option
            for key in {text_key(text), _compact(text) if _FORMULA.search(text) else ""} - {""}:
                keys.setdefault(key, set()).add(same)
            number = parse_number(text)
            if number is not None:
                values.setdefault(_value(number), set()).add(same)
        return Choice(texts, labels, tuple(map(text_key, texts)), _unambiguous(keys), _unambiguous(values))

    def expecting(self, label: str) -> "Choice":
        """The same options with the right label."""
        return replace(self, expected=self._canonical(label))

    def _canonical(self, label: str) -> str:
        """The first of identical options, so that it does not matter which of them is named."""
        if not self.texts or label not in self.labels:
            return label
        return self.labels[self.texts.index(self.texts[self.labels.index(label)])]

    def named(self, text: str) -> str | None:
        """The label of the option with this text, or None."""
        key = text_key(text)
        if not key or not self.texts:
            return None
        label = self.keys.get(key) or (self.keys.get(_compact(text)) if _FORMULA.search(text) else None)
        if label is None and self.values:
            number = parse_number(text)
            if number is not None:
                label = self.values.get(_value(number))
                if label is not None and number.unit_key():
                    option = parse_number(self.texts[self.labels.index(label)])
                    if option is not None and option.unit_key() not in ("", number.unit_key()):
                        return None
        return label

    def read(self, answer: str) -> tuple[str, str]:
        """The label that the answer names, and why there is none."""
        bare = answer.strip()
        if len(bare) == 1 and bare.isascii() and bare.upper() in self.labels:
            return self._canonical(bare.upper()), ""
        text = plain_text(answer)
        bare_label = _BARE_LABEL.fullmatch(text)
        if bare_label and "?" not in text:
            label = bare_label[1].upper()
            return (self._canonical(label), "") if label in self.labels else ("", NOTHING)
        named = self.named(text)
        if named is not None and not text.endswith("?"):
            return named, ""
        if self._lists_options(text):
            return "", SEVERAL
        claims = find_claims(answer)
        found: list[str] = []
        if self.polar:
            polarity, reason = read_polarity(answer)
            if reason == SEVERAL:
                return "", SEVERAL
            if polarity:
                found.append(self.polar[polarity])
        for claim in claims.places():
            label = self._claimed(claim)
            if label == SEVERAL:
                return "", SEVERAL
            if label and label not in found:
                found.append(label)
        hedge = _HEDGE.search(text) if len(found) == 1 else None
        if len(found) == 1 and not (hedge and self._other(hedge, found[0])):
            return found[0], ""
        return "", SEVERAL if found else NOTHING

    @property
    def polar(self) -> dict[str, str]:
        """Labels of yes and no, where these two are the options."""
        table = {_POLARITIES[key]: label for key, label in self.keys.items() if key in _POLARITIES}
        return table if len(table) == len(self.texts) == 2 else {}

    def _lists_options(self, text: str) -> bool:
        """Whether the answer writes several options out with their labels, as the question does."""
        key = f" {text_key(text)} "
        listed = (
            f" {label.lower()} {option} " in key for label, option in zip(self.labels, self.text_keys, strict=False)
        )
        return sum(listed) > 1

    def _claimed(self, claim: str) -> str | None:
        """The label that a claim begins with, SEVERAL, or None."""
        texts = readings(claim)
        for text in texts:
            named = self.named(text)
            bare = _BARE_LABEL.fullmatch(text)
            if named is not None and not (bare and bare[1].upper() in self.labels):
                return SEVERAL if self._goes_on_with_other(claim[len(text) :], named) else named
        match = _LABELLED_AFTER.fullmatch(texts[0])
        if match and match["label"].upper() in self.labels:
            named = self.named(match["text"])
            if named is not None:
                return named if named == self._canonical(match["label"].upper()) else SEVERAL
        match = _LABEL.match(claim)
        if match is None:
            return None
        label = match["label"]
        rest = claim[match.end() :]
        if label.islower() and not (match["close"] or re.match(r"\s*(?:$|[.):])", rest)):
            return None  # an article, or a word of one letter
        label = label.upper()
        if label not in self.labels:
            return None
        other = _ANOTHER.match(rest)
        if other and self._other(other, label):
            return SEVERAL
        hedge = _HEDGE.search(rest)
        if hedge and self._other(hedge, label):
            return SEVERAL
        if not self.texts and any(self._other(item, label) for item in _LISTED.finditer(rest)):
            return SEVERAL
        if _AFTER_LABEL.match(rest) is None and (not match["close"] or _DENIAL.match(rest)):
            if self.named(rest) == self._canonical(label):  # "B dog"
                return self._canonical(label)
            return None
        for text in readings(rest.lstrip(" .,:;=)-")):
            named = self.named(text)
            if named is not None and named != self._canonical(label):
                return SEVERAL
        return self._canonical(label)

    def _goes_on_with_other(self, rest: str, label: str) -> bool:
        """Whether another option's text follows directly: `dog - cat`."""
        key = text_key(_SEPARATORS.sub("", rest)) + " "
        return any(
            option and other != label and key.startswith(f"{option} ")
            for other, option in zip(self.labels, self.text_keys, strict=False)
        )

    def _other(self, match: re.Match[str], label: str) -> bool:
        return match["label"] in self.labels and match["label"] != label


def _value(number: Number) -> tuple[float, bool]:
    return (round(number.value, 9), number.percent)


_FORMULA = re.compile(r"[\d√^=<>+*/π°]")


def _compact(text: str) -> str:
    """A second key for mathematical texts: without spaces, brackets and signs of multiplication."""
    plain = plain_text(text).casefold().replace("sqrt", "√").replace("pi", "π")
    return re.sub(r"[\s(){}*×.,]", "", plain)


def _unambiguous(table: dict) -> dict:
    return {key: next(iter(labels)) for key, labels in table.items() if len(labels) == 1}


# --- yes/no -----------------------------------------------------------------------------------------------------------

_POLARITIES = {
    **dict.fromkeys(("yes", "true", "是", "是的", "对", "对的", "正确", "真"), "yes"),
    **dict.fromkeys(("no", "false", "否", "不", "不是", "不是的", "不对", "错", "错误", "不正确", "假", "没有"), "no"),
    **dict.fromkeys(("not true",), "no"),
    **dict.fromkeys(("not false",), "yes"),
}
_POLAR = re.compile(
    r"[\s\"'(\[]*(?:an?\s+)?(?P<not>not\s+)?(?P<word>yes|no|true|false)(?![A-Za-z0-9-]|'[A-Za-z])[\"')\]]*|"
    r"[\s\"'(\[]*(?P<chinese>是的?|对的?|正确|真|否|不是的?|不对|不正确|不|错误|错|假|没有)(?=$|[\s.,!;:)])",
    re.IGNORECASE,
)
_OPPOSITE = re.compile(
    r"[\s,./&;|(-]*(?:\b(?:or|and|but|actually|maybe|perhaps|possibly|also|wait|rather)\b[\s,]*)*"
    r"(?P<word>yes|no|true|false|not)(?=\s*(?:$|[.,;:!)/]|yes\b|no\b))",
    re.IGNORECASE,
)
_AFTER_POLAR = re.compile(
    r"\s*(?:$|[.,;:!()\u2192-]|\b(?:because|since|as|it|its|it's|there|they|he|she|i|we|you|the|this|that|these|those|"
    r"is\s+(?:the\s+)?(?:correct|right|answer))\b)",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Polarity:
    """A yes/no ground truth; `expected` is `yes` or `no`."""

    expected: str

    def read(self, answer: str) -> tuple[str, str]:
        """`yes` or `no` when the answer commits to one, and why it does not."""
        polarity = _POLARITIES.get(answer.strip().rstrip(".!").lower())
        if polarity:
            return polarity, ""
        return read_polarity(answer)


def read_polarity(answer: str) -> tuple[str, str]:
    """`yes` or `no` when the answer commits to exactly one, else empty with the reason.

    >>> read_polarity("**No**, it is not."), read_polarity("No idea")[0], read_polarity("Yes and no")[0]
    (('no', ''), '', '')
    """
    claims = find_claims(answer)
    found: list[str] = []
    for claim in claims.places():
        match = _POLAR.match(claim)
        if match is None:
            continue
        rest = claim[match.end() :]
        if match["chinese"]:
            polarity = _POLARITIES[match["chinese"]]
        else:
            word = match["word"].lower()
            if match["not"] and word in ("yes", "no"):
                continue
            polarity = _POLARITIES[f"not {word}" if match["not"] else word]
            if _contradicts(rest, polarity):
                return "", SEVERAL
            if not (_AFTER_POLAR.match(rest) or _OPPOSITE.match(rest)):
                continue
        if polarity not in found:
            found.append(polarity)
    if len(found) == 1:
        return found[0], ""
    return "", SEVERAL if found else NOTHING


def _contradicts(rest: str, polarity: str) -> bool:
    """Whether another polarity follows at once: `yes or no`, `yes/no`, `yes, no`."""
    match = _OPPOSITE.match(rest)
    if match is None:
        return False
    word = match["word"].lower()
    return word == "not" or _POLARITIES[word] != polarity


# --- words and counts -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Word:
    """A short ground truth that is neither letter nor yes/no: a word, a phrase or a count.

    Attributes:
        expected: its key.
        number: its value, where it is a number.
    """

    expected: str
    number: Number | None = None

    def read(self, answer: str) -> tuple[str, str]:
        """The expected key when the answer is the same word or number, else what it says instead."""
        if self.number is not None:
            return self._read_number(answer)
        whole = _word_key(answer)
        if whole == self.expected:
            return whole, ""
        distinct = list(dict.fromkeys(map(_word_key, said(answer, _word_key, self.expected))))
        if len(distinct) == 1:
            return distinct[0], ""
        if distinct:
            return "", SEVERAL
        return (whole, "") if 0 < len(whole) <= MAX_WORD_CHARS else ("", NOTHING)

    def _read_number(self, answer: str) -> tuple[str, str]:
        numbers = offered_numbers(answer)
        if len(numbers) != 1:
            return "", SEVERAL if numbers else NOTHING
        number = numbers[0]
        assert self.number is not None
        same = abs(number.value - self.number.value) <= 1e-9 * max(1.0, abs(self.number.value))
        if same and number.percent == self.number.percent:
            return self.expected, ""
        return f"{number.value:.12g}{'%' if number.percent else ''}", ""


def _word_key(text: str) -> str:
    return singular(text_key(text))


def _parse(ground_truth: str, extra_info: Mapping[str, Any], scoring: Scoring) -> Gold:
    choices = choices_of(extra_info)
    gold = parse_ground_truth(ground_truth, choices)
    honest = gold.expected if isinstance(gold, Choice) else ground_truth.strip()
    form = f"{len(choices)} options" if choices else "polar" if isinstance(gold, Polarity) else ""
    return plain_gold(honest, lambda answer: matching_reward(answer, ground_truth, choices=choices), form=form)


def _instruction(ground_truth: str, choices: Sequence[str]) -> str:
    if choices:
        return "Answer with the letter of the right option."
    folded = ground_truth.strip().casefold()
    if folded in ("yes", "no"):
        return "Answer with yes or no."
    return "Answer with true or false." if folded in ("true", "false") else "Answer with one word or number."


KIND = RewardKind("matching", _parse, _instruction, columns=("choices",), answers="closed")
