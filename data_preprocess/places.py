"""Where is it? Expressions, phrases and instructions, answered with boxes (all of a class: `detection`)."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from mixed_r1_verl.data_preprocess.detection import read_size, sides_of, voc_box
from mixed_r1_verl.data_preprocess.records import Records, every_file

from mixed_r1_verl.data import DataError, RawFolder, Row, RowError
from mixed_r1_verl.data.fields import detokenise, number_list, short_hash, stem, text_field
from mixed_r1_verl.data.plain_pickle import read_plain_pickle

REFERENCES = ("refs(unc).p", "refs(umd).p", "refs(google).p", "grefs(unc).json")
_PHRASE = re.compile(r"\[/EN#(\d{1,12})/[^\s\]]{1,200} ([^\]]{1,500})\]")


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


def _references(of: Records, raw: RawFolder, split: str) -> Iterator[Row]:
    """One row for each sentence of each reference of the split, joined with the boxes and the size of its picture."""
    folder = of.files[0].removesuffix("instances.json") if raw.has(of.files[0]) else ""
    images, annotations = (
        {one["id"]: one for _, one in raw.json_rows(f"{folder}instances.json", key=key) if _numbered(one)}
        for key in ("images", "annotations")
    )
    name = raw.first_of(*(f"{folder}{name}" for name in REFERENCES))
    references = raw.json(name) if name.endswith(".json") else read_plain_pickle(raw.file(name))
    if not isinstance(references, list):
        raise DataError(f"{raw.root / name} holds a {type(references).__name__}, not a list of references")
    for number, reference in enumerate(references):
        value = reference if isinstance(reference, dict) else {"split": split}
        if value.get("split") != split:
            continue
        # One object is meant, or of gRefCOCO any number (-1 for none).
        meant = value.get("ann_id")
        meant = [one for one in meant if one != -1] if isinstance(meant, list) else [meant]
        image = images.get(value.get("image_id"), {})
        known: dict[str, Any] = {"NO_BOX": "[]"} if value.get("ann_id") == [-1] else {}
        known |= {"bbox": [annotations.get(one, {}).get("bbox") for one in meant]}
        known |= {key: image.get(key) for key in ("file_name", "width", "height")}
        for position, sentence in enumerate(value["sentences"] if isinstance(value.get("sentences"), list) else [None]):
            yield Row(f"{name}#{number}/{position}", sentence | known if isinstance(sentence, dict) else None)


def _numbered(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("id"), int)


def _sentence(value: dict[str, Any]) -> dict[str, Any]:
    return value | {"sent": text_field(value, "sent").rstrip(".")}


def _referring(title: str, dataset: str, splits: tuple[str, ...], source: str = "lichengunc/refer") -> Records:
    return Records(
        about=f"{title} in its original form: which objects does an expression mean?",
        row='{"ref_id": 0, "ann_id": 1719310, "image_id": 581857, "split": "train", "sentences":\n'
        ' [{"sent_id": 0, "sent": "the lady with the blue shirt", …}], …}',
        splits=splits,
        licence="Apache-2.0 (tools)",
        source=f"https://github.com/{source}",
        seen=False,
        files=tuple(f"{dataset}/{name}" for name in ("instances.json", *REFERENCES)),
        notes="Every sentence is one row, `bbox` its annotation's. Pictures are COCO train2014's.",
        quirks="the expressions are a pickle, which is read with everything but plain data refused; its `file_name`"
        " ends in the number of the annotation, so the picture's name is taken from instances.json.",
        walk=_references,
        mend=_sentence,
        id="{sent_id}",
        question="Where is {sent}?",
        pictures=(tuple(f"{folder}{{file_name}}" for folder in ("train2014/", "", "images/train2014/")),),
        box="bbox",
        box_format="xywh",
        many=True,
        size=("width", "height"),
    )


def _phrases(of: Records, raw: RawFolder, split: str) -> Iterator[Row]:
    """One row for each distinct phrase of each entity of each picture of the split."""
    top = "annotations/" if raw.has("annotations/Sentences") else ""
    for number in raw.text(f"{split}.txt").split():
        where = f"{top}Sentences/{number}.txt"
        try:
            root, text = raw.xml(f"{top}Annotations/{number}.xml"), raw.text(where)
        except (DataError, RowError) as error:
            yield Row(where, RowError("annotation", "unreadable", str(error)[:200]))
            continue
        width, height = read_size(root) or (None, None)
        for entity, words in dict.fromkeys((entity, detokenise(words)) for entity, words in _PHRASE.findall(text)):
            known = {"number": number, "entity": entity, "words": words, "width": width, "height": height}
            known["bndbox"] = [
                sides_of(box, ".")
                for element in root.iter("object")
                if entity in [(name.text or "").strip() for name in element.findall("name")]
                for box in element.findall("bndbox")
            ]
            if entity != "0":
                yield Row(f"{where}#{entity}/{words}", known)


def _entity(value: dict[str, Any]) -> dict[str, Any]:
    if not value["bndbox"]:
        raise RowError("bndbox", "no_box", "the phrase has no box: a scene, or nothing that can be boxed")
    words, boxes = value["words"], [list(voc_box(sides)[:4]) for sides in value["bndbox"]]
    return value | {"phrase": words[0].lower() + words[1:], "hash": short_hash(words), "bndbox": boxes}


SETS = {
    "refcoco": _referring("RefCOCO", "refcoco", ("train", "val", "testA", "testB")),
    "refcoco_plus": _referring("RefCOCO+", "refcoco+", ("train", "val", "testA", "testB")),
    "refcocog": _referring("RefCOCOg", "refcocog", ("train", "val", "test")),
    "grefcoco": replace(
        _referring("gRefCOCO", "grefcoco", ("train", "val", "testA", "testB"), "henghuiding/gRefCOCO"),
        notes="Every sentence is one row with the boxes of all that it means; `ann_id` -1, nothing, is the ground truth"
        " `[]`. Every question says how to answer then. Pictures are COCO train2014's.",
        question="Where is {sent}? Answer with [] if it is not in the picture.",
    ),
    "flickr30k_entities": Records(
        about="Flickr30k Entities: where in the picture is what a phrase of a caption means?",
        row="[/EN#137644/people A group of friends] playing [/EN#137645/other cards] and [/EN#0/notvisual that] …\n"
        "<object><name>137644</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>33</xmax><ymax>48</ymax></bndbox></object>",
        splits=("train", "val", "test"),
        licence="none stated; research and education",
        source="https://github.com/BryanPlummer/flickr30k_entities",
        seen=False,
        files=("{SPLIT}.txt", "[annotations/]Sentences/<n>.txt", "[annotations/]Annotations/<n>.xml"),
        notes="Every distinct phrase of an entity is one row, all boxes of the entity its answer. The mark-up of the"
        " sentences was tried on real ones.",
        quirks="entity 0 (`notvisual`) is nothing to be seen and gives no row; a phrase without a box (`nobndbox`,"
        " `scene`) is rejected; coordinates are taken as Pascal VOC's, 1-based and inclusive.",
        walk=_phrases,
        mend=_entity,
        id="{number}/{entity}/{hash}",
        question="Find {phrase} in the picture.",
        pictures=(tuple(f"{folder}{{number}}.jpg" for folder in ("flickr30k-images/", "", "images/")),),
        box="bndbox",
        many=True,
        size=("width", "height"),
    ),
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
        quirks="`solution` is null where nothing fits the expression: rejected, for no question says how"
        " to answer then.",
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
