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

from collections.abc import Iterator

from mixed_r1_verl.data_preprocess.chat import exchanges
from mixed_r1_verl.data_preprocess.evidence import final_answer

from mixed_r1_verl.data import Converter, Example, RawFolder, Row, RowError
from mixed_r1_verl.data.fields import place_id, record, text_field
from mixed_r1_verl.data.options import choice_letter, literal, split_choices


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    for name in raw.record_files():
        yield from raw.records(name)


def convert(row: Row) -> Example:
    value = record(row.data)
    messages = literal(text_field(value, "message"))
    if messages is None:
        raise RowError("message", "bad_json", "its text is not JSON")
    images = exchanges({"messages": messages})[0].images
    answer, _ = final_answer(text_field(value, "answer"))
    question, choices = split_choices(text_field(value, "question"))
    return Example(
        id=place_id(row),
        question=question,
        reward="matching" if choices else "math",
        answer=choice_letter(answer, choices) if choices else answer,
        choices=choices,
        images=tuple(image.rpartition("/")[2] if isinstance(image, str) else image for image in images),
    )


CONVERTERS = (
    Converter(
        "lmm_r1", rows, convert, ("train", "val", "test"), "that of the data", "https://github.com/TideDra/lmm-r1"
    ),
)
