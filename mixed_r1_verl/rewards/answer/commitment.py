"""The one rule of commitment: beside a claim nothing may name another candidate, deny, condition or doubt.

A `Reader` brings what differs by type. Mentions of values become two signs, so that one small grammar of denial and
doubt serves all types.
"""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any

from mixed_r1_verl.rewards.answer.claims import ANNOUNCED, ASIDE, HARD, SAID, Claim, Claims, find_claims
from mixed_r1_verl.rewards.answer.latex import BOX
from mixed_r1_verl.rewards.answer.text import MAX_ANSWER_CHARS, plain_text
from mixed_r1_verl.rewards.answer.words import grammar

SEVERAL, NOTHING, UNSURE = "several_answers", "no_answer_found", "unsure"
SAME, OTHER = "\u16a0", "\u16a2"
"""What stands for a mention of the value that is claimed, and for one of any other, in a marked text: two runes, as
they must be letters for regular expressions, and no answer is written in them."""


class Reader:
    """What a type of answer knows of its values.

    Attributes:
        open: whether values cannot be listed, so that what is said before an announcement is only on the way to it.
        plain: whether texts are read without their LaTeX.
        mention: what may name a value in a running text.
    """

    open = plain = True
    mention: re.Pattern[str]

    def read(self, text: str) -> Any:
        """The value that a text is, and nothing else; None for any other text."""
        raise NotImplementedError

    def mark(self, text: str, value: Any) -> str:
        """The text with mentions of the value as SAME and those of any other as OTHER."""
        return self.mention.sub(lambda match: SAME if self.read(match[0]) == value else OTHER, text)

    def guarded(self, text: str) -> str:
        """The text before it is read: a value that looks like the end of a sentence may be masked in it."""
        return text

    def lists(self, text: str) -> bool:
        """Whether a text before an announcement lists what there is to choose from."""
        return False

    def alien(self, claim: Claim) -> bool:
        """Whether a claim that is no value of this reader is one all the same: of open ones, a word or three."""
        return self.open and claim.terse and not re.search(r"\d", claim.text)

    def glean(self, found: Claims) -> Any:
        """The value of an answer that claims none, where it is the only one that is there; else None."""
        return None


_CUT = grammar(
    r"\s*[,;:(\[→<>|/\"](?!\d)|\s*[,;:(→<>|](?=\s*\d)| [-—–]+ |[.!] |\s*=\s*| <AFTER>|"
    r"(?<=[^\W\d_])(?=[是正对對，。、不符项項选選])|(?<=[\w\"'])[)\]] "
)
_END = re.compile(r"(?:[.;,\s]|(?<![\d|])(?<!\d\s)!)+$")  # 5! is a factorial
_RUN = grammar(rf"{OTHER}(?:(?:[\s,;/&()'\"]|\b(?:and|or|nor|the|an?|options?|choices?)\b)*{OTHER})+")
_DENIED_OTHERS = grammar(
    r"\b(?:(?:not|no|neither|nor|never|than|instead of|unlike|except)\b[\s(\"']*|(?:eliminat|exclud|reject|incorrect|"
    rf"wrong)\w*\b\W*)(?:\b(?:the|an?|options?|choices?|because|that|it|is|are)\b\W*)*{OTHER}"
    rf"|{OTHER}[\s)\"']*(?:\b(?:option|choice|both|all)\b\s*)?(?:<DOES>?\s*(?:n't|not\b|no\b|never\b)|cannot\b|"
    rf"(?:<BE>|seems?|looks?) (?:\w+ )?<WRONG>|\s*不|[^。,]{{0,6}}[错錯])[^,.;]*"
)
_CLAIM_DENIED = grammar(
    rf"\W*(?:{SAME}\W*)?(?:(?:alone|only)\b\W*)?(?:(?:[选選]?[项項])?是?[都均]?(?:[不错錯]|有误)|<BE> (?:what|not)\b|"
    r"(?:isn't|wasn't|aren't|cannot|can't|do not|don't|does not|doesn't)\b|"
    r"(?:(?:but )?(?:which|that|it|this)\W*)?(?:<BE>|would be|seems|'s) (?:\w+ly |an? |the )?<WRONG>|<WRONG>\W*$)"
)
_LEADING_RUN = grammar(
    rf"(?:[\s,()]*{OTHER})*[\s,()]*(?:\b(?:and|or|nor)\b|[/&]|,(?=\s*{OTHER}\s*[都均]))[\s()]*"
    rf"(?:\b(?:the|an?|options?) )*{OTHER}[\s)]*"
)


