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
from dataclasses import dataclass

from mixed_r1_verl.rewards.text import boxed_contents, clean


@dataclass(frozen=True)
class Claims:
    """The committed parts of one answer, as plain text.

    Attributes:
        whole: the complete answer, cleaned.
        boxed: contents of its `\\boxed{…}`.
        announced: what follows each announcement, to the end of the sentence.
        sentences: every sentence, without openers such as "So," and "Well,"; a bare statement may be among them.
    """

    whole: str
    boxed: tuple[str, ...]
    announced: tuple[str, ...]
    sentences: tuple[str, ...]


_NOUN = r"(?:answers?|option|choice|solution|result|conclusion|prediction|response|value|verdict|letter|statement)"
_ANNOUNCEMENT = re.compile(
    rf"""
      \b{_NOUN}\s*(?:\([^()]{{0,40}}\)\s*)?
      (?:(?:to|of|for|in|on|from|shown|given|here)\b[^.:;=,?!]{{0,80}}?\s+)?
      (?:\s*(?:is|are|was|were|equals|must\s+be|should\s+be|would\s+be|will\s+be|has\s+to\s+be|'s)\b
          (?:\s+(?:therefore|thus|then|hence|clearly|probably|likely|most\s+likely|simply|exactly|indeed|(?:option|choice|letter)(?=\s*[(A-Z])))*
          \s*:?\s*
        |\s*[:=]\s*)
    | \b(?:so|thus|therefore|hence|consequently)\b[\s,:]*
        (?:(?:it|this|that|there|they|he|she)(?:\s+(?:is|are|was|were|must\s+be|should\s+be)|'s|'re)\b\s*)?
    | \b(?:I|we|I'd|I\s+would|I\s+will|I'll)\s+(?:would\s+|will\s+)?(?:choose|pick|select|say|go\s+with|think|believe|answer|conclude)
        (?:\s+(?:that|with))*\s*:?\s*
        (?:(?:it|this|that|there|they|the\s+answer)(?:\s+(?:is|are|was|were)|'s|'re)\b\s*)?
    | (?<!不)(?:答案|选项|结果|结论)\s*(?:应该|应当|应|就)?\s*(?:是|为|选|:)\s*:?\s*
    | (?<!不)(?:选择|选|故|因此|所以)\s*(?:选择|选|答案)?\s*:?\s*(?=[A-Z(])
    """,
    re.VERBOSE | re.IGNORECASE,
)
_PRONOUN_VERB = re.compile(
    r"(?:it|this|that|these|those|they|there|he|she)(?:\s+(?:is|are|was|were|must\s+be|should\s+be)|'s|'re)\b\s*",
    re.IGNORECASE,
)
_BEING = re.compile(r"\b(?:is|are|was|were|equals)\b\s*|'s\s+", re.IGNORECASE)
_LISTING = re.compile(
    r"(?:the\s+|all\s+)?(?:possible\s+|given\s+|available\s+|other\s+)?(?:options|choices)\b", re.IGNORECASE
)
_OPENERS = re.compile(
    r"(?:(?:so|thus|therefore|hence|then|well|ok|okay|actually|wait|sorry|finally|in conclusion|overall|and|but|"
    r"based on[^,.]{0,80},|from[^,.]{0,80},|according to[^,.]{0,80},|looking at[^,.]{0,80},|in (?:the|this)[^,.\d]{0,60},)"
    r"\b[\s,:]*)+|(?:based on|from|according to|looking at|in (?:the|this))\b[^,.\d]{0,80},\s*",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\s*\n\s*|(?<=[?!])")
_DOUBT = re.compile(
    r"\b(?:not|never|cannot|can't|no|neither|nor|none|if|whether|unless|suppose|supposing|assume|assuming|doubt|"
    r"doubtful|wrong|incorrect|unlikely|might|may|could|maybe|perhaps|possibly|either|isn't|aren't|wasn't|don't|"
    r"doesn't|didn't|wouldn't|impossible|false|other|another|alternative|an|hardly|rather)\b|不|非",
    re.IGNORECASE,
)
_CLAUSE_END = re.compile(r"[,:;.!?]|\b(?:so|thus|therefore|hence|but|because|since|and|however)\b", re.IGNORECASE)
_LONG = 400


def find_claims(text: str) -> Claims:
    r"""Find the committed parts of an answer.

    >>> find_claims(r"A is wrong, so the answer is \boxed{B}.").announced
    ('B.',)
    >>> find_claims("I don't think the answer is B").announced
    ()
    """
    boxed = tuple(clean(content) for content in boxed_contents(text)) if "\\boxed" in text else ()
    whole = clean(text)
    announced: list[str] = []
    sentences: list[str] = []
    for sentence in _SENTENCE_END.split(whole):
        sentence = sentence.strip()
        if not sentence or sentence.endswith("?"):
            continue
        sentence = sentence[:_LONG]
        opener = _OPENERS.match(sentence)
        bare = sentence[opener.end() :].lstrip() if opener else sentence
        sentences.append(bare)
        announced += _announced(sentence)
        pronoun = _PRONOUN_VERB.match(bare)
        if pronoun:
            announced.append(bare[pronoun.end() :])
        else:
            verbs = list(_BEING.finditer(bare))
            if (
                len(verbs) == 1
                and verbs[0].start() > 1
                and not _LISTING.match(bare)
                and not _DOUBT.search(bare, 0, verbs[0].start())
            ):
                announced.append(bare[verbs[0].end() :])
    return Claims(whole, boxed, tuple(dict.fromkeys(part for part in announced if part)), tuple(sentences))


def _announced(sentence: str) -> list[str]:
    """What follows each announcement in the sentence, unless its clause is doubted."""
    found = []
    position = 0
    while match := _ANNOUNCEMENT.search(sentence, position):
        position = max(match.end(), position + 1)
        if not sentence[match.end() :].strip():
            break
        clause_start = 0
        for end in _CLAUSE_END.finditer(sentence, 0, match.start()):
            clause_start = end.end()
        if not _DOUBT.search(sentence, clause_start, match.end()):
            found.append(sentence[match.end() :])
    return found


_EXPLANATION = re.compile(
    r"\s*[,(:-]*\s*\b(?:because|since|as|which|due|given|based|rather than|instead of|not|while|whereas|although|though|"
    r"for the reason)\b|\s*[,;]\s*(?:it|there|they|he|she|I|we)\b|\s+-\s+|\s*[。]",
    re.IGNORECASE,
)


def readings(claim: str) -> list[str]:
    """The claim itself, then cut before its explanation: the texts of which the first that is readable counts.

    >>> readings("dog, because it barks.")
    ['dog, because it barks', 'dog']
    """
    claim = claim.strip().rstrip(".!;,: ")
    cut = _EXPLANATION.search(claim, 1)
    if cut is None or not cut.start():
        return [claim]
    return [claim, claim[: cut.start()].rstrip(" .,;:")]
