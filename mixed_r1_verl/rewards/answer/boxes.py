"""Reading bounding boxes: those in the text of an answer, and those of a ground truth.

What is read as a box and what as an attempt at one is a table in `docs/rewards.md`. In full: a list of exactly four
numbers in `[...]` or `(...)`; two pairs next to each other, `(x1,y1),(x2,y2)`, joined by a comma, white space, `to`, a
dash or "bottom right", a longer chain two by two; else four named coordinates (x1/y1/x2/y2, xmin/…, left/…, in any
order); else four bare numbers on each line and nothing else. The text is scanned, never parsed, so that a missing
bracket elsewhere, a trailing comma or an apostrophe in a label cannot hide a box. A list under a key that names
something else (`color`, `scores`, `center`) is no attempt.

`Box.label` is the text of the key `label` of the same JSON object, else of the first key like it (`name`, `class`,
`text`), or of the `<|object_ref_start|>` or `<ref>` phrase before the box; `Box.caption` what stands on the same line
before it (`cat: [...]`).
"""

import itertools
import json
import math
import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from mixed_r1_verl.core.boxes import Box
from mixed_r1_verl.rewards.verdict import GroundTruthError

MAX_COORDINATE = 1e7  # beyond it areas would overflow
MAX_GROUP_CHARS = 256  # four numbers fit; a longer bracket is never a box
MAX_LABEL_CHARS = 200  # a longer label is cut
MAX_BRACKETS = 20_000  # brackets, braces and label keys that are looked at
MAX_GOLD_BOXES = 256  # pairing more would take longer than a reward may
MALFORMED = Box(math.nan, math.nan, math.nan, math.nan)
"""Stands for a list of numbers that is no box."""

_NUM = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,4})?"
_NUMBER = re.compile(_NUM)
_FOUR = rf"\s*({_NUM})\s*,\s*({_NUM})\s*,\s*({_NUM})\s*,\s*({_NUM})\s*"
_FOUR_NUMBERS, _COMMON = re.compile(_FOUR), re.compile(rf"\s*[\[(]{_FOUR}[\])]\s*")
_TOKEN = re.compile(
    r"\[(?P<square>[^\[\]()]*)\]"
    r"|\((?P<round>[^\[\]()]*)\)"
    r"|(?P<brace>[{}])"
    r"|(?P<phrase><\|object_ref_start\|>|<ref>)"
    r"|[\"'](?P<key>label|name|class|class_name|category|category_name|object|object_name|phrase|ref|text)[\"']"
    r"\s*:\s*\[?\s*(?P<quote>[\"'])"
)
_DOUBLE_QUOTED = re.compile(rf'((?:[^"\\\n]|\\.){{0,{MAX_LABEL_CHARS}}})"?')
_SINGLE_QUOTED_END = re.compile(r"'(?=\s{0,8}[,}\]])|[\r\n]")
_BETWEEN_PAIRS = re.compile(
    r"\s*(?:[,;]|to|->?|–|—|→)?\s*(?:and\s+)?(?:the\s+)?(?:(?:bottom|lower)[ _-]?right(?:\s+corner)?)?\s*[:=]?\s*",
    re.IGNORECASE,
)
_MAX_BETWEEN_PAIRS = 48
_NAMED = re.compile(
    rf"\b(x1|y1|x2|y2|[xy]_?min|[xy]_?max|left|top|right|bottom)[\"']?\s*[:=]\s*[\"']?({_NUM})", re.IGNORECASE
)
_NAMED_PLACES = {
    name: (scheme, place)
    for scheme, names in enumerate(("x1 y1 x2 y2", "xmin ymin xmax ymax", "left top right bottom"))
    for place, name in enumerate(names.split())
}
_BARE = re.compile(rf"(?<![\w.])({_NUM})(?:\s?px)?(?!\w)")
_BETWEEN_BOXES = re.compile(r"[\n;]| and ")
_KEY = re.compile(r"[\"']([^\"'\n]{1,40})[\"']\s{0,8}:\s{0,8}\Z")
_BOX_KEY = re.compile(r"box|coord|position|location|region|rect|answer", re.IGNORECASE)
_OTHER_KEY = re.compile(r"colou?r|rgb|score|conf|prob|cent|point|area|id|count|shape|size", re.IGNORECASE)
_SEPARATORS = str.maketrans(",;\"'\\", "     ")
_NOT_FINITE = frozenset(("nan", "inf", "infinity", "null", "none"))
_BOX_KEYS = frozenset(("bbox_2d", "bbox", "box_2d", "box", "boxes", "bboxes", "bounding_box", "coordinates"))
_TAG = re.compile(r"<[^<>]{0,40}>|[{}]")
_CAPTION_EDGE = " \t\r\n-*•#>`:=\"'.,;([|"
_ENUMERATION = re.compile(r"\s*[0-9]{1,3}\s*[.):]\s*")
_NUMBERED = re.compile(r"\s*(?:[A-Za-z]{1,20}\s)?[0-9]{1,3}[.):]\s")
_WIDE: dict[int, str] = {0xFF01 + i: chr(0x21 + i) for i in range(94)} | {
    ord(wide): narrow
    for narrow, wides in {"[": "【〔", "]": "】〕", '"': "「」“”", "'": "‘’", ",": "、", " ": "　", "-": "−﹣"}.items()
    for wide in wides
}


