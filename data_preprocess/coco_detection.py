"""Detection in COCO's format (COCO, LVIS, Objects365, CVAT, Roboflow): questions answered with boxes.

`coco_detection` makes a row of each category of a picture, `coco_labels` one of each picture, whose boxes have labels.
Source: https://cocodataset.org (annotations_trainval2017.zip and train2017.zip, val2017.zip), or any set in
COCO's format. Licence: annotations CC BY 4.0; pictures under the terms of Flickr; else that of the data.

Raw layout (pictures may lie elsewhere: name that folder with `--image-root`), any split name; or one file as --input:

    <input>/[annotations/]instances_{split}.json       COCO and CVAT; also lvis_v1_, zhiyuan_objv2_{split}.json
    <input>/{split}/_annotations.coco.json             Roboflow
    <input>/{split}/<file_name>, <input>/images/[{split}/]<file_name>, …

Raw row (`images`, `annotations` and `categories` are lists of the file, joined by ids):

    {"file_name": "000000349860.jpg", "height": 426, "width": 640, "id": 349860, …}
    {"bbox": [341.01, 279.53, 17.77, 35.92], "area": 538.4, "iscrowd": 0, "image_id": 530836, "category_id": 44, …}
    {"id": 44, "name": "bottle", "supercategory": "kitchen"}

What each field becomes: "Find every <name> in the picture."; `bbox` (x, y, width, height; 0-based, not corners) becomes
corners. The id is `<image id>/<category id>`, for `coco_labels` the image id.

Quirks: a crowd region (`iscrowd`) stands for an unknown number of objects, and objects under 32 square pixels cannot be
boxed by IoU with any fairness: rows with either are rejected, and so are LVIS's categories that are not exhaustive in a
picture. Pictures without an object give no row.
"""

from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from typing import Any

from mixed_r1_verl.data import Box, Converter, DataError, Example, RawFolder, Row, RowError
from mixed_r1_verl.data.fields import number_list, record, scalar_text, text_field

LEAST_AREA = 32.0
FILES = (
    *("annotations/instances_{}.json", "instances_{}.json", "{}/_annotations.coco.json", "annotations/{}.json"),
    *("annotations/lvis_v1_{}.json", "lvis_v1_{}.json", "annotations/zhiyuan_objv2_{}.json", "zhiyuan_objv2_{}.json"),
)


def rows(raw: RawFolder, split: str, *, labels: bool = False) -> Iterator[Row]:
    """One row for each category of each picture, or one for each picture, in the order of the pictures."""
    name = raw.only or raw.first_of(*(file.format(split) for file in FILES))
    names = {
        value["id"]: value.get("name")
        for _, value in raw.json_rows(name, key="categories")
        if isinstance(value, dict) and isinstance(value.get("id"), int)
    }
    objects = annotations_of(raw, name, "category_id")
    for where, value in raw.json_rows(name, key="images"):
        image_id = value.get("id") if isinstance(value, dict) else None
        own: dict[int, list[Any]] = defaultdict(list)
        for one in objects.get(image_id, ()) if isinstance(image_id, int) else ():
            kept = {key: one.get(key) for key in ("bbox", "iscrowd", "id")}
            own[one["category_id"]].append(kept | {"name": names.get(one["category_id"])})
        data = {"image": value, "split": split}
        if labels and own:
            found = [one for _, group in sorted(own.items()) for one in group]
            yield Row(where, data | {"id": "", "categories": sorted(own), "objects": found})
            continue
        for category, found in sorted(own.items()):
            yield Row(f"{where}/{category}", data | {"id": f"/{category}", "categories": [category], "objects": found})


def convert(row: Row) -> Example:
    image, categories, objects = record(row.data["image"]), row.data["categories"], row.data["objects"]
    file, split = text_field({"file_name": image_name(image)}, "file_name"), row.data["split"]
    names = list(dict.fromkeys(text_field(found, "name") for found in objects))
    if any(found["iscrowd"] for found in objects):
        raise RowError("iscrowd", "ambiguous", "a crowd stands for an unknown number of objects")
    if set(categories) & set(image.get("not_exhaustive_category_ids") or ()):
        raise RowError("not_exhaustive_category_ids", "ambiguous", "not every object of the category has a box")
    size = (image.get("width"), image.get("height"))
    asked = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return Example(
        id=scalar_text(image, "id") + row.data["id"],
        question=f"Find every {asked} in the picture.",
        reward="iou",
        images=((f"{split}/{file}", file, f"images/{file}", f"images/{split}/{file}"),),
        boxes=tuple(_box(found) for found in objects),
        box_size=size if all(isinstance(side, int) for side in size) else None,  # type: ignore[arg-type]
    )


def annotations_of(raw: RawFolder, name: str, *also: str) -> dict[Any, list[Any]]:
    """The annotations of each picture of a file; every one must name it, and have the numbers `also`."""
    found: dict[Any, list[Any]] = defaultdict(list)
    for where, value in raw.json_rows(name, key="annotations"):
        named = isinstance(value, dict) and isinstance(value.get("image_id"), int | str)
        if not named or not all(isinstance(value.get(key), int) for key in also):
            raise DataError(f"{raw.root / where}: an annotation without {' or '.join(('image_id', *also))}")
        found[value["image_id"]].append(value)
    return found


def image_name(image: dict[str, Any]) -> str | None:
    """The name of the picture of an entry of `images`; LVIS names its URL only."""
    name = image.get("file_name") or image.get("coco_url")
    return "/".join(name.split("/")[-2:]) if isinstance(name, str) and name.startswith("http") else name


def _box(found: dict[str, Any]) -> Box:
    x, y, width, height = number_list(found, "bbox", 4)
    if width <= 0 or height <= 0:
        raise RowError("bbox", "no_area", str(found["bbox"]))
    if width * height < LEAST_AREA:
        raise RowError("bbox", "too_small", f"{width * height:.1f} square pixels")
    return Box(x, y, x + width, y + height, found["name"])


_coco = partial(
    Converter,
    convert=convert,
    splits=("train2017", "val2017", "train2014", "val2014", "*"),
    licence="CC BY 4.0 (annotations)",
    source="https://cocodataset.org",
)

CONVERTERS = (_coco(name="coco_detection", rows=rows), _coco(name="coco_labels", rows=partial(rows, labels=True)))
