"""ScienceQA: multiple-choice questions of school science, many with a picture.

Source: https://github.com/lupantech/ScienceQA. Licence: CC BY-NC-SA 4.0. The layout and the row are taken from the
public description; no raw sample was at hand.

Raw layout:

    <input>/[data/scienceqa/]problems.json
    <input>/[data/scienceqa/][images/]{split}/<id>/image.png       split: train, val, test

Raw row (a value of one big object; its key is the id):

    "5": {"question": "Which of these organisms …?", "choices": ["bilberry", "mushroom"], "answer": 1,
          "hint": "Below is a food web …", "image": "image.png", "split": "train", "subject": "natural science",
          "lecture": "…", "solution": "…", …}

What each field becomes: `answer`, the 0-based number of an option, becomes its letter; `hint` holds what the question
refers to and stands before it; `lecture` and `solution` explain the answer and are not shown. `image` is null where a
question has no picture: such rows are rejected.
"""

from collections.abc import Iterator

from mixed_r1_verl.data import Converter, Example, RawFolder, Row, RowError
from mixed_r1_verl.data.fields import answer_letter, record, text_field, text_list


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    name = raw.first_of("data/scienceqa/problems.json", "scienceqa/problems.json", "problems.json")
    folder = name.removesuffix("problems.json")
    for where, value in raw.json_rows(name):
        if isinstance(value, dict) and value.get("split") == split:
            file = f"{split}/{where.rpartition('#')[2]}/{value.get('image')}"
            yield Row(where, {"record": value, "image": raw.locate(f"{folder}images/{file}", f"{folder}{file}")})


def convert(row: Row) -> Example:
    value = record(row.data["record"])
    if value.get("image") is None:
        raise RowError("image", "no_picture", "the question has no picture")
    choices = text_list(value, "choices")
    hint = f"{text_field(value, 'hint')}\n" if value.get("hint") else ""
    return Example(
        id=row.where.rpartition("#")[2],
        question=hint + text_field(value, "question"),
        reward="matching",
        answer=answer_letter(value, "answer", choices),
        choices=choices,
        images=(row.data["image"],),
    )


CONVERTERS = (
    Converter(
        "scienceqa",
        rows,
        convert,
        ("train", "val", "test"),
        "CC BY-NC-SA 4.0",
        "https://github.com/lupantech/ScienceQA",
    ),
)
