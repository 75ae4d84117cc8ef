"""easy-VQA: questions on one coloured shape, answered with yes/no, a colour or a form.

Source: the PyPI package `easy-vqa` (its folder `easy_vqa/data`); `--input` may be left out where the package is
installed. Licence: MIT.

Raw layout:

    <input>/[easy_vqa/][data/]{train,test}/questions.json
    <input>/[easy_vqa/][data/]{train,test}/images/<image id>.png

Raw row, a list by position (question, answer, image id):

    ["what shape does the image contain?", "triangle", 455]

What each position becomes: the question, the ground truth of the matching reward, the image. A question has no id of
its own; its position in the file is the id.

Quirks: image ids start at 0 in train and in test and mean other pictures there; about three of four answers are yes or
no; pictures are 64x64 pixels.
"""

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from mixed_r1_verl.data import Converter, Example, RawFolder, Row, RowError
from mixed_r1_verl.data.fields import scalar_text, text_field


def installed_data() -> Path | None:
    """The data folder of the installed package, found without importing it; None where it is not installed."""
    spec = importlib.util.find_spec("easy_vqa")
    folder = Path(spec.origin).parent / "data" if spec and spec.origin else None
    return folder if folder and folder.is_dir() else None


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    questions = f"{split}/questions.json"
    name = raw.first_of(questions, f"data/{questions}", f"easy_vqa/data/{questions}")
    folder = name.removesuffix("questions.json") + "images"
    for where, value in raw.json_rows(name):
        yield Row(where, {"record": value, "folder": folder})


def convert(row: Row) -> Example:
    value = row.data["record"]
    if not isinstance(value, list) or len(value) != 3:
        raise RowError("record", "wrong_length", "not [question, answer, image id]")
    named = dict(zip(("question", "answer", "image_id"), value, strict=True))
    return Example(
        id=row.where.rpartition("#")[2],
        question=text_field(named, "question"),
        reward="matching",
        answer=scalar_text(named, "answer"),
        images=(f"{row.data['folder']}/{scalar_text(named, 'image_id')}.png",),
    )


EASY_VQA = Converter(
    "easy_vqa", rows, convert, ("train", "test"), "MIT", "https://pypi.org/project/easy-vqa/", installed_data
)

CONVERTERS = (EASY_VQA,)
