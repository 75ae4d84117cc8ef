"""One row: every fault has its reason, and none ends the run."""

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from converting import LISTED, good, rejects_of, rows_of, sha256
from PIL import Image

from mixed_r1_verl.core.rows import Reject
from mixed_r1_verl.data import Converter, Example, RawFolder, Row, RowError
from mixed_r1_verl.data.convert import Options, convert_dataset
from mixed_r1_verl.data.convert_row import Converted, ImageCache, Job, convert_row


def test_counts_add_up_and_every_fault_has_its_reason(listed, tmp_path):
    raw = listed(
        good("1"),
        '{"id": "2",',
        [1, 2],
        good("3", question=None),
        good("4", explode=1),
        good("5", images=["nowhere.png"]),
        good("6", images=["../raw/../../x.png"]),
        good("7", answer=""),
        good("8", reward="nope"),
        good("9", answer="Z", choices=["cat", "dog"]),
        good("10", reward="iou", answer="", boxes=[[0, 0, 50, 10]]),
        good("11", reward="iou", answer="", boxes=[[5, 5, 5, 10]]),
        good("12", reward="iou", answer=""),
        good("1"),
        good("13", answer="B", choices=["x"] * 27),
        good("14"),
    )
    output = tmp_path / "out" / "listed.parquet"
    summary = convert_dataset(LISTED, raw, output, Options())
    assert (summary.read, summary.written, summary.rejected) == (16, 2, 14)
    assert summary.read == summary.written + summary.rejected == summary.source_rows
    assert [row["extra_info"]["id"] for row in rows_of(output)] == ["listed/train/1", "listed/train/14"]
    assert [row["extra_info"]["index"] for row in rows_of(output)] == [0, 15]
    found = rejects_of(output.with_name("listed.rejects.jsonl"))
    assert [(r["row"], r["stage"], r["field"], r["reason"]) for r in found] == [
        ("rows.jsonl:2", "read", "record", "bad_json"),
        ("rows.jsonl:3", "convert", "record", "not_an_object"),
        ("rows.jsonl:4", "convert", "question", "missing"),
        ("rows.jsonl:5", "convert", "record", "unexpected_value"),
        ("rows.jsonl:6", "image", "image", "image_missing"),
        ("rows.jsonl:7", "image", "image", "path_escape"),
        ("rows.jsonl:8", "validate", "answer", "empty"),
        ("rows.jsonl:9", "validate", "reward", "unknown_reward"),
        ("rows.jsonl:10", "validate", "answer", "ground_truth"),
        ("rows.jsonl:11", "boxes", "boxes", "outside_image"),
        ("rows.jsonl:12", "boxes", "boxes", "no_area"),
        ("rows.jsonl:13", "boxes", "boxes", "missing"),
        ("rows.jsonl:14", "duplicate", "id", "duplicate_id"),
        ("rows.jsonl:15", "validate", "answer", "ground_truth"),
    ]
    assert all(r["source"] == "listed" for r in found)
    written = json.loads(output.with_name("listed.summary.json").read_text())
    assert written["files"] == [{"name": "listed.parquet", "rows": 2, "sha256": sha256(output)}]
    assert not list(output.parent.glob("*.partial")) and not list(output.parent.glob("*.tmp"))


def test_unicode_everywhere(listed, tmp_path):
    raw = listed(good("ключ 图", question="Ist es 灰色?", answer="yes"), good("2", question="Größer? ½ 🐱"))
    convert_dataset(LISTED, raw, tmp_path / "daten ü.parquet", Options())
    rows = rows_of(tmp_path / "daten ü.parquet")
    assert [(row["extra_info"]["id"], row["extra_info"]["question"]) for row in rows] == [
        ("listed/train/ключ 图", "Ist es 灰色?"),
        ("listed/train/2", "Größer? ½ 🐱"),
    ]


