"""What a ground truth may not hold: marks of boxes, of reasoning, of video, of actions; for converters and `check`."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

LONE_LETTER = re.compile(r"\s*[(\[*]{0,2}[A-Za-z][)\]*.]{0,2}\s*")
_REASONING = re.compile(
    r"</?(?:think|thinking|summary|caption|reasoning|conclusion|answer|solution|step|reflection|output|look|observe|"
    r"perception|rationale|comment|review|critic)\b[^<>]{0,20}>",
    re.IGNORECASE,
)
_BOX = re.compile(
    r"</?(?:box|ref|quad|bbox|obj|region|ref-object|det|phrase|delim|loc_?\d{0,4}|patch_index_\d{1,6})>"
    r"|<\|/?(?:box|ref|det|quad|object_ref|bbox|grounding)\w{0,12}\|>"
    r"|[\"'](?:bbox(?:_2d)?|box_2d|bounding_box|Position)[\"']\s*:",
    re.IGNORECASE,
)
_POINT = re.compile(
    r"\A\s{0,9}\(\s{0,9}-?\d{1,9}(?:\.\d{1,20})?\s{0,9},\s{0,9}-?\d{1,9}(?:\.\d{1,20})?\s{0,9}\)\s{0,9}\Z"
    r"|\A\s{0,9}\[\s{0,9}0?\.\d{1,20}\s{0,9},\s{0,9}0?\.\d{1,20}\s{0,9}\]\s{0,9}\Z"
    r"|</?points?\b|<\|point_\w{1,20}\|>|[\"']point(?:_2d)?[\"']\s{0,9}:",
    re.IGNORECASE,
)
_ACTION = re.compile(
    r"\bpyautogui\.\w|^\s*(?:Action:\s*)?(?:(?:left_|right_|double_|long_)?(?:click|tap|press)|type|input_text|write|scroll|"
    r"swipe|hotkey|drag|open_app|navigate(?:_\w{1,10})?|terminate|finished)\(|[\"']action(?:_type)?[\"']\s*:|</?tool_call>"
    r"|^\s*(?:CLICK|TYPE|SCROLL|PRESS|TAP|SWIPE)\s*[:(\[<]",
    re.MULTILINE,
)
LATEX = re.compile(r"\\(?:[dt]?frac|sqrt|pi|times|cdot|angle|circ|text|sin|cos|tan|left|theta|alpha|beta|infty|in)\b")
_COMMAND = re.compile(r"\\text\{[^{}]*\}|\\[a-zA-Z]+")
_MEDIA = re.compile(r"<\s?(?:video|audio)\s?>|\[(?:video|audio)\]", re.IGNORECASE)
_TAGS = re.compile(r"</[a-zA-Z][\w-]{0,20}>|^\s*\{\s*[\"'][^\"'\n]{1,60}[\"']\s*:")
_FENCE = re.compile(r"```")
_TOKEN = re.compile(r"<\|[^<>|\s]{1,40}\|>|<image>|\[image\]", re.IGNORECASE)


class Mark(NamedTuple):
    """Something that no ground truth of words may hold."""

    reason: str  # short snake_case code
    message: str  # what it is, and which option mends it


_NAME_ANSWER = "name the %s answer with --column answer=COLUMN"
_MARKS = (
    (_MEDIA, Mark("media", "it speaks of a video or sound, which no row can hold")),
    (_ACTION, Mark("action", "it is an action of a user interface, for which there is no reward")),
    (_POINT, Mark("point", "it is a point, for which there is no reward; a pair of numbers is --reward math")),
    (_BOX, Mark("box_markup", "it holds markup of boxes; convert with --reward iou, and say --box-frame")),
    (_REASONING, Mark("reasoning_tags", f"it holds tags of reasoning; {_NAME_ANSWER % 'final'}")),
    (_FENCE, Mark("code_fence", f"it holds a code fence; {_NAME_ANSWER % 'bare'}")),
    (_TAGS, Mark("markup", f"it is HTML or JSON, no answer in words; {_NAME_ANSWER % 'bare'}")),
    (_TOKEN, Mark("token", f"it holds a special token of a model; {_NAME_ANSWER % 'bare'}")),
)
# No mark is without one of these.
_SIGN = re.compile(r"[<(\[{`\"':|]")


def mark_in(text: str) -> Mark | None:
    """The first mark in the text of an answer that should not be there; None for sound text.

    >>> mark_in("<CONCLUSION> 14 </CONCLUSION>").reason, mark_in("(346,328)").reason, mark_in("a < b, (c > d)")
    ('reasoning_tags', 'point', None)
    """
    text = text[:200_000]
    if not _SIGN.search(text):
        return None
    return next((mark for pattern, mark in _MARKS if pattern.search(text)), None)


def media_in(question: str) -> Mark | None:
    """Whether a question is asked about a video or sound."""
    asked = "<" in question or "[" in question
    found = asked and _MEDIA.search(question)
    return Mark("media", "it is asked about a video or sound, which no row can hold") if found else None


def is_lone_letter(truth: str, choices: Sequence[str]) -> bool:
    """Whether a ground truth is the letter of an option that the row does not have.

    >>> is_lone_letter("B", ()), is_lone_letter("(B)", ()), is_lone_letter("B", ("cat", "dog"))
    (True, True, False)
    """
    return not choices and LONE_LETTER.fullmatch(truth) is not None


def is_expression(text: str) -> bool:
    """Whether a text is LaTeX and nothing else.

    >>> is_expression("\\\\frac { 4 } { 3 }"), is_expression("The angle is \\\\frac{1}{2} of it.")
    (True, False)
    """
    return LATEX.search(text) is not None and re.search(r"[a-zA-Z]{4,}", _COMMAND.sub(" ", text)) is None


def truth_faults(kind: str, truth: str, references: Sequence[str], extra_info: Mapping[str, Any]) -> Iterator[str]:
    """What is suspicious in the ground truth of a row of words: marks, a lone letter, the wrong kind.

    Args:
        kind: `matching`, `chart`, `math`, `anls` or `open_ended`; others are not looked at.
        truth: the ground truth.
        references: of an open-ended row.
        extra_info: of the row.

    Yields:
        Messages that name the option of `mixed-r1 data convert` that mends the row.

    >>> list(truth_faults("matching", "B", (), {}))
    ['is a letter, but the row has no options: --column choices=COLUMN, or --answer-type label']
    """
    if kind not in ("matching", "chart", "math", "anls", "open_ended"):
        return
    for text in references or (truth,):
        mark = mark_in(text)
        if mark and not (kind == "math" and mark.reason == "point"):
            yield mark.message
            return
    may_be_choice = kind in ("matching", "chart") and extra_info.get("answer_type") != "label"
    if may_be_choice and is_lone_letter(truth, extra_info.get("choices") or ()):
        yield "is a letter, but the row has no options: --column choices=COLUMN, or --answer-type label"
    if kind == "open_ended" and all(map(is_expression, references)):
        yield "is an expression and no description: --reward math"
    elif kind == "open_ended" and all(len(text.split()) == 1 and text.isalnum() for text in references):
        yield "is a word and no description: --reward matching"
