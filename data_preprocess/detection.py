"""Find every … in the picture: boxes of all objects of a class, in the formats of COCO and Pascal VOC."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any
from xml.etree import ElementTree

from mixed_r1_verl.data_preprocess.records import Records

from mixed_r1_verl.data import Box, DataError, RawFolder, Row, RowError
from mixed_r1_verl.data.fields import number_list, scalar_text, stem, text_field

LEAST_AREA = 32.0
# Class names of BCCD are abbreviations.
SPOKEN = {"WBC": "white blood cell (WBC)", "RBC": "red blood cell (RBC)", "Platelets": "platelet"}


def _coco_rows(of: Records, raw: RawFolder, split: str, *, labels: bool = False) -> Iterator[Row]:
    """One row for each category of each picture, or one for each picture, in the order of the pictures."""
    name = raw.only or raw.first_of(*of.names_in(split))
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
            kept = {key: one.get(key) for key in ("bbox", "iscrowd")}
            own[one["category_id"]].append(kept | {"name": names.get(one["category_id"])})
        groups = [(f"/{category}", [category], found) for category, found in sorted(own.items())]
        if labels and own:
            groups = [("", sorted(own), [one for _, _, found in groups for one in found])]
        for suffix, categories, found in groups:
            known = {key: value.get(key) for key in ("id", "width", "height", "not_exhaustive_category_ids")}
            known |= {"suffix": suffix, "categories": categories, "objects": found, "file_name": image_name(value)}
            yield Row(where + suffix, known)


def annotations_of(raw: RawFolder, name: str, *also: str) -> dict[Any, list[Any]]:
    """The annotations of each picture of a file of COCO; every one must name it, and have the numbers `also`."""
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


def _coco_objects(value: dict[str, Any]) -> dict[str, Any]:
    names = list(dict.fromkeys(text_field(found, "name") for found in value["objects"]))
    if any(found["iscrowd"] for found in value["objects"]):
        raise RowError("iscrowd", "ambiguous", "a crowd stands for an unknown number of objects")
    if set(value["categories"]) & set(value["not_exhaustive_category_ids"] or ()):
        raise RowError("not_exhaustive_category_ids", "ambiguous", "not every object of the category has a box")
    asked = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    boxes = [_coco_box(found) for found in value["objects"]]
    return value | {"id": scalar_text(value, "id") + value["suffix"], "asked": asked, "boxes": boxes}


def _coco_box(found: dict[str, Any]) -> Box:
    x, y, width, height = number_list(found, "bbox", 4)
    if width <= 0 or height <= 0:
        raise RowError("bbox", "no_area", str(found["bbox"]))
    if width * height < LEAST_AREA:
        raise RowError("bbox", "too_small", f"{width * height:.1f} square pixels")
    return Box(x, y, x + width, y + height, found["name"])


def _voc_rows(of: Records, raw: RawFolder, split: str) -> Iterator[Row]:
    """One row for each class of each picture of the split."""
    annotations, images = _folders(raw)
    for name in _annotation_names(raw, split, annotations):
        try:
            root = raw.xml(name)
        except RowError as error:
            yield Row(name, error)
            continue
        objects = [_object(element) for element in root.iter("object")]
        if not objects:
            yield Row(name, RowError("object", "missing", "the picture has no object"))
        own, filename = stem(name), _text(root, "filename")
        endings = (f"{one}.{ending}" for one in (filename, own) if one for ending in ("jpg", "png", "jpeg"))
        spellings = [f"{images}/{one}" for one in dict.fromkeys([filename, *endings]) if one]
        width, height = read_size(root) or (None, None)
        for label in sorted({found["name"] for found in objects}):
            known = {"stem": own, "label": label, "images": spellings, "width": width, "height": height}
            yield Row(f"{name}#{label}", known | {"objects": [found for found in objects if found["name"] == label]})


def _voc_objects(value: dict[str, Any]) -> dict[str, Any]:
    label = text_field({"name": value["label"]}, "name")
    if any(found["difficult"] not in ("", "0") for found in value["objects"]):
        raise RowError("difficult", "ambiguous", "a difficult object may or may not be meant")
    boxes = [voc_box(found) for found in value["objects"]]
    asked = SPOKEN.get(label, label.replace("_", " "))
    return value | {"asked": asked, "boxes": boxes, "images": [tuple(value["images"])]}


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
        **sides_of(element, "bndbox"),
    }


def sides_of(element: ElementTree.Element, path: str) -> dict[str, str]:
    """The texts of a box's four sides."""
    return {side: _text(element, f"{path}/{side}") for side in ("xmin", "ymin", "xmax", "ymax")}


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


