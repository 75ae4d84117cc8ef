"""PlotQA: template questions on plots of real-world data.

Source: https://github.com/NiteshMethani/PlotQA. Licence: CC BY 4.0. The layout and the row are taken from the public
description; no raw sample was at hand.

Raw layout (pictures may lie elsewhere: name that folder with `--image-root`):

    <input>/[{split}/]qa_pairs_V1.json or qa_pairs_V2.json      split: train, val, test
    <input>/[{split}/]png/<image_index>.png

Raw row (a member of the list `qa_pairs`):

    {"image_index": 0, "qid": "0_1", "question_string": "How many bars are there ?", "answer": 4,
     "template": "structural", "type": "vbar_categorical", "question_id": 1, …}

What each field becomes: `question_string` the question, `answer` (number or text) the ground truth of the chart reward,
`image_index` names the picture. V1 is read where both files are there; V2 has more, and more open, questions. The place
in the list is the id, since `question_id` starts anew with each picture.
"""

from collections.abc import Iterator

from mixed_r1_verl.data import Converter, Example, RawFolder, Row
from mixed_r1_verl.data.fields import detokenise, record, scalar_text, text_field


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    names = ("qa_pairs_V1.json", "qa_pairs_V2.json")
    name = raw.first_of(*(f"{split}/{name}" for name in names), *names)
    for where, value in raw.json_rows(name, key="qa_pairs"):
        file = f"{value.get('image_index')}.png" if isinstance(value, dict) else ""
        image = raw.locate(f"{split}/png/{file}", f"png/{file}", f"png/{split}/{file}", f"{split}/{file}")
        yield Row(where, {"record": value, "image": image})


def convert(row: Row) -> Example:
    value = record(row.data["record"])
    scalar_text(value, "image_index")
    return Example(
        id=row.where.rpartition("/")[2].replace(".json#", "/"),
        question=detokenise(text_field(value, "question_string")),
        reward="chart",
        answer=scalar_text(value, "answer"),
        images=(row.data["image"],),
    )


CONVERTERS = (
    Converter(
        "plotqa", rows, convert, ("train", "val", "test"), "CC BY 4.0", "https://github.com/NiteshMethani/PlotQA"
    ),
)
