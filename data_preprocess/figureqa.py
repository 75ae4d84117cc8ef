"""FigureQA: yes/no questions on synthetic plots.

Source: https://www.microsoft.com/en-us/research/project/figureqa-dataset/. Licence: Microsoft Research's own, for
research. The layout and the row are taken from the public description; no raw sample was at hand.

Raw layout:

    <input>/{split}/qa_pairs.json       split: train1, validation1, validation2
    <input>/{split}/png/<image_index>.png

Raw row (a member of the list `qa_pairs`):

    {"question_string": "Is Medium Orchid the minimum?", "answer": 0, "image_index": 17, "question_id": 2,
     "color1_name": "Medium Orchid", …}

What each field becomes: `question_string` the question; `answer`, 1 or 0, becomes yes or no, the ground truth of the
matching reward; `image_index` names the picture. The place in the list is the id.
"""

from collections.abc import Iterator

from mixed_r1_verl.data import Converter, Example, RawFolder, Row, RowError
from mixed_r1_verl.data.fields import record, scalar_text, text_field

YES_NO = {"0": "no", "1": "yes"}


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    for where, value in raw.json_rows(f"{split}/qa_pairs.json", key="qa_pairs"):
        yield Row(where, {"record": value, "folder": f"{split}/png"})


def convert(row: Row) -> Example:
    value = record(row.data["record"])
    answer = scalar_text(value, "answer")
    if answer not in YES_NO:
        raise RowError("answer", "not_yes_no", repr(answer)[:80])
    return Example(
        id=row.where.rpartition("#")[2],
        question=text_field(value, "question_string"),
        reward="matching",
        answer=YES_NO[answer],
        images=(f"{row.data['folder']}/{scalar_text(value, 'image_index')}.png",),
        ability="chart",
    )


CONVERTERS = (
    Converter(
        "figureqa",
        rows,
        convert,
        ("train1", "validation1", "validation2"),
        "Microsoft Research, for research",
        "https://www.microsoft.com/en-us/research/project/figureqa-dataset/",
    ),
)
