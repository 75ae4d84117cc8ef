"""Where an answer commits itself: bare, announced, boxed, as a conclusion, in a description, or first and explained."""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from mixed_r1_verl.rewards.answer.latex import BOX, BOX_END, mark_boxes
from mixed_r1_verl.rewards.answer.text import plain_text
from mixed_r1_verl.rewards.answer.words import grammar

ASIDE, BARE, SAID, ANNOUNCED = range(4)


class Claim(NamedTuple):
    """What is claimed, to the end of its sentence."""

    text: str  # what is claimed, and whatever follows it
    strength: int  # ANNOUNCED as the answer or boxed, SAID of it or of what is described, BARE, or ASIDE: none
    subject: str = ""  # what stands before the verb
    doubted: bool = False  # put under a condition or as a mere possibility

    @property
    def terse(self) -> bool:
        """Whether it is announced, in a word or three."""
        return self.strength == ANNOUNCED and len(self.text.split()) < 4


class Claims(NamedTuple):
    """An answer taken apart."""

    whole: str  # the complete answer, cleaned
    claims: tuple[Claim, ...]  # its claims and asides, in order
    asked: bool = False  # whether a value may be put as a question


_SENTENCE_END = re.compile(r"(?<=[.!?])[\"')\]]?\s+|\s*\n\s*|(?<=\?)(?=\S)")
_NO_END = grammar(r"(?<!\w)(?:(?:<ABBREVIATION>|[^\W\d_]|(?:[a-z]{1,2}\.)+[a-z]{1,3})\.\s|(?:nos?|figs?|eqs?)\.\s\d)$")
_NUMBERING = re.compile(r"^(?:\(?\d{1,2}[.)]\s+|[-*•]\s+)+(?=\D)")
_LONGEST = 400


def _sentences(text: str) -> Iterator[str]:
    start = 0
    for end in _SENTENCE_END.finditer(text):
        around = text[max(start, end.start() - 8) : end.start()] + " " + text[end.end() : end.end() + 1]
        if "\n" in end[0] or not (_NO_END.search(around) or _NO_END.search(around[:-1])):
            yield text[start : end.start()].strip()
            start = end.end()
    yield text[start:].strip()


