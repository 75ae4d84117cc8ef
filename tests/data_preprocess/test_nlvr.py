"""NLVR: one of six pictures; NLVR2: two pictures."""

TRUE_FALSE = "Answer with true or false."


def test_nlvr(tmp_path, convert, picture, expected, write_json):
    root = tmp_path / "raw"
    data = picture(root / "nlvr" / "dev" / "images" / "4" / "dev-40-2-0.png")
    record = {"sentence": "there is a tower", "label": "false", "identifier": "40-2", "directory": "4", "evals": {}}
    path = root / "nlvr" / "dev" / "dev.jsonl"
    write_json(path, [record, record, {**record, "identifier": "41-0"}, {**record, "label": None}])
    path.rename(path.with_suffix(".json"))
    result = convert("nlvr", root, "dev")
    question = "Is this true of the picture? there is a tower"
    cell = {"bytes": data, "path": "nlvr/dev/images/4/dev-40-2-0.png"}
    assert result.rows == [expected("nlvr", "dev", "40-2", 0, "matching", question, "false", TRUE_FALSE, images=[cell])]
    assert [r[2:] for r in result.rejects] == [
        ("id", "duplicate_id"),
        ("image", "image_missing"),
        ("label", "missing"),
    ]


def test_nlvr2(tmp_path, convert, picture, expected, write_json):
    root = tmp_path / "raw"
    cells = [
        {"bytes": picture(root / "images" / "dev" / name, size), "path": f"images/dev/{name}"}
        for name, size in (("dev-1-0-img0.png", (40, 20)), ("dev-1-0-img1.png", (30, 30)))
    ]
    record = {"sentence": "Both are red.", "label": "True", "identifier": "dev-1-0-3", "left_url": "http://x/y.jpg"}
    path = root / "data" / "dev.jsonl"
    write_json(path, [record, {**record, "identifier": "dev-2-0-0"}, {**record, "identifier": 5}])
    path.write_text(path.read_text() + "\n{broken")
    path.rename(path.with_suffix(".json"))
    result = convert("nlvr2", root, "dev")
    question = "Is this true of the two pictures? Both are red."
    assert result.rows == [
        expected("nlvr2", "dev", "dev-1-0-3", 0, "matching", question, "true", TRUE_FALSE, images=cells)
    ]
    assert [r[2:] for r in result.rejects] == [
        ("image", "image_missing"),
        ("identifier", "not_text"),
        ("record", "bad_json"),
    ]


def test_nlvr2_training_pictures_stand_in_folders(tmp_path, convert, picture, write_json):
    root, images = tmp_path / "raw", tmp_path / "pictures"
    for side in "01":
        picture(images / "train" / "54" / f"train-1-0-img{side}.png")
    record = {"sentence": "Both.", "label": "False", "identifier": "train-1-0-1", "directory": 54}
    path = root / "train.jsonl"
    write_json(path, [record])
    path.rename(path.with_suffix(".json"))
    (row,) = convert("nlvr2", root, "train", image_root=images).rows
    assert [cell["path"] for cell in row["images"]] == [f"train/54/train-1-0-img{side}.png" for side in "01"]
