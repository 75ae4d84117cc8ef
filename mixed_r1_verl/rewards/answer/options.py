"""Which option of a question a text names: letters and texts of options, several of them, yes or no."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from string import ascii_uppercase

from mixed_r1_verl.rewards.answer.claims import Claims
from mixed_r1_verl.rewards.answer.commitment import OTHER, SAME, Reader, beginnings, rival
from mixed_r1_verl.rewards.answer.dates import read_moments
from mixed_r1_verl.rewards.answer.numbers import Number, parse_number, parse_ratio
from mixed_r1_verl.rewards.answer.text import plain_text, text_key
from mixed_r1_verl.rewards.answer.words import grammar

_LABEL = re.compile(
    r"[\s\"'(\[<{]*(?:(?:the\s+)?(?:correct\s+)?(?:options?|choices?|letters?|answer(?!\s*\())\s*:?\s*|[选選][项項]\s*)?"
    r"[\s\"'(\[<{$]*(?P<label>[A-Za-z])(?:[\s\"')\].:,>}\\=-]+(?P<text>.*))?\Z",
    re.IGNORECASE | re.DOTALL,
)
_LABEL_PREFIX = re.compile(r"\s*[(\[]?([A-Z])[)\].:]\s*(?=\S)")
_MENTION = re.compile(
    r"(?<![A-Za-z0-9])(?<![A-Za-z0-9]')(?![AI]\s+(?!(?:is|was|and|or|are|isn|can|do|has|may|might|could|works|fits|shows|looks|seems|"
    r"would|nor)\b)[a-z])(?:(?i:options?|choices?|letters?|[选選][项項])\s*)?[(\[]?(?P<label>[A-Z])[)\]]?"
    r"(?![A-Za-z0-9+#]|'[A-Za-z]|-\w)|(?<![A-Za-z0-9'])[(\[]?(?P<small>[b-hj-z])[)\]]?(?=\s*(?:$|[.,;:)/&|]|(?:and|or)\b))"
)
_FORMULA = re.compile(r"[\d√^=<>+*/π°≤≥]")
_POWER = re.compile(r"(\d{1,4})\s*\^\s*\(?(-?\d{1,2})\)?")
_UNDETERMINED = grammar(r"<UNDETERMINED>")


@dataclass(frozen=True)
class Options(Reader):
    """The options of a multiple-choice question, as a reader of answers."""

    labels: dict[str, str]  # the letters that name an option, each with the first letter of an identical option
    texts: dict[str, str] = field(default_factory=dict)  # option texts by label; empty when only letters are known
    keys: dict[str, str] = field(default_factory=dict)  # text key to its label; a key of several options is left out
    several: bool = False  # whether an answer may name several options, as the ground truth does; it is read as `AC`
    open = False

    @staticmethod
    def of(choices: Sequence[str]) -> "Options":
        """Options by their texts; a label written into every text (`A. cat`, `B. dog`) is taken off."""
        texts = dict(zip(ascii_uppercase, map(plain_text, choices), strict=False))
        if all((prefix := _LABEL_PREFIX.match(text)) and prefix[1] == label for label, text in texts.items()):
            texts = {label: _LABEL_PREFIX.sub("", text, count=1) for label, text in texts.items()}
        first = {text: label for label, text in reversed(texts.items())}
        keys: dict[str, set[str]] = {}
        for text, label in first.items():
            for key in _keys(text):
                keys.setdefault(key, set()).add(label)
        labels = {label: first[text] for label, text in texts.items()}
        return Options(labels, texts, {key: found.pop() for key, found in keys.items() if len(found) == 1})

    @cached_property
    def _numbers(self) -> dict[str, Number]:
        return {label: number for label, text in self.texts.items() if (number := _option_number(text))}

    @cached_property
    def _prose(self) -> re.Pattern[str]:
        """What names an option by its text in prose: no numbers and no single letters."""
        texts = [text for label, text in self.texts.items() if label not in self._numbers and len(text_key(text)) > 1]
        words = [r"\W+".join(map(re.escape, re.findall(r"\w+", text))) for text in sorted(texts, key=len, reverse=True)]
        return re.compile(rf"(?<!\w)(?:{'|'.join(words) or '(?!)'})(?!\w)", re.IGNORECASE)

    @cached_property
    def polar(self) -> dict[str, str]:
        """The labels of yes and no, where these two are the options."""
        polar = {polarity_of(text): label for label, text in self.texts.items()}
        return polar if len(self.texts) == 2 and polar.keys() == {"yes", "no"} else {}

    def _numbered(self, text: str) -> set[str]:
        """The labels of the options whose number a text is."""
        number = _option_number(text) if self._numbers else None
        return {self.labels[label] for label, option in self._numbers.items() if number and _same(number, option)}

    def named(self, text: str) -> str | None:
        """The label of the option with this text, or None."""
        if self.polar and (polarity := polarity_of(text)):
            return self.polar[polarity]
        keys = _keys(text, undetermined="?" in self.keys) if self.texts else ()
        found = [self.keys[key] for key in keys if key in self.keys]
        numbered = self._numbered(text) if not found else set()
        return found[0] if found else numbered.pop() if len(numbered) == 1 else None

    def read(self, text: str) -> str | None:
        """The label, or with `several` the labels, that a whole text names."""
        if self.several:
            return self._read_several(text)
        match = _LABEL.match(text)
        letter, behind = (match["label"].upper(), match["text"] or "") if match else ("", "")
        label = self.labels.get(letter)
        if "?" in text or (label and not behind):
            return None if "?" in text else label
        if (named := self.named(text)) or (label and self.named(behind.strip(" )]")) == label):
            return named or label
        working, equals, result = text.rpartition("=")
        if not equals or self.labels.get(working.strip().upper()):
            return None
        named = self.named(result)
        rivals = (self.named(match[0]) for match in re.finditer(r"(?<![\w.])\d[\d.]*", working)) if named else ()
        return None if any(rival not in (None, named) for rival in rivals) else named

    def _read_several(self, text: str) -> str | None:
        letters = re.sub(r"(?i)\b(?:and|options?|choices?)\b|[^A-Za-z]", " ", text).split()
        letters = list(letters[0]) if len(letters) == 1 else letters
        named = {self.labels.get(letter.upper(), "") for letter in letters}
        return "".join(sorted(named)) if letters and "" not in named and len(named) == len(letters) else None

    def lists(self, text: str) -> bool:
        """`A. cat B. dog C. bird`: every label in order, each with a bracket or point."""
        found = re.findall(r"(?<![A-Za-z])[A-Z](?=[.):\]])", text)
        return len(found) >= (len(self.texts) or 3) and found == [*self.labels][: len(found)]

    def mark(self, text: str, value: str) -> str:
        """Letters and texts of options in a running text; numbers only where they are said to be the answer."""
        start = text.lstrip(" .,:;()=→-–")
        if self._numbers and _MORE_OF_IT.match(text):
            return rival(text)
        for beginning in beginnings(start) if self.texts and start != text else ():
            named = self.named(beginning.strip(" .,;:()"))
            if named and (text[0] in ":.()=" or not self._prose.search(self.texts[named])):
                return rival(text) if named not in value else start[len(beginning) :]

        def sign(match: re.Match[str]) -> str:
            name = match[match.lastgroup].upper() if match.lastgroup else ""  # a letter, else a text
            label = self.labels.get(name) or self.keys.get(name.lower() or text_key(match[0]))
            return match[0] if label is None else SAME if label in value else OTHER

        text = _MENTION.sub(sign, self._prose.sub(sign, text))
        joined = _JOINED.search(text)
        others = [{self.named((joined["other"] or joined["one"]).rstrip(".!")) or OTHER}] if joined else []
        others += [self._numbered(place["number"]) for place in _RESULTS.finditer(text)] if self._numbers else []
        return rival(text) if any(found and value not in found for found in others) else text


_MORE_OF_IT = grammar(
    r" (?:and (?:an?|one|two|three|\d+) (?:half|halves|third|thirds|quarters?|fourths?|fifths?|tenths?)|"
    r"(?:in|out of|of) (?:\d+|two|three|four|five|six|seven|eight|nine|ten|twenty|hundred))\b"
)
_UNMARKED = rf"[^\s,;{SAME}{OTHER}]+"
_JOINED = grammar(  # 15 or 16, B and mango
    rf"(?:^|{SAME})[\s)\"',]*(?:(?:or|/) (?!so\b)(?P<other>{_UNMARKED}(?: {_UNMARKED}){{0,3}})|"
    rf"(?:and|&) (?:an? )?(?P<one>{_UNMARKED}))[\s.!]*(?:$|[,;] )"
)
_RESULTS = grammar(
    r"(?:^[\s.,:;()=→-]*|[=→]\s*|\b(?:is|are|was|equals|be|or) )(?P<number>[-+$€£]?\d[\d.,/]*\s?"
    r"(?:%|°|[a-zA-Z]{1,3}\b)?)(?!\s*[-+*/×=]\s*\d)"
)


def _same(number: Number, option: Number) -> bool:
    counted = number.unit and not number.measure and option.unit != number.unit
    return number.percent == option.percent and not counted and number.agrees(option)


def _option_number(text: str) -> Number | None:
    """A number, also as a ratio (`3: 2`) or a power (`10^-2`)."""
    power = _POWER.fullmatch(text.strip())
    if power and int(power[1]):
        return Number(Fraction(int(power[1])) ** int(power[2]))
    return parse_ratio(text) or parse_number(text)


_LISTED = re.compile(r"(?<=\d)\s*,\s*(?=\d)(?!\d{3}(?!\d))")


def _keys(text: str, *, undetermined: bool = True) -> list[str]:
    """The keys of an option's text: its words; a formula without spaces; a date or time; that nobody can tell."""
    keys = [text_key(_LISTED.sub(" comma ", text).replace("|", " bar "))]  # |-5| is not -5
    if _FORMULA.search(text):
        keys.append(formula_key(text))
        moments = read_moments(text)
        keys += [str(moments[0])] if len(moments) == 1 else []
    keys += ["?"] if undetermined and len(text) < 100 and _UNDETERMINED.search(text) else []
    return [key for key in keys if key]


