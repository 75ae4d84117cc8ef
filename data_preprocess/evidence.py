"""What kind of answer a text is, by evidence that can be named; where two kinds fit, nobody guesses.

No converter: what the generic converters go by.
"""

import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from mixed_r1_verl.core.boxes import Box
from mixed_r1_verl.data import RowError
from mixed_r1_verl.data.markup import LATEX, is_expression, is_lone_letter, mark_in
from mixed_r1_verl.data.options import literal
from mixed_r1_verl.rewards.answer.boxes import MAX_GOLD_BOXES, find_boxes
from mixed_r1_verl.rewards.answer.latex import BOX, BOX_END, mark_boxes
from mixed_r1_verl.rewards.answer.numbers import parse_number
from mixed_r1_verl.rewards.answer.types import guess_answer_type

# Up to so many words are a label, from so many on a description; what is between may be either.
LABEL_WORDS, DESCRIPTION_WORDS = 5, 8
MAX_BOX_CHARS = 40_000
BOX_KEYS = ("bbox_2d", "bbox", "box", "bounding_box", "Position", "position", "box_2d", "coordinates")
BARE = "lists of four numbers"
POLAR = ("yes", "no", "true", "false")

_EXPRESSION = re.compile(r"\\[a-zA-Z]|[\^√π°²³]|\d\s*/\s*\d|[a-z\d]\s*=\s*[-\d]|\d[a-z]\s?[-+*]")
_DATE = re.compile(r"\d{1,4}([/.-])\d{1,2}\1\d{1,4}")
_UNIT = re.compile(r"\d[a-zA-Z]")
_NUMBER = re.compile(r"[-+−]?[$€£]?\d[\d,]*(?:\.\d+)?\s?%?")
_SENTENCE_END = (".", "!", "?", "。", "！", "？")
ANSWER_TAGS = ("answer", "conclusion")
# An answer that follows reasoning is not without one of these.
_MAY_END = re.compile(r"[<\\]|answer|option|choice", re.IGNORECASE)
_SAYS_ANSWER = re.compile(
    r"(?:^|[.!?\n,;:]|\bso\b|\btherefore\b|\bthus\b|\bhence\b)[\s*#]*(?:the\s+)?(?:correct\s+|final\s+|right\s+)?"
    r"(?:answer|option|choice)\s*(?:is|:|would be)\s*:?\s*(?:option\s+)?(\S[^\n]{0,200})\Z",
    re.IGNORECASE,
)
_BOX_MARKUP = re.compile(
    r"```(?:json|python)?|</?(?:ref|box|bbox)>|<\|/?(?:box|object_ref|ref|det)\w{0,8}\|>|[\"'][^\"'\n]{0,200}[\"']\s*[:,]?"
    r"|\b(?:and|px|json|bbox(?:_2d)?|True|False|None)\b",
    re.IGNORECASE,
)
_NAMED_BOX = re.compile(
    r"<(ref)>.{0,300}?</ref>|<\|object_ref_start\|>.{0,300}?<\|object_ref_end\|>|<\|ref\|>.{0,300}?<\|/ref\|>"
)
_ASKS_PLACE = re.compile(
    r"\b(?:where|box(?:es)?|bounding|bbox\w*|locat\w+|find|detect\w*|regions?|coordinates?|ground\w*|areas?|positions?|"
    r"point(?:s|ed)?|mark|click|describes?|refer\w*|element|object)\b|框|位置|坐标",
    re.IGNORECASE,
)
_MAY_BE_BOX = re.compile(r"[\[(]|bbox|<box|<loc|box_")
_BOX_MARK = re.compile(r"<box>|<bbox>|<\|box_start\|>|<\|det\|>|<loc_?\d")
_LIST_OF_FOUR = re.compile(r"[\[(]\s{0,4}\d[\d.]{0,12}(?:\s{0,4},\s{0,4}\d[\d.]{0,12}){3}\s{0,4}[\])]")
_NORM1000 = re.compile(r"<box>")
_EITHER_FRAME = re.compile(r"<\|box_start\|>|<\|det\|>")
_OTHER_ORDER = re.compile(r"[\"']box_2d[\"']|<loc_?\d|<patch_index")


class Boxes(NamedTuple):
    """Boxes that were read.

    Attributes:
        boxes: with their labels.
        frame: what the markup says of their frame; empty where it says nothing.
        how: what was read.
    """

    boxes: tuple[Box, ...]
    frame: str
    how: str


