"""ScreenSpot: where on a screenshot is the element that an instruction means?

Source: https://github.com/njucckevin/SeeClick (ScreenSpot); also the re-described records of
https://github.com/OSU-NLP-Group/UGround. Licence: Apache-2.0, MIT. It is an evaluation set: keep it out of training.

Raw layout (pictures may lie elsewhere: name that folder with `--image-root`):

    <input>/**/*.json or *.jsonl, lists or lines of records
    <input>/images/<image> or <image root>/<image>

Raw row:

    {"bbox": [910, 78, 44, 34], "instruction": "close", "data_type": "icon", "data_source": "windows",
     "platform": "desktop", "scale": 1.4, "description": "…", "image": "pc_ede36f9b-….png"}

What each field becomes: `instruction` the question, `bbox` (x, y, width, height) as corners the box, `image` (in the
original files `img_filename`) the picture. The id is made of picture, instruction and box.
"""

from collections.abc import Iterator

from mixed_r1_verl.data import Converter, Example, RawFolder, Row, RowError
from mixed_r1_verl.data.fields import number_list, record, short_hash, stem, text_field


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    for name in raw.record_files():
        for where, value in raw.records(name):
            file = value.get("img_filename", value.get("image")) if isinstance(value, dict) else None
            found = raw.locate(file, f"images/{file}") if isinstance(file, str) else ""
            yield Row(where, {"record": value, "image": found})


def convert(row: Row) -> Example:
    value = record(row.data["record"])
    if not row.data["image"]:
        raise RowError("image", "missing")
    instruction = text_field(value, "instruction")
    x, y, width, height = number_list(value, "bbox", 4)
    return Example(
        id=f"{stem(row.data['image'])}/{short_hash(f'{instruction} {x} {y} {width} {height}')}",
        question=f"Which element is meant? {instruction}",
        reward="iou",
        images=(row.data["image"],),
        boxes=((x, y, x + width, y + height),),
    )


CONVERTERS = (
    Converter("screenspot", rows, convert, ("test",), "Apache-2.0", "https://github.com/njucckevin/SeeClick"),
)
