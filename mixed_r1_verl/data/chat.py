"""Chat records of other training frameworks: what was asked first, what was answered, about which pictures.

The forms are many, but all hold turns of a user and an assistant. A row of reinforcement learning needs one question,
so the first exchange is taken; later ones lean on what was said before. Shared by the converters of chat formats.
"""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from mixed_r1_verl.core.rows import RowError
from mixed_r1_verl.data.converter import Example
from mixed_r1_verl.data.fields import LETTERS, letter_of, place_id, record, text_field
from mixed_r1_verl.data.raw import RawFolder, Row

USER_ROLES = ("user", "human")
ASSISTANT_ROLES = ("assistant", "gpt", "model", "bot")
# A full stop stands at the end of a sentence, not of a label; more words than this are a description.
LABEL_WORDS = 5

_MARKER = re.compile(r"<image>\s*")
_IMG_TAG = re.compile(r"<img>([^<>]{1,2000})</img>")
_LATEX = re.compile(r"[\\^√π°²³]|\d\s*/\s*\d|\d[a-zA-Z]")
_NUMBER = re.compile(r"[-+−]?[$€£]?\d[\d,]*(?:\.\d+)?\s?%?")
_CHOICE_LINE = re.compile(r"^\s*\(?([A-Z])[.):]\s*(.*)$")


class Turn(NamedTuple):
    """The first exchange of a record.

    Attributes:
        question: what the user asked, without image markers.
        answer: what the assistant answered; empty where nobody did.
        images: names of the pictures, in the order of the record.
    """

    question: str
    answer: str
    images: tuple[str, ...]


def first_turn(value: dict[str, Any]) -> Turn:
    """Reads a record in any of the known chat forms.

    Known are `messages` (role and content, content as text or as typed parts), `conversations` (from and value),
    `conversation` (human and assistant), `query` and `response`, `instruction` with `input` and `output`.

    Raises:
        RowError: `missing`, `not_text`, `needs_history`, … or `unknown_form`.

    Example:
        >>> first_turn({"image": "a.png", "conversations": [{"from": "human", "value": "What?\\n<image>"},
        ...                                                 {"from": "gpt", "value": "A cat."}]})
        Turn(question='What?', answer='A cat.', images=('a.png',))
    """
    named = image_names(value)
    answer: Any
    if "messages" in value or "conversations" in value:
        key = "messages" if "messages" in value else "conversations"
        question, answer, inside = _from_turns(value[key], key)
    elif "conversation" in value:
        question, answer, inside = _from_pair(value["conversation"])
    elif not value.keys() & {"query", "response", "instruction"}:
        raise RowError("record", "unknown_form", f"fields {', '.join(sorted(map(str, value)))[:120]}")
    elif value.get("history"):
        raise RowError("history", "needs_history", "the question is the last of several turns")
    elif "query" in value or "response" in value:
        question, answer, inside = text_field(value, "query"), value.get("response"), ()
    else:
        parts = [text_field(value, key) for key in ("instruction", "input") if key == "instruction" or value.get(key)]
        question, answer, inside = "\n".join(parts), value.get("output"), ()
    tagged = tuple(name.strip() for name in _IMG_TAG.findall(question))
    question = _MARKER.sub("", _IMG_TAG.sub("", question)).strip()
    if answer is not None and not isinstance(answer, str):
        raise RowError("answer", "not_text", f"it is a {type(answer).__name__}")
    return Turn(question, (answer or "").strip(), named or inside or tagged)


def image_names(value: dict[str, Any]) -> tuple[str, ...]:
    """The pictures that a record names under `image` or `images`: one name or a list of them.

    Raises:
        RowError: `not_text`.
    """
    for key in ("images", "image"):
        found = value.get(key)
        if found is None:
            continue
        names = found if isinstance(found, list) else [found]
        if not all(isinstance(name, str) for name in names):
            raise RowError(key, "not_text", "a picture is named by text")
        return tuple(names)
    return ()


def _from_turns(turns: Any, key: str) -> tuple[str, str, tuple[str, ...]]:
    if not isinstance(turns, list) or not turns:
        raise RowError(key, "missing" if not turns else "not_a_list")
    question: str | None = None
    images: tuple[str, ...] = ()
    for turn in turns:
        if not isinstance(turn, dict):
            raise RowError(key, "not_an_object", f"a turn is a {type(turn).__name__}")
        role = str(turn.get("role") or turn.get("from") or "").lower()
        text, pictures = _content(turn.get("content", turn.get("value")), key)
        if role in USER_ROLES and question is None:
            question, images = text, pictures
        elif role in ASSISTANT_ROLES and question is not None:
            return question, text, images
    if question is None:
        raise RowError(key, "missing", "no turn of a user")
    return question, "", images


def _from_pair(turns: Any) -> tuple[str, str, tuple[str, ...]]:
    if not isinstance(turns, list) or not turns or not isinstance(turns[0], dict):
        raise RowError("conversation", "missing", "no turn")
    return text_field(turns[0], "human"), text_field(turns[0], "assistant"), ()


