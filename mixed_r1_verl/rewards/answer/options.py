"""Which option of a question a text names: letters and texts of options, several of them, yes or no."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from string import ascii_uppercase

from mixed_r1_verl.rewards.answer.commitment import OTHER, SAME, Reader, beginnings, rival
from mixed_r1_verl.rewards.answer.dates import read_dates, read_times
from mixed_r1_verl.rewards.answer.numbers import Number, parse_number
from mixed_r1_verl.rewards.answer.text import plain_text, text_key

_LABEL = re.compile(
    r"[\s\"'(\[<{]*(?:(?:the\s+)?(?:correct\s+)?(?:options?|choices?|letters?|answer(?!\s*\())\s*:?\s*|[选選][项項]\s*)?"
    r"[\s\"'(\[<{$]*(?P<label>[A-Za-z])[\s\"')\].:,>}\\]*",
    re.IGNORECASE,
)
_LABEL_PREFIX = re.compile(r"\s*[(\[]?([A-Z])[)\].:]\s*(?=\S)")
_LABELLED = re.compile(
    r"(?P<open>[(\[]?)(?P<label>[A-Za-z])(?P<close>[)\]\"']?[.:)]?)\s*[-=,]?\s*(?P<text>\S.*)", re.DOTALL
)
_LABELLED_AFTER = re.compile(r"([^()\[\]]+?)\s*[(\[](?:option\s+|choice\s+)?([A-Za-z])[)\]]", re.IGNORECASE)
_MENTION = re.compile(
    r"(?<![A-Za-z0-9'])(?:(?i:options?|choices?|letters?|[选選][项項])\s*)?[(\[]?(?P<label>[A-Z])[)\]]?(?![A-Za-z0-9'+#]|-\w)"
)
_SMALL_MENTION = re.compile(r"(?<![A-Za-z0-9'])[(\[]?(?P<label>[b-hj-z])[)\]]?(?=\s*(?:$|[.,;:)/&|]|(?:and|or)\b))")
_FORMULA = re.compile(r"[\d√^=<>+*/π°≤≥]")
_RATIO = re.compile(r"(\d{1,6})\s*(?::|to)\s*(\d)")
_POWER = re.compile(r"(\d{1,4})\s*\^\s*\(?(-?\d{1,2})\)?")
_UNDETERMINED = re.compile(
    r"(?:can\s?not|can't|unable\s+to|impossible\s+to|not\s+possible\s+to)\s+(?:be\s+)?(?:determined?|tell|told|answered|known?|"
    r"say|inferred)|(?:insufficient|not\s+enough|not\s+sufficient)\s+(?:information|data|evidence)|"
    r"not\s+(?:say|give|show|provide|contain)\s+enough|无法确定|不能确定",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Options(Reader):
    """The options of a multiple-choice question, as a reader of answers.

    Attributes:
        labels: the letters that name an option, each with the first letter of an identical option.
        texts: option texts by label; empty when only letters are known.
        keys: text key to the label that it names; a key of several options is left out.
        several: whether an answer may name several options, as the ground truth does; it is read as `AC`.
    """

    labels: dict[str, str]
    texts: dict[str, str]
    keys: dict[str, str]
    several: bool = False
    open = False

    @staticmethod
    def lettered(letters: str, *, several: bool = False) -> "Options":
        """Options of which only the letters are known."""
        return Options({letter: letter for letter in letters}, {}, {}, several)

    @staticmethod
    def of(choices: Sequence[str], *, several: bool = False) -> "Options":
        """Options by their texts; a label written into every text (`A. cat`, `B. dog`) is taken off."""
        texts = dict(zip(ascii_uppercase, map(plain_text, choices), strict=False))
        if all((prefix := _LABEL_PREFIX.match(text)) and prefix[1] == label for label, text in texts.items()):
            texts = {label: _LABEL_PREFIX.sub("", text, count=1) for label, text in texts.items()}
        first: dict[str, str] = {}
        keys: dict[str, set[str]] = {}
        for label, text in texts.items():
            same = first.setdefault(text, label)
            for key in _keys(text):
                keys.setdefault(key, set()).add(same)
        labels = {label: first[text] for label, text in texts.items()}
        return Options(
            labels, texts, {key: next(iter(found)) for key, found in keys.items() if len(found) == 1}, several
        )

    @cached_property
    def _numbers(self) -> dict[str, Number]:
        numbers = {label: _option_number(text) for label, text in self.texts.items()}
        return {label: number for label, number in numbers.items() if number is not None}

    @cached_property
    def _text_keys(self) -> dict[str, str]:
        """Keys of the texts that prose can mention, the longest first: no numbers and no single letters."""
        keys = {label: text_key(text) for label, text in self.texts.items() if label not in self._numbers}
        return {label: key for label, key in sorted(keys.items(), key=lambda item: -len(item[1])) if len(key) > 1}

    @cached_property
    def polar(self) -> dict[str, str]:
        """The labels of yes and no, where these two are the options."""
        polar = {POLARITIES[key]: label for key, label in self.keys.items() if key in POLARITIES}
        return polar if len(polar) == len(self.texts) == 2 else {}

    @cached_property
    def _undetermined(self) -> str:
        found = [label for label, text in self.texts.items() if _UNDETERMINED.search(text)]
        return found[0] if len(found) == 1 else ""

    def named(self, text: str) -> str | None:
        """The label of the option with this text, or None."""
        if not self.texts:
            return None
        for key in _keys(text):
            if key in self.keys:
                return self.keys[key]
        number = _option_number(text) if self._numbers else None
        if number is not None:
            found = {self.labels[label] for label, option in self._numbers.items() if _same(number, option)}
            return found.pop() if len(found) == 1 else None
        return self._undetermined if self._undetermined and _UNDETERMINED.search(text) and len(text) < 100 else None

    def read(self, text: str) -> str | None:
        """The label, or with `several` the labels, that a whole text names."""
        label = self.labels.get(text.strip().upper())
        if label and not self.several:  # the commonest answer, without the machinery
            return label
        if self.several:
            return self._read_several(text)
        bare = _LABEL.fullmatch(text)
        if bare and bare["label"].upper() in self.labels:
            return self.labels[bare["label"].upper()]
        if "?" in text:
            return None
        named = self.named(text)
        if named is not None:
            return named
        labelled, after = _LABELLED.fullmatch(text), _LABELLED_AFTER.fullmatch(text)
        pairs = [(labelled["label"], labelled["text"])] if labelled and self._is_label(labelled) else []
        pairs += [(after[2], after[1])] if after else []
        for letter, said in pairs:
            if self.labels.get(letter.upper()) == self.named(said.strip(" )]")) is not None:
                return self.labels[letter.upper()]
        working, equals, result = text.rpartition("=")
        if not equals or self.labels.get(working.strip().upper()):
            return None
        named = self.named(result)
        rivals = (self.named(match[0]) for match in re.finditer(r"(?<![\w.])\d[\d.]*", working)) if named else ()
        return None if any(rival not in (None, named) for rival in rivals) else named

    @staticmethod
    def _is_label(match: re.Match[str]) -> bool:
        return match["label"].isupper() or bool(match["close"])

    def _read_several(self, text: str) -> str | None:
        letters = re.sub(r"(?i)\b(?:and|options?|choices?)\b|[^A-Za-z]", " ", text).split()
        joined = "".join(letters)
        if not joined or (len(letters) > 1 and len(joined) != len(letters)) or len(joined) > len(self.labels):
            return None
        named = {self.labels.get(letter.upper(), "") for letter in joined}
        return "".join(sorted(named)) if "" not in named and len(named) == len(joined) else None

    def mark(self, text: str, value: str) -> str:
        """Letters and texts of options in a running text; numbers only where they are said to be the answer."""
        start = text.lstrip(" .,:;()=→-–")
        if start and self.texts and text[0] in " .,:;()=→-–":
            for beginning in beginnings(start):
                named = self.named(beginning.strip(" .,;:()"))
                if named is not None and named not in self._text_keys:
                    return rival(text) if named not in value else text[len(text) - len(start) + len(beginning) :]
        text = self._mark_texts(text, value)
        text = _MENTION.sub(lambda match: self._sign(match, text, value), text)
        text = _SMALL_MENTION.sub(lambda match: self._sign(match, text, value), text)
        for place in _RESULTS.finditer(text) if self._numbers else ():
            number = parse_number(place["number"])
            found = [self.labels[label] for label, one in self._numbers.items() if number and _same(number, one)]
            if found and value not in found:
                return rival(text)
        return text

    def _sign(self, match: re.Match[str], text: str, value: str) -> str:
        label = self.labels.get(match["label"].upper())
        if label is None or (
            match["label"] in "AI"
            and re.match(r"\s+[a-z]", text[match.end() :])
            and match[0] in "AI"
            and not (
                re.match(
                    r"\s+(?:is|was|and|or|are|isn|can|do|has|may|might|could|works|fits|shows|looks|seems|would|nor)\b",
                    text[match.end() :],
                )
            )
        ):
            return match[0]
        return SAME if label in value else OTHER

    def _mark_texts(self, text: str, value: str) -> str:
        if not self._text_keys or not text:
            return text
        key = f" {text_key(text)} "
        others = ""
        for label, option in self._text_keys.items():
            if f" {option} " in key:
                key = key.replace(f" {option} ", "  ")
                others += SAME if self.labels[label] in value else OTHER
        if OTHER not in others:
            return text
        pattern = "|".join(
            r"\W+".join(map(re.escape, self.texts[label].split())) for label in self._text_keys if self.texts[label]
        )
        lookup = {text_key(self.texts[label]): label for label in self._text_keys}

        def sign(match: re.Match[str]) -> str:
            label = lookup.get(text_key(match[0]))
            return match[0] if label is None else SAME if self.labels[label] in value else OTHER

        marked = re.sub(rf"(?<!\w)(?:{pattern})(?!\w)", sign, text, flags=re.IGNORECASE)
        return marked if OTHER in marked else rival(marked)


_RESULTS = re.compile(
    r"(?:^[\s.,:;()=→-]*|[=→]\s*|\b(?:is|are|was|equals|be)\s+|\bor\s+)(?P<number>[-+$€£]?\d[\d.,/]*\s?(?:%|°|[a-zA-Z]{1,3}\b)?)(?!\s*[-+*/×=]\s*\d)"
)


def _same(number: Number, option: Number) -> bool:
    if number.percent != option.percent or (number.unit and not number.measure and option.unit != number.unit):
        return False
    pair = number.in_one_unit(option)
    return pair is not None and pair[0] == pair[1]


def _option_number(text: str) -> Number | None:
    """A number, also as a ratio (`3: 2`) or a power (`10^-2`)."""
    ratio, power = _RATIO.fullmatch(text.strip()), _POWER.fullmatch(text.strip())
    if ratio and int(ratio[2]):
        return Number(Fraction(int(ratio[1]), int(ratio[2])))
    return Number(Fraction(int(power[1])) ** int(power[2])) if power and int(power[1]) else parse_number(text)


_LISTED = re.compile(r"(?<=\d)\s*,\s*(?=\d)(?!\d{3}(?!\d))")


def _keys(text: str) -> list[str]:
    """The keys of an option's text: its words; a formula without spaces; a date or time of day."""
    keys = [text_key(_LISTED.sub(" comma ", text))]
    if _FORMULA.search(text):
        keys.append(formula_key(text))
        moments = (*read_dates(text), *read_times(text))
        keys += [f"@{moments[0]}"] if len(moments) == 1 else []
    return [key for key in keys if key]


