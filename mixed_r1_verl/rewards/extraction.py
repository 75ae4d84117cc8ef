"""What a response says: its thinking, its answer, and whether it kept the format. The stage before any comparison.

Rules for what a response may do to its tags:

- A text segment is *thinking* when it follows a `<think>` or stands before a `</think>`, so an answer block within
  unfinished, nested or prefilled thinking is not the answer.
- There is an answer only if exactly one `<answer>` and one `</answer>` stand outside thinking, in this order and in
  one segment. Two blocks, a nested block or a stray closing tag leave no answer: nobody can tell which one is meant.
- Tags are spelt exactly; `<Answer>` or `<answer >` opens nothing, but spoils the format wherever it stands.

Every step is one pass over the text, whatever the text is.
"""

import re
from dataclasses import dataclass

from mixed_r1_verl.core.families import FAMILIES

_FURTHER_END_TOKENS = (
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

END_TOKENS = tuple(
    sorted({token for family in FAMILIES.values() for token in family.end_tokens} | set(_FURTHER_END_TOKENS))
)
"""Special tokens that may trail a decoded response; they are no part of it."""

_TAG = re.compile(r"</?(?:think|answer)>")
_TAG_LIKE = re.compile(r"<[\s/]*(?:think|answer)\b", re.IGNORECASE)


@dataclass(frozen=True)
class ParsedResponse:
    """A response taken apart.

    Attributes:
        think: the text of the only think block, stripped; None when there is none or more than one.
        answer: the text of the only answer block outside thinking, stripped, possibly empty; None when there is none
            or more than one. The only text that a task reward sees.
        well_formed: exactly one non-empty `<think>…</think>`, then exactly one non-empty `<answer>…</answer>`, and
            nothing but white space around and between.
        reason: why the response is not well formed, as a short snake_case code; empty when it is.
    """

    think: str | None
    answer: str | None
    well_formed: bool
    reason: str = ""


def parse_response(solution_str: str) -> ParsedResponse:
    """Take a decoded response apart. Linear in its length; never raises.

    >>> parse_response("<think>2 + 2</think>\\n<answer>\\n4\\n</answer><|im_end|>")
    ParsedResponse(think='2 + 2', answer='4', well_formed=True, reason='')
    >>> parse_response("<think>x</think><answer>3</answer><answer>4</answer>")
    ParsedResponse(think='x', answer=None, well_formed=False, reason='several_answers')
    >>> parse_response("<think>I say <answer>3</answer></think> 4").answer is None
    True
    """
    text = strip_end_tokens(solution_str)
    parsed = _parse_regular(text)
    return parsed if parsed is not None else _parse_irregular(text)


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


def _parse_regular(text: str) -> ParsedResponse | None:
    """The common case, by searches alone: four tags, each once, in order. None sends it to the slow path."""
    if not text.startswith("<think>") or not text.endswith("</answer>"):
        return None
    think_end = text.find("</think>")
    answer_start = text.find("<answer>", think_end + 1)
    if think_end < 0 or answer_start < 0 or text[think_end + 8 : answer_start].strip():
        return None
    think = text[7:think_end].strip()
    answer = text[answer_start + 8 : -9].strip()
    if _TAG_LIKE.search(think) or _TAG_LIKE.search(answer) or not _visible(think) or not _visible(answer):
        return None
    return ParsedResponse(think, answer, True)


def _parse_irregular(text: str) -> ParsedResponse:
    """Anything that is not well formed: find the one think and the one answer block, if there are such, and say why."""
    thinks = opened = closed = 0  # think blocks; answer tags outside thinking
    think: str | None = None
    answer: str | None = None
    previous, start = "", 0  # the think tag before this segment, and where the segment begins
    opens = closes = 0  # answer tags of this segment
    answer_start = answer_end = 0
    for match in _TAG.finditer(text):
        tag = match[0]
        if tag == "<answer>":
            opens, answer_start = opens + 1, match.end()
        elif tag == "</answer>":
            closes, answer_end = closes + 1, match.start()
        else:
            if previous != "<think>" and tag == "<think>":
                opened, closed = opened + opens, closed + closes
                answer = _only_answer(text, opens, closes, answer_start, answer_end, answer)
            elif previous == "<think>" and tag == "</think>":
                thinks += 1
                think = text[start : match.start()].strip() if thinks == 1 else None
            previous, start = tag, match.end()
            opens = closes = 0
    if previous != "<think>":
        opened, closed = opened + opens, closed + closes
        answer = _only_answer(text, opens, closes, answer_start, answer_end, answer)
    if not opened == closed == 1:
        answer = None
    return ParsedResponse(think, answer, False, _complaint(text, think, answer, opened, closed))


def _only_answer(text: str, opens: int, closes: int, start: int, end: int, otherwise: str | None) -> str | None:
    """The answer block of a segment with these tags, if it has exactly one."""
    return text[start:end].strip() if opens == closes == 1 and start <= end else otherwise


def _complaint(text: str, think: str | None, answer: str | None, opened: int, closed: int) -> str:
    """Why this text, known not to be well formed, is not."""
    if answer is None:
        if not opened or not closed:
            return "answer_not_closed" if opened else "no_answer"
        return "several_answers" if opened > 1 else "stray_answer_tag"
    if text.count("<think>") > 1 or text.count("</think>") > 1:
        return "several_thinks"
    if think is None:
        return "no_think"
    if not _visible(think):
        return "empty_think"
    if not _visible(answer):
        return "empty_answer"
    if text.find("<answer>") < text.find("</think>"):
        return "answer_in_think" if text.find("<answer>") > text.find("<think>") else "answer_before_think"
    if _TAG_LIKE.search(think) or _TAG_LIKE.search(answer):
        return "smuggled_tag"
    return "text_outside_tags"


def _visible(text: str) -> bool:
    """Whether a reader would see anything: a zero-width space is neither a thought nor an answer."""
    if text.isascii():
        return bool(text)
    return any(char.isprintable() and not char.isspace() for char in text)


def format_reward(response: ParsedResponse) -> float:
    """1.0 for exactly one non-empty think block followed by exactly one non-empty answer block, else 0.0.

    There are no partial marks: a share for a single tag pays for tags instead of for the format, and the first thing
    that a policy learns from it is to repeat them.

    Args:
        response: what `parse_response` made of the decoded response.

    Returns:
        1.0 or 0.0.

    >>> format_reward(parse_response("<think>Two cats.</think> <answer>2</answer>"))
    1.0
    >>> format_reward(parse_response("<think></think><answer>2</answer>"))
    0.0
    """
    return 1.0 if response.well_formed else 0.0
