"""A-OKVQA: multiple-choice questions on COCO photographs that need knowledge of the world.

Source: https://github.com/allenai/aokvqa. Licence: Apache-2.0; pictures are COCO 2017's. The layout and the row are
taken from the public description; no raw sample was at hand.

Raw layout (pictures may lie elsewhere: name that folder with `--image-root`):

    <input>/aokvqa_v1p0_{split}.json       split: train, val; the test split has no answers
    <input>/{split}2017/<image_id, 12 digits>.jpg

Raw row:

    {"split": "train", "image_id": 299207, "question_id": "22MexNkBPpdZGX6sxbxVBH",
     "question": "What is the man by the bags awaiting?", "choices": ["skateboarder", "train", "delivery", "cab"],
     "correct_choice_idx": 3, "direct_answers": ["ride", …], "rationales": [ … ]}

What each field becomes: `choices` the options, `correct_choice_idx` (0-based) the letter, `question_id` the id;
`direct_answers` and `rationales` are not used. Records without `correct_choice_idx` are rejected.
"""

from collections.abc import Iterator

from mixed_r1_verl.data import Converter, Example, RawFolder, Row
from mixed_r1_verl.data.fields import answer_letter, record, scalar_text, text_field, text_list


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    for where, value in raw.json_rows(f"aokvqa_v1p0_{split}.json"):
        number = value.get("image_id") if isinstance(value, dict) else None
        file = f"{number:012d}.jpg" if isinstance(number, int) else ""
        yield Row(where, {"record": value, "image": raw.locate(f"{split}2017/{file}", file) if file else ""})


def convert(row: Row) -> Example:
    value = record(row.data["record"])
    scalar_text(value, "image_id")
    choices = text_list(value, "choices")
    return Example(
        id=text_field(value, "question_id"),
        question=text_field(value, "question"),
        reward="matching",
        answer=answer_letter(value, "correct_choice_idx", choices),
        choices=choices,
        images=(row.data["image"],),
    )


CONVERTERS = (Converter("aokvqa", rows, convert, ("train", "val"), "Apache-2.0", "https://github.com/allenai/aokvqa"),)
