"""easy-VQA: a raw folder, and the installed package."""

import pytest
from mixed_r1_verl.data_preprocess.easy_vqa import installed_data


def test_positional_records(tmp_path, convert, picture, expected, write_json):
    root = tmp_path / "raw" / "easy_vqa" / "data"
    data = {
        split: picture(root / split / "images" / "0.png", size) for split, size in (("train", (8, 8)), ("test", (9, 9)))
    }
    for split in data:
        write_json(root / split / "questions.json", [["what shape?", "circle", 0], ["is it?", "yes", 1], ["short", 0]])
    for split, size in (("train", (8, 8)), ("test", (9, 9))):
        result = convert("easy_vqa", tmp_path / "raw", split)
        cell = {"bytes": data[split], "path": f"easy_vqa/data/{split}/images/0.png"}
        instruction = "Answer with one word or number."
        assert result.rows == [
            expected(
                "easy_vqa", split, "0", 0, "matching", "what shape?", "circle", instruction, images=[cell], size=size
            )
        ]
        assert [r[2:] for r in result.rejects] == [("image", "image_missing"), ("record", "wrong_length")]


def test_installed_package(convert):
    folder = installed_data()
    if folder is None:
        pytest.skip("easy-vqa is not installed")
    result = convert("easy_vqa", folder, "test", limit=300)
    assert len(result.rows) == 300 and not result.rejects