_SURE = r"(?:<SURE>[\s,:]*)"
_IT_IS = (
    rf"(?:<IT>(?: (?:<BE>|<MUST_BE>|looks like)\b|'s\b|'re\b)|(?:looks like|seems to be)\b|(?:I|we)(?: can)? <SEE>"
    rf"(?![^.]*\b(?:in|on) the <PICTURE>)|(?:the|this|that)(?: \w+){{1,3}}'s (?=an? |-?\d\S*$)|"
    rf"(?:this|the) <PICTURE> (?:shows|depicts|displays|contains)\b)\s*{_SURE}*"
)
_ANNOUNCEMENT = grammar(
    r"\b<NOUN>[\"']?\s*(?:\((?![A-Za-z]\))[^()]{0,40}\)\s*)?(?:<OF>[^.:;=,?!]{0,80}? )?"
    rf"(?:\s*(?:<BE>|equals\b|<MUST_BE>|(?:would|will) be\b|'s\b)\s*{_SURE}*"
    rf"(?:(?:option|choice|letter)(?=\s*[(A-Z]))?\s*:?\s*|\s*(?:[:=→]|-+>?(?=\s))\s*{_SURE}*)"
    rf"|(?<!or\s)<SO>[\s,:]*(?:{_IT_IS}|{_SURE})?"
    rf"|\b(?:I|we)(?:'d|'ll|'m| am| would| will)? <THINK>(?: (?:with|that)\b)*\s*:?\s*(?:{_IT_IS}|the answer is\s*)?"
    r"|(?<!不)(?:答案|[选選][项項]|[结結][果论論])\s*(?:[应應][该該当當]?|就|[选選][项項])*\s*(?:是|[为為]|[选選]|:|(?<=\s)(?=[A-Z(]))"
    r"\s*:?\s*|(?<=[(\[]答案[\])])\s*|(?<!不)(?:只有|[应應][该該]?|[选選][择擇项項]?|故|因此|所以)\s*(?:[应應][该該]?)?\s*(?:[选選][择擇项項]?|答案)?\s*:?\s*(?=[A-Z(])"
    rf"|{BOX}"
)
_SUBJECT = grammar(rf"(?:(?:but|and|so|then) )?{_IT_IS}")
_SAID_LATER = grammar(
    r"[,;]\s*(?:(?:but|and) )?(?:it|this|they|there)(?: (?:<BE>|must be\b)|'s\b|'re\b)\s*|"
    r"[,;]\s*(?=\d{1,9} (?:in (?:total|all)|altogether)\b)"
)
_VERB = grammar(r"<VERB>\s*|的是|(?<=\w)(?<![不的])是|(?<=\w)(?<![不的认認因])[为為](?!是)")
_POLAR_START = grammar(r"(?:yes|no)\b")
_BROKEN = grammar(r"[,;]|<BROKEN>")
_RELATIVE = grammar(r"<WHO>")
_RELATIVE_VERB = grammar(r"<WHO> <VERB>\s*\Z")
_RELATIVE_CLAUSE = grammar(r"(?<=\w) (?:who|whom|whose|that|which|where|with|without)\b[\s\S]*")
_DETERMINED = grammar(r"\W*(?:the|an?|this|my|our)\b")
_COLON = grammar(
    r"(?=[^\W\d_]{2})(?!(?:option|choice|letter) [a-z]\b|(?:yes|no|true|false)\b)[^:,.;=?!()\d]{2,40}: (?=\S)"
)
_ASKED = grammar(r"(?:so )?<ASK>")
_OPENERS = grammar(
    rf"(?:<OPENER>[\s,:]*|[✅☑✔→]\s*|{_SURE})+"
    r"|(?:since|because|as|given that)\b[^.;]{0,80}?\b(?:<BE>|has|have|can|cannot|can't|does|isn't|aren't)\b"
    r"[^,.;]{0,80},\s*|<SEEN_IN>(?:[^,.\d]|(?:19|20)\d\d){0,80},\s*|在(?=\d)"
)
_NOT_BUT = grammar(
    r"\Anot (?!only\b|just\b)[^.;]{1,60}?(?:,?\sbut (?:rather )?|,\s*(?:it|this|that)(?: is|'s) )(?!also\b|not\b)"
)
HARD = grammar(r"<HARD>")
_DENY = grammar(r"<DENY>")
_LISTING = grammar(r"(?:(?:the|all) )?(?:(?:possible|given|available|other) )?(?:options|choices)\b")
_CLAUSE_END = grammar(r"[,:;.!?]|<SO>|\b(?:but|because|since|and|however)\b")
_CONCLUDES = grammar(r"<SO>|因此|所以|故|只有")
_LEAD_IN = grammar(r"\W*(?:(?:the|my|our|final|correct|right|best|that|正[确確]|因此|所以|故)\W*)*")
_CONDITION = grammar(r"<IF>")
_UNFINISHED = re.compile(r"([:=]|\bis\b)[*\s]*\n\s*", re.IGNORECASE)
_HEADING = grammar(r"(?m:^)(\W*(?:the )?(?:(?:final|correct) )?(?:answers?|solution|result|conclusion))[*\s]*\n\s*")