def find_boxes(text: str, limit: int = 64) -> list[Box]:
    """The boxes in a text, in the order in which they stand there.

    Linear in the length of the text. Stops after `limit + 1` boxes: a longer result means "too many". The boxes are in
    the frame of the text, swapped or empty ones included; a list of numbers that is no box is a box of NaN.

    Example:
        >>> find_boxes("[10, 20, 30.5, 40]")
        [Box(x1=10.0, y1=20.0, x2=30.5, y2=40.0, label=None, caption=None)]
        >>> find_boxes('```json\\n[{"bbox_2d": [1, 2, 3, 4], "label": "the dog\\'s bone"},]\\n```')
        [Box(x1=1.0, y1=2.0, x2=3.0, y2=4.0, label="the dog's bone", caption=None)]
        >>> find_boxes("<|object_ref_start|>cat<|object_ref_end|><|box_start|>(1,2),(3,4)<|box_end|>")
        [Box(x1=1.0, y1=2.0, x2=3.0, y2=4.0, label='cat', caption=None)]
        >>> find_boxes("The dog is at (10, 20).")
        []
    """
    if len(text) <= MAX_GROUP_CHARS and (common := _COMMON.fullmatch(text)):
        return [_box(*map(float, common.groups()))]
    if not text.isascii():
        text = text.translate(_WIDE)
    if "\\left" in text:
        text = text.replace("\\left", "").replace("\\right", "")
    return _scanned_boxes(text, limit) or _named_boxes(text, limit) or _bare_boxes(text, limit)


def _scanned_boxes(text: str, limit: int) -> list[Box]:
    """The boxes of brackets, with the labels of their JSON objects or of the phrase before them."""
    boxes: list[Box] = []
    opened = 0  # the first box of the JSON object that is open
    label: str | None = None
    label_key = ""
    phrase: str | None = None
    end = pairs_end = 0  # of the last token; of the last box that two pairs make
    for _ in range(MAX_BRACKETS):
        match = _TOKEN.search(text, end)
        if match is None or len(boxes) > limit:
            break
        kind, start, before, end = match.lastgroup, match.start(), end, match.end()
        if kind == "square" or kind == "round":
            numbers = _numbers(match[kind])
            if numbers is None or len(numbers) < 2 or _is_something_else(text, start, len(numbers)):
                continue  # words, nothing, a reference mark, or something else by its key
            if len(numbers) == 2:
                second, second_end = _pair_after(text, end)
                if second:
                    numbers += second
                    end = pairs_end = second_end
                elif not (pairs_end and _are_joined(text, pairs_end, start)):
                    continue  # a point
            box = _box(*numbers) if len(numbers) == 4 else MALFORMED
            name = label or phrase or None
            caption = None if name else _caption(text, before, start)
            boxes.append(box._replace(label=name, caption=caption) if name or caption else box)
        elif kind == "brace":
            opened, label = len(boxes), None
        elif kind == "phrase":
            close = text.find("<", end, end + MAX_LABEL_CHARS)
            phrase = text[end:close].strip() if close > 0 else None
        else:
            key = match["key"]
            name, end = _quoted(text, end, match["quote"])
            if name and (label is None or key == "label" != label_key):
                label, label_key = name, key
                boxes[opened:] = [box._replace(label=label, caption=None) for box in boxes[opened:]]
    return boxes


def _is_something_else(text: str, start: int, numbers: int) -> bool:
    """Whether the key before a list says that it is no box: colours, scores, or anything that has not four numbers."""
    key = _KEY.search(text, max(0, start - 60), start)
    if key is None or _BOX_KEY.search(key[1]):
        return False
    return numbers != 4 or _OTHER_KEY.search(key[1]) is not None


