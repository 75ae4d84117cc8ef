"""Conversations in records of any training framework: who asked what about which pictures, and what was answered.

No converter: what the converters of chat formats share.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from mixed_r1_verl.data import RowError
from mixed_r1_verl.data.fields import text_field
from mixed_r1_verl.data.options import literal

USER_ROLES = ("user", "human")
ASSISTANT_ROLES = ("assistant", "gpt", "model", "bot", "chatgpt")
TURN_LISTS = ("messages", "conversations", "conversation", "texts", "message")
_PAIRS = (("human", "assistant"), ("user", "assistant"), ("question", "answer"), ("query", "response"))
IMAGES = ("decoded_image", "image", "images", "image_path", "img_path", "img_filename", "image_file", "path", "img")
_MARKER = re.compile(r"\s*<image>\s*")
_IMG_TAG = re.compile(r"<img>([^<>]{1,2000})</img>")
LEAST_BASE64 = 512

Picture = str | bytes
"""Its name, or its encoded bytes."""


class Turn(NamedTuple):
    """One exchange of a conversation.

    Attributes:
        question: what the user asked, without image markers.
        answer: what the assistant answered; empty where nobody did.
        images: pictures that the turn itself names.
        markers: image markers of the question.
    """

    question: str
    answer: str
    images: tuple[Picture, ...] = ()
    markers: int = 0


def exchanges(value: dict[str, Any]) -> list[Turn]:
    """The exchanges of a record in any of the known chat forms; empty for a record that is no chat.

    Known are `messages` and `conversations` (role or from, content or value; content as text or as typed parts; the
    list also as JSON text), lists of pairs (`conversation` with human and assistant, `texts` with user and assistant),
    `query` with `response`, `instruction` with `input` and `output`.

    Raises:
        RowError: `missing`, `not_text`, `needs_history`, ….

    Example:
        >>> exchanges({"image": "a.png", "conversations": [{"from": "human", "value": "What?\\n<image>"},
        ...                                                {"from": "gpt", "value": "A cat."}]})
        [Turn(question='What?', answer='A cat.', images=(), markers=1)]
    """
    key = next((key for key in TURN_LISTS if value.get(key) is not None), None)
    if key:
        turns = literal(value[key]) if isinstance(value[key], str) else value[key]
        if not isinstance(turns, list) or not turns:
            raise RowError(key, "missing" if turns == [] else "not_a_list")
        if not all(isinstance(turn, dict) for turn in turns):
            raise RowError(key, "not_an_object", "a turn of the conversation")
        pair = next((pair for pair in _PAIRS if pair[0] in turns[0]), None)
        if pair and "role" not in turns[0]:
            return [_turn(text_field(turn, pair[0]), text_field(turn, pair[1])) for turn in turns]
        return list(_roles(turns, key))
    swift = "query" in value and ("response" in value or "history" in value)
    if not swift and not ("instruction" in value and "output" in value):
        return []
    if value.get("history"):
        raise RowError("history", "needs_history", "the question is the last of several turns")
    if swift:
        return [_turn(text_field(value, "query"), value.get("response"))]
    parts = [text_field(value, key) for key in ("instruction", "input") if key == "instruction" or value.get(key)]
    return [_turn("\n".join(parts), value["output"])]


def _turn(question: str, answer: Any, images: tuple[Picture, ...] = (), markers: int = 0) -> Turn:
    if answer is not None and not isinstance(answer, str):
        raise RowError("answer", "not_text", f"it is a {type(answer).__name__}")
    tagged = tuple(name.strip() for name in _IMG_TAG.findall(question))
    question = _IMG_TAG.sub("", question)
    return Turn(
        without_markers(question), (answer or "").strip(), images or tagged, markers + question.count("<image>")
    )


def without_markers(text: str) -> str:
    """A question without its image markers; where one stood inside a sentence, a space is left.

    Example:
        >>> without_markers("<image>\\nWhich of <image> and this?")
        'Which of and this?'
    """
    return _MARKER.sub(lambda match: "\n" if "\n" in match[0] else " ", text).strip()


def _roles(turns: list[dict[str, Any]], key: str) -> Iterator[Turn]:
    question: tuple[str, tuple[Picture, ...], int] | None = None
    for turn in turns:
        role = str(turn.get("role") or turn.get("from") or "").lower()
        content = turn.get("content") if turn.get("content") is not None else turn.get("value")
        if role in USER_ROLES:
            if question is not None:
                yield _turn(question[0], None, *question[1:])
            question = _content(content, key)
        elif role in ASSISTANT_ROLES and question is not None:
            yield _turn(question[0], _content(content, key)[0], *question[1:])
            question = None
    if question is not None:
        yield _turn(question[0], None, *question[1:])
    elif not any(str(turn.get("role") or turn.get("from") or "").lower() in USER_ROLES for turn in turns):
        raise RowError(key, "missing", "no turn of a user")


def _content(content: Any, key: str) -> tuple[str, tuple[Picture, ...], int]:
    """Text, pictures and nameless pictures of one turn."""
    if isinstance(content, str):
        return content, (), 0
    if not isinstance(content, list):
        raise RowError(key, "not_text", f"the content of a turn is a {type(content).__name__}")
    texts: list[str] = []
    images: list[Picture] = []
    nameless = 0
    for part in content:
        if not isinstance(part, dict):
            raise RowError(key, "not_an_object", "a part of a turn")
        kind = str(part.get("type"))
        if kind.startswith(("video", "audio")):
            raise RowError(key, "media", "a part of the conversation is a video or sound, which no row can hold")
        found = next(
            (part[name] for name in ("value", kind, "text", "image", "url") if part.get(name) is not None), None
        )
        if kind == "text":
            if not isinstance(found, str):
                raise RowError(key, "not_text", f"a part of type {kind!r}")
            texts.append(found.strip())
        elif found is None and kind == "image":
            nameless += 1
        else:
            images.append(picture(found, key))
    return "\n".join(texts), tuple(images), nameless


def pictures(value: dict[str, Any]) -> tuple[Picture, ...]:
    """The pictures that a record names or holds: the first of `IMAGES`, or `image_1`, `image_2`, … in order.

    Raises:
        RowError: `not_text`, `media` or `missing`.

    Example:
        >>> pictures({"images": [{"path": "a.png"}, "b.png"]}), pictures({"image_1": "a.png", "image_2": None})
        (('a.png', 'b.png'), ('a.png',))
    """
    key = next((key for key in IMAGES if value.get(key) is not None), None)
    if key:
        found = value[key] if isinstance(value[key], list | tuple) else [value[key]]
        return tuple(picture(cell, key) for cell in found)
    numbered = (value.get(f"image{gap}{number}") for gap in ("_", "") for number in range(0, 30))
    return tuple(picture(cell, "image") for cell in numbered if cell is not None)


def picture(cell: Any, key: str) -> Picture:
    """A picture's name or bytes in any form of a cell: text, bytes, base64, `{path}`, `{bytes, path}`, `{url}`.

    Raises:
        RowError: `not_text`, `media` or `missing`.
    """
    if isinstance(cell, dict):
        named = [cell.get(name) for name in ("bytes", "image", "path", "url", "image_url", "file_name")]
        cell = next((found for found in named if found), None)
        if cell is None:
            raise RowError(key, "missing", "a picture with neither bytes nor a name")
        if isinstance(cell, dict):
            return picture(cell, key)
    if isinstance(cell, bytes) and cell:
        return cell
    if not isinstance(cell, str):
        raise RowError(key, "not_text", "a picture is named by text")
    text = cell.removeprefix("file://")
    if text.startswith("data:image/") or (len(text) >= LEAST_BASE64 and "." not in text[-8:]):
        try:
            return base64.b64decode(text.partition(";base64,")[2] or text, validate=True)
        except (binascii.Error, ValueError):
            raise RowError(key, "not_text", "a long text that is neither a name nor base64") from None
    if text.lower().endswith((".mp4", ".avi", ".mov", ".mkv", ".webm", ".wav", ".mp3")):
        raise RowError(key, "media", f"{text[-80:]!r} is a video or sound, which no row can hold")
    return text
