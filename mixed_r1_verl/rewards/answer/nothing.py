"""Whether an answer says that nothing in the picture is what was asked for; for ground truths without a box."""

import re

from mixed_r1_verl.rewards.answer.text import plain_text

MAX_CHARS = 300  # a longer text is not read
_PLACE = r"(?:in|on|within|inside) (?:the|this) (?:given )?(?:image|picture|photo(?:graph)?|scene|screenshot)"
_SEEN = rf"(?:{_PLACE}|(?:present|visible|found|shown|there|seen|depicted)(?: {_PLACE})?)"
_THING = r"[^.,;:?!\[\]]{1,80}"
_NO_THING = rf"(?:none|nothing|no {_THING}|not any {_THING})"
_EMPTY = re.compile(
    r"\[(?:\[\]|\{\})?\]|[\[{]{1,2}\"bbox_2d\":(?:\[\]|null)(?:,\"label\":\"[^\"]{0,80}\")?[\]}]{1,2}|null"
)
_NONE = re.compile(
    r"(?:(?:so|thus|hence|therefore),? )?(?:(?:the |final )*answer(?: is|:) ?)?(?:\[ ?\]|none|nothing"
    rf"|(?:{_THING} (?:is|are) )?(?:not|nowhere) {_SEEN}|{_NO_THING} (?:(?:is|are) )?{_SEEN}"
    rf"|{_NO_THING} (?:fits|matches|match)(?: {_THING})?"
    r"|no (?:such |matching )?(?:target|object|(?:bounding )?box|match)(?:e?s)?|there isn't one"
    rf"|(?:there (?:is|are)|there's|i (?:can )?see|the (?:image|picture) (?:shows|contains|has)) {_NO_THING}"
    r"|(?:图[片中像里上]*)?(?:没有|不存在|无)[^,.;?但]{0,30})",
    re.IGNORECASE,
)
_NOT_ALL = re.compile(
    r"\b(?:but|except|however|only|other|apart|besides|maybe|perhaps|if|unless|doubt|and (?:it|they))\b", re.I
)
_NEXT = re.compile(r"[.;](?:\s|$)|[,:] (?=\[|(?:so|thus|hence|therefore)\b)")


def says_none(answer: str) -> bool:
    """Whether an answer commits itself to there being no such thing in the picture: `[]`, or that in words.

    >>> [says_none(text) for text in ("[]", "No target.", "There is no dog, so []", "[]?", "I cannot tell")]
    [True, True, True, False, False]
    """
    if len(answer) > MAX_CHARS:
        return False
    text = " ".join(plain_text(answer).split())
    parts = [part.strip() for part in _NEXT.split(text) if part.strip()]
    in_words = bool(parts) and not _NOT_ALL.search(text) and all(map(_NONE.fullmatch, parts))
    return in_words or _EMPTY.fullmatch(re.sub(r"\s|```(?:json)?", "", answer)) is not None