def _pair_after(text: str, end: int) -> tuple[list[float], int]:
    """The pair of numbers that makes a box with the pair that ends here, and where it ends; empty if there is none."""
    match = _TOKEN.search(text, end, end + _MAX_BETWEEN_PAIRS + MAX_GROUP_CHARS)
    if match is not None and match.lastgroup in ("square", "round") and _are_joined(text, end, match.start()):
        numbers = _numbers(match[match.lastgroup])
        if numbers is not None and len(numbers) == 2:
            return numbers, match.end()
    return [], end


def _are_joined(text: str, end: int, start: int) -> bool:
    return start - end <= _MAX_BETWEEN_PAIRS and _BETWEEN_PAIRS.fullmatch(text, end, start) is not None


def _quoted(text: str, start: int, quote: str) -> tuple[str | None, int]:
    """The string that begins after a quote, and where it ends. An apostrophe does not end one in single quotes."""
    if quote == '"':
        match = _DOUBLE_QUOTED.match(text, start)
        assert match is not None  # the pattern accepts the empty string
        return match[1].replace('\\"', '"').strip(), match.end()
    end = _SINGLE_QUOTED_END.search(text, start, start + MAX_LABEL_CHARS)
    return (None, start) if end is None else (text[start : end.start()].strip(), end.end())


def _box(x1: float, y1: float, x2: float, y2: float) -> Box:
    most = MAX_COORDINATE
    if -most <= x1 <= most and -most <= y1 <= most and -most <= x2 <= most and -most <= y2 <= most:
        return Box(x1, y1, x2, y2)
    return MALFORMED  # NaN fails every comparison


def _numbers(content: str) -> list[float] | None:
    """The numbers of a bracket that holds nothing else, or None. A long list is cut: it is no box anyway."""
    if len(content) <= MAX_GROUP_CHARS and (four := _FOUR_NUMBERS.fullmatch(content)):
        return [*map(float, four.groups())]
    numbers: list[float] = []
    for item in content[:MAX_GROUP_CHARS].translate(_SEPARATORS).split():
        item = item.removesuffix("px")
        if _NUMBER.fullmatch(item):
            numbers.append(float(item))
        elif item.lower().lstrip("+-") in _NOT_FINITE:
            numbers.append(math.nan)
        elif item not in ("", "pixel", "pixels") or not numbers:
            return None
    return [math.nan] * 5 if numbers and len(content) > MAX_GROUP_CHARS else numbers


def _caption(text: str, start: int, end: int) -> str | None:
    """The words on the line before a box, without list marks, quotes and tags."""
    line = text[max(start, end - MAX_LABEL_CHARS) : end].rpartition("\n")[2]
    line = _TAG.sub(" ", line)
    number = _ENUMERATION.match(line)
    words = line[number.end() if number else 0 :].strip(_CAPTION_EDGE)
    return None if not words or words in _BOX_KEYS else words


def _named_boxes(text: str, limit: int) -> list[Box]:
    boxes: list[Box] = []
    scheme = -1
    places: dict[int, float] = {}
    for match in _NAMED.finditer(text):
        new_scheme, place = _NAMED_PLACES[match[1].lower().replace("_", "")]
        if new_scheme != scheme or place in places:
            if len(places) == 3:
                boxes.append(MALFORMED)
            scheme, places = new_scheme, {}
        places[place] = float(match[2])
        if len(places) == 4:
            boxes.append(_box(places[0], places[1], places[2], places[3]))
            scheme, places = -1, {}
        if len(boxes) > limit:
            break
    return boxes


def _bare_boxes(text: str, limit: int) -> list[Box]:
    """The box of a text with no other numbers, or the boxes of one in which every line (or part) is such a text."""
    whole = _bare_box(text)
    if whole:
        return [whole]
    lines = [line for line in _BETWEEN_BOXES.split(text) if any(map(str.isdecimal, line))][: limit + 1]
    boxes = [_bare_box(_NUMBERED.sub("", line, count=1)) for line in lines]
    return [box for box in boxes if box] if all(boxes) else []


def _bare_box(text: str) -> Box | None:
    found = list(itertools.islice(_BARE.finditer(text), 5))
    between = [text[left.end() : right.start()].strip(" \t\r\n,;") for left, right in itertools.pairwise(found)]
    return _box(*(float(match[1]) for match in found)) if between == ["", "", ""] else None


