"""Flickr30k Entities: where in the picture is what a phrase of a caption means?

Source: https://github.com/BryanPlummer/flickr30k_entities (`annotations.zip`). Licence: none stated; pictures are
Flickr30k's, for non-commercial research and education. The mark-up of the sentences was tried on real ones; the layout
of the annotations is taken from the public description, for no raw sample was at hand.

Raw layout (pictures may lie elsewhere: name that folder with `--image-root`):

    <input>/{train,val,test}.txt            numbers of the pictures, one a line
    <input>/[annotations/]Sentences/<n>.txt  five lines with marked phrases
    <input>/[annotations/]Annotations/<n>.xml
    <input>/[flickr30k-images/]<n>.jpg

Raw row (a sentence, and an object of the annotation, which may have several names):

    [/EN#137644/people A group of friends] playing [/EN#137645/other cards] and … [/EN#0/notvisual each other] …
    <object><name>137644</name><bndbox><xmin>1</xmin><ymin>20</ymin><xmax>330</xmax><ymax>480</ymax></bndbox></object>
    <object><name>137650</name><nobndbox>1</nobndbox></object>

What each part becomes: every distinct phrase of an entity is one row, "Find <phrase> in the picture."; all boxes of the
entity are the ground truth. `<n>/<entity>/<hash of the phrase>` is the id.

Quirks: entity 0 (`notvisual`) is nothing to be seen and gives no row; a phrase without a box (`nobndbox`, `scene`) is
rejected; coordinates are taken as Pascal VOC's, 1-based and inclusive.
"""

import re
from collections.abc import Iterator
from xml.etree import ElementTree

from mixed_r1_verl.data_preprocess.voc import read_size, voc_box

from mixed_r1_verl.data import Converter, DataError, Example, RawFolder, Row, RowError
from mixed_r1_verl.data.fields import detokenise, short_hash

_PHRASE = re.compile(r"\[/EN#(\d{1,12})/[^\s\]]{1,200} ([^\]]{1,500})\]")


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    """One row for each distinct phrase of each entity of each picture of the split."""
    top = "annotations/" if raw.has("annotations/Sentences") else ""
    for number in raw.text(f"{split}.txt").split():
        where = f"{top}Sentences/{number}.txt"
        try:
            root = raw.xml(f"{top}Annotations/{number}.xml")
            text = raw.text(where)
        except (DataError, RowError) as error:
            yield Row(where, RowError("annotation", "unreadable", str(error)[:200]))
            continue
        found = dict.fromkeys((entity, detokenise(words)) for entity, words in _PHRASE.findall(text) if entity != "0")
        image = [f"{folder}{number}.jpg" for folder in ("flickr30k-images/", "", "images/")]
        for entity, words in found:
            data = {"number": number, "entity": entity, "phrase": words, "image": image, "size": read_size(root)}
            yield Row(f"{where}#{entity}/{words}", data | {"boxes": _sides(root, entity)})


def convert(row: Row) -> Example:
    data = row.data
    if not data["boxes"]:
        raise RowError("bndbox", "no_box", "the phrase has no box: a scene, or nothing that can be boxed")
    return Example(
        id=f"{data['number']}/{data['entity']}/{short_hash(data['phrase'])}",
        question=f"Find {data['phrase'][0].lower()}{data['phrase'][1:]} in the picture.",
        reward="iou",
        images=(tuple(data["image"]),),
        boxes=tuple(voc_box(sides) for sides in data["boxes"]),
        box_size=tuple(data["size"]) if data["size"] else None,
    )


def _sides(root: ElementTree.Element, entity: str) -> list[dict[str, str]]:
    return [
        {side: (box.findtext(side) or "").strip() for side in ("xmin", "ymin", "xmax", "ymax")}
        for element in root.iter("object")
        if entity in [(name.text or "").strip() for name in element.findall("name")]
        for box in element.findall("bndbox")
    ]


CONVERTERS = (
    Converter(
        "flickr30k_entities",
        rows,
        convert,
        ("train", "val", "test"),
        "none stated; research and education",
        "https://github.com/BryanPlummer/flickr30k_entities",
    ),
)
