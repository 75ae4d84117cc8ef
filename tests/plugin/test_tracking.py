"""verl's own TensorBoard and file trackers, with the steps of runs that were killed and resumed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import verl  # noqa: F401  (loads the plugin)
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from verl.utils import tracking as verl_tracking


def train(step: int, value: float) -> tuple[dict, int]:
    return {"training/global_step": step, "score": value}, step


def validate(step: int) -> tuple[dict, int]:
    return {"val-core/a/acc/mean@1": 0.5}, step


KILLED = [validate(0), train(1, 0.1), train(2, 0.2), train(3, 0.3), train(4, 0.4)]
CASES = {
    "resumed from step 2": ([train(3, 3.0), train(4, 4.0), train(5, 5.0)], {1: 0.1, 2: 0.2, 3: 3.0, 4: 4.0, 5: 5.0}),
    "resumed from step 2, validating first": (
        [validate(2), train(3, 3.0), train(4, 4.0)],
        {1: 0.1, 2: 0.2, 3: 3.0, 4: 4.0},
    ),
    "begun anew": ([validate(0), train(1, 1.0)], {1: 1.0}),
    "begun anew without validation": ([train(1, 1.0)], {1: 1.0}),
}


@pytest.mark.parametrize(("again", "expected"), CASES.values(), ids=CASES)
def test_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: list, expected: dict) -> None:
    monkeypatch.setenv("TENSORBOARD_DIR", str(tmp_path))
    killed = verl_tracking._TensorboardAdapter("project", "experiment")
    for data, step in KILLED:
        killed.log(data, step)
    # never closed: what is not on disk by now is lost
    before = EventAccumulator(str(tmp_path))
    before.Reload()
    assert [event.step for event in before.Scalars("score")] == [1, 2, 3, 4]
    resumed = verl_tracking._TensorboardAdapter("project", "experiment")
    for data, step in again:
        resumed.log(data, step)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert [(event.step, pytest.approx(event.value)) for event in events.Scalars("score")] == [*expected.items()]
    killed.finish()


@pytest.mark.parametrize("by_path", [True, False])
@pytest.mark.parametrize(("again", "expected"), CASES.values(), ids=CASES)
def test_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: list, expected: dict, by_path: bool) -> None:
    file = tmp_path / "project" / "experiment.jsonl"
    file.parent.mkdir()
    monkeypatch.setenv(
        "VERL_FILE_LOGGER_PATH" if by_path else "VERL_FILE_LOGGER_ROOT", str(file if by_path else tmp_path)
    )
    killed = verl_tracking.FileLogger("project", "experiment")
    for data, step in KILLED:
        killed.log(data, step)
    killed.fp.write(b'{"step": 5, "da')  # cut short by the kill
    resumed = verl_tracking.FileLogger("project", "experiment")
    assert file.read_text().count("\n") == len(KILLED)  # a second kill before the first step loses nothing
    for data, step in again:
        resumed.log(data, step)
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert {line["step"]: line["data"]["score"] for line in lines if "score" in line["data"]} == expected
    resumed.finish()
    killed.finish()


KILLED_ANYWHERE = """
import os, signal, sys, verl
from verl.utils.tracking import FileLogger
limit, path = int(sys.argv[1]), sys.argv[2]
os.environ["VERL_FILE_LOGGER_PATH"] = path
def trace(frame, event, argument):
    global limit
    if event == "line" and frame.f_code.co_filename.endswith(("tracking.py", "core/files.py")):
        limit -= 1
        if limit < 0:
            os.kill(os.getpid(), signal.SIGKILL)
    return trace
def resume():
    logger = FileLogger("project", "experiment")
    logger.log({"training/global_step": 3, "score": 3.0}, 3)
# A child for each line that runs, killed before it; the last one lives.
earlier = open(path, "rb").read()
for limit in range(1000):
    open(path, "wb").write(earlier)
    child = os.fork()
    if not child:
        sys.settrace(trace)
        resume()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    lines = open(path, "rb").read().splitlines()
    if status:
        print(limit, sum(b'"step":1,' in line or b'"step":2,' in line for line in lines))
    else:
        print("done", len(lines))
        break
"""


def test_a_kill_at_any_moment_loses_no_step(tmp_path: Path) -> None:
    """`kill -9` before each line of the trackers' code, from the opening of the file to the first step."""
    path = tmp_path / "curves.jsonl"
    path.write_text("".join(f'{{"step":{step},"data":{{"score":1}}}}\n' for step in (1, 2, 3, 4)))
    ran = subprocess.run(
        [sys.executable, "-c", KILLED_ANYWHERE, "0", str(path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    *killed, done = [line.split() for line in ran.stdout.splitlines() if line.split()[0].isdecimal() or "done" in line]
    assert done == ["done", "3"], ran.stderr
    assert len(killed) > 10
    assert {kept for _, kept in killed} == {"2"}
