"""Referring expressions in VLM-R1's JSON form (RefCOCO, RefCOCO+, RefCOCOg as VLM-R1 publishes them, refcocos).

Source: https://github.com/om-ai-lab/VLM-R1 (annotations), https://github.com/kuoyang1999/refcocos-annotator; pictures
are COCO's. Licence: Apache-2.0 (VLM-R1), MIT (refcocos-annotator).

Raw layout (name the folder that holds the pictures' folders, or the pictures, with `--image-root`):

    <input>/**/*.json or *.jsonl, lists or lines of records

Raw row:

    {"image": "val2017/000000015335.jpg", "problem": "Please provide the bounding box coordinate of the region this
     sentence describes: the person who is wearing a necklace.", "normal_caption": "the person who is wearing a
     necklace", "solution": [3.0, 72.0, 219.0, 366.0], "normalized_solution": [4, 150, 342, 762], "height": 480, …}

What each field becomes: `normal_caption` is asked for ("Where is …?"; `problem` is asked where there is none),
`solution` (pixels, corners) is the box, `width` and `height` must have the shape of the picture. The id is made of the
picture and the expression, so a record that stands in two files is one row and a reject.

Quirks: `solution` is null where nothing fits the expression (`categories.empty_case`): rejected, since IoU with nothing
is not defined.
"""

from mixed_r1_verl.data_preprocess.lmm_r1 import rows

from mixed_r1_verl.data import Converter, Example, Row, RowError
from mixed_r1_verl.data.fields import number_list, record, short_hash, stem, text_field


def convert(row: Row) -> Example:
    value = record(row.data)
    image = text_field(value, "image")
    if value.get("normal_caption"):
        question = f"Where is {text_field(value, 'normal_caption').rstrip('.')}?"
    else:
        question = text_field(value, "problem")
    if value.get("solution") is None:
        raise RowError("solution", "no_target", "nothing in the picture fits the expression")
    x1, y1, x2, y2 = number_list(value, "solution", 4)
    size = (value.get("width"), value.get("height"))
    return Example(
        id=f"{stem(image)}/{short_hash(question)}",
        question=question,
        reward="iou",
        images=(image,),
        boxes=((x1, y1, x2, y2),),
        box_size=size if all(isinstance(side, int) for side in size) else None,  # type: ignore[arg-type]
    )


CONVERTERS = (
    Converter(
        "refcocos", rows, convert, ("train", "val", "test"), "Apache-2.0 or MIT", "https://github.com/om-ai-lab/VLM-R1"
    ),
)
