"""MATH-Vision: competition problems with a picture; multiple choice (matching) and free answers (math).

Source: https://github.com/mathllm/MATH-V. Licence: MIT. It is an evaluation set: keep it out of training.

Raw layout:

    <input>/[data/]{testmini,test}.jsonl
    <input>/images/<id>.jpg

Raw row:

    {"id": "4", "question": "How many different digits can you find in this picture?\\n<image1>", "options": [],
     "answer": "6", "solution": null, "level": 1, "subject": "counting", "image": "images/4.jpg"}

What each field becomes: `question` the question; with `options` the row is a matching one with these choices and
`answer` is the letter; without, it is a math one and `answer` the ground truth. `id` is the id.

Quirks: questions hold `<image1>` … `<image7>`, yet there is one picture (a montage) a record: the markers become plain
words (`[image1]`), and the prompt has one real marker. Options may be nothing but the letters A to E, when the choices
are in the picture; then the prompt shows the letters alone.
"""

from collections.abc import Iterator

from mixed_r1_verl.data import Converter, Example, RawFolder, Row
from mixed_r1_verl.data.fields import answer_letter, record, scalar_text, text_field, text_list


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    yield from raw.json_lines(raw.first_of(f"data/{split}.jsonl", f"{split}.jsonl"))


def convert(row: Row) -> Example:
    value = record(row.data)
    choices = text_list(value, "options")
    return Example(
        id=scalar_text(value, "id"),
        question=text_field(value, "question"),
        reward="matching" if choices else "math",
        answer=(answer_letter(value, "answer", choices) if choices else scalar_text(value, "answer")),
        choices=choices,
        images=(text_field(value, "image"),),
    )


CONVERTERS = (Converter("math_v", rows, convert, ("testmini", "test"), "MIT", "https://github.com/mathllm/MATH-V"),)