def _content(content: Any, key: str) -> tuple[str, tuple[str, ...]]:
    """Text and pictures of one turn."""
    if isinstance(content, str):
        return content, ()
    if not isinstance(content, list):
        raise RowError(key, "not_text", f"the content of a turn is a {type(content).__name__}")
    texts: list[str] = []
    images: list[str] = []
    for part in content:
        if not isinstance(part, dict):
            raise RowError(key, "not_an_object", "a part of a turn")
        kind = part.get("type")
        value = part.get("value", part.get(kind) if isinstance(kind, str) else None)
        if isinstance(value, dict):
            value = value.get("url")
        if not isinstance(value, str):
            raise RowError(key, "not_text", f"a part of type {kind!r}")
        (texts if kind == "text" else images).append(value)
    return "\n".join(text.strip() for text in texts), tuple(images)


def infer_reward(answer: str, choices: Sequence[str] = ()) -> str:
    """The reward kind that fits an answer of unknown kind.

    A letter with options, yes/no, a plain number or a label of few words is `matching`; mathematical notation and
    numbers with units are `math`; boxes are `iou`; everything longer is `open_ended`.

    Example:
        >>> [infer_reward(text) for text in ("yes", "42", "16 cm²", "[[1, 2, 3, 4]]", "A dog sits on the lawn.")]
        ['matching', 'matching', 'math', 'iou', 'open_ended']
    """
    text = answer.strip()
    if choices or text.casefold() in ("yes", "no", "true", "false") or _NUMBER.fullmatch(text):
        return "matching"
    if read_boxes(text):
        return "iou"
    if len(text.split()) <= LABEL_WORDS and _LATEX.search(text):
        return "math"
    if len(text.split()) <= LABEL_WORDS and not text.endswith((".", "!", "?", "。")):
        return "matching"
    return "open_ended"


def read_boxes(text: str) -> tuple[tuple[float, float, float, float], ...]:
    """The boxes of a text that is nothing but a JSON box or list of boxes; empty for any other text.

    Example:
        >>> read_boxes("[1, 2, 3, 4]"), read_boxes("about 3")
        (((1.0, 2.0, 3.0, 4.0),), ())
    """
    if not text.startswith("[") or len(text) > 20_000:
        return ()
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    boxes = value if value and isinstance(value[0], list) else [value]
    if all(
        isinstance(box, list)
        and len(box) == 4
        and all(isinstance(side, int | float) and not isinstance(side, bool) for side in box)
        for box in boxes
    ):
        return tuple(tuple(float(side) for side in box) for box in boxes)  # type: ignore[misc]
    return ()


def split_choices(question: str) -> tuple[str, tuple[str, ...]]:
    """Takes the options out of a question that lists them at its end, one a line, from A.

    Example:
        >>> split_choices("Which?\\nA. cat\\nB. dog")
        ('Which?', ('cat', 'dog'))
        >>> split_choices("A. is not an option")
        ('A. is not an option', ())
    """
    lines = question.rstrip().splitlines()
    choices: list[str] = []
    while lines and (not lines[-1].strip() or (match := _CHOICE_LINE.match(lines[-1]))):
        line = lines.pop()
        if line.strip() and match:
            choices.insert(0, f"{match[1]}{match[2].strip()}")
    letters = "".join(choice[0] for choice in choices)
    if len(choices) < 2 or not LETTERS.startswith(letters) or not lines:
        return question, ()
    return "\n".join(lines).rstrip(), tuple(choice[1:] or choice[0] for choice in choices)


def example_of_turn(identity: str, turn: Turn, images: tuple[str, ...] | None = None) -> Example:
    """The example of one exchange, with the reward that fits its answer.

    Args:
        identity: id of the record.
        turn: the exchange.
        images: the pictures as they were found; None uses the turn's own names.

    Raises:
        RowError: `missing` where nobody answered, or an answer that is none of the options.

    Example:
        >>> example = example_of_turn("1", Turn("Which?\\nA. cat\\nB. dog", "dog", ()))
        >>> example.question, example.choices, example.answer, example.reward
        ('Which?', ('cat', 'dog'), 'B', 'matching')
    """
    if not turn.question:
        raise RowError("question", "empty")
    if not turn.answer:
        raise RowError("answer", "missing")
    question, choices = split_choices(turn.question)
    answer = turn.answer
    if choices:
        letter = answer.strip("(). ")
        is_letter = len(letter) == 1 and letter in LETTERS[: len(choices)]
        answer = letter if is_letter else letter_of(answer, choices)
    reward = infer_reward(answer, choices)
    return Example(
        id=identity,
        question=question,
        reward=reward,
        answer="" if reward == "iou" else answer,
        boxes=read_boxes(answer) if reward == "iou" else (),
        choices=choices,
        images=turn.images if images is None else images,
    )


def chat_rows(raw: RawFolder, split: str) -> Iterator[Row]:
    """All records of all record files."""
    for name in raw.record_files():
        yield from raw.records(name)


def convert_chat(row: Row) -> Example:
    """The example of a record in any form that `first_turn` knows; its place in the file is its id."""
    return example_of_turn(place_id(row), first_turn(record(row.data)))