@lru_cache(maxsize=4096)
def find_claims(text: str, *, plain: bool = True) -> Claims:
    r"""Take an answer apart into its claims; not `plain` keeps LaTeX as it is written.

    >>> find_claims(r"A is wrong, so the answer is \boxed{B}.").claims[-1]
    Claim(text='B', strength=3, subject='', doubted=False)
    """
    marked = mark_boxes(text)
    whole = _HEADING.sub(r"\1: ", plain_text(marked) if plain else marked.strip())
    whole = _UNFINISHED.sub(r"\1 ", whole)
    claims: list[Claim] = []
    asked = False
    for sentence in _sentences(whole):
        sentence = _NUMBERING.sub("", sentence[:_LONGEST])
        if sentence.rstrip("\"') ").endswith("?"):
            asked = asked or not _ASKED.match(sentence)
        elif sentence:
            claims += [claim for claim in _claims_of(sentence) if claim.text.strip(" .,;:!")]
    return Claims(whole.replace(BOX, "").replace(BOX_END, ""), tuple(claims), asked)


def _claims_of(sentence: str) -> Iterator[Claim]:
    """The claims of a sentence; what is none is an aside."""
    opener = _OPENERS.match(sentence)
    opened = opener.end() if opener else 0
    bare = sentence[opened:]
    places = _announced(sentence)
    if not places:
        start, end = _said(bare)
        lead = _main_clause(bare[start:end])
        doubted = bool(_CONDITION.match(bare) or HARD.search(lead) or HARD.match(bare, start))
        aside = _DENY.search(lead) or _LISTING.match(bare)
        claim = Claim(_NOT_BUT.sub("", bare[end:]), SAID if end else BARE, bare[:end], doubted)
        yield Claim(bare, ASIDE) if aside else claim
        return
    before = sentence[opened : places[0][0]]
    subject = _SUBJECT.match(before)
    lead = "" if _LEAD_IN.fullmatch(before) else before[subject.end() if subject else 0 :]
    yield Claim(lead, SAID if subject or len(before.split()) > 3 or "=" in before else BARE)
    conditional = _CONDITION.match(sentence)
    for (start, end), (until, _) in pairwise([*places, (len(sentence), 0)]):
        ends = (match.end() for match in _CLAUSE_END.finditer(sentence, 0, start))
        clause_start = start if _CONCLUDES.match(sentence, start) else max(ends, default=0)
        clause = _main_clause(sentence[clause_start:end])
        denied = _DENY.search(clause) is not None
        if denied and BOX not in sentence[start:end]:
            yield Claim(sentence[clause_start:until], ASIDE)
            continue
        text, _, behind = sentence[end:until].replace(BOX, "").partition(BOX_END)
        text = _NOT_BUT.sub("", text)
        deeper = _CONCLUDES.match(sentence, start) or _RELATIVE.search(sentence, start, end)
        said = _described(text) if deeper else 0
        yield Claim(text[said:], ANNOUNCED, text[:said], bool(conditional or denied or HARD.search(clause)))
        yield Claim(behind.replace(BOX_END, ""), ASIDE, BOX)


def _announced(sentence: str) -> list[tuple[int, int]]:
    """Where boxes and announcements begin, and where what they announce does."""
    places: list[tuple[int, int]] = []
    for start, end in (match.span() for match in _ANNOUNCEMENT.finditer(sentence)):
        nested = places and _LEAD_IN.fullmatch(sentence, places[-1][1], start)  # `so the answer is`, in two steps
        places.append((places.pop()[0] if nested else start, end))
    return places


def _said(bare: str) -> tuple[int, int]:
    """Where a sentence without an announcement says something of it or of what it describes; else (0, 0)."""
    moves = (_SUBJECT.match(bare) or _COLON.match(bare), *_SAID_LATER.finditer(bare))
    places = [(0, _described(bare)), *(move.span() for move in moves if move)]
    return next((place for place in reversed(places) if bare[place[1] :].strip(" .!,") and place[1]), (0, 0))


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
    else:
        start = 0 if _RELATIVE_VERB.search(bare, 0, last) else start
    return start if start >= 4 and bare[start:].strip(" .!,") else 0


def _main_clause(lead: str) -> str:
    """A lead without the clauses that only describe its noun: `The country that did not grow is`."""
    lead = re.sub(r"^.*的(?=是)", "", lead)
    return _RELATIVE_CLAUSE.sub("", lead) if _DETERMINED.match(lead) else lead
