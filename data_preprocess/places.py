"""Where is it? One box for each question; several boxes are in `refcoco`, `voc` and `coco_detection`."""

from collections.abc import Iterator
from typing import Any

from mixed_r1_verl.data_preprocess.records import Records, every_file

from mixed_r1_verl.data import RawFolder, Row, RowError
from mixed_r1_verl.data.fields import number_list, short_hash, stem, text_field


def _expression(value: dict[str, Any]) -> dict[str, Any]:
    caption = value.get("normal_caption") and f"Where is {text_field(value, 'normal_caption').rstrip('.')}?"
    question = caption or text_field(value, "problem")
    if value.get("solution") is None:
        raise RowError("solution", "no_target", "nothing in the picture fits the expression")
    return value | {"asked": question, "id": f"{stem(text_field(value, 'image'))}/{short_hash(question)}"}


def _element(value: dict[str, Any]) -> dict[str, Any]:
    image = text_field(value, "img_filename" if "img_filename" in value else "image")
    x, y, width, height = number_list(value, "bbox", 4)
    place = short_hash(f"{text_field(value, 'instruction')} {x} {y} {width} {height}")
    return value | {"image": image, "id": f"{stem(image)}/{place}"}


def _regions(of: Records, raw: RawFolder, split: str) -> Iterator[Row]:
    """One row for each region of each picture of Visual Genome."""
    for where, value in raw.json_rows(raw.only or of.files[0]):
        found = value.get("regions") if isinstance(value, dict) else None
        for number, region in enumerate(found if isinstance(found, list) else [None]):
            if isinstance(region, dict):
                region = region | {"box": [region.get(key) for key in ("x", "y", "width", "height")]}
            yield Row(f"{where}/{number}", region)


def _phrase(value: dict[str, Any]) -> dict[str, Any]:
    return value | {"phrase": text_field(value, "phrase").rstrip(".")}


SETS = {
    "refcocos": Records(
        about="Referring expressions in VLM-R1's JSON form (RefCOCO, RefCOCO+, RefCOCOg as VLM-R1 has them, refcocos).",
        row='{"image": "val2017/000000015335.jpg", "problem": "Please provide the bounding box …", "height": 480,\n'
        ' "normal_caption": "the person with a necklace", "solution": [3.0, 72.0, 219.0, 366.0], "width": 640, …}',
        splits=("train", "val", "test"),
        licence="Apache-2.0 or MIT",
        source="https://github.com/om-ai-lab/VLM-R1",
        notes="`normal_caption` is asked for, `problem` where there is none; `width` and `height` must have the shape"
        " of the picture. The id is made of the picture and the expression, so a record that stands in two files is one"
        " row and a reject. Pictures are COCO's; also read: https://github.com/kuoyang1999/refcocos-annotator.",
        quirks="`solution` is null where nothing fits the expression: rejected, since IoU with nothing is not defined.",
        walk=every_file,
        mend=_expression,
        id="{id}",
        question="{asked}",
        pictures=(("{image}",),),
        box="solution",
        size=("width", "height"),
    ),
    "screenspot": Records(
        about="ScreenSpot: where on a screenshot is the element that an instruction means?",
        row='{"bbox": [910, 78, 44, 34], "instruction": "close", "image": "pc_ede36f9b-….png", …}',
        splits=("test",),
        licence="Apache-2.0",
        source="https://github.com/njucckevin/SeeClick",
        notes="`bbox` is x, y, width, height; in the original files the picture is `img_filename`. The id is made of"
        " picture, instruction and box. The re-described records of https://github.com/OSU-NLP-Group/UGround (MIT) are"
        " read too. An evaluation set: keep it out of training.",
        walk=every_file,
        mend=_element,
        id="{id}",
        question="Which element is meant? {instruction}",
        box="bbox",
        box_format="xywh",
    ),
    "visual_genome": Records(
        about="Visual Genome's region descriptions: where is what a phrase describes?",
        row='{"id": 5, "regions": [{"region_id": 1, "image_id": 5, "phrase": "the red clock", "x": 2, "y": 3, …}]}',
        splits=("all",),
        licence="CC BY 4.0",
        source="https://homes.cs.washington.edu/~ranjay/visualgenome",
        seen=False,
        files=("region_descriptions.json",),
        walk=_regions,
        mend=_phrase,
        id="{region_id}",
        question="Where is this: {phrase}?",
        pictures=(tuple(f"{folder}{{image_id}}.jpg" for folder in ("VG_100K/", "VG_100K_2/", "images/", "")),),
        box="box",
        box_format="xywh",
    ),
}

CONVERTERS = tuple(of.converter(name, __name__) for name, of in SETS.items())
