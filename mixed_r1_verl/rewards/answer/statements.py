r"""Where a short answer commits itself: the places of a text whose content counts as the answer.

A model asked for one thing may write it bare (`B`), announce it (`The answer is B.`), box it (`\boxed{B}`), conclude
with it (`…, so it is B`) or give it first and explain (`B, because A is wrong.`). Prose that merely mentions a thing
does not answer with it. Rules:

- a claim is what follows an announcement, a conclusion word, a pronoun with a verb at the start of a sentence, or
  a sentence that has one verb of being; and what stands in a box;
- an announcement within a clause that is negated, doubted or conditional (`not`, `if`, `maybe`, `could`) is none;
- a sentence that ends in a question mark claims nothing.

What a claim *means* is the reward's business: it reads the start of the claim and refuses what it cannot read.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from mixed_r1_verl.rewards.answer.latex import boxed_contents
from mixed_r1_verl.rewards.answer.numbers import Number, find_numbers, parse_number
from mixed_r1_verl.rewards.answer.text import plain_text


@dataclass(frozen=True)
class Claims:
    """The committed parts of one answer, as plain text.

    Attributes:
        whole: the complete answer, cleaned.
        boxed: contents of its `\\boxed{…}`.
        announced: what follows each announcement, to the end of the sentence.
        described: what a sentence with a single verb of being says of its subject; weaker than an announcement, since
            it may be an explanation.
        sentences: every sentence, without openers such as "So," and "Well,"; a bare statement may be among them.
    """

    whole: str
    boxed: tuple[str, ...]
    announced: tuple[str, ...]
    described: tuple[str, ...]
    sentences: tuple[str, ...]

    def places(self) -> tuple[str, ...]:
        """Every place where an answer may begin, the strongest first."""
        return tuple(dict.fromkeys((*self.boxed, *self.announced, *self.described, *self.sentences)))


_NOUN = r"(?:answers?|option|choice|solution|result|conclusion|prediction|response|value|verdict|letter|statement)"
_BE = r"(?:is|are|was|were|equals|must\s+be|should\s+be|would\s+be|will\s+be|has\s+to\s+be|'s)\b"
_SURE = (  # says nothing of another answer
    r"(?:(?:therefore|thus|then|hence|clearly|(?:most\s+)?(?:probably|likely)|presumably|apparently|obviously|evidently|"
    r"surely|certainly|definitely|absolutely|simply|exactly|indeed)\b[\s,:]*)"
)
_SUBJECT_BE = (
    r"(?:it|this|that|these|those|they|there|he|she)(?:\s+(?:is|are|was|were|must\s+be|should\s+be)|'s|'re)\b\s*"
    rf"{_SURE}*"
)
_ANNOUNCEMENT = re.compile(
    rf"""
      \b{_NOUN}["']?\s*(?:\([^()]{{0,40}}\)\s*)?
      (?:(?:to|of|for|in|on|from|shown|given|here)\b[^.:;=,?!]{{0,80}}?\s+)?
      (?:\s*{_BE}\s*{_SURE}*(?:(?:option|choice|letter)(?=\s*[(A-Z]))?\s*:?\s*|\s*[:=]\s*{_SURE}*)
    | \b(?:so|thus|therefore|hence|consequently)\b[\s,:]*(?:{_SUBJECT_BE}|{_SURE})?
    | \b(?:I|we)(?:'d|'ll|\s+would|\s+will)?\s+(?:choose|pick|select|say|go\s+with|think|believe|answer|conclude)
        (?:\s+(?:that|with))*\s*:?\s*(?:{_SUBJECT_BE}|the\s+answer\s+is\s*)?
    | (?<=[,;])\s*(?:(?:but|and|so)\s+)?{_SUBJECT_BE}
    | (?<!不)(?:答案|选项|结果|结论)\s*(?:应该|应当|应|就)?\s*(?:是|为|选|:)\s*:?\s*
    | (?<!不)(?:选择|选|故|因此|所以)\s*(?:选择|选|答案)?\s*:?\s*(?=[A-Z(])
    """,
    re.VERBOSE | re.IGNORECASE,
)
_OPENING_SUBJECT = re.compile(_SUBJECT_BE, re.IGNORECASE)
_BEING = re.compile(r"\b(?:is|are|was|were|equals)\b\s*|'s\s+", re.IGNORECASE)
_LISTING = re.compile(
    r"(?:the\s+|all\s+)?(?:possible\s+|given\s+|available\s+|other\s+)?(?:options|choices)\b", re.IGNORECASE
)
_OPENERS = re.compile(
    rf"(?:(?:so|well|ok|okay|actually|wait|sorry|finally|in conclusion|overall|and|but)\b[\s,:]*|{_SURE})+"
    r"|(?:since|because|as|given\s+that)\b[^.;]{0,80}?\b(?:is|are|was|were|has|have|can|cannot|can't|does|isn't|aren't)\b"
    r"[^,.;]{0,80},\s*"
    r"|(?:based on|from|according to|looking at|in (?:the|this))\b[^,.\d]{0,80},\s*",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n|(?<=[?!])")
_DOUBT = re.compile(
    r"\b(?:not|never|cannot|can't|no|neither|nor|none|if|whether|unless|suppose|supposing|assume|assuming|doubt|"
    r"doubtful|wrong|incorrect|unlikely|might|(?-i:may)|could|maybe|perhaps|possibly|either|isn't|aren't|wasn't|"
    r"don't|doesn't|didn't|wouldn't|impossible|another|alternative|hardly|rather|an\s+(?:answer|option))\b|不|非",
    re.IGNORECASE,
)
_CLAUSE_END = re.compile(r"[,:;.!?]|\b(?:so|thus|therefore|hence|but|because|since|and|however)\b", re.IGNORECASE)
_LEAD_IN = re.compile(r"(?:(?:the|my|our|final|correct|right|best|that)\s+)*", re.IGNORECASE)
_NOT_BUT = re.compile(r"\Anot\s+(?!only\b|just\b)[^.;]{1,60}?,?\s+but\s+(?:rather\s+)?(?!also\b|not\b)", re.IGNORECASE)
_LONGEST_SENTENCE = 400


@lru_cache(maxsize=2048)
def find_claims(text: str, *, plain: bool = True) -> Claims:
    r"""Find the committed parts of an answer.

    Args:
        text: the answer.
        plain: clean the text first; False keeps LaTeX as it is written.

    >>> find_claims(r"A is wrong, so the answer is \boxed{B}.").announced
    ('B.',)
    >>> find_claims("I don't think the answer is B").announced
    ()
    """
    boxed = tuple(plain_text(content) for content in boxed_contents(text)) if "\\boxed" in text else ()
    whole = plain_text(text) if plain else text.strip()
    announced: list[str] = []
    described: list[str] = []
    sentences: list[str] = []
    for sentence in _SENTENCE_END.split(whole):
        sentence = sentence.strip()[:_LONGEST_SENTENCE]
        if not sentence or sentence[-1] == "?":
            continue
        opener = _OPENERS.match(sentence)
        bare = sentence[opener.end() :].lstrip() if opener else sentence
        sentences.append(bare)
        announced += _announced(sentence)
        subject = _OPENING_SUBJECT.match(bare)
        if subject:
            announced.append(bare[subject.end() :])
        else:
            described += _description(bare)
    return Claims(whole, boxed, _distinct(announced), _distinct(described), _distinct(sentences))


def _distinct(parts: list[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(filter(None, (_NOT_BUT.sub("", part) for part in parts))))


def _announced(sentence: str) -> list[str]:
    """What follows each announcement in the sentence, unless its clause is doubted."""
    found: list[str] = []
    position = 0
    while match := _ANNOUNCEMENT.search(sentence, position):
        if found and _LEAD_IN.fullmatch(sentence, position, match.start()):
            found.pop()  # "so the answer is": one announcement, in two steps
        position = max(match.end(), position + 1)
        clause_start = 0
        for end in _CLAUSE_END.finditer(sentence, 0, match.start() + 1):
            clause_start = end.end()
        if not _DOUBT.search(sentence, clause_start, match.end()):
            found.append(sentence[match.end() :])
    return found


def _description(sentence: str) -> list[str]:
    """The complement of a sentence with a single verb of being: `red` in *The color of the cube is red*."""
    verbs = list(_BEING.finditer(sentence))
    if len(verbs) != 1 or verbs[0].start() < 2 or _LISTING.match(sentence) or _IS_THE_ANSWER.search(sentence):
        return []
    return [] if _DOUBT.search(sentence, 0, verbs[0].start()) else [sentence[verbs[0].end() :]]


_EXPLANATION = re.compile(
    r"\s*[,(:-]*\s*\b(?:because|since|as|which|due|given|based|rather than|instead of|not|while|whereas|although|"
    r"though|for the reason)\b|\s*[,;]\s*(?:it|there|they|he|she|I|we)\b|\s+-\s+",
    re.IGNORECASE,
)
_IS_THE_ANSWER = re.compile(
    r"\s+(?:is|was|would\s+be|must\s+be)\s+(?:the\s+)?(?:correct|right|best|final|true)?\s*"
    r"(?:(?:correct|right)|answer|option|choice|one)[.!]*$",
    re.IGNORECASE,
)


_NUMERIC_ASIDE = re.compile(r"\s*\([^()A-Za-z]*\d[^()]{0,20}\)$")


def readings(claim: str) -> list[str]:
    """The claim itself, then cut before its explanation: the texts of which the first that is readable counts.

    >>> readings("dog, because it barks."), readings("dog is the answer"), readings("Chile (42%)")
    (['dog, because it barks', 'dog'], ['dog is the answer', 'dog'], ['Chile (42%)', 'Chile'])
    """
    claim = claim.strip().rstrip(".!;,: ")
    cut = _EXPLANATION.search(claim, 1) or _IS_THE_ANSWER.search(claim, 1) or _NUMERIC_ASIDE.search(claim, 1)
    return [claim, claim[: cut.start()].rstrip(" .,;:")] if cut else [claim]


_DENIED = re.compile(r"(?:no|not|never|neither)\b", re.IGNORECASE)
_EXPLAINING_WORDS = 4


def said(text: str, key: Callable[[str], str], expected: str) -> list[str]:
    """What a text says in answer to a question for a word or label, one reading for each claim.

    Boxed and announced claims count; without one, a first sentence that is the expected answer and that is followed by
    explanation only; else what the sentences describe.

    Args:
        text: the answer.
        key: what makes two texts the same.
        expected: the key of the right answer; where a claim can be read as it, it is.

    >>> said("Chile. Its bar is the longest.", str.lower, "chile"), said("Chile. Peru.", str.lower, "chile")
    (['Chile'], [])
    """
    claims = find_claims(text)

    def stated(places: tuple[str, ...]) -> list[str]:
        found = []
        for place in places:
            texts = readings(place)
            text = next((text for text in texts if key(text) == expected), texts[-1])
            if key(text) and (key(text) == expected or not _DENIED.match(text)):
                found.append(text)
        return found

    strong = stated((*claims.boxed, *claims.announced))
    if strong:
        return strong
    explained = all(len(sentence.split()) >= _EXPLAINING_WORDS for sentence in claims.sentences[1:])
    first = stated(claims.sentences[:1]) if explained else []
    if any(key(text) == expected for text in first):
        return first
    return stated(claims.described)


# --- numbers ----------------------------------------------------------------------------------------------------------

_CALCULATION = re.compile(r"[\d\s.,+\-*/×÷()$%]*\d[\s)%]*[-+*/×÷][\d\s.,+\-*/×÷()$%]*=(?P<result>[^=]{1,60})")
_ASIDE = re.compile(r"\s*\(.*$", re.DOTALL)
_PLACE = re.compile(r"\s+(?:in|of|for|during|on|at|from|by)\b(?:\s+[^\W\d_][\w'-]{0,30}|\s+\d{4}(?!\d)){1,8}$")
_CONTEXT_YEAR = re.compile(r"\b(?:in|of|year|since|during|by|from|for|until)\s$", re.IGNORECASE)
_OR = re.compile(r"\b(?:or|maybe|perhaps|possibly)\b", re.IGNORECASE)
_UNDECIDED = re.compile(
    r"\b(?:not|no|never|cannot|can't|isn't|aren't|don't|or|between|maybe|perhaps|possibly|might|may|could|either|"
    r"(?:more|less|fewer|greater|higher|lower|larger|smaller)\s+than|over|under|above|below|at\s+least|at\s+most|"
    r"unless|if)\b|[?;]",
    re.IGNORECASE,
)


def offered_numbers(text: str) -> list[Number]:
    """The different numbers that a text offers to a question for one.

    A text that is a number, or a calculation with its result, offers that. Else the numbers that are claimed count,
    and only where none is, those of the prose, if it is neither negated nor hedged; a year after *in*, *of*, *since*
    is context where another number stands beside it. An *or* anywhere brings in every number of the text.

    >>> [number.value for number in offered_numbers("In 2008 there were 42 cubes.")]
    [42.0]
    >>> offered_numbers("It may be 3"), len(offered_numbers("3, 4")), offered_numbers("40-42")
    ([], 2, [])
    """
    number = _stated_number(plain_text(text).strip("[]"))
    if number is not None:
        return [number]
    claims = find_claims(text)
    stated = map(_claimed_number, claims.places())
    offered = [number for number in stated if number is not None]
    if not offered and not _UNDECIDED.search(claims.whole):
        found = find_numbers(claims.whole)
        offered = [number for number, start, _ in found if not _is_context(number, claims.whole[:start])]
        offered = offered or [number for number, _, _ in found]
    elif offered and _OR.search(claims.whole):
        offered += [number for number, _, _ in find_numbers(claims.whole)]
    distinct: dict[tuple[float, bool], Number] = {}
    for number in offered:
        distinct.setdefault((number.value, number.percent), number)
    return list(distinct.values())


def _stated_number(text: str) -> Number | None:
    calculation = _CALCULATION.fullmatch(text)
    return parse_number(calculation["result"] if calculation else text)


def _claimed_number(claim: str) -> Number | None:
    """The number that a claim is, without its explanation, an aside in brackets and the place that it holds for."""
    for reading in readings(claim):
        for text in (reading, _ASIDE.sub("", reading), _PLACE.sub("", reading)):
            number = _stated_number(text)
            if number is not None:
                return number
    return None


def _is_context(number: Number, before: str) -> bool:
    return number.plain and 1500 <= number.value <= 2100 and bool(_CONTEXT_YEAR.search(before[-8:]))
