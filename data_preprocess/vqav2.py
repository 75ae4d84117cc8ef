"""VQAv2: questions on COCO photographs; `vqav2` has all of them, `vqav2_yes_no` those with yes or no.

Source: https://visualqa.org/download.html. Licence: CC BY 4.0 (annotations); pictures are COCO 2014's. The layout and
the row are taken from the public description; no raw sample was at hand.

Raw layout (pictures may lie elsewhere: name that folder with `--image-root`):

    <input>/v2_OpenEnded_mscoco_{split}_questions.json       split: train2014, val2014
    <input>/v2_mscoco_{split}_annotations.json
    <input>/{split}/COCO_{split}_<image_id, 12 digits>.jpg

Raw row (members of the lists `questions` and `annotations`, joined by `question_id`):

    {"image_id": 262148, "question": "Is the sky blue?", "question_id": 262148002}
    {"question_id": 262148002, "image_id": 262148, "answer_type": "yes/no", "multiple_choice_answer": "yes",
     "answers": [{"answer": "yes", "answer_confidence": "yes", "answer_id": 1}, …]}

What each field becomes: `question` the question; `multiple_choice_answer`, what most of ten people said, the ground
truth of the matching reward; `question_id` the id. `vqav2_yes_no` rejects questions whose answer is not yes or no; both
reject those on which fewer than seven of ten agree, for nobody could learn them.
"""

from collections.abc import Iterator
from functools import partial

from mixed_r1_verl.data import Converter, Example, RawFolder, Row, RowError
from mixed_r1_verl.data.fields import record, scalar_text, text_field, yes_no

LEAST_AGREEMENT = 0.7


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    answers = {}
    for _, value in raw.json_rows(f"v2_mscoco_{split}_annotations.json", key="annotations"):
        if isinstance(value, dict) and isinstance(value.get("question_id"), int):
            given = [one.get("answer") for one in value.get("answers") or [] if isinstance(one, dict)]
            majority = value.get("multiple_choice_answer")
            answers[value["question_id"]] = (majority, given.count(majority), len(given))
    for where, value in raw.json_rows(f"v2_OpenEnded_mscoco_{split}_questions.json", key="questions"):
        identity = value.get("question_id") if isinstance(value, dict) else None
        answer, agree, people = answers.get(identity, (None, 0, 0)) if isinstance(identity, int) else (None, 0, 0)
        number = value.get("image_id") if isinstance(value, dict) else None
        file = f"COCO_{split}_{number:012d}.jpg" if isinstance(number, int) else ""
        image = raw.locate(f"{split}/{file}", file, f"{number:012d}.jpg") if isinstance(number, int) else ""
        yield Row(where, {"record": value, "image": image, "answer": answer, "agree": agree, "people": people})


def convert(row: Row, *, polar: bool = False) -> Example:
    value = record(row.data["record"])
    scalar_text(value, "image_id")
    answer = yes_no(row.data, "answer") if polar else text_field(row.data, "answer")
    agree, people = row.data["agree"], row.data["people"]
    if agree < LEAST_AGREEMENT * people:
        raise RowError("answers", "disagreement", f"{agree} of {people} people agree")
    return Example(
        id=scalar_text(value, "question_id"),
        question=text_field(value, "question"),
        reward="matching",
        answer=answer,
        answer_type="yes_no" if answer in ("yes", "no") else "",
        images=(row.data["image"],),
    )


_vqav2 = partial(
    Converter,
    rows=rows,
    splits=("train2014", "val2014"),
    licence="CC BY 4.0 (annotations)",
    source="https://visualqa.org/download.html",
)

CONVERTERS = (_vqav2("vqav2", convert=convert), _vqav2("vqav2_yes_no", convert=partial(convert, polar=True)))
