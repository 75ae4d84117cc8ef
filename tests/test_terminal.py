"""Every command once under a pseudo-terminal: bars and colours are drawn only there, and may fail only there."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml
from sound_rows import SOUND, write

from mixed_r1_verl.cli import COMMANDS

# The engine's difficulty stage would need a policy; what it reports is made up, as it reports it.
BUILD = """
from mixed_r1_verl.engine import build
def built(settings, watch):
    watch.add(build.Step("convert", 4, 4, 0.1))
    for done in range(4):
        watch.progress("difficulty", done, 4)
    rows = {"read": 4, "train": 3, "validation": 1, "rejected": 0}
    return {"rows": rows, "notes": ["a [note]"], "files": {"train.parquet": {"sha256": "ab"}}}
build.build = built
"""


class Case(NamedTuple):
    """How a command is called, what it prints, and what is done before."""

    arguments: str
    printed: str
    before: str = ""
    code: int = 0


CASES = {
    "data list": Case("data list", "chartqa"),
    "data convert": Case("data convert easy_vqa --input raw --output x.parquet", "read 2, written 2, rejected 0"),
    "data build": Case("data build build.yaml", "a [note]", BUILD),
    "check": Case("check rows.parquet", "no problems"),
    "score": Case("score responses.jsonl", "matching"),
    "audit": Case("audit rows.parquet --rows 2", "honest", code=-1),
    "report": Case("report responses.jsonl --data rows.parquet --output report.html", "report.html"),
    "plan": Case("plan --recipe mixed_r1 --gpus 8", "GiB"),
    "doctor": Case("doctor", "verl", code=-1),
    "eval": Case("eval nowhere rows.parquet", "error: ", code=2),
}


def test_every_command_has_a_case():
    assert set(COMMANDS) == set(CASES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("terminal")
    write(root / "rows.parquet", SOUND)
    (root / "raw" / "train" / "images").mkdir(parents=True)
    for number in range(2):
        (root / "raw" / "train" / "images" / f"{number}.png").write_bytes(SOUND[0]["images"][0]["bytes"])
    questions = [["what color?", "black", 0], ["is it black?", "yes", 1]]
    (root / "raw" / "train" / "questions.json").write_text(json.dumps(questions))
    lines = [
        {
            "data_source": "toy",
            "input": "Is it black?",
            "output": "<think>It is.</think><answer>yes</answer>",
            "gts": row["reward_model"]["ground_truth"],
            "extra_info": row["extra_info"],
            "id": row["extra_info"]["id"],
        }
        for row in SOUND
    ]
    (root / "responses.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    source = {"converter": "easy_vqa", "input": "raw"}
    (root / "build.yaml").write_text(yaml.safe_dump({"output": "set", "raw": str(root), "sources": [source]}))
    return root


def on_terminal(arguments: list[str], folder: Path, before: str = "") -> tuple[int, str]:
    """Runs `mixed-r1` with a pseudo-terminal for all three streams; returns the exit status and what was shown."""
    code = f"{before}\nimport sys\nsys.argv[1:] = {arguments}\nfrom mixed_r1_verl.cli import main\nmain()"
    main, terminal = pty.openpty()
    environment = os.environ | {"TERM": "xterm-256color", "COLUMNS": "160", "LINES": "50"}
    streams = dict.fromkeys(("stdin", "stdout", "stderr"), terminal)
    process = subprocess.Popen([sys.executable, "-c", code], cwd=folder, env=environment, **streams)
    os.close(terminal)
    shown = b""
    while True:
        try:
            block = os.read(main, 1 << 16)
        except OSError:  # the last writer has gone
            break
        if not block:
            break
        shown += block
    os.close(main)
    return process.wait(), shown.decode(errors="replace")


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_command_on_a_terminal(folder, name):
    case = CASES[name]
    status, shown = on_terminal(case.arguments.split(), folder, case.before)
    assert "Traceback" not in shown and "KeyError" not in shown, shown
    assert case.printed in shown, shown
    assert case.code in (-1, status), shown


@pytest.mark.parametrize("name", sorted(CASES))
def test_help_shows_an_example_of_the_command(folder, name):
    status, shown = on_terminal([*name.split(), "--help"], folder)
    assert status == 0 and f"Example: mixed-r1 {name}" in shown
