"""COCO captions: two lists joined, pictures elsewhere."""

import json

DESCRIBE = "Describe the picture in one sentence."


def test_captions_are_gathered_in_order(tmp_path, convert, picture, expected, write_json):
    root, images = tmp_path / "raw", tmp_path / "pictures"
    data = picture(images / "val2017" / "000000000007.jpg", mode="L")
    write_json(
        root / "annotations" / "captions_val2017.json",
        {
            "images": [{"id": 7, "file_name": "000000000007.jpg"}, {"id": 8, "file_name": "8.jpg"}, {"id": 9}, 5],
            "annotations": [
                {"image_id": 7, "id": 30, "caption": "A  cat\nsits. "},
                {"image_id": 7, "id": 4, "caption": "Ein Kätzchen"},
                {"image_id": 7, "id": 31, "caption": "A cat sits."},
                {"image_id": 9, "id": 32, "caption": "No name."},
                {"image_id": 8, "id": 33, "caption": "No picture."},
            ],
        },
    )
    result = convert("coco_captions", root, "val2017", image_root=images)
    truth = json.dumps(["Ein Kätzchen", "A cat sits."], ensure_ascii=False)
    cell = {"bytes": data, "path": "val2017/000000000007.jpg"}
    assert result.rows == [
        expected(
            "coco_captions",
            "val2017",
            "7",
            0,
            "open_ended",
            DESCRIBE,
            truth,
            "Answer with a description.",
            images=[cell],
        )
    ]
    assert [reject[2:] for reject in result.rejects] == [
        ("image", "image_missing"),
        ("file_name", "missing"),
        ("record", "not_an_object"),
    ]
