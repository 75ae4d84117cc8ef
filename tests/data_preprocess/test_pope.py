"""POPE."""


def test_splits_share_ids(tmp_path, convert, picture, expected, write_json):
    root, images = tmp_path / "raw", tmp_path / "val2014"
    data = picture(images / "COCO_val2014_000000000007.jpg")
    for split, label in (("random", "yes"), ("popular", "No")):
        record = {
            "question_id": 7,
            "image": "COCO_val2014_000000000007.jpg",
            "text": "Is there a truck?",
            "label": label,
        }
        path = root / "output" / "coco" / f"coco_pope_{split}.jsonl"
        write_json(path, [record])
        path.rename(path.with_suffix(".json"))
    for split, truth in (("random", "yes"), ("popular", "no")):
        cell = {"bytes": data, "path": "COCO_val2014_000000000007.jpg"}
        assert convert("pope", root, split, image_root=images).rows == [
            expected(
                "pope", split, "7", 0, "matching", "Is there a truck?", truth, "Answer with yes or no.", images=[cell]
            )
        ]
