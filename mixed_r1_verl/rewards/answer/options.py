"""Which option of a question a text names: a letter or an option's text, yes or no."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from string import ascii_uppercase

from mixed_r1_verl.rewards.answer.numbers import Number, parse_number
from mixed_r1_verl.rewards.answer.statements import find_claims, readings
from mixed_r1_verl.rewards.answer.text import plain_text, text_key

SEVERAL = "several_answers"
NOTHING = "no_answer_found"

BARE_LABEL = re.compile(r"[\s\"'(\[<]*([A-Za-z])[\s\"')\].:,>]*")
_LABEL = re.compile(
    r"[\s\"'(\[]*(?:(?:the\s+)?(?:correct\s+)?(?:(?:options?|choices?|letters?)\s*:?\s*|answer\s+(?!\()|选项\s*))?"
    r"[(\[\"']?(?P<label>[A-Za-z])(?P<close>[)\]\"'])?(?![A-Za-z0-9])(?!'[A-Za-z])",
    re.IGNORECASE,
)
_AND_LABEL = (  # a label that stands beside the one before
    r"(?:\s*(?:[,/&+;|.-]|\b(?:or|and|to|through|maybe|perhaps|possibly)\b|和|或|及|还是))*\s*"
    r"(?:\b(?i:option|choice|letter)\s+)?[(\[]?(?P<label>[A-Z])[)\]]?"
)
_ANOTHER = re.compile(rf"{_AND_LABEL}(?=\s*(?:$|[,.;:/&|)\]+-]|or\b|and\b|[(\[]?[A-Z]\b))")
_RIGHT = r"(?:correct|right|best|true|answer|accurate|appropriate|likely|closest)"
_WRONG_LIST = re.compile(
    rf"(?:{_AND_LABEL.replace('?P<label>', '')}){{1,25}}\s+(?:are|were|do|can|could|cannot|can't)\b"
    rf"(?!\s+(?:both\s+)?{_RIGHT})"
)
_HEDGE = re.compile(
    r"\b(?i:or|maybe|perhaps|possibly|alternatively|either)\b\W*"
    r"(?:(?i:it|the|is|could|be|also|option|choice|answer)\W+|'s\s)*[(\[]?(?P<label>[A-Z])(?![A-Za-z'])(?!\s+[a-z])"
)
_LISTED = re.compile(r"(?<![A-Za-z])[(\[]?(?P<label>[A-Z])[)\]](?!\s*(?:is|was|isn't|are|cannot|has|shows|does)\b)")
_VERB = re.compile(
    r"\s*(?:is|was|isn't|wasn't|are|cannot|can't|could|may|might|would|will|seems|looks|does|doesn't|has|shows)\b",
    re.IGNORECASE,
)
_AFTER_LABEL = re.compile(
    r"\s*(?:$|[.,;:!=)\]\u2192-]|\b(?:because|since|as|for|which|so|due|given|where|but|not|rather|instead|based|with|"
    r"probably|likely)\b|(?:is|was|must be|should be|seems|would be)\s+(?:the\s+)?(?:most\s+|only\s+|best\s+)?"
    rf"{_RIGHT}|(?:选项|项)?(?:是)?(?:正确|对)的?)",
    re.IGNORECASE,
)
_LABELLED_AFTER = re.compile(r"([^()\[\]]+?)\s*[(\[](?:option\s+|choice\s+)?([A-Za-z])[)\]]", re.IGNORECASE)
_LABEL_PREFIX = re.compile(r"\s*[(\[]?([A-Z])[)\].:]\s*(?=\S)")
_SEPARATORS = re.compile(r"[\s,;:/|&-]*(?:(?:or|and|maybe|perhaps|possibly)\b\s*)*", re.IGNORECASE)
_FORMULA = re.compile(r"[\d√^=<>+*/π°]")


@dataclass(frozen=True)
class Options:
    """The options of a multiple-choice question.

    Attributes:
        labels: the letters that name an option, each with the first letter of an identical option.
        texts: option texts by label; empty when only letters are known.
        keys: text key to the label that it names; a key of several options is left out.
        values: number to the label that it names; likewise.
    """

    labels: dict[str, str]
    texts: dict[str, str]
    keys: dict[str, str]
    values: dict[tuple[float, bool], str]

    @staticmethod
    def lettered(letters: str) -> "Options":
        """Options of which only the letters are known."""
        return Options({letter: letter for letter in letters}, {}, {}, {})

    @staticmethod
    def of(choices: Sequence[str]) -> "Options":
        """Options by their texts; a label written into every text (`A. cat`, `B. dog`) is taken off."""
        texts = dict(zip(ascii_uppercase, map(plain_text, choices), strict=False))
        if all((prefix := _LABEL_PREFIX.match(text)) and prefix[1] == label for label, text in texts.items()):
            texts = {label: _LABEL_PREFIX.sub("", text, count=1) for label, text in texts.items()}
        first: dict[str, str] = {}
        keys: dict[str, set[str]] = {}
        values: dict[tuple[float, bool], set[str]] = {}
        for label, text in texts.items():
            same = first.setdefault(text, label)
            for key in {text_key(text), _formula_key(text)} - {""}:
                keys.setdefault(key, set()).add(same)
            number = parse_number(text)
            if number is not None:
                values.setdefault(_value(number), set()).add(same)
        labels = {label: first[text] for label, text in texts.items()}
        return Options(labels, texts, _unambiguous(keys), _unambiguous(values))

    def named(self, text: str) -> str | None:
        """The label of the option with this text, or None."""
        key = text_key(text) if self.texts else ""
        if not key:
            return None
        label = self.keys.get(key) or self.keys.get(_formula_key(text))
        number = parse_number(text) if label is None and self.values else None
        if number is None:
            return label
        label = self.values.get(_value(number))
        if label is not None and number.unit_key():
            option = parse_number(self.texts[label])
            if option is not None and option.unit_key() not in ("", number.unit_key()):
                return None
        return label

    def read(self, answer: str) -> tuple[str, str]:
        """The label that an answer commits itself to, and why there is none."""
        label = self.labels.get(answer.strip().upper())
        if label:  # the commonest answer, without the machinery
            return label, ""
        text = plain_text(answer)
        bare = BARE_LABEL.fullmatch(text)
        if bare and "?" not in text:
            label = self.labels.get(bare[1].upper(), "")
            return label, "" if label else NOTHING
        named = self.named(text)
        if named is not None and not text.endswith("?"):
            return named, ""
        if self._copied_out(text):
            return "", SEVERAL
        found = {self._polar(answer), *map(self._claimed, find_claims(answer).places())} - {""}
        if found:
            found |= self._beside(_HEDGE, text)
        if len(found) == 1 and SEVERAL not in found:
            return found.pop(), ""
        return "", SEVERAL if found else NOTHING

    @cached_property
    def _text_keys(self) -> dict[str, str]:
        return {label: text_key(text) for label, text in self.texts.items()}

    @cached_property
    def _polar_labels(self) -> dict[str, str]:
        """The labels of yes and no, where these two are the options."""
        polar = {_POLARITIES[key]: label for key, label in self.keys.items() if key in _POLARITIES}
        return polar if len(polar) == len(self.texts) == 2 else {}

    def _copied_out(self, text: str) -> bool:
        """Whether the answer writes several options out with their labels, as the question does."""
        key = f" {text_key(text)} "
        return sum(f" {label.lower()} {option} " in key for label, option in self._text_keys.items()) > 1

    def _polar(self, answer: str) -> str:
        """The option yes or no that the answer commits to."""
        if not self._polar_labels:
            return ""
        polarity, reason = read_polarity(answer)
        return self._polar_labels[polarity] if polarity else reason if reason == SEVERAL else ""

    def _beside(self, pattern: re.Pattern[str], text: str) -> set[str]:
        """The options whose labels the pattern finds in the text."""
        return {self.labels[match["label"]] for match in pattern.finditer(text) if match["label"] in self.labels}

    def _claimed(self, claim: str) -> str:
        """The label that a claim begins with, SEVERAL, or nothing."""
        texts = readings(claim)
        for text in texts:
            named, bare = self.named(text), BARE_LABEL.fullmatch(text)
            if named and not (bare and bare[1].upper() in self.labels):
                return SEVERAL if self._begins_with_other(claim[len(text) :], named) else named
        after = _LABELLED_AFTER.fullmatch(texts[0])
        named = self.named(after[1]) if after and after[2].upper() in self.labels else None
        if after and named:
            return named if named == self.labels[after[2].upper()] else SEVERAL
        match = _LABEL.match(claim)
        label = self.labels.get(match["label"].upper()) if match else None
        if match is None or label is None:
            return ""
        rest = claim[match.end() :]
        if match["label"].islower() and not (match["close"] or re.match(r"\s*(?:$|[.):])", rest)):
            return ""  # an article, or a word of one letter
        if _WRONG_LIST.match(rest):
            return ""
        another = _ANOTHER.match(rest)
        beside = {self.labels.get(another["label"], label)} if another else set()
        beside |= self._beside(_HEDGE, rest) | (set() if self.texts else self._beside(_LISTED, rest))
        if beside - {label}:
            return SEVERAL
        if not _AFTER_LABEL.match(rest) and (not match["close"] or _VERB.match(rest)):
            return label if self.named(rest) == label else ""  # "B dog", or "B is wrong"
        contents = {self.named(text) or label for text in readings(rest.lstrip(" .,:;=)-"))}
        return label if contents == {label} else SEVERAL

    def _begins_with_other(self, rest: str, label: str) -> bool:
        """Whether another option's text follows directly: `dog - cat`."""
        key = text_key(_SEPARATORS.sub("", rest, count=1)) + " "
        others = (text for other, text in self._text_keys.items() if self.labels[other] != label)
        return any(option and key.startswith(f"{option} ") for option in others)


