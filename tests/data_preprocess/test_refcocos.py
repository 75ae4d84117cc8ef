"""VLM-R1's referring-expression JSON, and ScreenSpot."""

from mixed_r1_verl.data.fields import short_hash

BOXES = "Answer with a JSON list of boxes [[x1,y1,x2,y2]]."


def test_expressions_and_empty_cases(tmp_path, convert, picture, expected, write_json):
    root, images = tmp_path / "raw", tmp_path / "coco"
    data = picture(images / "val2017" / "7.jpg")
    record = {
        "image": "val2017/7.jpg",
        "problem": "Please provide the box of: the cat.",
        "normal_caption": "the cat.",
        "solution": [3.0, 2, 19.5, 18],
        "width": 40,
        "height": 20,
    }
    write_json(root / "a.json", [record, {**record, "solution": None}, {**record, "solution": [1, 2, 3]}])
    bare = {key: value for key, value in record.items() if key not in ("normal_caption", "width", "height")}
    write_json(root / "b.jsonl", [record, bare, {**record, "normal_caption": "the dog", "width": 400}])
    result = convert("refcocos", root, "test", image_root=images)
    cell = {"bytes": data, "path": "val2017/7.jpg"}

    def row(question: str, index: int) -> dict:
        identity = f"7/{short_hash(question)}"
        truth = "[[3,2,19.5,18]]"
        return expected("refcocos", "test", identity, index, "iou", question, truth, BOXES, images=[cell])

    assert result.rows == [row("Where is the cat?", 0), row("Please provide the box of: the cat.", 4)]
    assert [r[2:] for r in result.rejects] == [
        ("solution", "no_target"),
        ("solution", "wrong_length"),
        ("id", "duplicate_id"),
        ("boxes", "size_mismatch"),
    ]


def test_screenspot(tmp_path, convert, picture, expected, write_json):
    root = tmp_path / "raw"
    data = picture(root / "images" / "pc.png")
    write_json(root / "one.jsonl", [{"image": "pc.png", "instruction": "close", "bbox": [10, 5, 4, 6], "scale": 1.4}])
    write_json(root / "two.json", [{"img_filename": "pc.png", "instruction": "open", "bbox": [0, 0, 40, 20]}, {}])
    result = convert("screenspot", root, "test")
    cell = {"bytes": data, "path": "images/pc.png"}

    def row(instruction: str, box: str, truth: str, index: int) -> dict:
        question = f"Which element is meant? {instruction}"
        identity = f"pc/{short_hash(f'{instruction} {box}')}"
        return expected("screenspot", "test", identity, index, "iou", question, truth, BOXES, images=[cell])

    assert result.rows == [
        row("close", "10.0 5.0 4.0 6.0", "[[10,5,14,11]]", 0),
        row("open", "0.0 0.0 40.0 20.0", "[[0,0,40,20]]", 1),
    ]
    assert [r[2:] for r in result.rejects] == [("image", "missing")]
