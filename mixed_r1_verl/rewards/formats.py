"""The form of a response: where its thinking and its answer stand, and how a prompt asks for it."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from mixed_r1_verl.core.config import ConfigError

__all__ = ["ResponseFormat"]

_THINK = ("<think>", "</think>")
_TAG = re.compile(r"[^\s\w]\S{0,38}[^\s\w]|[^\s\w]{1,2}")


@dataclass(frozen=True)
class ResponseFormat:
    r"""What a response has to look like.

    | style | a response | text around the answer |
    |---|---|---|
    | `think_answer` | `<think>…</think><answer>…</answer>` | none |
    | `boxed` | `<think>…</think>…\boxed{…}…` | any |
    | `native_think` | `…</think>…`: the prompt or the model opens `<think>`, all that follows is the answer | none |
    | `answer_only` | the answer | none |
    | `custom` | as `think` and `answer` say | none |

    Attributes:
        style: one of the five.
        think: of `custom`: the tags that open and close the thinking; empty for responses without.
        answer: of `custom`: the tags that open and close the answer; empty where all that follows the thinking is it.
        instruction: the sentence that ends a prompt; None takes the style's own.
        template: a Jinja file with the whole user message, of `images`, `question`, `options`, `choices`, `task` (what
            the answer looks like) and `instruction`; None puts them one below the other.
        system: a system message; None for none.

    >>> ResponseFormat().reply("B", "It has wings.")
    '<think>It has wings.</think><answer>B</answer>'
    >>> ResponseFormat("boxed").reply("B", "It has wings.")
    '<think>It has wings.</think>\\boxed{B}'
    """

    style: Literal["think_answer", "boxed", "native_think", "answer_only", "custom"] = "think_answer"
    think: tuple[str, ...] = ()
    answer: tuple[str, ...] = ()
    instruction: str | None = None
    template: str | None = None
    system: str | None = None

    def __post_init__(self) -> None:
        for name in ("think", "answer"):
            tags = getattr(self, name)
            if tags and self.style != "custom":
                raise ConfigError(f"format.{name} is read with format.style=custom, not with {self.style}")
            if tags and (len(tags) != 2 or not all(map(_TAG.fullmatch, tags)) or tags[0] == tags[1]):
                raise ConfigError(f"format.{name} must be two tags, as [<answer>, </answer>], not {list(tags)}")
        if self.think and set(self.think) & set(self.answer):
            raise ConfigError("format.think and format.answer must be different tags")
        if self.style == "custom" and not (self.instruction or self.template):
            raise ConfigError("format.style=custom needs format.instruction or format.template, which ask for the tags")

    @cached_property
    def think_tags(self) -> tuple[str, ...]:
        """Opening and closing tag of the thinking; empty without."""
        return {"custom": self.think, "answer_only": ()}.get(self.style, _THINK)

    @cached_property
    def answer_tags(self) -> tuple[str, ...]:
        """Opening and closing tag of the answer, or of its box; empty where all the rest of the text is the answer."""
        styles = {"custom": self.answer, "think_answer": ("<answer>", "</answer>"), "boxed": ("\\boxed{", "}")}
        return styles.get(self.style, ())

    @property
    def opened(self) -> bool:
        """Whether the prompt may have opened the thinking, so that the response lacks the opening tag."""
        return self.style == "native_think"

    @cached_property
    def asks(self) -> str:
        """The sentence of the prompt that asks for this form."""
        if self.instruction is not None:
            return self.instruction
        return {
            "think_answer": "Reply as <think>your reasoning</think><answer>your answer</answer>.",
            "boxed": "Reply as <think>your reasoning</think>\\boxed{your answer}.",
            "native_think": "Think first, then give the answer alone.",
            "answer_only": "Give the answer alone.",
        }.get(self.style, "")

    @cached_property
    def tags_to_ask(self) -> tuple[str, ...]:
        """What a prompt must show, so that a policy can know of it."""
        return () if self.opened else (*self.think_tags, *self.answer_tags[: 1 if self.style == "boxed" else 2])

    @cached_property
    def tag_like(self) -> "re.Pattern[str]":
        """What looks like a tag, in any case and with any space, and may stand in no thinking and no answer."""
        own = {tag.strip("<>/") for tag in (*self.think_tags, *self.answer_tags) if tag[0] == "<" and tag[-1] == ">"}
        names = "|".join(map(re.escape, sorted({"think", "answer"} | own)))
        other = [re.escape(tag) for tag in (*self.think, *self.answer) if not (tag[0] == "<" and tag[-1] == ">")]
        return re.compile("|".join([rf"<[\s/]*(?:{names})\b", *other]), re.IGNORECASE)

    def reply(self, answer: str, think: str) -> str:
        """A response of this form."""
        thinking = think.join(self.think_tags) if self.think_tags else ""
        if self.opened:
            thinking = thinking.removeprefix(self.think_tags[0]) + "\n"
        return thinking + (answer.join(self.answer_tags) if self.answer_tags else answer)

    def translated(self, response: str) -> str:
        r"""A response in the tags of the default format, honest or not, with the tags of this one in their places.

        >>> ResponseFormat("boxed").translated("<think>a</think><answer>B</answer><answer>C</answer>")
        '<think>a</think>\\boxed{B}\\boxed{C}'
        """
        if self.style == "think_answer":
            return response
        if not self.think_tags:
            response = re.sub(r"<think>[^<]*</think>", "", response)
        opening, closing = self.think_tags or ("", "")
        places = ("" if self.opened else opening, closing, *(self.answer_tags or ("", "")))
        for tag, place in zip(("<think>", "</think>", "<answer>", "</answer>"), places, strict=True):
            response = response.replace(tag, place)
        return response
