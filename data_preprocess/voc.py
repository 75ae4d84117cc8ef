"""Pascal-VOC annotated pictures: one question a class and picture, answered with the boxes of all its objects.

Three converters share the format:

- `raccoon`: https://github.com/datitran/raccoon_dataset, MIT.
- `bccd`: https://github.com/Shenggan/BCCD_Dataset (blood cells), MIT.
- `voc`: any folder in the layout of Pascal VOC, under its own licence.

Raw layout, either of:

    <input>/[BCCD/]Annotations/<stem>.xml, JPEGImages/<filename>, ImageSets/Main/{split}.txt
    <input>/annotations/<stem>.xml, images/<filename>, data/{split}_labels.csv

Raw row (one file of a picture):

    <annotation><filename>raccoon-10.jpg</filename><path>/Users/somebody/raccoon-10.jpg</path>
      <size><width>450</width><height>495</height><depth>3</depth></size>
      <object><name>raccoon</name><difficult>0</difficult>
        <bndbox><xmin>130</xmin><ymin>2</ymin><xmax>446</xmax><ymax>488</ymax></bndbox></object></annotation>

What each field becomes: each distinct `name` of a picture is one row, "Find every <name> in the picture."; its boxes
are the ground truth. `filename` is the image, also without its ending, else the annotation's own name (`path` is a
path of the author's machine and is not used); `size` must have the shape of the picture. `split` `all` reads every
annotation; other splits read the list or the csv.

Quirks: coordinates are 1-based and inclusive, so (xmin, ymin, xmax, ymax) becomes the 0-based half-open box
[xmin - 1, ymin - 1, xmax, ymax]. A box of one pixel (a slip of the mouse) or a `difficult` object makes a question
about the whole set unanswerable, so the row is rejected.
"""

from collections.abc import Iterator
from functools import partial
from xml.etree import ElementTree

from mixed_r1_verl.data import Box, Converter, DataError, Example, RawFolder, Row, RowError
from mixed_r1_verl.data.fields import stem

SPLITS = ("all", "train", "val", "trainval", "test", "*")
# Class names of BCCD are abbreviations.
SPOKEN = {"WBC": "white blood cell (WBC)", "RBC": "red blood cell (RBC)", "Platelets": "platelet"}


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    """One row for each class of each picture of the split."""
    annotations, images = _folders(raw)
    for name in _annotation_names(raw, split, annotations):
        try:
            root = raw.xml(name)
            objects = [_object(element) for element in root.iter("object")]
        except RowError as error:
            yield Row(name, error)
            continue
        if not objects:
            yield Row(name, RowError("object", "missing", "the picture has no object"))
        for label in sorted({found["name"] for found in objects}):
            yield Row(
                f"{name}#{label}",
                {
                    "stem": stem(name),
                    "images": _spellings(images, _text(root, "filename"), stem(name)),
                    "size": read_size(root),
                    "label": label,
                    "objects": [found for found in objects if found["name"] == label],
                },
            )


def convert(row: Row) -> Example:
    data = row.data
    if not data["label"]:
        raise RowError("name", "empty")
    if any(found["difficult"] not in ("", "0") for found in data["objects"]):
        raise RowError("difficult", "ambiguous", "a difficult object may or may not be meant")
    name = SPOKEN.get(data["label"], data["label"].replace("_", " "))
    return Example(
        id=f"{data['stem']}/{data['label']}",
        question=f"Find every {name} in the picture.",
        reward="iou",
        images=(tuple(data["images"]),),
        boxes=tuple(voc_box(found) for found in data["objects"]),
        box_size=tuple(data["size"]) if data["size"] else None,
    )


def _spellings(folder: str, filename: str, own: str) -> list[str]:
    """Where the picture may lie: as it is named, with an ending, or under the name of its annotation."""
    names = [filename, *(f"{name}.{ending}" for name in (filename, own) if name for ending in ("jpg", "png", "jpeg"))]
    return [f"{folder}/{name}" for name in dict.fromkeys(names) if name]


def _folders(raw: RawFolder) -> tuple[str, str]:
    for annotations, images in (
        ("Annotations", "JPEGImages"),
        ("BCCD/Annotations", "BCCD/JPEGImages"),
        ("annotations", "images"),
    ):
        if raw.has(annotations) and raw.has(images):
            return annotations, images
    raise DataError(f"{raw.root} holds neither Annotations/ and JPEGImages/ nor annotations/ and images/")


def _annotation_names(raw: RawFolder, split: str, annotations: str) -> list[str]:
    if split == "all":
        return raw.glob(f"{annotations}/*.xml")
    listing = f"{annotations.rpartition('Annotations')[0]}ImageSets/Main/{split}.txt"
    labels = f"data/{split}_labels.csv"
    if raw.has(listing):
        stems = [line.split()[0] for _, line in raw.lines(listing) if line.strip()]
    elif raw.has(labels):
        stems = [stem(found.get("filename") or "") for _, found in raw.csv_rows(labels)]
    else:
        raise DataError(f"{raw.root} has neither {listing} nor {labels}; use --split all")
    return [f"{annotations}/{found}.xml" for found in dict.fromkeys(stems)]


def _text(element: ElementTree.Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _object(element: ElementTree.Element) -> dict[str, str]:
    return {
        "name": _text(element, "name"),
        "difficult": _text(element, "difficult"),
        **{side: _text(element, f"bndbox/{side}") for side in ("xmin", "ymin", "xmax", "ymax")},
    }


def read_size(root: ElementTree.Element) -> list[int] | None:
    """Width and height of the picture as an annotation states them; None where it does not."""
    sides = [_text(root, "size/width"), _text(root, "size/height")]
    size = [int(side) for side in sides if side.isascii() and side.isdigit() and len(side) < 10]
    return size if len(size) == 2 and min(size) > 0 else None


def voc_box(found: dict[str, str]) -> Box:
    """A 1-based inclusive box as a 0-based half-open one.

    Raises:
        RowError: `not_a_number` or `no_area`.
    """
    try:
        xmin, ymin, xmax, ymax = (float(found[side]) for side in ("xmin", "ymin", "xmax", "ymax"))
    except ValueError:
        raise RowError("bndbox", "not_a_number", str(found)[:120]) from None
    if xmax < xmin or ymax < ymin or (xmax == xmin and ymax == ymin):
        raise RowError("bndbox", "no_area", f"{[xmin, ymin, xmax, ymax]}")
    return Box(xmin - 1, ymin - 1, xmax, ymax)


_voc = partial(Converter, rows=rows, convert=convert, splits=SPLITS)

CONVERTERS = (
    _voc(name="raccoon", licence="MIT", source="https://github.com/datitran/raccoon_dataset"),
    _voc(name="bccd", licence="MIT", source="https://github.com/Shenggan/BCCD_Dataset"),
    _voc(name="voc", licence="that of the data", source="any folder in the layout of Pascal VOC"),
)