# --- ground truths ----------------------------------------------------------------------------------------------------


class GoldBox(NamedTuple):
    """One box of the ground truth in pixels of the original image, and the normalised names that fit it (or none)."""

    x1: float
    y1: float
    x2: float
    y2: float
    labels: tuple[str, ...] = ()


def parse_ground_truth(ground_truth: str) -> list[GoldBox]:
    """The gold boxes of a row, in pixels of the original image.

    It is JSON: a list of boxes `[[x1, y1, x2, y2], ...]`, one bare box, or a list of objects `[{"bbox_2d": [x1, y1, x2,
    y2], "label": "cat"}, ...]` in which `label` may be missing, a string, or a list of names that are all right. An
    empty list says that nothing in the picture is what was asked for.

    Raises:
        GroundTruthError: if it is something else, mixes labelled and unlabelled boxes, or holds a box
            without area or with a number that is not finite.

    Example:
        >>> parse_ground_truth("[[10, 20, 30, 40]]")
        [GoldBox(x1=10.0, y1=20.0, x2=30.0, y2=40.0, labels=())]
        >>> parse_ground_truth('[{"bbox_2d": [10, 20, 30, 40], "label": "The Cat"}]')
        [GoldBox(x1=10.0, y1=20.0, x2=30.0, y2=40.0, labels=('cat',))]
        >>> parse_ground_truth("[[30, 20, 10, 40]]")
        Traceback (most recent call last):
        ...
        mixed_r1_verl.rewards.verdict.GroundTruthError: box 0 of the ground truth has no area: [30, 20, 10, 40]
    """
    try:
        data = json.loads(ground_truth)
    except (TypeError, ValueError, RecursionError) as error:
        raise GroundTruthError(f"the ground truth is not JSON ({error}): {_short(ground_truth)}") from error
    if not isinstance(data, list):
        raise GroundTruthError(f"the ground truth must be a JSON list of boxes, got {_short(ground_truth)}")
    if len(data) == 4 and all(isinstance(item, int | float) for item in data):
        data = [data]
    if len(data) > MAX_GOLD_BOXES:
        raise GroundTruthError(f"the ground truth has {len(data)} boxes; at most {MAX_GOLD_BOXES} can be scored")
    boxes = [_gold_box(item, index) for index, item in enumerate(data)]
    if len({bool(box.labels) for box in boxes}) == 2:
        raise GroundTruthError(
            f"some boxes of the ground truth have a label and some have none: {_short(ground_truth)}"
        )
    return boxes


def _gold_box(item: object, index: int) -> GoldBox:
    labels: tuple[str, ...] = ()
    if isinstance(item, dict):
        names = item.get("label")
        if names is not None:
            listed = names if isinstance(names, list) else [names]
            labels = tuple(normalise_label(name) if isinstance(name, str) else "" for name in listed)
            if not labels or not all(0 < len(label) <= MAX_LABEL_CHARS for label in labels):
                raise GroundTruthError(f"box {index} of the ground truth has an unreadable label: {_short(names)}")
        item = item.get("bbox_2d")
    if not (isinstance(item, list) and len(item) == 4 and all(_is_coordinate(number) for number in item)):
        raise GroundTruthError(f"box {index} of the ground truth is not four finite numbers: {_short(item)}")
    x1, y1, x2, y2 = map(float, item)
    if not (x1 < x2 and y1 < y2):
        raise GroundTruthError(f"box {index} of the ground truth has no area: {item}")
    return GoldBox(x1, y1, x2, y2, labels)


def _is_coordinate(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MAX_COORDINATE


def _short(value: object) -> str:
    text = value if isinstance(value, str) else repr(value)
    return repr(text if len(text) <= 80 else text[:77] + "...")


_NOT_WORD = re.compile(r"[\W_]+")
_ARTICLES = frozenset(("a", "an", "the"))
_PLURAL = re.compile(r"(?<=..[^s])s$")


@lru_cache(maxsize=4096)
def normalise_label(label: str) -> str:
    """A label without case, punctuation, articles and plural s.

    Example:
        >>> normalise_label("The Traffic-Lights")
        'traffic light'
    """
    words = _NOT_WORD.sub(" ", unicodedata.normalize("NFKC", label[:400]).casefold()).split()
    return " ".join(_PLURAL.sub("", word) for word in words if word not in _ARTICLES) or " ".join(words)