def test_lone_surrogates_do_not_end_the_run(listed, tmp_path):
    raw = listed(
        '{"id": "1", "question": "Is \\ud83d it?", "answer": "yes"}',
        '{"id": "3", "question": "Is it?", "answer": "yes", "images": ["\\ud83d.png"]}',
        good("2"),
    )
    summary = convert_dataset(LISTED, raw, tmp_path / "x.parquet", Options())
    assert (summary.written, summary.reasons) == (1, {"image/broken_text": 1, "validate/broken_text": 1})


def test_values_that_arrow_cannot_hold_do_not_end_the_run(listed, tmp_path):
    raw = listed(good("1", choices=["a", {"b": 1}], answer="A"), good("2"))
    summary = convert_dataset(LISTED, raw, tmp_path / "x.parquet", Options())
    assert (summary.written, summary.rejected) == (1, 1)


def test_rows_name_their_own_source(listed, tmp_path):
    raw = listed(good("1", source="other"), good("1"))
    convert_dataset(LISTED, raw, tmp_path / "x.parquet", Options())
    rows = rows_of(tmp_path / "x.parquet")
    assert [(r["data_source"], r["extra_info"]["id"]) for r in rows] == [
        ("other", "other/train/1"),
        ("listed", "listed/train/1"),
    ]


def test_reject_of_a_read_error():
    job = Job(LISTED, RawFolder(Path(__file__).parent), Options(), Path("x"))
    outcome = convert_row(job, 0, Row("x:1", RowError("record", "bad_json", "cut")), ImageCache())
    assert outcome == Reject("listed", "x:1", "record", "bad_json", "read", "cut")


def test_reduced_pictures_take_their_boxes_along(listed, tmp_path):
    raw = listed(good("1", reward="iou", answer="", boxes=[[10, 5, 30, 15]]))
    convert_dataset(LISTED, raw, tmp_path / "x.parquet", Options(max_pixels=200))
    (row,) = rows_of(tmp_path / "x.parquet")
    assert Image.open(io.BytesIO(row["images"][0]["bytes"])).size == (20, 10)
    assert (row["extra_info"]["width"], row["extra_info"]["height"]) == (20, 10)
    assert json.loads(row["reward_model"]["ground_truth"]) == [[5, 2.5, 15, 7.5]]


CONVERTED = Converter("made", lambda raw, split: iter(()), lambda row: row.data, ("train",), "none", "this test")


def converted(example: Example, **options):
    job = Job(CONVERTED, RawFolder(Path(__file__).parent), Options(**options), Path("x"))
    return convert_row(job, 0, Row("x:1", example), ImageCache())


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"reward": "nope"}, "reward", "unknown_reward"),
        ({"answer": " "}, "answer", "empty"),
        ({"question": "\n"}, "question", "empty"),
        ({"choices": ("cat", "dog"), "answer": "E"}, "answer", "ground_truth"),
        ({"reward": "open_ended", "answer": "[]"}, "answer", "ground_truth"),
        ({"reward": "open_ended", "answer": "3</answer>"}, "answer", "gold_not_right"),
    ],
)
def test_rows_whose_kind_could_not_score_them(changes, field, reason):
    example = replace(Example("1", "Q?", "matching", "yes"), **changes)
    outcome = converted(example)
    assert (outcome.field, outcome.reason, outcome.stage) == (field, reason, "validate")
    assert isinstance(converted(example, check_gold=False), Converted) == (reason == "gold_not_right")


def length_reward(answer, ground_truth, *, question):
    return len(answer) <= len(question)


def test_rows_of_a_kind_of_ones_own():
    reward = {"custom": {"length": f"{__name__}:length_reward"}}
    row = converted(Example("1", "How long?", "length", "short"), reward=reward).row
    assert row["extra_info"]["reward"] == row["ability"] == "length"
    assert row["prompt"][0]["content"].startswith("How long?\nAnswer the question. Reply as <think>")
