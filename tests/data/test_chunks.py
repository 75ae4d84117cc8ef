"""Chunks: the same bytes for any number of workers and after any interruption."""

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
import pytest
from converting import LISTED, SCRIPT, good, make_easy_vqa, rows_of, sha256
from mixed_r1_verl.data_preprocess.easy_vqa import EASY_VQA

from mixed_r1_verl.data import chunks
from mixed_r1_verl.data.convert import Options, convert_dataset


def test_duplicates_are_found_across_chunks(listed, tmp_path):
    raw = listed(*(good(str(i % 7)) for i in range(20)))
    summary = convert_dataset(LISTED, raw, tmp_path / "x.parquet", Options(chunk_rows=3))
    assert (summary.written, summary.rejected) == (7, 13)


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


CONVERTER = """
from mixed_r1_verl.data import Converter, Example

from .words import ANSWER


def rows(raw, split):
    yield from raw.json_lines("rows.jsonl")


def convert(row):
    return Example(id=row.data["id"], question="Is it grey?", reward="matching", answer=ANSWER, images=("a.png",))


CONVERTERS = (Converter("edited", rows, convert, ("train",), "none", "this test"),)
"""
RUN = """
import sys
from pathlib import Path
from mixed_r1_verl.data import RawFolder
from mixed_r1_verl.data.convert import Options, convert_dataset
from edited_converter.rows import CONVERTERS
stop = int(sys.argv[3])
def progress(written, rejected):
    if written + rejected == stop:
        raise KeyboardInterrupt
summary = convert_dataset(
    CONVERTERS[0], RawFolder(Path(sys.argv[1])), Path(sys.argv[2]), Options(chunk_rows=5), on_progress=progress
)
print(summary.resumed_chunks)
"""


@pytest.mark.parametrize("edited", ["rows", "words", None])
def test_rows_of_a_converter_before_and_after_an_edit_are_not_mixed(listed, tmp_path, edited):
    """The code of the converter, and what that imports, belongs to the task of an interrupted run."""
    raw = listed(*(good(str(number)) for number in range(20)))
    package = tmp_path / "edited_converter"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "words.py").write_text('ANSWER = "yes"\n')
    (package / "rows.py").write_text(CONVERTER)
    output = tmp_path / "x.parquet"

    def run(stop: int) -> subprocess.CompletedProcess:
        command = [sys.executable, "-c", RUN, str(raw.root), str(output), str(stop)]
        environment = os.environ | {"PYTHONPATH": str(tmp_path)}
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    assert "KeyboardInterrupt" in run(12).stderr
    if edited == "rows":
        (package / "rows.py").write_text(CONVERTER.replace("answer=ANSWER", 'answer="no"'))
    elif edited == "words":
        (package / "words.py").write_text('ANSWER = "no"\n')
    found = run(-1)
    assert found.stdout.strip() == ("0" if edited else "2"), found.stderr
    answers = {row["reward_model"]["ground_truth"] for row in rows_of(output)}
    assert answers == {"no" if edited else "yes"}


def test_the_task_covers_all_code_that_a_conversion_loads(tmp_path):
    """What was imported while rows of every kind were converted, against the import graph that the key is made of."""
    raw = make_easy_vqa(tmp_path / "raw", 4)
    code = SCRIPT + (
        "from mixed_r1_verl.core.code import imported_modules\n"
        "known = imported_modules('mixed_r1_verl.data.convert', EASY_VQA.home, EASY_VQA.convert.__module__)\n"
        "loaded = {name for name, module in sys.modules.items() if name.startswith('mixed_r1_verl.')}\n"
        "print(sorted(name for name in loaded - known if not name.startswith('mixed_r1_verl.plugin')))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code, str(raw.root), str(tmp_path / "x.parquet")], capture_output=True, text=True
    )
    assert found.stdout.strip() == "[]", found.stderr
