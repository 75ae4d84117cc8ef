"""Whole builds without a policy: counts, bytes, resuming, kill −9, and what is refused.

`test_policy.py` has the build with one.
"""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.data.check import check_files
from mixed_r1_verl.engine.build import Watch, build
from mixed_r1_verl.engine.config import read_config

pytestmark = pytest.mark.timeout(600)


def result_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def ids(path: Path) -> list[str]:
    return [row["id"] for row in pq.read_table(path, columns=["extra_info"])["extra_info"].to_pylist()]


def test_a_build_adds_up_and_is_the_same_with_one_worker_and_after_a_loss(
    small_config: Callable[..., Path], tmp_path: Path
) -> None:
    card = build(read_config(small_config("two")))
    output = tmp_path / "two"
    assert sorted(path.name for path in output.iterdir()) == [
        *("card.html", "card.json", "rejects.jsonl", "train.parquet", "val.parquet")
    ]

    # Every row is written once or rejected once.
    train, validation = ids(output / "train.parquet"), ids(output / "val.parquet")
    rejects = [json.loads(line) for line in (output / "rejects.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(set(train + validation)) == len(train) + len(validation)
    assert len(train) + len(validation) + len(rejects) == card["rows"]["read"] == 15 + 56 + 24
    assert {stage["stage"]: stage["dropped"] for stage in card["stages"]}.keys() == {
        *("convert", "validate", "duplicates", "decontaminate", "balance", "quotas", "mix")
    }

    # Who dropped what and why.
    reasons = {(reject["source"], reject["stage"], reject["reason"]) for reject in rejects}
    assert {
        ("chats", "convert", "image_missing"),
        ("chats", "duplicates", "duplicate"),
        ("chats", "decontaminate", "in_evaluation_set"),
        ("scenes", "quotas", "reward_quota"),
        ("twins", "duplicates", "duplicate"),  # named by its source, found by picture and question
    } <= reasons
    chats = {reject["row"] for reject in rejects if reject["source"] == "chats" and reject["stage"] == "duplicates"}
    assert len(chats) == 2  # the question in other letters, and the picture of another size and format
    assert all(set(reject) == {"source", "row", "stage", "reason", "detail"} for reject in rejects)

    # The result passes the check, and the card names the bytes that are there.
    assert [str(problem) for problem in check_files([output / "train.parquet", output / "val.parquet"]).problems] == []
    assert {name: file["rows"] for name, file in card["files"].items()} == {
        "train.parquet": len(train),
        "val.parquet": len(validation),
    }

    # Another folder and one worker instead of two.
    build(read_config(small_config("one", ray={"cpus": 1})))
    one, two = result_files(tmp_path / "one"), result_files(output)
    assert {name: one[name] for name in ("train.parquet", "val.parquet", "rejects.jsonl")} == {
        name: two[name] for name in ("train.parquet", "val.parquet", "rejects.jsonl")
    }

    # Lost: one chunk of descriptions, and every stage behind. Nothing else is done again.
    work = tmp_path / "two.work"
    next(iter(sorted(work.glob("describe/scenes-*.parquet")))).unlink()
    for stage in work.glob("*-*.parquet"):
        stage.unlink()
    early = ("convert-*/*.parquet", "describe/*.parquet", "evaluation/*.parquet")
    done = {path: path.stat().st_mtime_ns for pattern in early for path in work.glob(pattern)}
    steps = []
    build(read_config(small_config("two", ray={"cpus": 1})), Watch(step=steps.append))
    assert result_files(output) == two
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert sum(step.entered - step.kept for step in steps) == len(rejects)


def test_what_is_refused(small_config: Callable[..., Path], tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "thesis.tex").write_text("mine", encoding="utf-8")
    with pytest.raises(DataError, match="holds something that no build wrote"):
        build(read_config(small_config()))
    with pytest.raises(DataError, match="lies in the output"):
        build(read_config(small_config("other", work=str(tmp_path / "other" / "work"))))
    source = {"converter": "llava", "name": "chats", "input": "chats"}
    for change, message in [
        ({"converter": "lava"}, "source chats: no converter is called 'lava'; did you mean 'llava'"),
        ({"input": "absent"}, "source chats: .*absent is not a folder"),
        ({"converter": "clevr", "split": "everything"}, "source chats: clevr has no split 'everything'"),
    ]:
        path = small_config("other", sources=[{**source, **change}])
        with pytest.raises(DataError, match=message):
            build(read_config(path))


def command(config: Path) -> list[str]:
    return [str(Path(sys.executable).with_name("mixed-r1")), "data", "build", str(config)]


def kill_ten_times(config: Path, files: int, chance: random.Random) -> list[str]:
    """Starts a build ten times and kills all of its processes at a random moment of its work; says how far each came.

    Moments are counted in files of the work folder, of which the whole build leaves `files`: most of the time of a
    small build goes into starting Ray.
    """
    moments = []
    work = config.with_suffix(".work")
    for number in range(10):
        before = sum(1 for _ in work.rglob("*"))
        until = before + chance.uniform(0, max(1.0, 2 * (files - before) / (10 - number)))
        process = subprocess.Popen(
            command(config), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
        )
        while process.poll() is None and sum(1 for _ in work.rglob("*")) <= until:
            time.sleep(0.002)
        time.sleep(chance.uniform(0, 0.05))
        ended = process.poll()
        if ended is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        stages = sorted(re.sub(r"-[0-9a-f]{20}", "", path.name) for path in work.rglob("*-*"))
        moments.append(f"{'killed' if ended is None else f'ended with {ended}'}: {', '.join(stages)}")
        time.sleep(2)  # Ray's own processes see that their driver is gone
    return moments


@pytest.mark.slow
@pytest.mark.timeout(3000)
def test_killed_at_ten_random_moments(small_config: Callable[..., Path], tmp_path: Path) -> None:
    subprocess.run(command(small_config("whole")), check=True, capture_output=True)
    files = sum(1 for _ in (tmp_path / "whole.work").rglob("*"))
    config = small_config("killed")
    moments = kill_ten_times(config, files, random.Random(5))
    print("\n".join(moments))
    assert sum(moment.startswith("killed") for moment in moments) >= 5
    subprocess.run(command(config), check=True, capture_output=True)
    whole, killed = result_files(tmp_path / "whole"), result_files(tmp_path / "killed")
    for name in ("train.parquet", "val.parquet", "rejects.jsonl"):
        assert whole[name] == killed[name], name
    written = ids(tmp_path / "killed" / "train.parquet") + ids(tmp_path / "killed" / "val.parquet")
    assert len(set(written)) == len(written)
