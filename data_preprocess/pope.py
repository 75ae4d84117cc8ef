"""POPE: is there a … in the image? Yes or no; a test of object hallucination.

Source: https://github.com/RUCAIBox/POPE; pictures are COCO val2014. Licence: MIT. It is an evaluation set: keep it out
of training.

Raw layout (pictures lie elsewhere: name their folder with `--image-root`):

    <input>/[output/coco/]coco_pope_{split}.json       JSON lines; split: random, popular, adversarial
    <image root>/COCO_val2014_<number>.jpg

Raw row:

    {"question_id": 7, "image": "COCO_val2014_000000210789.jpg", "text": "Is there a truck in the image?",
     "label": "yes"}

What each field becomes: `text` the question, `label` the ground truth of the matching reward, `image` the picture,
`question_id` the id (it repeats over the three files, which are three splits here).
"""

from collections.abc import Iterator

from mixed_r1_verl.data import Converter, Example, RawFolder, Row
from mixed_r1_verl.data.fields import record, scalar_text, text_field


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    file = f"coco_pope_{split}.json"
    yield from raw.json_lines(raw.first_of(f"output/coco/{file}", f"coco/{file}", file))


def convert(row: Row) -> Example:
    value = record(row.data)
    return Example(
        id=scalar_text(value, "question_id"),
        question=text_field(value, "text"),
        reward="matching",
        answer=text_field(value, "label").lower(),
        images=(text_field(value, "image"),),
    )


CONVERTERS = (
    Converter("pope", rows, convert, ("random", "popular", "adversarial"), "MIT", "https://github.com/RUCAIBox/POPE"),
)
