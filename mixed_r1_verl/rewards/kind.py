"""What a reward kind is: all that Mixed-Reward, prompt, check, engine, audit and report need to know of one kind.

A kind reads the ground truth of a row once, into a `Gold` that is bound to the row and to the kind's configuration; the
gold then scores answers. Nobody outside this package knows kinds by their names: who needs something asks the kind.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from mixed_r1_verl.rewards.verdict import GroundTruthError, Verdict

if TYPE_CHECKING:
    from mixed_r1_verl.core.boxes import Box
    from mixed_r1_verl.rewards.cheats import Cheat
    from mixed_r1_verl.rewards.similarity.table import EmbeddingTable

__all__ = [
    "LETTER_INSTRUCTION",
    "Gold",
    "RewardKind",
    "Scoring",
    "choices_of",
    "letter_or",
    "plain_gold",
    "references_of",
    "size_of",
]


LETTER_INSTRUCTION = "Answer with the letter of the right option."


class Gold:
    """The ground truth of one row, read.

    Attributes:
        honest: the text of an answer that scores 1, as a model would write it.
        form: rows of the same form may be given the same constant answer (`4 options`, `polar`).
        boxes: for pictures: in pixels of the original image, with labels.
        references: the several right answers of an open-ended row; one of them is enough. A JSON list of some of them
            is a ground truth as well: an audit holds one out and scores it against the others.
        extent: width and height of the picture in the frame of the answer's boxes; None for kinds without boxes.
    """

    honest: str = ""
    form: str = ""
    boxes: "tuple[Box, ...]" = ()
    references: tuple[str, ...] = ()
    extent: tuple[float, float] | None = None

    def score(self, answer: str) -> Verdict | None:
        """The verdict on the text of an answer block, possibly empty; None when the kind abstains."""
        raise NotImplementedError

    def boxes_of(self, answer: str, most: int) -> "tuple[Box, ...]":
        """At most so many boxes of an answer, in pixels of the original image; what is drawn beside `boxes`."""
        return ()

    def moved(self, answer: str, extent: tuple[float, float]) -> str:
        """An answer to this row as it would be given to a picture of another extent; the same without boxes."""
        return answer


class Scoring(NamedTuple):
    """What a kind scores with, besides the row.

    Attributes:
        options: the kind's own configuration.
        load_table: gives the embedding table; built or mapped on the first call.
    """

    options: Any
    load_table: "Callable[[], EmbeddingTable]"


def _nothing(scoring: Scoring) -> None:
    """A kind that has nothing to prepare."""


@dataclass(frozen=True)
class RewardKind:
    """One kind of reward.

    Attributes:
        name: what `extra_info.reward` says.
        parse: `(ground_truth, extra_info, scoring) -> Gold`; raises `GroundTruthError` for a row that is broken.
        instruction: the sentence of the prompt that says what an answer looks like, or `(ground_truth, choices) ->
            sentence`, for a kind whose questions have several forms.
        columns: what `parse` reads of `extra_info`.
        config: the frozen dataclass of its options, the section of its name in the reward block; None without options.
        answers: `closed` (right or wrong, can be guessed), `boxes` or `text`: how an audit sets its bars.
        cheats: attacks of its own that an audit tries.
        exact: the honest answer must score 1, and a row where it does not is broken.
        prepare: does at the start of a run what the first sample would wait for, and refuses options that cannot work.
    """

    name: str
    parse: Callable[[str, Mapping[str, Any], Scoring], Gold]
    instruction: str | Callable[[str, Sequence[str]], str] = "Answer the question."
    columns: tuple[str, ...] = ()
    config: type | None = None
    answers: Literal["closed", "boxes", "text"] = "text"
    cheats: "tuple[Cheat, ...]" = field(default=(), repr=False)
    exact: bool = True
    prepare: Callable[[Scoring], None] = _nothing

    def instruct(self, ground_truth: str, choices: Sequence[str] = ()) -> str:
        """The sentence of the prompt that says what the answer to a row looks like; it never shows the answer."""
        return self.instruction if isinstance(self.instruction, str) else self.instruction(ground_truth, choices)


def letter_or(sentence: str, ground_truth: str, choices: Sequence[str]) -> str:
    """The instruction of a kind whose rows may have options: their letter is asked for where there are some."""
    return LETTER_INSTRUCTION if choices else sentence


class _PlainGold(Gold):
    def __init__(self, honest: str, judge: Callable[[str], Verdict | None], form: str, references: tuple[str, ...]):
        self.honest, self.form, self.references = honest, form, references
        self.score = judge  # type: ignore[assignment, method-assign]


def plain_gold(
    honest: str, judge: Callable[[str], Verdict | None], *, form: str = "", references: tuple[str, ...] = ()
) -> Gold:
    """A gold that is a function of the answer.

    >>> plain_gold("4", lambda answer: Verdict(float(answer == "4"))).score("4").acc
    1.0
    """
    return _PlainGold(honest, judge, form, references)


def references_of(ground_truth: str, name: str = "the ground truth") -> tuple[str, ...]:
    """The right answers of a row of which one is enough: those of a JSON list of texts, else the text itself.

    `name` is what a message calls the ground truth.

    Raises:
        GroundTruthError: it is a JSON list of something else.

    >>> references_of('["ACME Ltd", "Acme"]'), references_of("[Left] A dog.")
    (('ACME Ltd', 'Acme'), ('[Left] A dog.',))
    """
    text = ground_truth.strip()
    references = [text]
    if text.startswith("["):
        with suppress(ValueError, RecursionError):  # prose in brackets
            references = json.loads(text)
    if not all(isinstance(reference, str) for reference in references):
        raise GroundTruthError(f"{name} must be a text or a JSON list of texts: {text[:80]!r}")
    return tuple(reference.strip() for reference in references)


def choices_of(extra_info: Mapping[str, Any]) -> tuple[str, ...]:
    """The option texts of a row."""
    choices = extra_info.get("choices")
    if choices is None:
        return ()
    if isinstance(choices, str) or not hasattr(choices, "__iter__"):
        raise GroundTruthError(f"choices must be a list of texts, not {choices!r}"[:200])
    return tuple(str(choice) for choice in choices)


def size_of(extra_info: Mapping[str, Any]) -> tuple[int | None, int | None]:
    """Width and height of a row's picture in pixels; None where the row does not say."""
    try:
        width, height = (int(extra_info.get(name) or 0) for name in ("width", "height"))
    except (TypeError, ValueError, OverflowError) as error:
        raise GroundTruthError(f"width and height must be whole numbers: {error}") from error
    return width or None, height or None