def _value(number: Number) -> tuple[float, bool]:
    return (round(number.value, 9), number.percent)


def _formula_key(text: str) -> str:
    """A second key for mathematical texts: without spaces, brackets and signs of multiplication; else empty."""
    if not _FORMULA.search(text):
        return ""
    plain = plain_text(text).casefold().replace("sqrt", "√").replace("pi", "π")
    return re.sub(r"[\s(){}*×.,]", "", plain)


def _unambiguous(table: dict) -> dict:
    return {key: next(iter(labels)) for key, labels in table.items() if len(labels) == 1}


# --- yes/no -----------------------------------------------------------------------------------------------------------

_POLARITIES = {
    **dict.fromkeys("yes true 是 是的 对 对的 正确 真".split(), "yes"),
    **dict.fromkeys("no false 否 不 不是 不是的 不对 错 错误 不正确 假 没有".split(), "no"),
    "not true": "no",
    "not false": "yes",
}
_POLAR = re.compile(
    r"[\s\"'(\[]*(?:(?:an?\s+)?(?P<word>yes|no|(?:not\s+)?(?:true|false))(?![A-Za-z0-9-]|'[A-Za-z])[\"')\]]*|"
    r"(?P<chinese>是的?|对的?|正确|真|否|不是的?|不对|不正确|不|错误|错|假|没有)(?=$|[\s.,!;:)]))",
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


def polarity_of(text: str) -> str:
    """`yes` or `no` for a text that is one of their words and nothing else; else empty.

    >>> polarity_of("True."), polarity_of("错误"), polarity_of("yes and no")
    ('yes', 'no', '')
    """
    return _POLARITIES.get(text.strip().rstrip(".!").lower(), "")


def read_polarity(answer: str) -> tuple[str, str]:
    """`yes` or `no` when the answer commits to exactly one, else empty with the reason.

    >>> read_polarity("**No**, it is not."), read_polarity("No idea")[0], read_polarity("Yes and no")[0]
    (('no', ''), '', '')
    """
    polarity = polarity_of(answer)
    if polarity:
        return polarity, ""
    found = set()
    for claim in find_claims(answer).places():
        match = _POLAR.match(claim)
        if match is None:
            continue
        polarity = _POLARITIES[" ".join((match["word"] or match["chinese"]).lower().split())]
        rest = claim[match.end() :]
        opposite = _OPPOSITE.match(rest) if match["word"] else None
        if opposite and _POLARITIES.get(opposite["word"].lower()) != polarity:
            return "", SEVERAL
        if match["chinese"] or opposite or _AFTER_POLAR.match(rest):
            found.add(polarity)
    if len(found) == 1:
        return found.pop(), ""
    return "", SEVERAL if found else NOTHING
