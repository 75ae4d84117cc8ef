"""OpenCQA: open questions on charts, answered in a sentence or two.

Source: https://github.com/vis-nlp/OpenCQA. Licence: GPL-3.0; the charts are Pew Research Center's.

Raw layout:

    <input>/[etc/data/]{train,val,test}.json
    <input>/[chart_images/]<image file>

Raw row (a value of one big object; its key is the id), a list by position:

    "3446": [image file, title, summary, question, abstractive answer, extractive answer]

What each position becomes: the question; the abstractive answer, with the tokeniser's spaces taken out, is the
reference of the open-ended reward. The title is garbled OCR and the summary holds the answer: neither is shown.

Quirks: extensions lie (GIF and JPEG among the `.png`); some pictures have a palette or alpha.
"""

from collections.abc import Iterator

from mixed_r1_verl.data import Converter, Example, RawFolder, Row, RowError, references_json
from mixed_r1_verl.data.fields import detokenise, text_field

FIELDS = ("image", "title", "summary", "question", "abstractive_answer", "extractive_answer")


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    name = raw.first_of(f"etc/data/{split}.json", f"data/{split}.json", f"{split}.json")
    for where, value in raw.json_rows(name):
        image = value[0] if isinstance(value, list) and value and isinstance(value[0], str) else ""
        yield Row(where, {"record": value, "image": raw.locate(f"chart_images/{image}", image)})


def convert(row: Row) -> Example:
    value = row.data["record"]
    if not isinstance(value, list) or len(value) != len(FIELDS):
        raise RowError("record", "wrong_length", f"not a list of {len(FIELDS)}")
    named = dict(zip(FIELDS, value, strict=True))
    text_field(named, "image")
    return Example(
        id=row.where.rpartition("#")[2],
        question=detokenise(text_field(named, "question")),
        reward="open_ended",
        answer=references_json([detokenise(text_field(named, "abstractive_answer"))]),
        images=(row.data["image"],),
    )


CONVERTERS = (
    Converter("opencqa", rows, convert, ("train", "val", "test"), "GPL-3.0", "https://github.com/vis-nlp/OpenCQA"),
)
