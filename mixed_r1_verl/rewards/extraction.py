"""What a response says: its thinking, its answer, and whether it kept the format. The stage before any comparison.

Rules for what a response may do to its tags, here those of `think_answer`; the others of `ResponseFormat` follow suit:

- A text segment is *thinking* when it follows a `<think>` or stands before a `</think>`, so an answer block within
  unfinished, nested or prefilled thinking is not the answer.
- There is an answer only if exactly one `<answer>` and one `</answer>` stand outside thinking, in this order and in
  one segment. Two blocks, a nested block or a stray closing tag leave no answer: nobody can tell which one is meant.
- Tags are spelt exactly; `<Answer>` or `<answer >` opens nothing, but spoils the format wherever it stands.

Every step is one pass over the text, whatever the text is.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

from mixed_r1_verl.rewards.formats import ResponseFormat

END_TOKENS = (
    "<|im_end|>",
    "<|endoftext|>",
    "</s>",
    "<eos>",
    "<pad>",
    "<unk>",
    "<|eot_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "<end_of_turn>",
    "<｜end▁of▁sentence｜>",
)
"""Special tokens that may trail a decoded response; they are no part of it."""

_STANDARD = ResponseFormat()
_BRACE = re.compile(r"\\boxed\s?\{|\\[{}]|[{}]")
# The answer of GLM's thinking models, within what follows the thinking.
_GLM_BOX = ("<|begin_of_box|>", "<|end_of_box|>")


@dataclass(frozen=True)
class ParsedResponse:
    """A response taken apart."""

    think: str | None  # the text of the only think block, stripped; None when there is none or more than one
    # the text of the only answer block outside thinking, stripped, possibly empty; None when there is none or more than
    # one. The only text that a task reward sees.
    answer: str | None
    # exactly one non-empty `<think>…</think>`, then exactly one non-empty `<answer>…</answer>`, and nothing but white
    # space around and between; or what another format asks for
    well_formed: bool
    reason: str = ""  # why the response is not well formed, as a short snake_case code; empty when it is


def parse_response(solution_str: str, format: ResponseFormat = _STANDARD) -> ParsedResponse:
    """Take a decoded response apart. Linear in its length; never raises.

    >>> parse_response("<think>2 + 2</think>\\n<answer>\\n4\\n</answer><|im_end|>")
    ParsedResponse(think='2 + 2', answer='4', well_formed=True, reason='')
    >>> parse_response("<think>x</think><answer>3</answer><answer>4</answer>")
    ParsedResponse(think='x', answer=None, well_formed=False, reason='several_answers')
    >>> parse_response("<think>I say <answer>3</answer></think> 4").answer is None
    True
    >>> parse_response("2 + 2 is four.</think> 4", ResponseFormat("native_think")).answer
    '4'
    """
    text = strip_end_tokens(solution_str)
    if format.opened and not text.startswith(format.think_tags[0]):
        text = format.think_tags[0] + text
    parsed = _parse_regular(text, format)
    return parsed if parsed is not None else _parse_irregular(text, format)


def strip_end_tokens(text: str) -> str:
    """Remove white space around the text and the special tokens of model families after it.

    >>> strip_end_tokens(" B <|im_end|>\\n<|endoftext|>")
    'B'
    """
    text = text.strip()
    end = len(text)
    while text.endswith(END_TOKENS, 0, end):
        end = text.rindex("<", 0, end)
        while end and text[end - 1].isspace():
            end -= 1
    return text[:end]


def _parse_regular(text: str, format: ResponseFormat) -> ParsedResponse | None:
    """The common case, by searches alone: each tag once, in order. None sends it to the slow path."""
    think, rest = "", text
    if format.think_tags:
        opening, closing = format.think_tags
        think_end = text.find(closing)
        if not text.startswith(opening) or think_end < 0:
            return None
        think, rest = text[len(opening) : think_end].strip(), text[think_end + len(closing) :].strip()
        if not visible(think) or format.tag_like.search(think):
            return None
    answer = rest
    if format.style == "boxed":
        found = list(_boxes(text, [(len(text) - len(rest), len(text))]))
        answer = found[0] if len(found) == 1 and found[0] is not None else ""
    elif format.answer_tags:
        opening, closing = format.answer_tags
        if not rest.startswith(opening) or not rest.endswith(closing) or len(rest) < len(opening) + len(closing):
            return None
        answer = rest = rest[len(opening) : -len(closing)].strip()
    else:
        answer = _unboxed(rest)
    if not _says_something(answer) or format.tag_like.search(rest):
        return None
    return ParsedResponse(think, answer, True)


def _parse_irregular(text: str, format: ResponseFormat) -> ParsedResponse:
    """Anything that is not well formed: find the one think and the one answer block, if there are such, and say why."""
    thinks, outside = _segments(text, format)
    answer: str | None
    if format.style == "boxed":
        boxes = list(_boxes(text, outside))
        opened, closed = len(boxes), sum(box is not None for box in boxes)
        answer = boxes[0] if opened == 1 else None
    elif format.answer_tags:
        opened, closed, answer = _tagged(text, outside, *format.answer_tags)
    else:
        opened = closed = int(bool(outside) and outside[-1][1] == len(text) and len(thinks) == bool(format.think_tags))
        answer = _unboxed(text[slice(*outside[-1])].strip()) if opened else None
    think = thinks[0] if len(thinks) == 1 else None
    return ParsedResponse(think, answer, False, _complaint(text, format, think, answer, opened, closed))


def _segments(text: str, format: ResponseFormat) -> tuple[list[str], list[tuple[int, int]]]:
    """The think blocks, and where the text outside thinking stands."""
    if not format.think_tags:
        return [], [(0, len(text))]
    opening, closing = format.think_tags
    thinks, outside = [], []
    previous, start = "", 0
    for match in re.finditer(f"{re.escape(opening)}|{re.escape(closing)}", text):
        if previous == opening and match[0] == closing:
            thinks.append(text[start : match.start()].strip())
        elif previous != opening and match[0] == opening:
            outside.append((start, match.start()))
        previous, start = match[0], match.end()
    if previous != opening:
        outside.append((start, len(text)))
    return thinks, outside


def _tagged(text: str, spans: list[tuple[int, int]], opening: str, closing: str) -> tuple[int, int, str | None]:
    """How many opening and closing answer tags stand there, and the one answer block, if there is one."""
    opened = closed = 0
    answer = None
    for start, end in spans:
        opens, closes = text.count(opening, start, end), text.count(closing, start, end)
        opened, closed = opened + opens, closed + closes
        if opens == closes == 1:
            begin, stop = text.find(opening, start, end) + len(opening), text.find(closing, start, end)
            answer = text[begin:stop].strip() if begin <= stop else answer
    return opened, closed, answer if opened == closed == 1 else None


def _boxes(text: str, spans: list[tuple[int, int]]) -> Iterator[str | None]:
    r"""What stands in each `\boxed{…}`, that of an inner one as well; None for one that is not closed."""
    for start, end in spans:
        begins: list[int | None] = []  # of the braces that are open: where a box begins, None for any other
        for match in _BRACE.finditer(text, start, end):
            if match[0] == "}":
                begin = begins.pop() if begins else None
                if begin is not None:
                    yield text[begin : match.start()].strip()
            elif match[0].startswith("\\boxed"):
                begins.append(match.end())
            elif match[0] == "{" and begins:
                begins.append(None)
        yield from (None for begin in begins if begin is not None)


def _unboxed(text: str) -> str:
    """What stands in the one box of a GLM model; the text where there is no such box."""
    opening, closing = _GLM_BOX
    begin, stop = text.find(opening), text.find(closing)
    if text.count(opening) == text.count(closing) == 1 and begin < stop:
        return text[begin + len(opening) : stop].strip()
    return text


def _complaint(
    text: str, format: ResponseFormat, think: str | None, answer: str | None, opened: int, closed: int
) -> str:
    """Why this text, known not to be well formed, is not."""
    if answer is None:
        if not opened or not closed:
            return "answer_not_closed" if opened else "no_answer"
        return "several_answers" if opened > 1 else "stray_answer_tag"
    if format.think_tags:
        opening, closing = format.think_tags
        if text.count(opening) > 1 or text.count(closing) > 1:
            return "several_thinks"
        if think is None:
            return "no_think"
        if not visible(think):
            return "empty_think"
    if not _says_something(answer):
        return "empty_answer"
    if format.think_tags and format.answer_tags:
        begin = text.find(format.answer_tags[0])
        if begin < text.find(closing):
            return "answer_in_think" if begin > text.find(opening) else "answer_before_think"
    if format.tag_like.search(think or "") or format.tag_like.search(answer):
        return "smuggled_tag"
    return "text_outside_tags"


_FILLERS = re.compile("[\u115f\u1160\u2800\u3164\uffa0]")
_SPECIAL = re.compile(r"<[|｜][^<>\s]{1,40}[|｜]>|</?(?:s|pad|eos|bos|unk|end_of_turn|start_of_turn)>")
_VISIBLE = re.compile(r"[0-9A-Za-z$+=>^`|~]")


def visible(text: str) -> bool:
    """Whether a reader would see anything: a letter, a digit or a symbol that is no filler, mark or special token."""
    if text.isascii() and (text[:1].isalnum() or "<" not in text):  # nearly every text
        return _VISIBLE.search(text) is not None
    return any(unicodedata.category(char)[0] in "LNS" for char in _FILLERS.sub("", _SPECIAL.sub("", text)))


def _says_something(answer: str) -> bool:
    """Whether an answer is one: `[]` says that there is no box."""
    return visible(answer) or answer.replace(" ", "") == "[]"


def format_reward(response: ParsedResponse) -> float:
    """1.0 for exactly one non-empty think block followed by exactly one non-empty answer block, else 0.0.

    There are no partial marks: a share for a single tag pays for tags instead of for the format, and the first thing
    that a policy learns from it is to repeat them.

    >>> format_reward(parse_response("<think>Two cats.</think> <answer>2</answer>"))
    1.0
    >>> format_reward(parse_response("<think></think><answer>2</answer>"))
    0.0
    """
    return 1.0 if response.well_formed else 0.0
