"""COCO detection: x, y, width, height; crowds; tiny things; pictures without objects."""

import pytest


def test_one_row_a_category(tmp_path, convert, picture, expected, write_json):
    root = tmp_path / "raw"
    data = picture(root / "val2017" / "7.jpg")

    def thing(category: int, bbox: object, crowd: int = 0, image: int = 7) -> dict:
        return {"image_id": image, "category_id": category, "bbox": bbox, "iscrowd": crowd, "id": 1}

    write_json(
        root / "annotations" / "instances_val2017.json",
        {
            "categories": [{"id": i, "name": f"thing {i}"} for i in (1, 3, 44, 50, 60, 61)],
            "images": [
                {"id": 7, "file_name": "7.jpg", "width": 40, "height": 20},
                {"id": 8, "file_name": "8.jpg", "width": 40, "height": 20},
                {"id": 9, "file_name": "9.jpg", "width": 40, "height": 20},
            ],
            "annotations": [
                thing(44, [10.25, 2, 20.5, 18]),
                thing(3, [0, 0, 40, 20]),
                thing(44, [0, 0, 8, 8]),
                thing(1, [0, 0, 9, 9], crowd=1),
                thing(50, [0, 0, 5, 5]),
                thing(60, [0, 0, 90, 9]),
                thing(61, [0, 0, 9]),
                thing(99, [0, 0, 9, 9]),
                thing(3, [0, 0, 9, 9], image=8),
            ],
        },
    )
    result = convert("coco_detection", root, "val2017")
    boxes = "Answer with a JSON list of boxes [[x1,y1,x2,y2]]."
    cell = {"bytes": data, "path": "val2017/7.jpg"}

    def row(category: int, index: int, truth: str) -> dict:
        question = f"Find every thing {category} in the picture."
        return expected(
            "coco_detection", "val2017", f"7/{category}", index, "iou", question, truth, boxes, images=[cell]
        )

    assert result.rows == [row(3, 1, "[[0,0,40,20]]"), row(44, 2, "[[10.25,2,30.75,20],[0,0,8,8]]")]
    assert [(r[0].rpartition("#")[2], *r[2:]) for r in result.rejects] == [
        ("0/1", "iscrowd", "ambiguous"),
        ("0/50", "bbox", "too_small"),
        ("0/60", "boxes", "outside_image"),
        ("0/61", "bbox", "wrong_length"),
        ("0/99", "name", "missing"),
        ("1/3", "image", "image_missing"),
    ]


def made(**image) -> dict:
    return {
        "categories": [{"id": 0, "name": "cat"}, {"id": 1, "name": "dog"}],
        "images": [{"id": 7, "width": 40, "height": 20, **image}],
        "annotations": [
            {"image_id": 7, "category_id": 0, "bbox": [0, 0, 10, 10]},
            {"image_id": 7, "category_id": 1, "bbox": [10, 0, 10, 10]},
        ],
    }


@pytest.mark.parametrize(
    ("split", "file", "image", "name"),
    [
        ("default", "annotations/instances_default.json", "images/a.jpg", "a.jpg"),  # CVAT
        ("valid", "valid/_annotations.coco.json", "valid/a.jpg", "a.jpg"),  # Roboflow
        ("train", "annotations/zhiyuan_objv2_train.json", "images/v1/patch0/a.jpg", "images/v1/patch0/a.jpg"),
    ],
)
def test_other_tools_layouts(tmp_path, convert, picture, write_json, split, file, image, name):
    picture(tmp_path / "raw" / image)
    write_json(tmp_path / "raw" / file, made(file_name=name))
    rows = convert("coco_detection", tmp_path / "raw", split).rows
    assert [row["reward_model"]["ground_truth"] for row in rows] == ["[[0,0,10,10]]", "[[10,0,20,10]]"]


def test_lvis_and_labels(tmp_path, convert, picture, write_json):
    """LVIS names pictures by URL, and categories of which not every object has a box."""
    root = tmp_path / "raw"
    picture(root / "train2017" / "7.jpg")
    url = "http://images.cocodataset.org/train2017/7.jpg"
    write_json(root / "lvis_v1_train.json", made(coco_url=url, not_exhaustive_category_ids=[1]))
    result = convert("coco_detection", root, "train")
    assert [row["extra_info"]["id"] for row in result.rows] == ["coco_detection/train/7/0"]
    assert [reject[2:] for reject in result.rejects] == [("not_exhaustive_category_ids", "ambiguous")]
    write_json(root / "lvis_v1_train.json", made(coco_url=url))
    (row,) = convert("coco_labels", root, "train").rows
    assert row["extra_info"]["question"] == "Find every cat and dog in the picture."
    assert row["reward_model"]["ground_truth"] == (
        '[{"bbox_2d":[0,0,10,10],"label":"cat"},{"bbox_2d":[10,0,20,10],"label":"dog"}]'
    )
    assert '{"bbox_2d": [x1,y1,x2,y2], "label": "name"}' in row["prompt"][0]["content"]
