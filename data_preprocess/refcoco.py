"""RefCOCO, RefCOCO+, RefCOCOg and gRefCOCO in their original form: which objects does an expression mean?

Source: https://github.com/lichengunc/refer, https://github.com/henghuiding/gRefCOCO. Licence: Apache-2.0 (the tools);
pictures are COCO train2014's. The layout and the row are taken from the public description; no raw sample was at hand.

Raw layout (one folder a dataset; pictures may lie elsewhere: name that folder with `--image-root`):

    <input>/[{refcoco,refcoco+,refcocog,grefcoco}/]instances.json
    <input>/[{refcoco,refcoco+,refcocog,grefcoco}/]refs(unc).p or refs(umd).p or refs(google).p or grefs(unc).json
    <image root>/[train2014/]COCO_train2014_<image id, 12 digits>.jpg

Raw row (a member of the pickled list; joined with `annotations` and `images` of instances.json by their ids):

    {"ref_id": 0, "ann_id": 1719310, "image_id": 581857, "category_id": 1, "split": "train",
     "file_name": "COCO_train2014_000000581857_16.jpg", "sent_ids": [0, 1],
     "sentences": [{"sent_id": 0, "sent": "the lady with the blue shirt", "raw": "THE LADY WITH …", "tokens": [ … ]}]}

What each field becomes: every sentence is one row, "Where is <sent>?"; `bbox` (x, y, width, height) of the annotation
becomes corners; `sent_id` is the id; `split` says which rows `--split` takes.

Quirks: the expressions are a pickle, which is read with everything but plain data refused (`read_plain_pickle`); its
`file_name` ends in the number of the annotation, so the picture's name is taken from instances.json. gRefCOCO's
expressions without a target are rejected, since IoU with nothing is not defined.
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

from mixed_r1_verl.data import Converter, DataError, Example, RawFolder, Row, RowError
from mixed_r1_verl.data.fields import number_list, record, scalar_text, text_field
from mixed_r1_verl.data.plain_pickle import read_plain_pickle

REFERENCES = ("refs(unc).p", "refs(umd).p", "refs(google).p", "grefs(unc).json")


def rows(raw: RawFolder, split: str, *, dataset: str) -> Iterator[Row]:
    """One row for each sentence of each reference of the split."""
    folder = f"{dataset}/" if raw.has(f"{dataset}/instances.json") else ""
    tables = {
        key: {value.get("id"): value for _, value in raw.json_rows(f"{folder}instances.json", key=key) if _named(value)}
        for key in ("images", "annotations")
    }
    name = raw.first_of(*(f"{folder}{name}" for name in REFERENCES))
    references = raw.json(name) if name.endswith(".json") else read_plain_pickle(raw.file(name))
    if not isinstance(references, list):
        raise DataError(f"{raw.root / name} holds a {type(references).__name__}, not a list of references")
    for number, reference in enumerate(references):
        if isinstance(reference, dict) and reference.get("split") != split:
            continue
        value = reference if isinstance(reference, dict) else {}
        sentences = value.get("sentences") if isinstance(value.get("sentences"), list) else [None]
        image = tables["images"].get(value.get("image_id"), {})
        file = str(image.get("file_name"))
        data = {
            "boxes": [tables["annotations"].get(one, {}).get("bbox") for one in _ids(value)],
            "size": [image.get("width"), image.get("height")],
            "image": [f"{folder}{file}" for folder in ("train2014/", "", "images/train2014/")],
        }
        for position, sentence in enumerate(sentences):
            kept = {key: sentence.get(key) for key in ("sent_id", "sent")} if isinstance(sentence, dict) else None
            yield Row(f"{name}#{number}/{position}", data | {"sentence": kept})


def convert(row: Row) -> Example:
    sentence = record(row.data["sentence"])
    if not row.data["boxes"]:
        raise RowError("ann_id", "no_target", "nothing in the picture fits the expression")
    boxes = [number_list({"bbox": box}, "bbox", 4) for box in row.data["boxes"]]
    size = tuple(row.data["size"])
    return Example(
        id=scalar_text(sentence, "sent_id"),
        question=f"Where is {text_field(sentence, 'sent').rstrip('.')}?",
        reward="iou",
        images=(tuple(row.data["image"]),),
        boxes=tuple((x, y, x + width, y + height) for x, y, width, height in boxes),
        box_size=size if all(isinstance(side, int) for side in size) else None,  # type: ignore[arg-type]
    )


def _ids(value: dict[str, Any]) -> list[Any]:
    """Ids of the objects that are meant: one, or of gRefCOCO any number (-1 for none)."""
    found = value.get("ann_id")
    return [one for one in found if one != -1] if isinstance(found, list) else [found]


def _named(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("id"), int)


def _converter(name: str, dataset: str, splits: tuple[str, ...]) -> Converter:
    source = "https://github.com/lichengunc/refer"
    return Converter(name, partial(rows, dataset=dataset), convert, splits, "Apache-2.0 (tools)", source)


CONVERTERS = (
    _converter("refcoco", "refcoco", ("train", "val", "testA", "testB")),
    _converter("refcoco_plus", "refcoco+", ("train", "val", "testA", "testB")),
    _converter("refcocog", "refcocog", ("train", "val", "test")),
    _converter("grefcoco", "grefcoco", ("train", "val", "testA", "testB")),
)
