"""DVQA: questions on synthetic bar charts.

Source: https://github.com/kushalkafle/DVQA_dataset. Licence: CC BY-NC 4.0. The layout and the row are taken from the
public description; no raw sample was at hand.

Raw layout:

    <input>/[qa/]{split}_qa.json       split: train, val_easy, val_hard
    <input>/images/<image>

Raw row:

    {"question": "What is the label of the second bar from the left?", "question_id": 12, "template_id": "structure",
     "answer": "drama", "answer_bbox": [], "image": "bar_train_00000001.png"}

What each field becomes: `question` the question, `answer` (word, number, yes or no) the ground truth of the chart
reward, `image` the picture, `question_id` the id. `answer_bbox` is not used.
"""

from collections.abc import Iterator

from mixed_r1_verl.data import Converter, Example, RawFolder, Row
from mixed_r1_verl.data.fields import record, scalar_text, text_field


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    yield from raw.json_rows(raw.first_of(f"qa/{split}_qa.json", f"{split}_qa.json"))


def convert(row: Row) -> Example:
    value = record(row.data)
    return Example(
        id=scalar_text(value, "question_id"),
        question=text_field(value, "question"),
        reward="chart",
        answer=scalar_text(value, "answer"),
        images=(f"images/{text_field(value, 'image')}",),
    )


CONVERTERS = (
    Converter(
        "dvqa",
        rows,
        convert,
        ("train", "val_easy", "val_hard"),
        "CC BY-NC 4.0",
        "https://github.com/kushalkafle/DVQA_dataset",
    ),
)
