"""LMM-R1's (OpenRLHF's) JSON lines: a chat as JSON text inside the JSON.

Source: https://github.com/TideDra/lmm-r1. Licence: Apache-2.0 for the code, else that of the data.

Raw layout (name the folder that holds the pictures with `--image-root`; only their base names count, since paths are
those of the author's machine):

    <input>/**/*.jsonl; or one such file as --input

Raw row:

    {"question": "Which number should be written in place of the question mark?\\n", "answer": "$\\\\boxed{60}$",
     "message": "[{\\"role\\": \\"system\\", …}, {\\"role\\": \\"user\\", \\"content\\": [{\\"type\\": \\"text\\",
                 \\"text\\": \\"…\\"}, {\\"type\\": \\"image\\", \\"image\\": \\"/home/…/images/1.jpg\\"}]}]"}

What each field becomes: `question` the question, options at its end the choices; `answer` without `$\\boxed{…}$` the
ground truth, matched where there are options and `math` where not; the pictures of `message` the pictures. Its system
prompt is left out: the prompt template takes its place.
"""

import json
import re
from dataclasses import replace

from mixed_r1_verl.data import Converter, Example, Row, RowError
from mixed_r1_verl.data.chat import Turn, chat_rows, example_of_turn, first_turn
from mixed_r1_verl.data.fields import place_id, record, text_field

_BOXED = re.compile(r"\$*\s*\\boxed\{(.*)\}\s*\$*", re.DOTALL)


def convert(row: Row) -> Example:
    value = record(row.data)
    try:
        messages = json.loads(text_field(value, "message"))
    except (json.JSONDecodeError, RecursionError):
        raise RowError("message", "bad_json", "its text is not JSON") from None
    images = tuple(image.rpartition("/")[2] for image in first_turn({"messages": messages}).images)
    answer = text_field(value, "answer")
    boxed = _BOXED.fullmatch(answer)
    turn = Turn(text_field(value, "question"), boxed[1].strip() if boxed else answer, images)
    example = example_of_turn(place_id(row), turn)
    return example if example.choices else replace(example, reward="math", answer=turn.answer, boxes=())


CONVERTERS = (
    Converter(
        "lmm_r1", chat_rows, convert, ("train", "val", "test"), "that of the data", "https://github.com/TideDra/lmm-r1"
    ),
)
