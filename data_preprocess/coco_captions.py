"""COCO captions: pictures with five descriptions each, for the open-ended reward.

Source: https://cocodataset.org (annotations_trainval2017.zip and train2017.zip, val2017.zip). Licence: annotations
CC BY 4.0; pictures under the terms of Flickr.

Raw layout (pictures may lie elsewhere: name that folder with `--image-root`):

    <input>/[annotations/]captions_{split}.json       split: train2017, val2017, train2014, val2014
    <input>/{split}/<file_name>  or  <image root>/[{split}/]<file_name>

Raw row (`images` and `annotations` are two lists of the file, joined by `image_id`):

    {"license": 1, "file_name": "000000087038.jpg", "height": 480, "width": 640, "id": 87038, …}
    {"image_id": 87038, "id": 1158, "caption": "A cat eating a bird it has caught."}

What each field becomes: one row a picture; all its captions, in the order of their ids, are the references; the
picture's id is the id.

Quirks: captions stand in random order and hold newlines and double spaces (made single ones); 5 a picture, sometimes
6 or 7; greyscale pictures.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from mixed_r1_verl.data import Converter, DataError, Example, RawFolder, Row, RowError, references_json
from mixed_r1_verl.data.fields import one_line, record, scalar_text, text_field

QUESTION = "Describe the picture in one sentence."


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    """One row a picture, with all its captions."""
    name = raw.only or raw.first_of(f"annotations/captions_{split}.json", f"captions_{split}.json")
    captions: dict[Any, list[Any]] = defaultdict(list)
    for where, value in raw.json_rows(name, key="annotations"):
        if not isinstance(value, dict) or not isinstance(value.get("image_id"), int | str):
            raise DataError(f"{raw.root / where}: an annotation without image_id")
        captions[value["image_id"]].append(value)
    for where, value in raw.json_rows(name, key="images"):
        image_id = value.get("id") if isinstance(value, dict) else None
        own = captions.get(image_id, []) if isinstance(image_id, int | str) else []
        yield Row(where, {"image": value, "captions": own, "file": image_name(raw, split, value)})


def convert(row: Row) -> Example:
    image = record(row.data["image"])
    ordered = sorted(row.data["captions"], key=lambda value: str(value.get("id")).zfill(20))
    references = [one_line(text_field(value, "caption")) for value in ordered]
    if not references:
        raise RowError("caption", "missing", "the picture has no caption")
    text_field(image, "file_name")
    return Example(
        id=scalar_text(image, "id"),
        question=QUESTION,
        reward="open_ended",
        answer=references_json(list(dict.fromkeys(references))),
        images=(row.data["file"],),
    )


def image_name(raw: RawFolder, split: str, image: Any) -> str:
    """Where the picture of an entry of `images` lies; empty where the entry names none (LVIS names its URL only)."""
    name = (image.get("file_name") or image.get("coco_url")) if isinstance(image, dict) else None
    if not isinstance(name, str):
        return ""
    name = "/".join(name.split("/")[-2:]) if name.startswith("http") else name
    return raw.locate(f"{split}/{name}", name, f"images/{name}", f"images/{split}/{name}")


CONVERTERS = (
    Converter(
        "coco_captions",
        rows,
        convert,
        ("train2017", "val2017", "train2014", "val2014", "*"),
        "CC BY 4.0 (annotations)",
        "https://cocodataset.org",
    ),
)
