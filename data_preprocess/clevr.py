"""CLEVR: questions on rendered solids, answered with yes/no, a count or one word.

Source: https://cs.stanford.edu/people/jcjohns/clevr/ (CLEVR_v1.0). Licence: CC BY 4.0.

Raw layout:

    <input>/[CLEVR_v1.0/]questions/CLEVR_{split}_questions.json     {"info": …, "questions": [ … ]}
    <input>/[CLEVR_v1.0/]images/{split}/<image_filename>

Raw row:

    {"image_index": 0, "program": [ … ], "question_index": 0, "image_filename": "CLEVR_train_000000.png",
     "question_family_index": 2, "split": "train", "answer": "yes",
     "question": "Are there more big green things than large purple shiny cubes?"}

What each field becomes: `question` the question, `answer` the ground truth of the matching reward (`"yes"`, `"2"`,
`"metal"`), `image_filename` with the split's folder the image, `question_index` the id. `program` holds the solution
and is not used.

Quirks: pictures are RGBA; counts are strings; the test split has no answers, so all its rows are rejected.
"""

from collections.abc import Iterator

from mixed_r1_verl.data import Converter, Example, RawFolder, Row, RowError
from mixed_r1_verl.data.fields import record, scalar_text, text_field


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    questions = f"questions/CLEVR_{split}_questions.json"
    name = raw.first_of(f"CLEVR_v1.0/{questions}", questions)
    folder = f"{name.removesuffix(questions)}images/{split}"
    for where, value in raw.json_rows(name, key="questions"):
        yield Row(where, {"record": value, "folder": folder})


def convert(row: Row) -> Example:
    value = record(row.data["record"])
    if "answer" not in value:
        raise RowError("answer", "missing", "the test split of CLEVR has no answers")
    return Example(
        id=scalar_text(value, "question_index"),
        question=text_field(value, "question"),
        reward="matching",
        answer=scalar_text(value, "answer"),
        images=(f"{row.data['folder']}/{text_field(value, 'image_filename')}",),
    )


CONVERTERS = (
    Converter(
        "clevr", rows, convert, ("train", "val", "test"), "CC BY 4.0", "https://cs.stanford.edu/people/jcjohns/clevr/"
    ),
)