COCO = Records(
    about="Detection in COCO's format (COCO, LVIS, Objects365, CVAT, Roboflow): `coco_detection` makes a row of each"
    " category of a picture, `coco_labels` one of each picture, whose boxes have labels.",
    row='{"file_name": "000000349860.jpg", "height": 426, "width": 640, "id": 349860, …} (of `images`)\n'
    '{"bbox": [341, 279.5, 17.7, 35.9], "iscrowd": 0, "image_id": 530836, "category_id": 44} (of `annotations`)\n'
    '{"id": 44, "name": "bottle", "supercategory": "kitchen"} (of `categories`)',
    splits=("train2017", "val2017", "train2014", "val2014", "*"),
    licence="CC BY 4.0 (annotations)",
    source="https://cocodataset.org",
    files=(
        *("annotations/instances_{SPLIT}.json", "instances_{SPLIT}.json", "{SPLIT}/_annotations.coco.json"),
        *("annotations/{SPLIT}.json", "annotations/lvis_v1_{SPLIT}.json", "lvis_v1_{SPLIT}.json"),
        *("annotations/zhiyuan_objv2_{SPLIT}.json", "zhiyuan_objv2_{SPLIT}.json"),
    ),
    notes="Any split name, or one file as --input. `bbox` (x, y, width, height; 0-based) becomes corners. The id is"
    " `<image id>/<category id>`, for `coco_labels` the image id. Pictures are under the terms of Flickr.",
    quirks="a crowd region (`iscrowd`) stands for an unknown number of objects, and objects under 32 square pixels"
    " cannot be boxed by IoU: rows with either are rejected, and so are categories of LVIS that are not"
    " exhaustive in a picture. Pictures without an object give no row.",
    walk=_coco_rows,
    mend=_coco_objects,
    id="{id}",
    question="Find every {asked} in the picture.",
    pictures=(("{SPLIT}/{file_name}", "{file_name}", "images/{file_name}", "images/{SPLIT}/{file_name}"),),
    box="boxes",
    many=True,
    size=("width", "height"),
)
VOC = Records(
    about="Pascal-VOC annotated pictures: one question a class and picture, answered with all its boxes.",
    row="<annotation><filename>raccoon-10.jpg</filename><size><width>450</width><height>495</height></size>\n"
    "<object><name>raccoon</name><difficult>0</difficult>\n"
    "<bndbox><xmin>130</xmin><ymin>2</ymin><xmax>446</xmax><ymax>488</ymax></bndbox></object></annotation>",
    splits=("all", "train", "val", "trainval", "test", "*"),
    licence="that of the data",
    source="any folder in the layout of Pascal VOC",
    files=(
        "[BCCD/]Annotations/<stem>.xml, JPEGImages/<filename>, ImageSets/Main/{SPLIT}.txt",
        "annotations/<stem>.xml, images/<filename>, data/{SPLIT}_labels.csv",
    ),
    notes="`filename` is the image, also without its ending, else the annotation's own name (`path` is a path of the"
    " author's machine and is not used); `size` must have the shape of the picture. The split `all` reads every"
    " annotation; others read the list or the csv.",
    quirks="coordinates are 1-based and inclusive, so (xmin, ymin, xmax, ymax) becomes the 0-based half-open box"
    " [xmin - 1, ymin - 1, xmax, ymax]. A box of one pixel (a slip of the mouse) or a `difficult` object makes a"
    " question about the whole set unanswerable, so the row is rejected.",
    walk=_voc_rows,
    mend=_voc_objects,
    id="{stem}/{label}",
    question="Find every {asked} in the picture.",
    pictures=(),
    more="images",
    box="boxes",
    many=True,
    size=("width", "height"),
)
SETS = {
    "coco_detection": COCO,
    "coco_labels": replace(COCO, walk=partial(_coco_rows, labels=True)),
    "raccoon": replace(VOC, licence="MIT", source="https://github.com/datitran/raccoon_dataset"),
    "bccd": replace(VOC, licence="MIT", source="https://github.com/Shenggan/BCCD_Dataset"),
    "voc": VOC,
}

CONVERTERS = tuple(of.converter(name, __name__) for name, of in SETS.items())