def formula_key(text: str) -> str:
    """A key of a mathematical text: without spaces, with the terms of each side in one order.

    >>> formula_key("y = 1 + 2x") == formula_key("y=2x+1"), formula_key("(4,3)") == formula_key("(3,4)")
    (True, False)
    """
    plain = plain_text(text).casefold()
    for written, sign in (("sqrt", "√"), ("pi", "π"), (">=", "≥"), ("<=", "≤")):
        plain = plain.replace(written, sign)
    plain = re.sub(r"(?<=\d)\s+(?=\d)", "_", plain)  # 4 2 is not 42
    plain = re.sub(r"√\((\w+)\)", r"√\1", re.sub(r"\s|[{}*×]", "", plain)).rstrip(".")
    if "(" in plain or "," in plain:
        return f"={plain}"
    terms = re.sub(r"(?:(?<=[=<>≤≥])|^)(?=[^-+=<>≤≥])", "+", plain)
    return "=" + re.sub(r"[^=<>≤≥]+", lambda side: "".join(sorted(re.findall(r"[-+]?[^-+]+", side[0]))), terms)


_POLARITY = grammar(r"[\s\"'(\[<]*(?:a )?(?:(?P<yes><YES>)|(?P<no><NO>))[\s\"')\]>!.]*")
_POLAR_MENTION = grammar(
    r"(?<![\w-])(?:yes|yeah|yep|yup|nope|nah|true|(?:not )?false|not true|no(?=\s*(?:$|[.,;:!?)\]/|\"']|"
    r"(?:for|otherwise|if|when|unless|yes|as well|too|either)\b)))(?![\w-])|"
    r"(?:^|(?<=[.,;:!\s/|(也或]))(?:是的?|否|不是)(?=$|[.,;:!\s/|)])"
)
_AGREES = grammar(
    r"^\W*(?:that|it|this)(?:(?: is|'s) (?:wrong|incorrect|false|untrue|not (?:true|correct|right)|not)|"
    r"(?: isn't) (?:true|correct|right))\b"
)
_THERE_IS_NONE = grammar(
    r"there (?:(?:is|are) (?:no|not an?|not any)|(?:isn't|aren't) (?:an?|any)) (?!answer|way|evidence|information|idea|"
    r"doubt|indication|reason|question|(?:one|yes|no)\b)[\w\s'-]+[.!]?"
)


def polarity_of(text: str) -> str:
    """`yes` or `no` for a text that is one of their words and nothing else; else empty.

    >>> polarity_of("True."), polarity_of("错误"), polarity_of("yes and no")
    ('yes', 'no', '')
    """
    match = _POLARITY.fullmatch(text) if len(text) < 40 else None
    return match.lastgroup or "" if match else ""


class Polarity(Reader):
    """The reader of yes and no, which are also true and false, in English and Chinese."""

    open = False
    mention = _POLAR_MENTION

    def __init__(self, labels: dict[str, str] | None = None):
        self.labels = labels or {"yes": "yes", "no": "no"}

    def read(self, text: str) -> str | None:
        """`yes` or `no`, or the label of the option that says it."""
        return self.labels.get(polarity_of(text))

    def mark(self, text: str, value: str) -> str:
        """What answers yes or no in a running text; a *no* before a noun does not."""
        return super().mark(_AGREES.sub("", text) if value == self.labels["no"] else text, value)  # No, that's wrong

    def glean(self, found: Claims) -> str | None:
        """`There is no dog.` says no, where it is all that is said."""
        return self.labels["no"] if _THERE_IS_NONE.fullmatch(found.whole) else None


POLARITY = Polarity()
