"""Pascal VOC: 1-based boxes, sets of boxes, faults of real annotation files."""

import pytest

BOXES = "Answer with a JSON list of boxes [[x1,y1,x2,y2]]."


def thing(name: str, *corners: object, difficult: str = "0") -> str:
    sides = "".join(f"<{k}>{v}</{k}>" for k, v in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True))
    return f"<object><name>{name}</name><difficult>{difficult}</difficult><bndbox>{sides}</bndbox></object>"


def annotation(*objects: str, size: tuple[int, int] = (40, 20), filename: str = "a.jpg") -> str:
    return (
        f"<annotation><filename>{filename}</filename><path>/Users/somebody/{filename}</path><size>"
        f"<width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>{''.join(objects)}</annotation>"
    )


@pytest.fixture
def voc(tmp_path, picture):
    root = tmp_path / "raw" / "BCCD"
    (root / "Annotations").mkdir(parents=True)
    (root / "ImageSets" / "Main").mkdir(parents=True)
    root.joinpath("data").mkdir()

    def write(**files: str):
        for name, text in files.items():
            (root / "Annotations" / f"{name}.xml").write_text(text)
        return root.parent

    write.data = picture(root / "JPEGImages" / "a.jpg")
    write.main = root / "ImageSets" / "Main"
    return write


def test_one_row_a_class(voc, convert, expected):
    root = voc(a=annotation(thing("RBC", 1, 1, 40, 20), thing("WBC", 3, 4, 10, 12), thing("RBC", 5, 5, 9, 9)))
    cell = {"bytes": voc.data, "path": "BCCD/JPEGImages/a.jpg"}
    rbc, wbc = (f"Find every {name} in the picture." for name in ("red blood cell (RBC)", "white blood cell (WBC)"))
    assert convert("bccd", root, "all").rows == [
        expected("bccd", "all", "a/RBC", 0, "iou", rbc, "[[0,0,40,20],[4,4,9,9]]", BOXES, images=[cell]),
        expected("bccd", "all", "a/WBC", 1, "iou", wbc, "[[2,3,10,12]]", BOXES, images=[cell]),
    ]


@pytest.mark.parametrize(
    ("text", "field", "reason"),
    [
        (annotation(thing("x", 7, 7, 7, 7)), "bndbox", "no_area"),
        (annotation(thing("x", 9, 1, 3, 5)), "bndbox", "no_area"),
        (annotation(thing("x", 1, 1, 99, 20)), "boxes", "outside_image"),
        (annotation(thing("x", 1, 1, "wide", 20)), "bndbox", "not_a_number"),
        (annotation(thing("x", 1, 1, "nan", 20)), "boxes", "not_finite"),
        (annotation(thing("x", 1, 1, 9, 9, difficult="1")), "difficult", "ambiguous"),
        (annotation(thing("", 1, 1, 9, 9)), "name", "empty"),
        (annotation(thing("x", 1, 1, 9, 9), size=(20, 40)), "boxes", "size_mismatch"),
        (annotation(thing("x", 1, 1, 9, 9), filename="b.jpg"), "image", "image_missing"),
        (annotation(thing("x", 1, 1, 9, 9), filename="../../../b.jpg"), "image", "path_escape"),
        (annotation(), "object", "missing"),
        ("<annotation>", "xml", "bad_xml"),
    ],
)
def test_faulty_annotations(voc, convert, text, field, reason):
    result = convert("voc", voc(a=annotation(thing("good", 1, 1, 9, 9)), b=text), "all")
    assert [reject[2:] for reject in result.rejects] == [(field, reason)]
    assert [row["extra_info"]["id"] for row in result.rows] == ["voc/all/a/good"]


@pytest.mark.parametrize("filename", ["a", "", "wrong_name.jpg"])
def test_pictures_named_without_ending_or_wrongly(voc, convert, filename):
    result = convert("voc", voc(a=annotation(thing("x", 1, 1, 9, 9), filename=filename)), "all")
    assert [row["images"][0]["path"] for row in result.rows] == ["BCCD/JPEGImages/a.jpg"]


def test_size_not_stated(voc, convert):
    result = convert("voc", voc(a=annotation(thing("x", 1, 1, 9, 9), size=(0, 0))), "all")
    assert len(result.rows) == 1


def test_splits_by_list(voc, convert):
    root = voc(a=annotation(thing("x", 1, 1, 9, 9)), b=annotation(thing("y", 1, 1, 9, 9)))
    (voc.main / "val.txt").write_text("b\n\n")
    assert [row["extra_info"]["id"] for row in convert("voc", root, "val").rows] == ["voc/val/b/y"]


def test_splits_by_csv(tmp_path, convert, picture):
    root = tmp_path / "raw"
    picture(root / "images" / "a.jpg")
    (root / "annotations").mkdir()
    (root / "data").mkdir()
    (root / "annotations" / "a.xml").write_text(annotation(thing("raccoon", 2, 2, 9, 9)))
    (root / "annotations" / "b.xml").write_text(annotation(thing("raccoon", 2, 2, 9, 9)))
    (root / "data" / "test_labels.csv").write_text("filename,width\na.jpg,40\na.jpg,40\n")
    result = convert("raccoon", root, "test")
    assert [row["extra_info"]["id"] for row in result.rows] == ["raccoon/test/a/raccoon"]
