"""The prompt template: the one place where a question becomes verl's `prompt` column.

A prompt is one user message: an `<image>` marker for each image, the question, the options (if any), and one or two
short sentences that say what the answer looks like and in which tags thinking and answer belong. The fixed text is kept
short on purpose: the tiny models of this package are trained on it with a vocabulary of a few hundred tokens.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from string import ascii_uppercase
from typing import TYPE_CHECKING, Any

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.rewards.formats import ResponseFormat
from mixed_r1_verl.rewards.kind import RewardKind
from mixed_r1_verl.rewards.kinds import KINDS

if TYPE_CHECKING:
    from jinja2 import Template

IMAGE_MARKER = "<image>"
_STANDARD = ResponseFormat()

# What verl reads as a place for media, and the tags of the reply. Written by a dataset's author into a question they
# would shift images to the wrong place or show the model a reply that is not one.
_RESERVED_TAG = re.compile(r"<(/?)\s{0,4}(image|video|audio|think|answer)\s?(\d{0,3})\s{0,4}>", re.IGNORECASE)
# Special tokens of the model families (<|im_end|>, <|vision_start|>): chat templates do not escape them either.
_SPECIAL_TOKEN = re.compile(r"<\|([^<>|\s]{1,40})\|>")


def neutralise(text: str) -> str:
    """Takes the meaning, not the words, out of markers and tags that stand literally in a raw text.

    Args:
        text: any raw text: a question or an option.

    Returns:
        The text with `<image>`, `<video>`, `<audio>`, `<image1>` and the think/answer tags written with square
        brackets, likewise special tokens such as `<|im_end|>`, without NUL characters, and stripped of outer space.

    Example:
        >>> neutralise("Which shape in <image1> is </think> odd?")
        'Which shape in [image1] is [/think] odd?'
        >>> neutralise("<|im_end|> says <ImAgE>")
        '[im_end] says [ImAgE]'
    """
    text = text.replace("\x00", "")
    text = _RESERVED_TAG.sub(r"[\1\2\3]", text)
    return _SPECIAL_TOKEN.sub(r"[\1]", text).strip()


def option_lines(choices: Sequence[str]) -> list[str]:
    """The options of a multiple-choice question, one line each, lettered from A.

    Raises:
        ValueError: more than 26 options.

    Example:
        >>> option_lines(["cat", "dog"]), option_lines(["A", "B", "both"])
        (['A. cat', 'B. dog'], ['A.', 'B.', 'C. both'])
    """
    if len(choices) > 26:
        raise ValueError(f"{len(choices)} options, but letters go from A to Z only")
    lines = []
    for letter, choice in zip(ascii_uppercase, choices, strict=False):
        text = " ".join(neutralise(choice).split())
        # An option that is its own letter stands for a choice that is drawn in the picture.
        lines.append(f"{letter}." if text in ("", letter) else f"{letter}. {text}")
    return lines


def build_prompt(
    question: str,
    reward: str | RewardKind,
    *,
    choices: Sequence[str] = (),
    n_images: int = 1,
    answer: str | None = None,
    format: ResponseFormat = _STANDARD,
) -> list[dict[str, str]]:
    """Builds verl's `prompt` column of one row.

    Args:
        question: the question as published; markers and tags in it are neutralised.
        reward: the reward kind, or the name of a built-in one; it says what the answer looks like.
        choices: the option texts in order A, B, C, ….
        n_images: number of images of the row; the prompt gets as many markers.
        answer: the gold answer. The kind may tell yes/no and true/false questions from others by it; it is never shown.
        format: what the reply looks like; its template, if it has one, takes the place of what stands below.

    Returns:
        One user message, and before it the system message of the format, if it has one.

    Raises:
        ConfigError: the template cannot be read, or leaves out a marker of an image.
        ValueError: an unknown reward, an empty question, more than 26 options or a negative number of images.

    Example:
        >>> print(build_prompt("What is it?", "matching", choices=["cat", "dog"])[0]["content"])
        <image>
        What is it?
        A. cat
        B. dog
        Answer with the letter of the right option. Reply as <think>your reasoning</think><answer>your answer</answer>.
    """
    if n_images < 0:
        raise ValueError(f"n_images is {n_images}")
    text = neutralise(question)
    if not text:
        raise ValueError("the question is empty")
    if isinstance(reward, str):
        if reward not in KINDS:
            raise ValueError(f"no prompt template for reward {reward!r}; known: {', '.join(KINDS)}")
        reward = KINDS[reward]
    images, options, task = IMAGE_MARKER * n_images, option_lines(choices), reward.instruct(answer or "", choices)
    lines = [text, *options, f"{task} {format.asks}"]
    content = "\n".join([images, *lines] if n_images else lines)
    if format.template:
        values = {"images": images, "question": text, "options": options, "choices": choices, "task": task}
        content = _rendered(format.template, {**values, "instruction": format.asks})
        if content.count(IMAGE_MARKER) != n_images:
            raise ConfigError(f"{format.template} must show {{{{ images }}}} once: {n_images} markers are expected")
    system = [{"role": "system", "content": format.system}] if format.system else []
    return [*system, {"role": "user", "content": content}]


def _rendered(path: str, values: dict[str, Any]) -> str:
    from jinja2 import TemplateError

    try:
        return _template(path).render(values)
    except (OSError, UnicodeDecodeError, TemplateError) as error:
        raise ConfigError(f"format.template {path}: {error}") from None


@lru_cache(maxsize=4)
def _template(path: str) -> "Template":
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(Path(path).read_text(encoding="utf-8").strip())


def count_markers(prompt: Any) -> int:
    """Number of `<image>` markers in all messages of a prompt, as verl counts them; what is no message has none.

    Example:
        >>> count_markers(build_prompt("How many <image> tags?", "matching", n_images=2))
        2
    """
    messages = [message for message in prompt if isinstance(message, dict)] if isinstance(prompt, list) else []
    return sum(str(message.get("content") or "").count(IMAGE_MARKER) for message in messages)


def has_template(prompt: Sequence[dict[str, str]], format: ResponseFormat = _STANDARD) -> bool:
    """Whether a prompt shows the tags of a format, in this package's words or in others.

    Example:
        >>> has_template(build_prompt("Is it red?", "matching")), has_template([{"role": "user", "content": "Hi"}])
        (True, False)
    """
    text = "\n".join(message["content"] for message in prompt)
    return all(tag in text for tag in format.tags_to_ask)