def formula_key(text: str) -> str:
    """A key of a mathematical text: without spaces, with the terms of each side in one order.

    >>> formula_key("y = 1 + 2x") == formula_key("y=2x+1"), formula_key("(4,3)") == formula_key("(3,4)")
    (True, False)
    """
    plain = plain_text(text).casefold().replace("sqrt", "√").replace("pi", "π")
    plain = plain.replace(">=", "≥").replace("<=", "≤")
    plain = re.sub(r"√\((\w+)\)", r"√\1", re.sub(r"\s|[{}*×]", "", plain)).rstrip(".")
    if re.search(r"[(,]", plain):
        return f"={plain}"
    return "=" + "".join(
        side
        if side in "=<>≤≥"
        else "".join(sorted(re.findall(r"[-+]?[^-+]+", side if side[:1] in "-+" else f"+{side}")))
        for side in re.split(r"([=<>≤≥])", plain)
        if side
    )


# --- yes/no -----------------------------------------------------------------------------------------------------------

POLARITIES = {
    **dict.fromkeys("yes true 是 是的 对 對 对的 正确 正確 真 有".split(), "yes"),
    **dict.fromkeys("no false 否 不 不是 不是的 不对 不對 错 錯 错误 錯誤 不正确 假 没有 沒有".split(), "no"),
    "not true": "no",
    "not false": "yes",
}
_POLAR = re.compile(
    r"[\s\"'(\[]*(?:(?:an?\s+)?(?P<word>yes|no|(?:not\s+)?(?:true|false))(?![A-Za-z0-9-]|'[A-Za-z])|"
    r"(?P<chinese>是的?|[对對]的?|正[确確]|真|有|否|不是的?|不[对對]|不正确|不|[错錯][误誤]?|假|[没沒]有)(?=$|[\s.,!;:)\"'\]]))[\"')\]!.\s]*",
    re.IGNORECASE,
)
_POLAR_MENTION = re.compile(
    r"(?<![\w-])(?:yes|true|(?:not\s+)?false|not\s+true|no(?=\s*(?:$|[.,;:!?)\]/|\"']|for\b|otherwise\b|if\b|yes\b|as\s+well|too\b|either\b)))"
    r"(?![\w-])|(?:^|(?<=[.,;:! ]))(?:是的?|否|不是)(?=$|[.,;:! ])",
    re.IGNORECASE,
)


def polarity_of(text: str) -> str:
    """`yes` or `no` for a text that is one of their words and nothing else; else empty.

    >>> polarity_of("True."), polarity_of("错误"), polarity_of("yes and no")
    ('yes', 'no', '')
    """
    return POLARITIES.get(text.strip().rstrip(".!").lower(), "")


class Polarity(Reader):
    """The reader of yes and no, which are also true and false, in English and Chinese."""

    open = False

    def __init__(self, labels: dict[str, str] | None = None):
        self.labels = labels or {"yes": "yes", "no": "no"}

    def read(self, text: str) -> str | None:
        """`yes` or `no`, or the label of the option that says it."""
        match = _POLAR.fullmatch(text)
        if match is None:
            return None
        return self.labels[POLARITIES[" ".join((match["word"] or match["chinese"]).lower().split())]]

    def mark(self, text: str, value: str) -> str:
        """What answers yes or no in a running text; a *no* before a noun does not."""
        return _POLAR_MENTION.sub(
            lambda match: SAME if self.labels[POLARITIES[" ".join(match[0].lower().split())]] == value else OTHER, text
        )


POLARITY = Polarity()