def settle(text: str, reader: Reader) -> tuple[Any, str]:
    """The one value that an answer commits itself to, or None and the reason."""
    text = reader.guarded(text)
    whole = "" if "box" in text else plain_text(text) if reader.plain else text.strip()
    value = reader.read(whole) if whole and not whole.rstrip("\"') ").endswith("?") else None
    if value is not None:  # the commonest answers, without the machinery
        return value, ""
    found = find_claims(text, plain=reader.plain)
    if found.asked:
        return None, UNSURE
    announced = next((place for place, claim in enumerate(found.claims) if claim.strength == ANNOUNCED), 0)
    before = " ".join(claim.subject + claim.text for claim in found.claims[:announced])
    listed = bool(before) and reader.lists(before)
    values: set[Any] = set()
    denied: set[Any] = set()
    rest: list[str] = []
    for place, claim in enumerate(found.claims):
        early = place < announced
        if early and (listed or claim.strength == ASIDE or (claim.strength == SAID and reader.open)):
            continue
        value, tail = _head(claim, reader) if claim.strength != ASIDE else (None, claim.text)
        if claim.doubted and (value is not None or (reader.open and reader.alien(claim))):
            return None, UNSURE
        named = reader.read(_VERB_END.sub("", claim.subject)) if claim.subject[:1].isdigit() and reader.open else value
        if claim.strength == SAID and None not in (value, named) and named != value:
            return None, SEVERAL  # 36 is 42
        if value is None:
            if claim.strength != ASIDE and not early and reader.alien(claim):
                return None, SEVERAL if values or place + 1 < len(found.claims) else NOTHING
            rest += [claim.text if claim.subject == BOX else f"\n{claim.subject}{claim.text}"] if values else []
        else:
            marked = reader.mark(tail, value)
            if _CLAIM_DENIED.match(marked) or _CLAIM_DENIED.match(_LEADING_RUN.sub("", marked, count=1)):
                denied.add(value)
                continue
            if trouble := residue(marked):
                return None, trouble
            values.add(value)
    if not values and not denied:
        gleaned = reader.glean(found)
        return gleaned, "" if gleaned is not None else NOTHING
    if len(values) != 1 or values & denied:
        return None, SEVERAL if values else NOTHING
    [value] = values
    trouble = next(filter(None, (residue(reader.mark(text, value), aside=text[:1] == "\n") for text in rest)), "")
    return (None, trouble) if trouble else (value, "")


def unreadable(answer: str, most: int = MAX_ANSWER_CHARS) -> str:
    """Why a text is no answer: `too_long` or `empty`; else nothing."""
    return "too_long" if len(answer) > most else "empty" if not answer or answer.isspace() else ""


def _head(claim: Claim, reader: Reader) -> tuple[Any, str]:
    """The value that a claim begins with, by its longest beginning that is one, and what follows that."""
    for text in dict.fromkeys((claim.text, claim.subject + claim.text)):  # `B is right` is said of B
        text = _END.sub("", text.strip())
        for beginning in beginnings(text):
            value = reader.read(beginning.rstrip(" .,;:"))
            if value is not None:
                return value, text[len(beginning) :]
    return None, claim.text


def beginnings(text: str) -> Iterator[str]:
    """A text, and what stands before each place where a value may end, the longest first."""
    yield text
    cuts = [match.start() for match in islice(_CUT.finditer(text, 1), 12)]
    yield from (text[:cut] for cut in reversed(cuts))


def residue(marked: str, *, aside: bool = False) -> str:
    """What is wrong with a text beside a claim, its mentions marked; empty when it is neutral.

    A sentence `aside` may doubt what is not the claim: `Ask me if anything is unclear.`
    """
    if OTHER in marked:
        marked = _DENIED_OTHERS.sub("", _RUN.sub(OTHER, marked))
        if OTHER in marked:
            return SEVERAL
    if _CLAIM_DENIED.match(marked) and (not aside or _OF_IT.match(marked)):
        return UNSURE
    if "?" in marked or (HARD.search(marked) and (not aside or SAME in marked or _OF_THE_CLAIM.search(marked))):
        return UNSURE
    return UNSURE if any(_CLAIM_DENIED.match(part) for part in _PARTS.split(marked) if SAME in part) else ""


def rival(text: str) -> str:
    """A marked text that names another value, wherever it does."""
    return f"{OTHER}. {text}"


_OF_IT = re.compile(r"\W*(?:that|it|this)\b", re.IGNORECASE)
_VERB_END = grammar(r"\s+<VERB>\s*$")
_PARTS = re.compile(r"[,;.!]")
_OF_THE_CLAIM = re.compile(r"\b(?:it|that|this|answer|sure)\b|^\W*(?:\w+\W*){1,3}$", re.IGNORECASE)
