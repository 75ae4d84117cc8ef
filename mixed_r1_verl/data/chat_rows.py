"""From the first exchange of a chat record to an example; shared by the converters of chat formats."""

from collections.abc import Iterator

from mixed_r1_verl.core.rows import RowError
from mixed_r1_verl.data.chat import Turn, first_turn, infer_reward, read_boxes, split_choices
from mixed_r1_verl.data.converter import Example
from mixed_r1_verl.data.fields import LETTERS, letter_of, place_id, record
from mixed_r1_verl.data.raw import RawFolder, Row


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
