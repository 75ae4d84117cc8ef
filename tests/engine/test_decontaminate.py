"""Evaluation sets: read in three forms, and no training row repeats them."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.engine.config import NearConfig
from mixed_r1_verl.engine.decontaminate import ITEMS, EvaluationSet, _items, drop_contaminated
from mixed_r1_verl.engine.describe import describe_picture, hash_question
from mixed_r1_verl.engine.rows import leaving

Encode = Callable[..., bytes]
Picture = Callable[[int], Image.Image]


@pytest.mark.parametrize("form", ["folder", "jsonl", "parquet"])
def test_three_forms_give_the_same_pictures(tmp_path: Path, picture: Picture, encoded: Encode, form: str) -> None:
    data = [encoded(picture(number)) for number in range(3)]
    for number, image in enumerate(data):
        (tmp_path / f"{number}.png").write_bytes(image)
    path = tmp_path
    if form == "jsonl":
        path = tmp_path / "eval.jsonl"
        lines = [{"question": "Is it?", "image": f"{number}.png"} for number in range(3)]
        path.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    elif form == "parquet":
        path = tmp_path / "eval.parquet"
        rows = [{"question": "Is it?", "image": {"bytes": image, "path": ""}} for image in data]
        pq.write_table(pa.Table.from_pylist(rows), path)
    items = list(_items(path, tmp_path))
    assert [(item["phash"], item["colour"]) for item in items] == [describe_picture(image) for image in data]
    assert {item["question"] for item in items} == {None if form == "folder" else hash_question("is it")}


@pytest.mark.parametrize("container", ["jsonl", "json", "parquet element", "parquet item"])
def test_questions_may_hold_what_unicode_calls_the_end_of_a_line(
    tmp_path: Path, encoded: Encode, picture: Picture, container: str
) -> None:
    suffix, _, member = container.partition(" ")
    data = encoded(picture(0))
    (tmp_path / "0.png").write_bytes(data)
    questions = [f"Is\u2028it\u0085{number}\u2029?" for number in range(3)]
    path = tmp_path / f"eval.{suffix}"
    if member:
        rows = [{"question": question, "images": [{"bytes": data, "path": ""}]} for question in questions]
        pq.write_table(pa.Table.from_pylist(rows), path, use_compliant_nested_type=member == "element")
    else:
        lines = [json.dumps({"question": one, "images": ["0.png"]}, ensure_ascii=False) for one in questions]
        text = "\n".join(lines) if suffix == "jsonl" else f"[{','.join(lines)}]"
        path.write_text(text, encoding="utf-8")
    items = list(_items(path, tmp_path))
    assert [item["question"] for item in items] == [hash_question(question) for question in questions]
    assert {item["phash"] for item in items} == {describe_picture(data)[0]}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("e.jsonl", '{"question": "x", "image": "absent.png"}', "e.jsonl: line 1: image: image_missing"),
        ("e.jsonl", '{"question": "x", "image": "../../etc/passwd"}', "e.jsonl: line 1: image: path_escape"),
        ("e.jsonl", "not json", "e.jsonl: line 1: record: bad_record .not JSON"),
        ("e.jsonl", "[1]", "e.jsonl: line 0: record: bad_record"),
        ("e.jsonl", '{"question": "x", "image": "broken.png"}', "line 1: image: image_broken"),
        ("e.txt", "x", "neither a folder nor a .jsonl, .json or .parquet file"),
        ("e.parquet", "not parquet", "cannot be read as parquet"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises((DataError, pa.ArrowException), match=message):
        list(_items(tmp_path / name, tmp_path))


def test_what_is_dropped(tmp_path: Path, table_of: Callable[..., pa.Table]) -> None:
    text = {"phash": [], "colour": [], "pictures": []}
    table = table_of(
        {"phash": [0xF0]},  # the picture, another question
        {"phash": [0xF0], "question": 7},  # both
        {"phash": [0xF0], "colour": [0x990000]},  # another colour
        {"phash": [1 << 40, 0xF1], "colour": [0, 0], "pictures": [5, 6]},  # the picture is its second
        {"phash": [0xFFFF]},  # far away
        {**text, "question": 9},  # a question without a picture
        text,
    )
    keys = pa.Table.from_pylist(
        [
            {"question": 7, "phash": 0xF0, "colour": 0, "where": "a"},
            {"question": 9, "phash": None, "colour": None, "where": "b"},
        ],
        schema=ITEMS,
    )

    pq.write_table(keys, tmp_path / "keys.parquet")

    def dropped(match: str) -> list[str]:
        outcome = drop_contaminated(table, [EvaluationSet("bench", match, tmp_path / "keys.parquet")], NearConfig())
        assert outcome.num_rows == table.num_rows
        return leaving(outcome, "decontaminate")["row"].to_pylist()

    assert dropped("picture") == ["r0", "r1", "r3", "r5"]
    assert dropped("question") == ["r1", "r5"]
