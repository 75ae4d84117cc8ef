"""The converter core: counts, determinism, resuming, rejects, boxes, files that must not be touched."""

import hashlib
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest
from mixed_r1_verl.data_preprocess.easy_vqa import EASY_VQA
from PIL import Image

from mixed_r1_verl.core.rows import DataError, Reject, RowError
from mixed_r1_verl.data import chunks, files
from mixed_r1_verl.data.convert import Converter, Options, convert_dataset
from mixed_r1_verl.data.convert_row import ImageCache, convert_row
from mixed_r1_verl.data.converter import Job
from mixed_r1_verl.data.fields import record, text_field
from mixed_r1_verl.data.raw import RawFolder, Row
from mixed_r1_verl.data.schema import Example, row_schema, same_type

COLOURS = {"red": (255, 0, 0), "blue": (0, 0, 255), "green": (0, 128, 0)}


def make_easy_vqa(folder: Path, count: int = 30, seed: int = 0) -> RawFolder:
    """A raw folder in easy-VQA's layout; every tenth record has a fault."""
    rng = random.Random(seed)
    images = folder / "train" / "images"
    images.mkdir(parents=True)
    questions = []
    for number in range(count):
        colour = rng.choice(sorted(COLOURS))
        noise = Image.effect_noise((64, 64), 60).convert("RGB") if seed else None
        picture = noise or Image.new("RGB", (64, 64), COLOURS[colour])
        picture.putpixel((number % 64, number // 64), (1, 2, 3))
        picture.save(images / f"{number}.png")
        questions.append(["what color is the shape?", colour, number])
    for number in range(5, count, 10):
        questions[number][2] = 10_000 + number
    (folder / "train" / "questions.json").write_text(json.dumps(questions))
    return RawFolder(folder)


def rows_of(path: Path) -> list[dict]:
    return pq.read_table(path).to_pylist()


def rejects_of(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def list_rows(raw, split):
    yield from raw.json_lines("rows.jsonl")


def list_convert(row):
    value = record(row.data)
    if "explode" in value:
        raise KeyError("a value that the converter did not foresee")
    return Example(
        id=text_field(value, "id"),
        question=text_field(value, "question"),
        reward=value.get("reward", "matching"),
        answer=value.get("answer", ""),
        images=tuple(value.get("images", ["a.png"])),
        choices=tuple(value.get("choices", ())),
        boxes=tuple(tuple(box) for box in value.get("boxes", ())),
        data_source=value.get("source", ""),
    )


LISTED = Converter("listed", list_rows, list_convert, ("train",), "none", "this test")


@pytest.fixture
def listed(tmp_path):
    """Writes records for the `listed` converter, with one picture of 40x20 pixels."""
    folder = tmp_path / "raw"
    folder.mkdir()
    Image.new("RGB", (40, 20), (9, 9, 9)).save(folder / "a.png")

    def write(*records) -> RawFolder:
        lines = [line if isinstance(line, str) else json.dumps(line) for line in records]
        (folder / "rows.jsonl").write_text("\n".join(lines), encoding="utf-8")
        return RawFolder(folder)

    return write


def good(identity: str, **changes) -> dict:
    return {"id": identity, "question": "Is it grey?", "answer": "yes"} | changes


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


def test_duplicates_are_found_across_chunks(listed, tmp_path):
    raw = listed(*(good(str(i % 7)) for i in range(20)))
    summary = convert_dataset(LISTED, raw, tmp_path / "x.parquet", Options(chunk_rows=3))
    assert (summary.written, summary.rejected) == (7, 13)


def test_schema_in_both_image_forms(tmp_path):
    raw = make_easy_vqa(tmp_path / "raw")
    for form in ("bytes", "path"):
        output = tmp_path / f"{form}.parquet"
        convert_dataset(EASY_VQA, raw, output, Options(images=form))
        schema = pq.read_schema(output)
        assert schema.names == row_schema(form).names
        assert all(same_type(schema.field(f.name).type, f.type) for f in row_schema(form))
    embedded, named = rows_of(tmp_path / "bytes.parquet"), rows_of(tmp_path / "path.parquet")
    assert len(embedded) == len(named) == 27
    for a, b in zip(embedded, named, strict=True):
        assert Path(b["images"][0]["image"]).read_bytes() == a["images"][0]["bytes"]
        assert Path(b["images"][0]["image"]).is_relative_to(tmp_path / "path_images")
        assert {**a, "images": 0} == {**b, "images": 0}


@pytest.mark.parametrize("output", ["x.parquet", "folder"])
def test_same_bytes_for_any_number_of_workers(tmp_path, output):
    raw = make_easy_vqa(tmp_path / "raw", 60)
    results = []
    for workers in (1, 2):
        target = tmp_path / str(workers) / output
        convert_dataset(EASY_VQA, raw, target, Options(workers=workers, chunk_rows=25))
        files = [target] if target.is_file() else sorted(target.iterdir())
        results.append({file.name: sha256(file) for file in files})
    assert results[0] == results[1]


def test_shards_of_a_folder(tmp_path):
    raw = make_easy_vqa(tmp_path / "raw", 30)
    summary = convert_dataset(EASY_VQA, raw, tmp_path / "out", Options(chunk_rows=10))
    names = [f"train-0000{i}-of-00003.parquet" for i in range(3)]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["rejects.jsonl", "summary.json", *names]
    assert [entry["name"] for entry in summary.files] == names
    assert sum(len(rows_of(tmp_path / "out" / name)) for name in names) == summary.written == 27
    # Written again over an older result, with fewer shards: nothing of the old one stays.
    convert_dataset(EASY_VQA, raw, tmp_path / "out", Options(chunk_rows=100))
    assert len(list((tmp_path / "out").glob("*.parquet"))) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["out", "raw"]


def test_row_groups_stay_small(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "ROW_GROUP_BYTES", 2000)
    raw = make_easy_vqa(tmp_path / "raw", 40)
    convert_dataset(EASY_VQA, raw, tmp_path / "x.parquet", Options(chunk_rows=16))
    metadata = pq.read_metadata(tmp_path / "x.parquet")
    rows = rows_of(tmp_path / "x.parquet")
    position = 0
    assert metadata.num_row_groups > 3
    for group in range(metadata.num_row_groups):
        count = metadata.row_group(group).num_rows
        sizes = [len(row["images"][0]["bytes"]) for row in rows[position : position + count]]
        assert sum(sizes[:-1]) < 2000
        position += count


def test_limit_draws_by_seed_and_keeps_order(tmp_path):
    raw = make_easy_vqa(tmp_path / "raw", 60)

    def taken(**options) -> list[int]:
        summary = convert_dataset(EASY_VQA, raw, tmp_path / "x.parquet", Options(**options))
        assert summary.source_rows == 60 and summary.read == 20
        return [row["extra_info"]["index"] for row in rows_of(tmp_path / "x.parquet")]

    first = taken(limit=20, seed=1)
    assert first == taken(limit=20, seed=1) == sorted(first)
    assert first != taken(limit=20, seed=2)
    assert max(first) > 20
    # The drawn rows are the same rows as without a limit, id and index included.
    convert_dataset(EASY_VQA, raw, tmp_path / "all.parquet", Options())
    by_index = {row["extra_info"]["index"]: row for row in rows_of(tmp_path / "all.parquet")}
    convert_dataset(EASY_VQA, raw, tmp_path / "x.parquet", Options(limit=20, seed=1))
    assert all(row == by_index[row["extra_info"]["index"]] for row in rows_of(tmp_path / "x.parquet"))


SCRIPT = """
import sys
from pathlib import Path
from mixed_r1_verl.data.convert import Options, convert_dataset
from mixed_r1_verl.data.raw import RawFolder
from mixed_r1_verl.data_preprocess.easy_vqa import EASY_VQA
convert_dataset(EASY_VQA, RawFolder(Path(sys.argv[1])), Path(sys.argv[2]), Options(chunk_rows=20))
"""


def test_killed_at_ten_moments_and_resumed_gives_the_same_bytes(tmp_path):
    raw = make_easy_vqa(tmp_path / "raw", 400, seed=3)
    convert_dataset(EASY_VQA, raw, tmp_path / "whole.parquet", Options(chunk_rows=20))
    output = tmp_path / "killed" / "whole.parquet"
    partial = output.with_name("whole.parquet.partial")
    for kill in range(10):
        child = os.fork()
        if child == 0:
            convert_dataset(EASY_VQA, raw, output, Options(chunk_rows=20))
            os._exit(0)
        # The n-th kill comes when the n-th further chunk is there, at whatever the process does then.
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and os.waitpid(child, os.WNOHANG) == (0, 0):
            if len(list(partial.glob("*.json"))) > 1 + 2 * kill:
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)
                break
            time.sleep(0.001)
        assert not output.exists() or sha256(output) == sha256(tmp_path / "whole.parquet")
    summary = convert_dataset(EASY_VQA, raw, output, Options(chunk_rows=20))
    assert summary.resumed_chunks > 0
    assert sha256(output) == sha256(tmp_path / "whole.parquet")
    for name in ("whole.rejects.jsonl", "whole.summary.json"):
        assert output.with_name(name).read_bytes() == (tmp_path / name).read_bytes()
    assert sorted(p.name for p in output.parent.iterdir()) == [
        "whole.parquet",
        "whole.rejects.jsonl",
        "whole.summary.json",
    ]


@pytest.mark.slow
def test_killed_at_ten_random_moments_with_two_workers(tmp_path):
    """The process is killed, not its workers: they must end by themselves and leave what they write alone."""
    raw = make_easy_vqa(tmp_path / "raw", 3000, seed=3)
    script = SCRIPT.replace("chunk_rows=20", "chunk_rows=50, workers=2")
    output = tmp_path / "killed" / "whole.parquet"

    def start(target: Path) -> subprocess.Popen:
        return subprocess.Popen([sys.executable, "-c", script, str(raw.root), str(target)])

    begin = time.monotonic()
    assert start(tmp_path / "whole.parquet").wait() == 0
    seconds = time.monotonic() - begin
    draw = random.Random(7)
    killed = 0
    while killed < 10:
        process = start(output)
        try:
            process.wait(draw.uniform(0.3, 0.9) * seconds)
            output.unlink()  # it was finished before it could be killed: begin anew
        except subprocess.TimeoutExpired:
            workers = psutil.Process(process.pid).children(recursive=True)
            process.kill()
            process.wait()
            killed += 1
            assert psutil.wait_procs(workers, timeout=10)[1] == []
            assert not output.exists() or sha256(output) == sha256(tmp_path / "whole.parquet")
    assert start(output).wait() == 0
    assert sha256(output) == sha256(tmp_path / "whole.parquet")
    summary = output.with_name("whole.summary.json").read_bytes()
    assert summary == (tmp_path / "whole.summary.json").read_bytes()
    assert len({row["extra_info"]["id"] for row in rows_of(output)}) == json.loads(summary)["written"] == 2700
    assert len(list(output.parent.iterdir())) == 3


def interrupted(monkeypatch, after: int):
    """Makes the core stop, as by Ctrl-C, when it has converted that many rows."""
    original = chunks.convert_row
    left = [after]

    def stop(*args):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(chunks, "convert_row", stop)


@pytest.mark.parametrize("change", ["source", "options"])
def test_what_was_left_is_used_only_for_the_same_task(tmp_path, monkeypatch, change):
    raw = make_easy_vqa(tmp_path / "raw", 40)
    output = tmp_path / "x.parquet"
    with monkeypatch.context() as patch:
        interrupted(patch, 25)
        with pytest.raises(KeyboardInterrupt):
            convert_dataset(EASY_VQA, raw, output, Options(chunk_rows=10))
    assert not output.exists()
    assert len(list((tmp_path / "x.parquet.partial").glob("*.json"))) == 3  # two chunks and the plan
    options = Options(chunk_rows=10)
    if change == "source":
        path = raw.root / "train" / "questions.json"
        questions = json.loads(path.read_text())
        questions[3][0] = "another question?"
        path.write_text(json.dumps(questions))
    else:
        options = replace(options, max_pixels=1000)
    summary = convert_dataset(EASY_VQA, raw, output, options)
    assert summary.resumed_chunks == (1 if change == "source" else 0)
    convert_dataset(EASY_VQA, raw, tmp_path / "fresh.parquet", options)
    assert sha256(output) == sha256(tmp_path / "fresh.parquet")


def test_two_runs_on_one_output(tmp_path):
    raw = make_easy_vqa(tmp_path / "raw")
    inner: list[str] = []

    def again(written: int, rejected: int) -> None:
        try:
            convert_dataset(EASY_VQA, raw, tmp_path / "x.parquet", Options())
        except DataError as error:
            inner.append(str(error))

    convert_dataset(EASY_VQA, raw, tmp_path / "x.parquet", Options(), on_progress=again)
    assert inner and all("another run is writing" in message for message in inner)


def test_foreign_files_are_not_overwritten(tmp_path):
    raw = make_easy_vqa(tmp_path / "raw")
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="no conversion wrote"):
        convert_dataset(EASY_VQA, raw, folder, Options())
    (tmp_path / "x.parquet").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        convert_dataset(EASY_VQA, raw, tmp_path / "x.parquet", Options())
    assert (folder / "thesis.txt").read_text() == "years of work"


def test_output_that_cannot_be_written(tmp_path):
    raw = make_easy_vqa(tmp_path / "raw")
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        convert_dataset(EASY_VQA, raw, tmp_path / "file" / "x.parquet", Options())


@pytest.mark.parametrize(
    ("records", "message"),
    [([], "the source is empty"), ([good("1", images=["no.png"])], "1 x image/image_missing")],
)
def test_no_row_at_all_writes_no_parquet(listed, tmp_path, records, message):
    with pytest.raises(DataError, match=message):
        convert_dataset(LISTED, listed(*records), tmp_path / "x.parquet", Options())
    assert not (tmp_path / "x.parquet").exists()
    assert len(rejects_of(tmp_path / "x.rejects.jsonl")) == len(records)


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


def test_environment_has_no_say(tmp_path, monkeypatch):
    """The order of a folder's files and the hash seed must not show in the output."""
    raw = make_easy_vqa(tmp_path / "raw", 30)
    hashes = set()
    for seed in ("1", "2"):
        output = tmp_path / seed / "x.parquet"
        environment = os.environ | {"PYTHONHASHSEED": seed, "LC_ALL": "C"}
        subprocess.run([sys.executable, "-c", SCRIPT, str(raw.root), str(output)], check=True, env=environment)
        hashes.add(sha256(output))
    assert len(hashes) == 1
