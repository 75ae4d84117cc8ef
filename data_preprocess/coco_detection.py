"""COCO detection: one question a picture and category, answered with the boxes of all its objects.

Source: https://cocodataset.org (annotations_trainval2017.zip and train2017.zip, val2017.zip), or any set in COCO's
format. Licence: annotations CC BY 4.0; pictures under the terms of Flickr.

Raw layout (pictures may lie elsewhere: name that folder with `--image-root`):

    <input>/[annotations/]instances_{split}.json       split: train2017, val2017, train2014, val2014
    <input>/{split}/<file_name>

Raw row (`images`, `annotations` and `categories` are lists of the file, joined by ids):

    {"file_name": "000000349860.jpg", "height": 426, "width": 640, "id": 349860, …}
    {"bbox": [341.01, 279.53, 17.77, 35.92], "area": 538.4, "iscrowd": 0, "image_id": 530836, "category_id": 44, …}
    {"id": 44, "name": "bottle", "supercategory": "kitchen"}

What each field becomes: each category of a picture is one row, "Find every <name> in the picture."; `bbox` (x, y,
width, height; 0-based, not corners) becomes corners. The id is `<image id>/<category id>`.

Quirks: a crowd region (`iscrowd`) stands for an unknown number of objects, and objects under 32 square pixels cannot be
boxed by IoU with any fairness: rows with either are rejected. Pictures without an object give no row.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from mixed_r1_verl.data_preprocess.coco_captions import image_name

from mixed_r1_verl.data import Box, Converter, DataError, Example, RawFolder, Row, RowError
from mixed_r1_verl.data.fields import number_list, record, scalar_text, text_field

LEAST_AREA = 32.0


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    """One row for each category of each picture, in the order of the pictures."""
    name = raw.first_of(f"annotations/instances_{split}.json", f"instances_{split}.json")
    names = {
        value["id"]: value.get("name")
        for _, value in raw.json_rows(name, key="categories")
        if isinstance(value, dict) and isinstance(value.get("id"), int)
    }
    objects: dict[Any, dict[int, list[Any]]] = defaultdict(lambda: defaultdict(list))
    for where, value in raw.json_rows(name, key="annotations"):
        if not isinstance(value, dict) or not all(isinstance(value.get(k), int) for k in ("image_id", "category_id")):
            raise DataError(f"{raw.root / where}: an annotation without image_id or category_id")
        kept = {key: value.get(key) for key in ("bbox", "iscrowd", "id")}
        objects[value["image_id"]][value["category_id"]].append(kept)
    for where, value in raw.json_rows(name, key="images"):
        image_id = value.get("id") if isinstance(value, dict) else None
        own = objects.get(image_id, {}) if isinstance(image_id, int) else {}
        file = image_name(raw, split, value)
        for category, found in sorted(own.items()):
            data = {"image": value, "file": file, "category": category, "name": names.get(category), "objects": found}
            yield Row(f"{where}/{category}", data)


def convert(row: Row) -> Example:
    image = record(row.data["image"])
    text_field(image, "file_name")
    name = text_field(row.data, "name")
    if any(found["iscrowd"] for found in row.data["objects"]):
        raise RowError("iscrowd", "ambiguous", "a crowd stands for an unknown number of objects")
    size = (image.get("width"), image.get("height"))
    return Example(
        id=f"{scalar_text(image, 'id')}/{row.data['category']}",
        question=f"Find every {name} in the picture.",
        reward="iou",
        images=(row.data["file"],),
        boxes=tuple(_box(found) for found in row.data["objects"]),
        box_size=size if all(isinstance(side, int) for side in size) else None,  # type: ignore[arg-type]
    )


def _box(found: dict[str, Any]) -> Box:
    x, y, width, height = number_list(found, "bbox", 4)
    if width <= 0 or height <= 0:
        raise RowError("bbox", "no_area", str(found["bbox"]))
    if width * height < LEAST_AREA:
        raise RowError("bbox", "too_small", f"{width * height:.1f} square pixels")
    return Box(x, y, x + width, y + height)


CONVERTERS = (
    Converter(
        "coco_detection",
        rows,
        convert,
        ("train2017", "val2017", "train2014", "val2014"),
        "CC BY 4.0 (annotations)",
        "https://cocodataset.org",
    ),
)
