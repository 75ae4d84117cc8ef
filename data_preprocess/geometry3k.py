"""Geometry3K: multiple-choice geometry problems with a diagram.

Source: https://github.com/lupantech/InterGPS (`data/geometry3k`). Licence: as stated in the repository. The layout and
the row are taken from the public description; no raw sample was at hand.

Raw layout:

    <input>/[geometry3k/]{split}/<id>/data.json and img_diagram.png       split: train, val, test

Raw row (one file a problem):

    {"id": 2401, "problem_text": "Find x.", "choices": ["8.5", "11", "15", "16"], "answer": "C",
     "annotat_text": "Find x.", "problem_type_graph": ["Triangle"], "problem_type_goal": ["Length"], …}

What each field becomes: `problem_text` the question, `choices` the options, `answer` is the letter. The folder's name
is the id.
"""

from collections.abc import Iterator

from mixed_r1_verl.data import Converter, Example, RawFolder, Row
from mixed_r1_verl.data.fields import answer_letter, record, text_field, text_list


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    yield from raw.json_files(f"geometry3k/{split}/*/data.json", f"{split}/*/data.json")


def convert(row: Row) -> Example:
    value = record(row.data)
    choices = text_list(value, "choices")
    folder = row.where.rpartition("/")[0]
    return Example(
        id=folder.rpartition("/")[2],
        question=text_field(value, "problem_text"),
        reward="matching",
        answer=answer_letter(value, "answer", choices),
        choices=choices,
        images=(f"{folder}/img_diagram.png",),
        ability="math",
    )


CONVERTERS = (
    Converter(
        "geometry3k",
        rows,
        convert,
        ("train", "val", "test"),
        "as stated in the repository",
        "https://github.com/lupantech/InterGPS",
    ),
)
