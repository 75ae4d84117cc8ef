"""The one rule of commitment, which holds for all types of answer.

`settle` reads each claim of an answer as a value of the type that is asked, and looks at everything that stands around:
nothing there may name another candidate, deny, condition or doubt. A `Reader` brings what differs by type: how a whole
text is read as a value, and where a text mentions values. Mentions become two signs, so that one small grammar of
denial and doubt serves all types.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from mixed_r1_verl.rewards.answer.claims import ANNOUNCED, ASIDE, HARD, SAID, Claim, Claims, find_claims
from mixed_r1_verl.rewards.answer.latex import BOX
from mixed_r1_verl.rewards.answer.text import MAX_ANSWER_CHARS, plain_text
from mixed_r1_verl.rewards.verdict import Verdict

SEVERAL, NOTHING, UNSURE = "several_answers", "no_answer_found", "unsure"
SAME, OTHER = "\u16a0", "\u16a2"
"""What stands for a mention of the value that is claimed, and for one of any other, in a marked text: two runes, as
they must be letters for regular expressions, and no answer is written in them."""


class Reader:
    """What a type of answer knows of its values.

    Attributes:
        open: whether values cannot be listed, so that what is said before an announcement is only on the way to it.
    """

    open = True

    def read(self, text: str) -> Any:
        """The value that a text is, and nothing else; None for any other text."""
        raise NotImplementedError

    def mark(self, text: str, value: Any) -> str:
        """The text with mentions of the value as SAME and those of any other as OTHER."""
        raise NotImplementedError

    def alien(self, claim: Claim) -> bool:
        """Whether a claim that is no value of this reader is one all the same, such as another label."""
        return False

    def glean(self, found: Claims) -> Any:
        """The value of an answer that claims none, where it is the only one that is there; else None."""
        return None


_CUT = re.compile(
    r"\s*[,;:(\[→<>|/\"](?!\d)|\s*[,;:(→<>|](?=\s*\d)|\s+[-—–]+\s+|[.!]\s+|\s*=\s*|\s+(?:because|since|as|which|that|who|due|given|"
    r"based|rather|instead|not|while|whereas|although|though|for|with|at|in|on|of|during|is|was|are|were|would|has|had|"
    r"have|shows?|showed|reached|recorded|but|so|and|or|if|when|where|from|by|per|among|only|probably|likely|vs|versus|"
    r"plus|isn't|wasn't|cannot|can't|could|may|might|seems|looks|does|doesn't|works|itself|it|its|it's|there|they|he|she|we|"
    r"you|these|this|no|yes|maybe|perhaps|possibly|both|all|would|leads|grew|rose|fell|increased|decreased|stands|saw|ranks|comes|remains)\b|(?<=[^\W\d_])(?=[是正对對，。、不])|(?<=[\w\"'])[)\]]\s+",
    re.IGNORECASE,
)
_MOST_CUTS = 12
_WRONG = (
    r"(?:wrong|incorrect|false|untrue|mistaken|unlikely|impossible|excluded|eliminated|ruled\s+out|out|absent|missing|"
    r"invalid|inaccurate|not\s+(?:correct|right|true|valid|possible|likely|it|(?:the|an?)\s+(?:right|correct|answer)))"
)
_RUN = re.compile(rf"{OTHER}(?:(?:[\s,;/&()'\"]|\b(?:and|or|nor|the|an?|options?|choices?)\b)*{OTHER})+", re.IGNORECASE)
_DENIED_OTHERS = re.compile(
    rf"\b(?:(?:not|no|neither|nor|never|than|instead\s+of|unlike|except)\b[\s(\"']*|(?:eliminat|exclud|reject|incorrect|wrong)\w*"
    rf"\b\W*)(?:\b(?:the|an?|options?|choices?|because|that|it|is|are)\b\W*)*{OTHER}"
    rf"|{OTHER}[\s)\"']*(?:\b(?:option|choice|both|all)\b\s*)?(?:(?:is|are|was|were|do|does|did|can|could|has|have|would|will|"
    rf"seems?|looks?)?\s*(?:n't|not\b|no\b|never\b)|cannot\b|(?:is|are|was|were|seems?|looks?)\s+(?:\w+\s+)?{_WRONG}\b|"
    r"\s*不|[^。,]{0,6}[错錯])[^,.;]*",
    re.IGNORECASE,
)
_CLAIM_DENIED = re.compile(
    rf"\W*(?:{SAME}\W*)?(?:[都均]?[不错錯]|(?:is|was|are|were)\s+(?:what|not)\b|(?:isn't|wasn't|aren't|cannot|can't|do\s+not|don't|does\s+not|"
    rf"doesn't)\b|(?:(?:which|that|it|this)\W*)?(?:is|was|are|were|would\s+be|seems|'s)\s+(?:\w+ly\s+)?{_WRONG}\b|{_WRONG}\W*$)",
    re.IGNORECASE,
)
_LEADING_RUN = re.compile(
    rf"(?:[\s,()]*{OTHER})*[\s,()]*(?:\b(?:and|or|nor)\b|[/&]|,(?=\s*{OTHER}\s*[都均]))[\s()]*(?:\b(?:the|an?|options?)\s+)*{OTHER}[\s)]*",
    re.IGNORECASE,
)


def settle(text: str, reader: Reader, *, plain: bool = True) -> tuple[Any, str]:
    """The one value that an answer commits itself to, or None and the reason."""
    whole = "" if "box" in text else plain_text(text) if plain else text.strip()
    value = reader.read(whole) if whole and not whole.rstrip("\"') ").endswith("?") else None
    if value is not None:  # the commonest answers, without the machinery
        return value, ""
    found = find_claims(text, plain=plain)
    asked = found.whole.rstrip("\"') ").endswith("?")
    if found.asked or (asked and not found.claims):
        return None, UNSURE if found.asked else NOTHING
    announced = next((place for place, claim in enumerate(found.claims) if claim.strength == ANNOUNCED), -1)
    values: set[Any] = set()
    denied: set[Any] = set()
    rest: list[str] = []
    for place, claim in enumerate(found.claims):
        early = place < announced
        if early and (claim.strength == ASIDE or (claim.strength == SAID and reader.open)):
            continue
        value, tail = _head(claim, reader) if claim.strength != ASIDE else (None, claim.text)
        if claim.doubted and (value is not None or (reader.open and reader.alien(claim))):
            return None, UNSURE
        if value is None:
            if claim.strength != ASIDE and not early and reader.alien(claim):
                return None, SEVERAL if values or place + 1 < len(found.claims) else NOTHING
            rest += [claim.text if claim.subject == BOX else f"\n{claim.subject}{claim.text}"] if values else []
        else:
            marked = reader.mark(tail, value)
            if _CLAIM_DENIED.match(marked) or _CLAIM_DENIED.match(_LEADING_RUN.sub("", marked, count=1)):
                denied.add(value)
                continue
            trouble = residue(marked)
            if trouble:
                return None, trouble
            values.add(value)
    if not values and not denied:
        gleaned = reader.glean(found)
        return gleaned, "" if gleaned is not None else NOTHING
    if len(values) != 1 or values & denied:
        return None, SEVERAL if values else NOTHING
    [value] = values
    troubles = filter(None, (residue(reader.mark(text, value), aside=text[:1] == "\n") for text in rest))
    trouble = next(troubles, "")
    return (None, trouble) if trouble else (value, "")


def readable(answer: str) -> bool:
    """Whether an answer is one: neither empty nor too long."""
    return len(answer) <= MAX_ANSWER_CHARS and not (not answer or answer.isspace())


class Typed(NamedTuple):
    """A ground truth as a value of its type.

    Attributes:
        readers: what reads an answer; the second reads what the first finds nothing in.
        same: whether a value that was read is the one that is right.
    """

    readers: tuple[Reader, ...]
    same: Callable[[Any], bool]

    def judge(self, answer: str) -> Verdict:
        """1 when the one value that an answer commits itself to is the same, else 0."""
        if not readable(answer):
            return Verdict(0.0, "", "too_long" if len(answer) > MAX_ANSWER_CHARS else "empty")
        reason = ""
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


def _head(claim: Claim, reader: Reader) -> tuple[Any, str]:
    """The value that a claim begins with, by its longest beginning that is one, and what follows that."""
    for text in dict.fromkeys((claim.text, claim.subject + claim.text)):  # `B is right` is said of B
        text = text.strip().rstrip(".!;, ")
        for beginning in beginnings(text):
            value = reader.read(beginning.rstrip(" .,;:"))
            if value is not None:
                return value, text[len(beginning) :]
    return None, claim.text


def beginnings(text: str) -> Iterator[str]:
    """A text, and what stands before each place where a value may end, the longest first."""
    yield text
    cuts = [match.start() for _, match in zip(range(_MOST_CUTS), _CUT.finditer(text, 1), strict=False)]
    yield from (text[:cut] for cut in reversed(cuts))


def residue(marked: str, *, aside: bool = False) -> str:
    """What is wrong with a text beside a claim, its mentions marked; empty when it is neutral.

    A sentence `aside` may doubt what is not the claim: `Ask me if anything is unclear.`
    """
    if not marked:
        return ""
    if OTHER in marked:
        marked = _DENIED_OTHERS.sub("", _RUN.sub(OTHER, marked))
        if OTHER in marked:
            return SEVERAL
    if not aside and _CLAIM_DENIED.match(marked):
        return UNSURE
    if "?" in marked or (HARD.search(marked) and (not aside or SAME in marked or _OF_THE_CLAIM.search(marked))):
        return UNSURE
    return UNSURE if any(_CLAIM_DENIED.match(part) for part in _PARTS.split(marked) if SAME in part) else ""


def rival(text: str) -> str:
    """A marked text that names another value, wherever it does."""
    return f"{OTHER}. {text}"


_PARTS = re.compile(r"[,;.!]")
_OF_THE_CLAIM = re.compile(r"\b(?:it|that|this|answer|sure)\b|^\W*(?:\w+\W*){1,3}$", re.IGNORECASE)
