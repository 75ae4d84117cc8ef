"""Bounding boxes in the text of an answer: reading them, and moving them between coordinate frames.

**What is read as a box.** Corners in the order x1, y1, x2, y2, in one of these forms, anywhere in the answer:

- a list of exactly four numbers in `[...]` or `(...)`; numbers are separated by commas, semicolons or white space and
  may be quoted or carry `px`;
- two pairs next to each other, `(x1,y1),(x2,y2)`, joined by a comma, white space, `to`, a dash or "bottom right";
  a longer chain of pairs is taken two by two;
- four named coordinates, `x1=… y1=… x2=… y2=…` (also xmin/ymin/xmax/ymax and left/top/right/bottom, in any order), if
  the answer has none of the above;
- four bare numbers, if the answer has none of the above and no other number.

JSON, Python literals, fenced code, `<|box_start|>…<|box_end|>` and `<box>…</box>` are all covered by these, and so are
full-width digits and brackets. The text is scanned, never parsed: a missing bracket elsewhere, a trailing comma or an
apostrophe in a label cannot hide a box.

**What is not.** One number in brackets is a reference mark and a single pair is a point: both are skipped. Any other
list of only numbers (three, five, a flat list of eight, a chain of three pairs) is an attempt at a box: it comes
back as a `Box` of NaN, so that it counts as a prediction and can never be paid. So does a list with `nan`, `inf` or a
number beyond ±1e7 in it. x, y, width, height cannot be told from corners and is read as corners.

**Labels.** `Box.label` is the text of the key `label` of the same JSON object, else of the first key like it (`name`,
`class`, `text`, ...), or of the `<|object_ref_start|>` or `<ref>` phrase before the box. `Box.caption` is looser: what
stands on the same line before the box (`cat: [...]`).
"""

import itertools
import math
import re

from mixed_r1_verl.core.boxes import Box

MAX_COORDINATE = 1e7
"""A coordinate beyond this is not one of a picture, and would overflow areas."""

MAX_GROUP_CHARS = 256
"""Four numbers fit in this many characters; a longer bracket is never a box."""

MAX_LABEL_CHARS = 200
"""A longer label is cut here."""


MAX_BRACKETS = 20_000
"""Brackets, braces and label keys of a text that are looked at; the rest of a longer text is not read."""


MALFORMED = Box(math.nan, math.nan, math.nan, math.nan)
"""Stands for a list of numbers that is no box."""

