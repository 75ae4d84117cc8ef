"""GQA: questions on photographs and their relations; `gqa` has all of them, `gqa_yes_no` those with yes or no.

Source: https://cs.stanford.edu/people/dorarad/gqa/. Licence: CC BY 4.0. The layout and the row are taken from the
public description; no raw sample was at hand.

Raw layout (pictures may lie elsewhere: name that folder with `--image-root`):

    <input>/[questions/]{split}_balanced_questions.json       split: train, val, testdev
    <input>/images/<imageId>.jpg

Raw row (a value of one big object; its key is the id):

    "02930152": {"question": "Is the sky dark?", "imageId": "2354786", "answer": "yes", "fullAnswer": "Yes, …",
                 "types": {"structural": "verify", …}, "groups": …, "semantic": …}

What each field becomes: `question` the question, `answer` the ground truth of the matching reward, `imageId` names the
picture. Answers other than yes and no are one of many words for the same thing; `gqa_yes_no` rejects these rows.
"""

from collections.abc import Iterator
from functools import partial

from mixed_r1_verl.data import Converter, Example, RawFolder, Row
from mixed_r1_verl.data.fields import record, scalar_text, text_field, yes_no


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    name = f"{split}_balanced_questions.json"
    for where, value in raw.json_rows(raw.first_of(f"questions/{name}", name)):
        kept = {key: value.get(key) for key in ("question", "answer", "imageId")} if isinstance(value, dict) else value
        yield Row(where, kept)


def convert(row: Row, *, polar: bool = False) -> Example:
    value = record(row.data)
    answer = yes_no(value, "answer") if polar else text_field(value, "answer")
    return Example(
        id=row.where.rpartition("#")[2],
        question=text_field(value, "question"),
        reward="matching",
        answer=answer,
        answer_type="yes_no" if answer in ("yes", "no") else "label",
        images=(f"images/{scalar_text(value, 'imageId')}.jpg",),
    )


_gqa = partial(
    Converter,
    rows=rows,
    splits=("train", "val", "testdev"),
    licence="CC BY 4.0",
    source="https://cs.stanford.edu/people/dorarad/gqa/",
)

CONVERTERS = (_gqa("gqa", convert=convert), _gqa("gqa_yes_no", convert=partial(convert, polar=True)))
