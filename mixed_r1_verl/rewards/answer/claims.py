r"""Where an answer commits itself.

A model asked for one thing may write it bare (`B`), announce it (`The answer is B.`), box it (`\boxed{B}`), conclude
with it (`…, so it is B`), describe (`The color is red.`) or give it first and explain (`B, because A is wrong.`).
`find_claims` takes an answer apart into such claims, whatever their type; `commitment.py` reads them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from mixed_r1_verl.rewards.answer.latex import BOX, BOX_END, mark_boxes
from mixed_r1_verl.rewards.answer.text import plain_text

ASIDE, BARE, SAID, ANNOUNCED = range(4)


class Claim(NamedTuple):
    """What is claimed, to the end of its sentence.

    Attributes:
        text: what is claimed, and whatever follows it.
        strength: ANNOUNCED as the answer or boxed, SAID of it or of what is described, BARE, or ASIDE: no claim at all.
        subject: what stands before the verb.
        doubted: whether it is put under a condition or as a mere possibility.
    """

    text: str
    strength: int
    subject: str = ""
    doubted: bool = False


@dataclass(frozen=True)
class Claims:
    """An answer taken apart.

    Attributes:
        whole: the complete answer, cleaned.
        claims: its claims and asides, in order.
        asked: whether a value may be put as a question.
    """

    whole: str
    claims: tuple[Claim, ...]
    asked: bool = False


# --- sentences --------------------------------------------------------------------------------------------------------

_ABBREVIATIONS = (
    "mr mrs ms dr st mt ft jr sr prof gen gov sen rev vs approx est dept inc corp co ltd capt sgt lt col univ assn "
    "bros ave blvd etc ph.d jan feb mar apr jun jul aug sep sept oct nov dec"
).split()
_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]?\s+|\s*\n\s*|(?<=\?)(?=\S)")
_NO_END = re.compile(
    rf"(?<!\w)(?:(?:{'|'.join(map(re.escape, _ABBREVIATIONS))}|[^\W\d_]|(?:[a-z]\.)+[a-z])\. |"
    r"(?:nos?|figs?|eqs?)\. \d)$",
    re.IGNORECASE,
)
_NUMBERING = re.compile(r"(?:\(?\d{1,2}[.)]\s+|[-*•]\s+)+(?=\D)")
_LONGEST = 400


def _sentences(text: str) -> Iterator[str]:
    start = 0
    for end in _SENTENCE_END.finditer(text):
        around = text[max(start, end.start() - 8) : end.start()] + " " + text[end.end() : end.end() + 1]
        if "\n" in end[0] or not (_NO_END.search(around) or _NO_END.search(around[:-1])):
            yield text[start : end.start()].strip()
            start = end.end()
    yield text[start:].strip()


# --- claims -----------------------------------------------------------------------------------------------------------

_SURE = (  # says nothing of another answer
    r"(?:(?:therefore|thus|then|hence|clearly|(?:most\s+)?(?:probably|likely)|presumably|apparently|obviously|evidently|"
    r"surely|certainly|definitely|absolutely|simply|exactly|indeed)\b[\s,:]*)"
)
_BE = r"(?:is|are|was|were|equals|(?:must|should|would|will|has\s+to|seems\s+to|appears\s+to)\s+be|'s)\b"
_IT_IS = (
    r"(?:(?:it|this|that|these|those|they|there|he|she)(?:\s+(?:is|are|was|were|(?:must|should|would|has\s+to|seems\s+to|"
    r"appears\s+to)\s+be|looks\s+like)\b|'s\b|'re\b)|(?:looks\s+like|seems\s+to\s+be)\b|"
    r"(?:I|we)(?:\s+can)?\s+(?:see|count|observe|spot|get)\b(?![^.]*\b(?:in|on)\s+the\s+(?:picture|image|photo))|"
    rf"(?:this|the)\s+(?:image|picture|photo)\s+(?:shows|depicts|displays|contains)\b)\s*{_SURE}*"
)
_NOUN = r"(?:answers?|option|choice|solution|result|conclusion|prediction|response|verdict|letter|statement)"
_ANNOUNCEMENT = re.compile(
    rf"""
      \b{_NOUN}["']?\s*(?:\([^()]{{0,40}}\)\s*)?
      (?:(?:to|of|for|in|on|from|that|shown|given|here)\b[^.:;=,?!]{{0,80}}?\s+)?
      (?:\s*{_BE}\s*{_SURE}*(?:(?:option|choice|letter)(?=\s*[(A-Z]))?\s*:?\s*|\s*(?:[:=→]|-+>?(?=\s))\s*{_SURE}*)
    | (?:\b(?:(?<!or\s)so|thus|therefore|hence|consequently)\b|∴)[\s,:]*(?:{_IT_IS}|{_SURE})?
    | \b(?:I|we)(?:'d|'ll|'m|\s+am|\s+would|\s+will)?\s+
        (?:choose|go(?:ing)?\s+with|pick|select|say|think|believe|answer|conclude|find)
        (?:\s+(?:that|with))*\s*:?\s*(?:{_IT_IS}|the\s+answer\s+is\s*)?
    | (?<!不)(?:答案|[选選][项項]|[结結][果论論])\s*(?:[应應][该該当當]?|就|[选選][项項])*\s*
        (?:是|[为為]|[选選]|:|(?<=\s)(?=[A-Z(]))\s*:?\s*
    | (?<!不)(?:只有|[应應][该該]?|[选選][择擇项項]?|故|因此|所以)\s*(?:[应應][该該]?)?\s*
        (?:[选選][择擇项項]?|答案)?\s*:?\s*(?=[A-Z(])
    """,
    re.VERBOSE | re.IGNORECASE,
)
_SUBJECT = re.compile(rf"(?:(?:but|and|so|then)\s+)?{_IT_IS}", re.IGNORECASE)
_SAID_LATER = re.compile(
    r"[,;]\s*(?:(?:but|and)\s+)?(?:it|this|they|there)(?:\s+(?:is|are|was|were|must\s+be)\b|'s\b|'re\b)\s*|"
    r"[,;]\s*(?=\d{1,9}\s+(?:in\s+(?:total|all)|altogether)\b)",
    re.IGNORECASE,
)
_VERB = re.compile(
    r"\b(?:is(?:\s+equal\s+to)?|are|was|were|equals|shows|depicts|reads|displays|indicates)\b\s*|的是|(?<=\w)(?<![不的])是",
    re.IGNORECASE,
)
_POLAR_START = re.compile(r"(?:yes|no)\b", re.IGNORECASE)
_BROKEN = re.compile(r"[,;]|\b(?:while|whereas|although|though|because|since|as)\b", re.IGNORECASE)
_RELATIVE = re.compile(r"\b(?:who|whom|whose|that|which|where|when)\b", re.IGNORECASE)
_RELATIVE_CLAUSE = re.compile(
    r"(?<=\w)\s+(?:who|whom|whose|that|which|where|with|without)\b.*", re.IGNORECASE | re.DOTALL
)
_DETERMINED = re.compile(r"\W*(?:the|an?|this|my|our)\b", re.IGNORECASE)
_COLON = re.compile(r"(?=[^\W\d_]{2})[^:,.;=?!()\d]{2,40}:\s+(?=\S)")
_LISTING = re.compile(
    r"(?:the\s+|all\s+)?(?:possible\s+|given\s+|available\s+|other\s+)?(?:options|choices)\b", re.IGNORECASE
)
_ASKED = re.compile(
    r"(?:so\s+)?(?:is|are|was|were|do|does|did|can|could|what|which|who|how|when|where|why|has|have|should|will)\b|哪|什么|谁|多少",
    re.IGNORECASE,
)
_OPENERS = re.compile(
    rf"(?:(?:so|well|ok|okay|actually|finally|in conclusion|overall|and|but|now|in total)\b[\s,:]*|[✅☑✔→]\s*|{_SURE})+"
    r"|(?:since|because|as|given\s+that)\b[^.;]{0,80}?\b(?:is|are|was|were|has|have|can|cannot|can't|does|isn't|aren't)\b"
    r"[^,.;]{0,80},\s*"
    r"|(?:based on|from|according to|looking at|in|among|during)\b(?:[^,.\d]|(?:19|20)\d\d){0,80},\s*|在(?=\d)",
    re.IGNORECASE,
)
_NOT_BUT = re.compile(
    r"\Anot\s+(?!only\b|just\b)[^.;]{1,60}?(?:,?\s+but\s+(?:rather\s+)?|,\s*(?:it|this|that)(?:\s+is|'s)\s+)(?!also\b|not\b)",
    re.IGNORECASE,
)
_IF = (
    r"(?:if(?!\s+(?:we|you|one)\s+(?:look|count|compare|add|sum|read|check|subtract))|whether|unless|otherwise|"
    r"suppos(?:e|ing)|assum(?:e|ing)|depend(?:s|ing)|provided)"
)
HARD = re.compile(
    rf"\b(?:{_IF}|might|(?-i:may)|could|maybe|perhaps|possibly|possible|either|alternatively|alternative|(?:any|every)thing\s+(?:but|except)|all\s+but|unclear|"
    r"unsure|not\s+(?:sure|certain)|uncertain|(?<!no\s)doubt\w*|guess)\b|可能|也许|如果|或者",
    re.IGNORECASE,
)
_DENY = re.compile(
    r"\b(?:not|never|cannot|no|neither|nor|none|wrong|incorrect|unlikely|impossible|hardly|another|rather|eliminated|"
    r"excluded|rejected|ruled\s+out|an\s+(?:answer|option))\b|n't\b|不|非|别",
    re.IGNORECASE,
)
_CLAUSE_END = re.compile(r"[,:;.!?]|\b(?:so|thus|therefore|hence|but|because|since|and|however)\b|∴", re.IGNORECASE)
_CONCLUDES = re.compile(r"(?:so|thus|therefore|hence|consequently)\b|∴|因此|所以|故|只有", re.IGNORECASE)
_LEAD_IN = re.compile(r"\W*(?:(?:the|my|our|final|correct|right|best|that|正[确確]|因此|所以|故)\W*)*", re.IGNORECASE)


_BROKEN_LINE = re.compile(
    rf"(?:[:=]|\bis\b|^\W*(?:the\s+)?(?:final\s+|correct\s+)?{_NOUN}\b)[*\s]*\n\s*", re.IGNORECASE | re.M
)


def _joined(match: re.Match[str]) -> str:
    """A line that announces what the next one says, in one line with it."""
    text = match[0].rstrip()
    return f"{text} " if text[-1] in ":=" or text.lower().endswith("is") else f"{text}: "


@lru_cache(maxsize=4096)
def find_claims(text: str, *, plain: bool = True) -> Claims:
    r"""Take an answer apart into its claims.

    Args:
        text: the answer.
        plain: clean the text first; False keeps LaTeX as it is written.

    >>> find_claims(r"A is wrong, so the answer is \boxed{B}.").claims[-1]
    Claim(text='B', strength=3, subject='', doubted=False)
    >>> find_claims("Maybe it is B").claims[0].doubted
    True
    """
    marked = mark_boxes(text)
    whole = _BROKEN_LINE.sub(_joined, plain_text(marked) if plain else marked.strip())
    claims: list[Claim] = []
    asked = False
    for sentence in _sentences(whole):
        sentence = _NUMBERING.sub("", sentence[:_LONGEST], count=1) if _NUMBERING.match(sentence) else sentence
        sentence = sentence[:_LONGEST]
        if sentence.rstrip("\"') ").endswith("?"):
            asked = asked or not _ASKED.match(sentence)
        elif sentence:
            claims += [claim for claim in _claims_of(sentence) if claim.text.strip(" .,;:!")]
    return Claims(whole.replace(BOX, "").replace(BOX_END, ""), tuple(claims), asked)


def _claims_of(sentence: str) -> list[Claim]:
    """The claims of a sentence; what is none is an aside."""
    opener = _OPENERS.match(sentence)
    opened = opener.end() if opener else 0
    bare = sentence[opened:]
    places = _announced(sentence)
    if not places:
        lead_start, start, strength = _said(bare)
        lead = _main_clause(bare[lead_start:start])
        doubt = bool(HARD.search(lead) or (not lead and HARD.match(bare)))
        if _DENY.search(lead) or _LISTING.match(bare):
            return [Claim(bare, ASIDE)]
        return [Claim(_NOT_BUT.sub("", bare[start:]), strength, bare[:start], doubt)]
    before = sentence[opened : places[0][0]]
    subject = _SUBJECT.match(before)
    lead = "" if _LEAD_IN.fullmatch(before) else before[subject.end() if subject else 0 :]
    claims = [Claim(lead, SAID if subject or len(before.split()) > 3 else BARE)]
    conditional = bool(re.match(rf"{_IF}\b", sentence, re.IGNORECASE))
    for place, (start, end) in enumerate(places):
        until = places[place + 1][0] if place + 1 < len(places) else len(sentence)
        ends = [match.end() for match in _CLAUSE_END.finditer(sentence, 0, start)]
        clause_start = start if _CONCLUDES.match(sentence, start) else max(ends, default=0)
        clause = _main_clause(sentence[clause_start:end])
        doubt = conditional or bool(HARD.search(clause))
        denied = _DENY.search(clause) is not None
        text, _, behind = sentence[end:until].replace(BOX, "").partition(BOX_END)
        if denied and BOX not in sentence[start:end]:
            claims.append(Claim(sentence[clause_start:until], ASIDE))
        else:
            text = _NOT_BUT.sub("", text)
            deeper = _CONCLUDES.match(sentence, start) or _RELATIVE.search(sentence, start, end)
            said = _described(text) if deeper else 0
            claims.append(Claim(text[said:], ANNOUNCED, text[:said], doubt or denied))
            claims.append(Claim(behind.replace(BOX_END, ""), ASIDE, BOX))
    return claims


def _announced(sentence: str) -> list[tuple[int, int]]:
    """Where boxes and announcements begin, and where what they announce does."""
    places: list[tuple[int, int]] = []
    position = 0
    while True:
        match = _ANNOUNCEMENT.search(sentence, position)
        box = sentence.find(BOX, position)
        if match is None and box < 0:
            return places
        start, end = match.span() if match and not 0 <= box < match.start() else (box, box + 1)
        if places and _LEAD_IN.fullmatch(sentence, places[-1][1], start):
            start = places.pop()[0]  # "so the answer is": one announcement, in two steps
        places.append((start, end))
        position = max(end, start + 1)


def _said(bare: str) -> tuple[int, int, int]:
    """Where a sentence without an announcement says something, and how: of it, of what it describes, or bare."""
    later = [match for match in _SAID_LATER.finditer(bare) if bare[match.end() :].strip(" .!,")]
    subject = _SUBJECT.match(bare) or _COLON.match(bare)
    if later or subject:
        start, end = later[-1].span() if later else subject.span()  # type: ignore[union-attr]
        return (start, end, SAID) if bare[end:].strip(" .!,") else (0, 0, BARE)
    start = _described(bare)
    return (0, start, SAID) if start else (0, 0, BARE)


def _described(bare: str) -> int:
    """Where the complement begins of a sentence that describes: `red` in `The color of the cube is red`; else 0."""
    last, start = 0, 0 if not _POLAR_START.match(bare) else -1
    for verb in _VERB.finditer(bare):
        if start < 0 or _BROKEN.search(bare, 0, verb.start()):
            return 0
        start = verb.end()
        if not _RELATIVE.search(bare, last, verb.start()):  # else it may be the verb of `that are not red`
            break
        last = verb.end()
    return start if start >= 4 and bare[start:].strip(" .!,") else 0


def _main_clause(lead: str) -> str:
    """A lead without the clauses that only describe its noun: `The country that did not grow is`."""
    lead = re.sub(r"^.*的(?=是)", "", lead)
    return _RELATIVE_CLAUSE.sub("", lead) if _DETERMINED.match(lead) else lead