_NUM = r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]{1,4})?"
_NUMBER = re.compile(_NUM)
_COMMON = re.compile(rf"\s*[\[(]\s*({_NUM})\s*,\s*({_NUM})\s*,\s*({_NUM})\s*,\s*({_NUM})\s*[\])]\s*")
_TOKEN = re.compile(
    r"\[(?P<square>[^\[\]()]*)\]"
    r"|\((?P<round>[^\[\]()]*)\)"
    r"|(?P<brace>[{}])"
    r"|(?P<ref><\|object_ref_start\|>|<ref>)"
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
_BARE = re.compile(rf"(?<![\w.]){_NUM}(?!\w)")
_SEPARATORS = str.maketrans(",;\"'\\", "     ")
_NOT_FINITE = frozenset(("nan", "inf", "infinity", "null", "none"))
_BOX_KEYS = frozenset(("bbox_2d", "bbox", "box_2d", "box", "boxes", "bboxes", "bounding_box", "coordinates"))
_TAG = re.compile(r"<[^<>]{0,40}>|[{}]")
_CAPTION_EDGE = " \t\r\n-*•#>`:=\"'.,;([|"
_ENUMERATION = re.compile(r"\s*[0-9]{1,3}\s*[.):]\s*")
_WIDE: dict[int, str] = {0xFF01 + i: chr(0x21 + i) for i in range(94)} | {
    ord(wide): narrow
    for narrow, wides in {"[": "【〔", "]": "】〕", '"': "「」“”", "'": "‘’", ",": "、", " ": "　", "-": "−﹣"}.items()
    for wide in wides
}


def find_boxes(text: str, limit: int = 64) -> list[Box]:
    """The boxes in a text, in the order in which they stand there.

    Takes time linear in the length of the text, and stops after `limit + 1` boxes: a result longer than `limit` means
    "too many".

    Args:
        text: an answer, in any of the forms that the module's docstring lists.
        limit: the largest number of boxes that the caller is ready to look at.

    Returns:
        The boxes in the frame of the text, swapped or empty ones included; a list of numbers that is no box is a box
        of NaN.

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
    common = _COMMON.fullmatch(text) if len(text) <= MAX_GROUP_CHARS else None
    if common is not None:
        x1, y1, x2, y2 = common.groups()
        return [_box(float(x1), float(y1), float(x2), float(y2))]
    if not text.isascii():
        text = text.translate(_WIDE)
    return _Scan(text, limit).boxes or _named_boxes(text, limit) or _bare_box(text)


class _Scan:
    """One pass over the brackets, label keys and phrase tags of a text."""

    def __init__(self, text: str, limit: int) -> None:
        self.text = text
        self.boxes: list[Box] = []
        self._object_start = 0  # index of the first box of the JSON object that is open
        self._label: str | None = None  # of that object
        self._label_key = ""
        self._phrase: str | None = None  # of the last <ref>
        self._pair: tuple[float, float] | None = None
        self._pair_start = self._before_pair = 0
        self._pair_end = -1  # of the last pair, whether it waits or has been used up
        self._chained = False  # the waiting pair directly follows a pair that has been used up
        position = 0
        for _ in range(MAX_BRACKETS):
            token = _TOKEN.search(text, position)
            if token is None:
                break
            position = self._take(token, position)
            if len(self.boxes) > limit:
                return
        self._drop_pair()

    def _take(self, token: re.Match[str], last_end: int) -> int:
        """Digests one token and returns where the next may begin."""
        kind = token.lastgroup
        if kind == "square" or kind == "round":
            self._take_numbers(_numbers(token[kind]), token.start(), token.end(), last_end)
            return token.end()
        self._drop_pair()
        if kind == "brace":
            self._object_start, self._label = len(self.boxes), None
            return token.end()
        if kind == "ref":
            end = self.text.find("<", token.end(), token.end() + MAX_LABEL_CHARS)
            self._phrase = self.text[token.end() : end].strip() if end > 0 else None
            return token.end()
        label, end = self._quoted(token.end(), token["quote"])
        if label and (self._label is None or token["key"] == "label" != self._label_key):
            self._label, self._label_key = label, token["key"]
            for i in range(self._object_start, len(self.boxes)):
                self.boxes[i] = self.boxes[i]._replace(label=label, caption=None)
        return end

    def _quoted(self, start: int, quote: str) -> tuple[str | None, int]:
        if quote == '"':
            match = _DOUBLE_QUOTED.match(self.text, start)
            assert match is not None  # the pattern accepts the empty string
            return match[1].replace('\\"', '"').strip(), match.end()
        end = _SINGLE_QUOTED_END.search(self.text, start, start + MAX_LABEL_CHARS)
        return (None, start) if end is None else (self.text[start : end.start()].strip(), end.end())

    def _take_numbers(self, numbers: list[float] | None, start: int, end: int, last_end: int) -> None:
        if numbers is None or len(numbers) < 2:
            return  # words, nothing, or a reference mark
        if len(numbers) == 2:
            self._take_pair(numbers[0], numbers[1], start, end, last_end)
            return
        self._drop_pair()
        if len(numbers) == 4:
            self._add(_box(*numbers), start, last_end)
        else:
            self.boxes.append(MALFORMED)

    def _take_pair(self, x: float, y: float, start: int, end: int, last_end: int) -> None:
        follows = self._follows_pair(start)
        if self._pair is not None and follows:
            self._add(_box(*self._pair, x, y), self._pair_start, self._before_pair)
            self._pair = None
        else:
            self._drop_pair()
            self._pair, self._pair_start, self._before_pair, self._chained = (x, y), start, last_end, follows
        self._pair_end = end

    def _follows_pair(self, start: int) -> bool:
        if self._pair_end < 0 or start - self._pair_end > _MAX_BETWEEN_PAIRS:
            return False
        return _BETWEEN_PAIRS.fullmatch(self.text, self._pair_end, start) is not None

    def _drop_pair(self) -> None:
        """Forgets the waiting pair: a point if it stands alone, a broken box if it ends a chain of pairs."""
        if self._pair is not None and self._chained:
            self.boxes.append(MALFORMED)
        self._pair, self._pair_end = None, -1

    def _add(self, box: Box, start: int, last_end: int) -> None:
        label = self._label or self._phrase
        caption = None if label else _caption(self.text, last_end, start)
        self.boxes.append(box._replace(label=label, caption=caption) if label or caption else box)


def _box(x1: float, y1: float, x2: float, y2: float) -> Box:
    most = MAX_COORDINATE
    if -most <= x1 <= most and -most <= y1 <= most and -most <= x2 <= most and -most <= y2 <= most:
        return Box(x1, y1, x2, y2)
    return MALFORMED  # NaN fails every comparison


def _numbers(content: str) -> list[float] | None:
    """The numbers of a bracket that holds nothing else, or None. A long list is cut: it is no box anyway."""
    numbers = []
    for item in content[:MAX_GROUP_CHARS].translate(_SEPARATORS).split():
        if _NUMBER.fullmatch(item) is None:
            item = item.removesuffix("px")
            if item.lower().lstrip("+-") in _NOT_FINITE:
                item = "nan"
            elif _NUMBER.fullmatch(item) is None:
                return None
        numbers.append(float(item))
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


def _bare_box(text: str) -> list[Box]:
    found: list[re.Match[str]] = []
    for match in _BARE.finditer(text):
        found.append(match)
        if len(found) > 4:
            return []
    if len(found) < 4:
        return []
    for left, right in itertools.pairwise(found):
        if text[left.end() : right.start()].strip(" \t\r\n,;"):
            return []
    return [_box(*(float(match[0]) for match in found))]