def final_answer(text: str) -> tuple[str, str]:
    """The answer at the end of a chain of thought, and where it stood; the text itself where it is none.

    Raises:
        RowError: `two_answers`.

    Example:
        >>> final_answer("<REASONING> 7 and 7. </REASONING> <CONCLUSION> 14 </CONCLUSION>")
        ('14', 'in <conclusion>')
        >>> final_answer("We add. So the answer is \\\\boxed{14}."), final_answer("A cat.")
        (('14', 'boxed'), ('A cat.', ''))
    """
    if not _MAY_END.search(text):
        return text.strip(), ""
    how = ""
    lower = text.lower()
    for tag in ANSWER_TAGS:
        start = lower.find(f"<{tag}>")
        end = lower.find(f"</{tag}>", start)
        if 0 <= start < end:
            if lower.find(f"<{tag}>", end) > 0:
                raise RowError("answer", "two_answers", f"several blocks <{tag}>")
            text, how = text[start + len(tag) + 2 : end].strip(), f"in <{tag}>"
            break
    else:
        if "</think>" in lower:
            text, how = text[lower.rindex("</think>") + 8 :].strip(), "after the thought"
    boxed = _boxed(text)
    if boxed is not None:
        return boxed, "boxed"
    last = next((line.strip() for line in reversed(text.strip().splitlines()) if line.strip()), "")
    said = _SAYS_ANSWER.search(last[-600:])
    if said and (len(last) > len(said[1]) + 6 or "\n" in text.strip()):
        answer = said[1].strip().strip("*`$ ").strip()
        answer = answer[:-1] if answer.endswith((".", "。")) and len(answer.split()) <= LABEL_WORDS else answer
        if answer and len(answer.split()) <= DESCRIPTION_WORDS:
            return answer, "“the answer is”"
    return text.strip(), how


def _boxed(text: str) -> str | None:
    _, mark, rest = mark_boxes(text).rpartition(BOX)
    inner, _, after = rest.partition(BOX_END)
    inner = inner.strip()
    whole = re.fullmatch(r"\\text\{([^{}]*)\}", inner)
    return (whole[1].strip() if whole else inner) if mark and "\\boxed{" not in after else None


def read_boxes(answer: Any) -> Boxes | None:
    """The boxes of an answer that is nothing but boxes and their names; None for any other.

    Lists of numbers or objects, and all that `find_boxes` of the reward reads in a text: JSON, Python literals, code
    fences, `<box>`, `<ref>`, `<|box_start|>`.

    Raises:
        RowError: `frame_unknown`, `box_order`, `malformed_box`, `too_many_boxes` or `boxes_in_prose`.

    Example:
        >>> read_boxes("<ref>a cat</ref><box>[[1, 2, 3, 4]]</box>")[1:]
        ('norm1000', '<box> markup')
        >>> read_boxes([1, 2, 3, 4]).how, read_boxes("about 3"), read_boxes("[2013, 2016]")
        ('lists of four numbers', None, None)
    """
    if isinstance(answer, str):
        return _boxes_of_text(answer.strip())
    flat = _flat_boxes(answer)
    return Boxes(tuple(flat), "", BARE) if flat else None


def _flat_boxes(value: Any) -> list[Box]:
    """The boxes of a list or object; empty where it is something else."""
    if isinstance(value, dict):
        listed = next((value[key] for key in ("boxes", "bboxes", "objects") if value.get(key)), None)
        if listed is not None:
            return _flat_boxes(listed)
        found = next((value[key] for key in BOX_KEYS if value.get(key) is not None), None)
        boxes = _flat_boxes(found)
        names = (value.get(key) for key in ("label", "name", "class", "category", "ref", "phrase", "description"))
        label = next((name for name in names if isinstance(name, str) and name.strip()), None)
        return [box._replace(label=label) for box in boxes] if label else boxes
    if not isinstance(value, list | tuple) or not value or len(value) > MAX_GOLD_BOXES:
        return []
    if len(value) == 4 and all(isinstance(side, int | float) and not isinstance(side, bool) for side in value):
        return [Box(*map(float, value))]
    parts = [_flat_boxes(member) if isinstance(member, dict | list | tuple) else [] for member in value]
    return [box for part in parts for box in part] if all(parts) else []


