"""`mixed-r1 data …` and `mixed-r1 check`: what they print and how they exit; never a traceback."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from typer.testing import CliRunner

from mixed_r1_verl.cli import app
from mixed_r1_verl.data import convert, schema


@pytest.fixture
def run(monkeypatch):
    """Runs the command line; returns exit code and everything that was printed."""
    monkeypatch.setenv("COLUMNS", "200")

    def invoke(*arguments: object) -> tuple[int, str]:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result.exit_code, result.output

    return invoke


@pytest.fixture
def raw(tmp_path):
    folder = tmp_path / "raw" / "train"
    (folder / "images").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(folder / "images" / "0.png")
    questions = [["what color?", "black", 0], ["is it?", "yes", 1], ["is it black?", "yes", 0]]
    (folder / "questions.json").write_text(json.dumps(questions))
    return tmp_path / "raw"


def test_list(run):
    code, output = run("data", "list")
    assert code == 0
    for name in ("chartqa", "clevr", "math_v", "easy_vqa", "raccoon", "bccd", "coco_captions"):
        assert name in output


def test_list_of_one_converter(run):
    code, output = run("data", "list", "chartqa")
    assert code == 0 and "Raw row:" in output and "Splits: train, val, test." in output
    assert run("data", "list", "nothing")[0] == 2
    code, output = run("data", "list", "--markdown")
    assert code == 0 and output.startswith("| name | data |") and "| `coco_detection`, `coco_labels` |" in output


@pytest.mark.parametrize(
    ("converter", "columns", "code", "message"),
    [
        ("parquet", ["question=ask", "answer=gold", "image=shot", "id=key"], 0, "written 1"),
        ("parquet", ["question=asks"], 1, "has no column 'asks' (--column question=asks)"),
        ("parquet", ["prompt=ask"], 1, "'prompt' is none of question, answer"),
        ("parquet", ["question"], 2, "FIELD=COLUMN"),
        ("chartqa", ["question=ask"], 2, "--column is for generic converters only"),
    ],
)
def test_column_map(run, raw, tmp_path, converter, columns, code, message):
    cell = {"bytes": (raw / "train" / "images" / "0.png").read_bytes(), "path": ""}
    row = {"ask": "What colour?", "question": "not this", "gold": "<answer> black </answer>", "shot": cell, "key": "k1"}
    pq.write_table(pa.Table.from_pylist([row]), raw / "train.parquet")
    options = [word for column in columns for word in ("--column", column)]
    output = tmp_path / "a.parquet"
    found, printed = run("data", "convert", converter, "--input", raw, *options, "--split", "train", "--output", output)
    assert (found, message in printed) == (code, True), printed
    if not code:
        (converted,) = pq.read_table(output).to_pylist()
        assert converted["extra_info"]["question"] == "What colour?"
        assert (converted["extra_info"]["id"], converted["extra_info"]["reward"]) == (
            "parquet/train/train.parquet/k1",
            "matching",
        )
        assert converted["reward_model"]["ground_truth"] == "black"


def test_explain_is_whole_in_a_narrow_terminal(run, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    lines = ({"ask": "Which?", "choices": ["cat", "dog"], "answer": "B"}, {"question": "[/b] again?", "answer": "dog"})
    (tmp_path / "mine.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    code, printed = run("data", "convert", "llava", "--input", tmp_path / "mine.jsonl", "--explain", 2)
    assert code == 0 and "mine.jsonl:1: rejected, question: missing: " in printed
    assert "among ask, choices, answer; name it: --column question=COLUMN" in printed
    assert "mine.jsonl:2: matching by a label of up to 5 words, ground truth: dog, pictures: none\n    [/b]" in printed


def test_convert_and_check(run, raw, tmp_path):
    code, output = run("data", "convert", "easy_vqa", "--input", raw, "--output", tmp_path / "a.parquet")
    assert code == 0
    assert "read 3, written 2, rejected 1" in output and "1 x image/image_missing" in output
    code, output = run("check", tmp_path / "a.parquet", "--family", "qwen2_5_vl")
    assert code == 0 and "no problems" in output and "image tokens" in output


def test_check_fails(run, raw, tmp_path):
    run("data", "convert", "easy_vqa", "--input", raw, "--output", tmp_path / "a.parquet")
    code, output = run("check", tmp_path / "a.parquet", tmp_path / "a.parquet", "--no-gold")
    assert code == 0  # one file named twice is one file
    (tmp_path / "b.parquet").write_bytes((tmp_path / "a.parquet").read_bytes())
    code, output = run("check", tmp_path / "a.parquet", tmp_path / "b.parquet", "--max-problems", 1)
    assert code == 1
    assert f"{tmp_path / 'b.parquet'}: row 0: extra_info.id: 'easy_vqa/train/0' stands already in" in output
    assert "… and 1 more problems" in output


def test_options_reach_the_core(run, raw, tmp_path):
    output = tmp_path / "a.parquet"
    arguments = ("--split", "train", "--limit", 2, "--seed", 4, "--images", "path", "--max-pixels", 16, "--workers", 2)
    code, _ = run("data", "convert", "easy_vqa", "--input", raw, "--output", output, *arguments)
    assert code == 0
    for row in pq.read_table(output).to_pylist():
        with Image.open(row["images"][0]["image"]) as image:
            assert image.size == (4, 4)


def test_a_dataset_that_a_package_brings_needs_no_input(run, tmp_path):
    arguments = ("--split", "test", "--limit", 5, "--output", tmp_path / "a.parquet")
    code, output = run("data", "convert", "easy_vqa", *arguments)
    assert code == 0 and "read 5, written 5, rejected 0 (of 9673 in the source)" in output


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["convert", "chartqaa", "--output", "x.parquet"], 2, "did you mean 'chartqa'?"),
        (["convert", "chartqa", "--output", "x.parquet"], 2, "needs --input"),
        (["convert", "chartqa", "--input", "nowhere", "--output", "x.parquet"], 2, "is not a folder"),
        (["convert", "chartqa", "--input", ".", "--hub", "a/b", "--output", "x.parquet"], 2, "not both"),
        (["convert", "chartqa", "--input", ".", "--split", "dev", "--output", "x.parquet"], 2, "has no split 'dev'"),
        (["convert", "chartqa", "--input", ".", "--images", "zip", "--output", "x.parquet"], 2, "zip"),
        (["convert", "chartqa", "--input", ".", "--limit", "0", "--output", "x.parquet"], 2, "limit"),
        (["convert", "chartqa", "--input", "."], 2, "--output"),
        (["convert", "chartqa", "--input", ".", "--output", "x.parquet"], 1, "holds no train_human.json"),
        (["convert", "clevr", "--input", ".", "--output", "x.parquet"], 1, "holds none of"),
        (["convert", "easy_vqa", "--input", "broken", "--output", "x.parquet"], 1, "is not JSON"),
        (["convert", "easy_vqa", "--input", "empty", "--output", "x.parquet"], 1, "is empty"),
        (["convert", "easy_vqa", "--input", "hollow", "--output", "x.parquet"], 1, "none of 0 rows"),
    ],
)
def test_bad_usage_and_bad_input(run, tmp_path, monkeypatch, arguments, code, message):
    for name, text in (("broken", '[["what'), ("empty", ""), ("hollow", "[]")):
        (tmp_path / name / "train").mkdir(parents=True)
        (tmp_path / name / "train" / "questions.json").write_text(text)
    monkeypatch.chdir(tmp_path)
    found, output = run("data", *arguments)
    assert (found, message in output) == (code, True), output
    assert "Traceback" not in output
    assert not list(tmp_path.glob("*.parquet*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["nowhere.parquet"], "is not there"), ([__file__, "--family", "x"], "unknown model family")],
)
def test_check_bad_usage(run, arguments, message):
    code, output = run("check", *arguments)
    assert code == 2 and message in output


def test_check_of_a_file_that_is_no_parquet(run):
    code, output = run("check", __file__)
    assert code == 1 and "cannot be read as parquet" in output


def test_full_disk(run, raw, tmp_path, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(schema, "rows_to_table", full)
    code, output = run("data", "convert", "easy_vqa", "--input", raw, "--output", tmp_path / "a.parquet")
    assert code == 1 and "No space left on device" in output and "Traceback" not in output


def test_interrupted(run, raw, tmp_path, monkeypatch):
    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(convert, "convert_dataset", interrupt)
    code, output = run("data", "convert", "easy_vqa", "--input", raw, "--output", tmp_path / "a.parquet")
    assert code == 130 and "run the same command again" in output


def hub_cache(tmp_path, raw) -> None:
    """A dataset repository as the hub's own cache lays it out: a snapshot of links into a blob store."""
    repository = tmp_path / "hub" / "datasets--someone--easy"
    snapshot = repository / "snapshots" / ("a" * 40)
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("a" * 40)
    (repository / "blobs").mkdir()
    for number, path in enumerate(sorted(p for p in raw.rglob("*") if p.is_file())):
        blob = repository / "blobs" / f"blob{number}"
        blob.write_bytes(path.read_bytes())
        link = snapshot / path.relative_to(raw)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)


