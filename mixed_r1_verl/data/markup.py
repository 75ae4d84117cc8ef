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
    r"\s*\(\s*-?\d+(?:\.\d+)?\s*,\s*-?\d+(?:\.\d+)?\s*\)\s*|\s*\[\s*0?\.\d+\s*,\s*0?\.\d+\s*\]\s*"
    r"|.*(?:</?points?\b|<\|point_\w+\|>|[\"']point(?:_2d)?[\"']\s*:).*",
    re.DOTALL | re.IGNORECASE,
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
    """Something that no ground truth of words may hold.

    Attributes:
        reason: short snake_case code.
        message: what it is, and which option mends it.
    """

    reason: str
    message: str


def mark_in(text: str) -> Mark | None:
    """The first mark in the text of an answer that should not be there; None for sound text.

    Example:
        >>> mark_in("<CONCLUSION> 14 </CONCLUSION>").reason, mark_in("(346,328)").reason, mark_in("a < b, (c > d)")
        ('reasoning_tags', 'point', None)
    """
    text = text[:200_000]
    if _MEDIA.search(text):
        return Mark("media", "it speaks of a video or sound, which no row can hold")
    if _ACTION.search(text):
        return Mark("action", "it is an action of a user interface, for which there is no reward")
    if len(text) < 400 and _POINT.fullmatch(text):
        return Mark("point", "it is a point, for which there is no reward; a pair of numbers is --reward math")
    if _BOX.search(text):
        return Mark("box_markup", "it holds markup of boxes; convert with --reward iou, and say --box-frame")
    if _REASONING.search(text):
        return Mark("reasoning_tags", "it holds tags of reasoning; name the final answer with --column answer=COLUMN")
    if _FENCE.search(text):
        return Mark("code_fence", "it holds a code fence; name the bare answer with --column answer=COLUMN")
    if _TAGS.search(text):
        return Mark(
            "markup", "it is HTML or JSON, no answer in words; name the bare answer with --column answer=COLUMN"
        )
    if _TOKEN.search(text):
        return Mark("token", "it holds a special token of a model; name the bare answer with --column answer=COLUMN")
    return None


def media_in(question: str) -> Mark | None:
    """Whether a question is asked about a video or sound."""
    return (
        Mark("media", "it is asked about a video or sound, which no row can hold") if _MEDIA.search(question) else None
    )


def is_lone_letter(truth: str, choices: Sequence[str]) -> bool:
    """Whether a ground truth is the letter of an option that the row does not have.

    Example:
        >>> is_lone_letter("B", ()), is_lone_letter("(B)", ()), is_lone_letter("B", ("cat", "dog"))
        (True, True, False)
    """
    return not choices and LONE_LETTER.fullmatch(truth) is not None


def is_expression(text: str) -> bool:
    """Whether a text is LaTeX and nothing else.

    Example:
        >>> is_expression("\\\\frac { 4 } { 3 }"), is_expression("The angle is \\\\frac{1}{2} of it.")
        (True, False)
    """
    return LATEX.search(text) is not None and re.search(r"[a-zA-Z]{4,}", _COMMAND.sub(" ", text)) is None


def truth_faults(kind: str, truth: str, references: Sequence[str], extra_info: Mapping[str, Any]) -> Iterator[str]:
    """What is suspicious in the ground truth of a row of words: marks, a lone letter, the wrong kind.

    Args:
        kind: `matching`, `chart`, `math` or `open_ended`; others are not looked at.
        truth: the ground truth.
        references: of an open-ended row.
        extra_info: of the row.

    Yields:
        Messages that name the option of `mixed-r1 data convert` that mends the row.

    Example:
        >>> list(truth_faults("matching", "B", (), {}))
        ['is a letter, but the row has no options: --column choices=COLUMN, or --answer-type label']
    """
    if kind not in ("matching", "chart", "math", "open_ended"):
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