def _boxes_of_text(text: str) -> Boxes | None:
    if len(text) > MAX_BOX_CHARS or not _MAY_BE_BOX.search(text):
        return None
    if _OTHER_ORDER.search(text):
        raise RowError("answer", "box_order", "boxes as y, x or as tokens for places; write corners x1, y1, x2, y2")
    bare = text.strip("`").removeprefix("json").removeprefix("python").strip()
    value = literal(bare)
    boxes = _flat_boxes(value)
    objects = isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, dict) for one in value))
    if not boxes and (not objects or "box" in text.lower()):
        boxes = find_boxes(text, MAX_GOLD_BOXES)
        if not boxes or (len(boxes) == 1 and math.isnan(boxes[0].x1) and "box" not in text.lower()):
            return None
        rest = _BOX_MARKUP.sub(" ", _NAMED_BOX.sub(" ", text))
        if any(character.isalpha() for character in rest):
            detail = (
                f"words and boxes: {text[:60]!r}; --reward iou takes the boxes alone, --reward open_ended the words"
            )
            raise RowError("answer", "boxes_in_prose", detail)
    if not boxes:
        return None
    if len(boxes) > MAX_GOLD_BOXES:
        raise RowError("answer", "too_many_boxes", f"more than {MAX_GOLD_BOXES}")
    return _with_frame(boxes, text)


def boxes_in(text: str) -> Boxes | None:
    """The boxes of a text that may hold words too, as `--reward iou` wants it."""
    boxes = find_boxes(text[:MAX_BOX_CHARS], MAX_GOLD_BOXES)
    return _with_frame(boxes, text) if boxes else None


def _with_frame(boxes: Sequence[Box], text: str) -> Boxes:
    if any(math.isnan(box.x1) for box in boxes):
        raise RowError("answer", "malformed_box", f"a list of numbers that is no box: {text[:80]!r}")
    plain = tuple(box._replace(caption=None) for box in boxes)
    if _NORM1000.search(text):
        return Boxes(plain, "norm1000", "<box> markup")
    if not any(character.isalpha() for character in text):
        return Boxes(plain, "", BARE)
    return Boxes(plain, "?" if _EITHER_FRAME.search(text) else "", "boxes as text")


def asks_for_boxes(question: str) -> bool:
    """Whether a question asks where something is.

    Example:
        >>> asks_for_boxes("Where is the cat?"), asks_for_boxes("Which values are shown?")
        (True, False)
    """
    return _ASKS_PLACE.search(question) is not None


def refuse_boxes_in(question: str) -> None:
    """Refuses a question that speaks of a place by its box, whose frame depends on the model.

    Raises:
        RowError: `box_in_question`.
    """
    marked = "<" in question and _BOX_MARK.search(question)
    if marked or (_LIST_OF_FOUR.search(question) and asks_for_boxes(question)):
        raise RowError("question", "box_in_question", "the question holds a box, and its frame depends on the model")


def infer(answer: str) -> tuple[str, str]:
    """The kind that fits an answer without options, and why.

    Raises:
        RowError: `no_options`, `two_kinds`, or what `mark_in` finds; the detail names the option that mends it.

    Example:
        >>> [infer(text)[0] for text in ("yes", "42", "16 cm²", "dark blue", "A dog sits on the lawn.")]
        ['matching', 'matching', 'math', 'matching', 'open_ended']
    """
    text = answer.strip()
    mark = mark_in(text)
    if mark:
        raise RowError("answer", mark.reason, mark.message)
    if is_lone_letter(text, ()):
        detail = f"the answer is {text!r}, but no option is there: --column choices=COLUMN, or --answer-type label"
        raise RowError("choices", "no_options", detail)
    if text.casefold().rstrip(".!。") in POLAR:
        return "matching", "yes or no"
    if _NUMBER.fullmatch(text.removesuffix(".")):
        return "matching", "a number"
    words = text.split()
    ended = text.endswith(_SENTENCE_END)
    if _DATE.fullmatch(text) or guess_answer_type(text) == "date":
        return "matching", "a date"
    if is_expression(text) or (LATEX.search(text) and len(words) <= LABEL_WORDS):
        return "math", "LaTeX"
    number = parse_number(text) if _UNIT.search(text) else None
    measured = number is not None and number.measure is not None
    if len(words) <= LABEL_WORDS and (measured or _EXPRESSION.search(text)) and not (ended and len(words) > 2):
        return "math", "a unit or an expression"
    listed = re.fullmatch(r"\[[^\[\]]*,[^\[\]]*\]", text)
    if listed:
        detail = f"{text[:60]!r} may be a list of values (--reward chart) or an expression (--reward math)"
        raise RowError("answer", "two_kinds", detail)
    if len(words) <= LABEL_WORDS and not ended:
        return "matching", f"a label of up to {LABEL_WORDS} words"
    if len(words) >= DESCRIPTION_WORDS or (ended and (len(words) > 2 or not text.isascii())):
        return "open_ended", "a sentence"
    detail = f"{text[:60]!r} may be a label (--reward matching) or a description (--reward open_ended)"
    raise RowError("answer", "two_kinds", detail)
