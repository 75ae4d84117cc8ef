"""MathVista: mathematics in pictures from 31 sources; options (matching) and free answers (math).

Source: https://github.com/lupantech/MathVista. Licence: CC BY-SA 4.0; pictures and questions remain their authors'. The
authors ask that it be used for testing only: keep it out of training.

Raw layout (pictures may lie elsewhere: name the folder that holds `images/` with `--image-root`):

    <input>/[data/]{testmini,test}.json
    <input>/[data/]images/<pid>.jpg

Raw row (a value of one big object; its key is the pid):

    "20": {"question": "Is the sum of smallest two bar is greater then the largest bar?", "image": "images/20.jpg",
           "choices": ["Yes", "No"], "unit": null, "precision": null, "answer": "No",
           "question_type": "multi_choice", "answer_type": "text", "pid": "20", "metadata": {…}}

What each field becomes: with `choices` the row is a matching one whose ground truth is the letter of `answer`; without,
it is a math one and `answer` the ground truth (an integer, a number with `precision` decimals, a list as text), with
`unit` named after the question. `pid` is the id. CRLF in questions becomes LF.
"""

from collections.abc import Iterator

from mixed_r1_verl.data import Converter, Example, RawFolder, Row
from mixed_r1_verl.data.fields import letter_of, question_with_unit, record, scalar_text, text_field, text_list


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    name = raw.first_of(f"data/{split}.json", f"{split}.json")
    for where, value in raw.json_rows(name):
        image = value.get("image") if isinstance(value, dict) else None
        found = raw.locate(image, f"data/{image}") if isinstance(image, str) else ""
        yield Row(where, {"record": value, "image": found})


def convert(row: Row) -> Example:
    value = record(row.data["record"])
    text_field(value, "image")
    answer, choices = scalar_text(value, "answer"), text_list(value, "choices")
    question = text_field(value, "question") if choices else question_with_unit(value)
    if not choices and isinstance(value.get("precision"), int | float) and value["precision"]:
        question = f"{question} (decimals: {scalar_text(value, 'precision')})"
    return Example(
        id=scalar_text(value, "pid"),
        question=question.replace("\r\n", "\n"),
        reward="matching" if choices else "math",
        answer=letter_of(answer, choices) if choices else answer,
        choices=choices,
        images=(row.data["image"],),
    )


CONVERTERS = (
    Converter(
        "mathvista", rows, convert, ("testmini", "test"), "CC BY-SA 4.0", "https://github.com/lupantech/MathVista"
    ),
)