def test_hub_reads_the_cache(run, raw, tmp_path, monkeypatch):
    from huggingface_hub import constants

    hub_cache(tmp_path, raw)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    output = tmp_path / "a.parquet"
    code, printed = run("data", "convert", "easy_vqa", "--hub", "someone/easy", "--output", output)
    assert code == 0, printed
    assert len(pq.read_table(output)) == 2
    code, printed = run("data", "convert", "easy_vqa", "--hub", "someone/else", "--output", output)
    assert code == 2 and "cannot download dataset 'someone/else'" in printed
    code, printed = run("data", "convert", "easy_vqa", "--hub", "not a name!", "--output", output)
    assert code == 2 and "cannot download" in printed


def test_a_kind_of_ones_own_from_conversion_to_check(run, tmp_path, monkeypatch):
    """A function with a column of its own, named on the command line: rows are converted and checked with it."""
    (tmp_path / "our_reward.py").write_text("def length(answer, truth, *, question):\n    return len(answer) < 9\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    row = {"question": "How long?", "answer": "short", "reward": "length", "id": "1"}
    (tmp_path / "raw").mkdir()
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "raw" / "train.parquet")
    output, setting = tmp_path / "a.parquet", ("--set", "custom.length=our_reward:length")
    convert = ("data", "convert", "parquet", "--input", tmp_path / "raw", "--output", output)
    code, printed = run(*convert, *setting)
    assert code == 0 and "1 length" in printed
    assert run("check", output, *setting)[0] == 0
    code, printed = run("check", output)
    assert code == 1 and "'length' is none of anls, chart, iou, matching, math, open_ended" in printed
    code, printed = run(*convert, "--set", "custom.length=our_reward:width")
    assert code == 2 and "cannot be loaded" in printed
    assert run("check", output, "--set", "costum.length=x")[0] == 2
