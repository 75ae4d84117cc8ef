"""ImageInWords and Flickr8k."""

import json

DESCRIBE = "Answer with a description."


def test_imageinwords_takes_the_human_text(tmp_path, convert, picture, expected, write_json):
    root, images = tmp_path / "raw", tmp_path / "pictures"
    data = picture(images / "aar_1.jpg")
    write_json(
        root / "datasets" / "IIW-400" / "data.jsonl",
        [
            {"image/key": "aar_1", "IIW": "A  long\ntext.", "IIW-P5B": "A model's text."},
            {"image/key": "aar_2", "IIW": "Another."},
            {"IIW": "No key."},
            {"image/key": "aar_1", "IIW-P5B": "No human text."},
        ],
    )
    result = convert("imageinwords", root, "iiw_400", image_root=images)
    cell = {"bytes": data, "path": "aar_1.jpg"}
    question = "Describe the picture in detail."
    assert result.rows == [
        expected("imageinwords", "iiw_400", "aar_1", 0, "open_ended", question, "A long text.", DESCRIBE, images=[cell])
    ]
    assert [r[2:] for r in result.rejects] == [
        ("image", "image_missing"),
        ("image/key", "missing"),
        ("IIW", "missing"),
    ]


def test_flickr8k(tmp_path, convert, picture, expected):
    root = tmp_path / "raw"
    data = picture(root / "Images" / "1_a.jpg")
    lines = [
        "1_a.jpg#0\tA dog , brown .",
        "1_a.jpg#1\tA dog runs .",
        "2_b.jpg.1#0\tBroken name .",
        "no tab",
        "1_a.jpg#2\t ",
    ]
    (root / "Flickr8k.token.txt").write_text("\n".join(lines))
    (root / "Flickr_8k.trainImages.txt").write_text("1_a.jpg\n2_b.jpg.1\n3_c.jpg\n\n1_a.jpg\n")
    result = convert("flickr8k", root, "train")
    truth = json.dumps(["A dog, brown.", "A dog runs."])
    cell = {"bytes": data, "path": "Images/1_a.jpg"}
    question = "Describe the picture in one sentence."
    assert result.rows == [
        expected("flickr8k", "train", "1_a", 0, "open_ended", question, truth, DESCRIBE, images=[cell])
    ]
    assert [r[2:] for r in result.rejects] == [("image", "image_missing"), ("caption", "missing")]
    assert len(convert("flickr8k", root, "all").rows) == 1
