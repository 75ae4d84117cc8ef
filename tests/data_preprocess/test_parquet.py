"""Parquet datasets as the hub has them, and a verl parquet read again."""

import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from examples.demo.data import SCENES
from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.data.convert import Options, convert_dataset
from mixed_r1_verl.data.raw import RawFolder
from mixed_r1_verl.data.registry import get_converter

LETTER = "Answer with the letter of the right option."


def png(size=(40, 20)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size).save(buffer, "PNG")
    return buffer.getvalue()


def write(path: Path, rows: list[dict], **options) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), path, **options)
    return path.parent


def test_usual_columns(tmp_path, convert, expected):
    cell, stored = {"bytes": png(), "path": "1.png"}, {"bytes": png(), "path": ""}
    base = {"image": cell, "choices": ["cat", "dog"]}
    folder = write(
        tmp_path / "raw" / "data" / "train-00000-of-00001.parquet",
        [
            {**base, "question": "By number?", "answer": 1, "question_id": "a"},
            {**base, "question": "Out of range?", "answer": 2, "question_id": "b"},
            {**base, "question": None, "answer": 0, "question_id": "c"},
            {
                **base,
                "question": "No picture's bytes?",
                "answer": 0,
                "question_id": "d",
                "image": {"bytes": b"", "path": ""},
            },
        ],
        row_group_size=2,
    )
    result = convert("parquet", folder.parent, "train")
    assert result.rows == [
        expected(
            "parquet",
            "train",
            "data/train-00000-of-00001.parquet/a",
            0,
            "matching",
            "By number?",
            "B",
            LETTER,
            images=[stored],
            choices=("cat", "dog"),
            shown="By number?\nA. cat\nB. dog",
        )
    ]
    assert [r[2:] for r in result.rejects] == [
        ("answer", "answer_not_in_choices"),
        ("question", "missing"),
        ("image", "missing"),
    ]


@pytest.mark.parametrize(
    ("columns", "reward", "truth"),
    [
        ({"query": "How many?", "label": ["140300"]}, "chart", "140300"),
        ({"problem": "<image>How many?", "answer": "\\frac{1}{2}"}, "math", "\\frac{1}{2}"),
        ({"question": "What?", "answer": 3.0}, "matching", "3"),
        ({"text": "Where?", "solution": "[1, 2, 3, 4]"}, "iou", "[[1,2,3,4]]"),
        ({"instruction": "Describe.", "caption": ["A cat sits.", "A cat."]}, "open_ended", '["A cat sits.", "A cat."]'),
    ],
)
def test_other_columns(tmp_path, convert, columns, reward, truth):
    folder = write(tmp_path / "raw" / "test.parquet", [{"images": [{"bytes": png()}], **columns}])
    (row,) = convert("parquet", folder, "test").rows
    assert (row["extra_info"]["reward"], row["reward_model"]["ground_truth"]) == (reward, truth)
    assert row["prompt"][0]["content"].count("<image>") == 1
    assert row["extra_info"]["id"] == "parquet/test/test.parquet/0"


def test_names_of_pictures_lie_in_the_folder(tmp_path, convert, picture):
    picture(tmp_path / "raw" / "a.png")
    rows = [{"image": name, "question": "Is it?", "answer": "yes"} for name in ("a.png", "../x.png", "http://x/a.png")]
    result = convert("parquet", write(tmp_path / "raw" / "test.parquet", rows), "test")
    assert len(result.rows) == 1
    assert [r[3] for r in result.rejects] == ["path_escape", "image_is_url"]


def test_a_verl_parquet_read_again(tmp_path, convert):
    """What this package wrote comes back with the same questions, ground truths and rewards."""
    first = tmp_path / "raw" / "val.parquet"
    convert_dataset(SCENES, RawFolder(tmp_path), first, Options(split="val", limit=40))
    again = convert("parquet", tmp_path / "raw", "val").rows
    before = pq.read_table(first).to_pylist()
    assert len(again) == len(before) == 40
    for a, b in zip(again, before, strict=True):
        assert a["prompt"] == b["prompt"] and a["reward_model"] == b["reward_model"]
        assert a["images"][0]["bytes"] == b["images"][0]["bytes"]
        for key in ("reward", "choices", "question", "width", "height"):
            assert a["extra_info"][key] == b["extra_info"][key]


@pytest.mark.parametrize("content", [None, b"not parquet"])
def test_files_that_cannot_be_read(tmp_path, convert, content):
    (tmp_path / "raw").mkdir()
    if content is not None:
        (tmp_path / "raw" / "train.parquet").write_bytes(content)
    with pytest.raises(DataError, match="parquet"):
        convert("parquet", tmp_path / "raw", "train")


def test_changed_file_is_not_resumed(tmp_path):
    rows = [{"image": {"bytes": png()}, "question": f"Is it {i}?", "answer": "yes"} for i in range(6)]
    folder = write(tmp_path / "raw" / "train.parquet", rows)
    data = next(get_converter("parquet").rows(RawFolder(folder), "train")).data
    write(tmp_path / "raw" / "train.parquet", [{**row, "answer": "no"} for row in rows])
    assert next(get_converter("parquet").rows(RawFolder(folder), "train")).data != data
    json.dumps(data)
