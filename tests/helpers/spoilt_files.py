"""Every command over files in which something is wrong: at most one message, never a traceback, a stall or much memory.

A sound file is spoilt in one or two places (a value of another type, null, nested, huge, not UTF-8; a byte; an end) and
given to a command. `python tests/helpers/spoilt_files.py 10000` does so 10,000 times and prints what was wrong, the
longest and the most memory (`… 500 9501 score plan`: files of other seeds, two commands). A few hundred are tested by
tests/test_hostile_files.py.
"""

import contextlib
import copy
import io
import json
import math
import os
import random
import re
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import ray
from described_datasets import CASES, PICTURE, write_folder
from sound_rows import SOUND, png, sound
from typer.testing import CliRunner

from mixed_r1_verl.cli import app
from mixed_r1_verl.data.schema import row_schema
from mixed_r1_verl.rewards.mixed import compute_score
from mixed_r1_verl.rewards.schedule import Schedule

LIMIT_S, LIMIT_MB = 5.0, 500

COMMANDS = {
    "check": 25,
    "report": 25,
    "data convert": 25,
    "audit": 10,
    "data build": 6,
    "score": 5,
    "eval": 3,
    "plan": 1,
}
"""Each command that reads files, and its share of the cases in percent: the dearer a file, the fewer."""

HEADS = {"num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 2, "vocab_size": 512}
TOWER = {"depth": 2, "num_heads": 2, "hidden_size": 32, "intermediate_size": 64, "out_hidden_size": 64}
MODEL = {
    "architectures": ["Qwen2_5_VLForConditionalGeneration"],
    "model_type": "qwen2_5_vl",
    "text_config": {"hidden_size": 64, "intermediate_size": 128, **HEADS},
    "vision_config": TOWER,
}

RESPONSES = ("<think>It is.</think><answer>yes</answer>", "<answer>[[0,0,40,20]]</answer>", "Darkness.")
ROWS = [*SOUND, sound("7", truth="no"), sound("8", "iou", '[{"bbox_2d": [5, 5, 20, 10], "label": "cat"}]')]
ROWS += [sound("9", "open_ended", "A cat."), sound("10", "chart", "41"), sound("11", "math", "7")]
ANSWERED = [row | {"response": RESPONSES[number % 3]} for number, row in enumerate(ROWS)]


@cache
def dumped() -> list[dict[str, Any]]:
    """Lines of a run's rollouts; scored when they are first needed, which starts processes."""
    return [
        {
            "data_source": "toy",
            "input": f"user\n{row['extra_info']['question']}\nassistant",
            "output": response,
            "gts": row["reward_model"]["ground_truth"],
            **compute_score("toy", response, row["reward_model"]["ground_truth"], row["extra_info"]),
            "extra_info": row["extra_info"],
            "step": number,
            "uid": f"u{number}_0_0",
        }
        for number, row in enumerate(ROWS)
        for response in RESPONSES[: 1 + number % 2]
    ]


CHATS = [
    {
        "id": row["extra_info"]["id"],
        "image": "a.png",
        "reward": row["extra_info"]["reward"],
        "conversations": [
            {"from": "human", "value": "<image>\nIs it black?"},
            {"from": "gpt", "value": row["reward_model"]["ground_truth"]},
        ],
    }
    for row in ROWS[:6]
]

DEEP: Any = 0
for _ in range(200):
    DEEP = [DEEP]
ODD: list[Callable[[random.Random], Any]] = [
    *(lambda draw, value=value: copy.deepcopy(value) for value in (
        None, True, -1, 0, 10**18, 1e308, math.nan, -math.inf, "", " ", "\x00", "abc", "\ud83d", "\x1b[2J\x07", "[/]",
        "<image><image>", "a" * 5000, "[" * 3000, "1" * 400, "/dev/zero", "../../etc/passwd", "\u202e", "[[1e999,0,0]]",
        b"", b"\xff\xfe", b"%!PS-Adobe-3.0 EPSF-3.0\n", [], {}, [None], ["a", None], {"a": {"b": []}}, {"bytes": None},
        [{"image": "a" * 5000}], [{"bytes": b"\xff\xd8\xff", "path": None}], [{"role": None, "content": "x"}], DEEP,
    )),
    lambda draw: "".join(chr(draw.randrange(1, 0x3000)) for _ in range(20)),
    lambda draw: draw.randbytes(30),
    lambda draw: [[draw.uniform(-1e9, 1e9) for _ in range(5)]],
    lambda draw: {str(i): i for i in range(300)},
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where in a value something can be replaced."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, member in inner for place in places(member, (*path, key)))]


def spoil(rows: list[dict[str, Any]], draw: random.Random) -> list[Any]:
    """Rows of which one or two places hold something else, in one row or in all, so that the type is another too."""
    spoilt: list[Any] = copy.deepcopy(rows)
    for _ in range(draw.choice((1, 1, 2))):
        path = draw.choice(places(spoilt[0])[1:] or [()])
        odd = draw.choice((*ODD, *[_alike(spoilt[0], path)] * 20))(draw)
        for row in spoilt if draw.random() < 0.6 else spoilt[:1]:
            with contextlib.suppress(KeyError, IndexError, TypeError):
                place = row
                for key in path[:-1]:
                    place = place[key]
                if draw.random() < 0.1:
                    del place[path[-1]]
                else:
                    place[path[-1]] = odd
    return spoilt


def _alike(row: dict[str, Any], path: tuple[Any, ...]) -> Callable[[random.Random], Any]:
    """Odd values of the type that is there, which a schema does not keep out."""
    for key in path:
        row = row[key]
    texts = ["", "\0", "a" * 5000, "[" * 3000, "1" * 400, "\x1b[2J", "[/]", "/dev/zero", "toy" * 1000, "<image>" * 9]
    values = {str: texts, int: [0, -1, 2**62, -(2**63)], bytes: [b"", b"\xff\xd8\xff\xe0", png((1, 900)), b"P6 9 9 9 "]}
    return lambda draw: draw.choice([None, *values.get(type(row), [[], [None]])])


def write_parquet(path: Path, rows: list[Any], draw: random.Random) -> None:
    schema = row_schema().append(pa.field("response", pa.string())) if "response" in rows[-1] else row_schema()
    table = (draw.random() < 0.6 and _table(rows, schema)) or _table(rows) or _table(rows[:1]) or _table(SOUND)
    assert table is not None
    try:
        pq.write_table(table, path, row_group_size=4, compression="NONE", use_dictionary=False, write_statistics=False)
    except pa.ArrowException:  # a struct without fields
        pq.write_table(pa.table({"prompt": []}), path)
    if draw.random() < 0.1:  # bytes that are said to be text, wherever it is nested
        path.write_bytes(path.read_bytes().replace(*draw.choice(((b"toy", b"\xff\xfey"), (b"black", b"bl\xc3ck")))))


def _table(rows: list[Any], schema: pa.Schema | None = None) -> pa.Table | None:
    try:
        return pa.Table.from_pylist(rows, schema=schema)
    except (pa.ArrowException, OverflowError, UnicodeEncodeError, TypeError, ValueError, AttributeError):
        return None


def write_lines(path: Path, rows: list[Any]) -> None:
    def plain(value: Any) -> Any:
        return value.decode("latin-1") if isinstance(value, bytes) else str(value)

    path.write_text("".join(json.dumps(row, default=plain) + "\n" for row in rows), encoding="utf-8")


def damage(path: Path, draw: random.Random) -> None:
    """Another end, another byte, or something in its place that is no file of its kind."""
    data, chance = path.read_bytes(), draw.random()
    if chance < 0.08:
        data = data[: draw.randrange(len(data))]
    elif chance < 0.2:
        position = draw.randrange(len(data))
        data = data[:position] + draw.randbytes(draw.choice((1, 4))) + data[position + 1 :]
    elif chance < 0.23:
        data = draw.choice((b"", b"\x00" * 50, b"[" * 20_000, b"PAR1" * 4, b"\xff\xfe{}\n", b"[1, 2", b"null\n", b"3"))
    path.write_bytes(data)


def raw_folder(folder: Path, draw: random.Random) -> list[str]:
    """A spoilt raw folder, of a layout of anybody's own or of one that a dedicated converter reads."""
    if draw.random() < 0.5:
        name, split, files = "llava", "train", {"rows.jsonl": CHATS, "a.png": PICTURE}
    else:
        name, split, files, *_ = draw.choice(CASES)
    write_folder(folder, files, lambda path: path.write_bytes(png()))
    texts = sorted(path for path in folder.rglob("*") if path.suffix in (".json", ".jsonl"))
    with contextlib.suppress(json.JSONDecodeError):  # some layouts' files are Python's literals
        path = draw.choice(texts) if texts else folder
        parts = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()] if texts else []
        rows = [json.loads(part) for part in parts]
        if rows and isinstance(rows[0], dict | list):
            write_lines(path, spoil(rows, draw))
    damage(draw.choice(sorted(each for each in folder.rglob("*") if each.is_file())), draw)
    return [name, "--input", str(folder), "--split", split]


SETTINGS: dict[str, Any] = {
    "output": "out",
    "raw": "raw",
    "sources": [{"name": "toy", "converter": "llava", "input": ".", "limit": 4}],
    "quotas": {"rewards": {"matching": 2}},
    "ray": {"cpus": 2},
}


def case(command: str, folder: Path, draw: random.Random) -> list[str]:
    """Writes spoilt files and gives the arguments of a command over them."""
    parquet, lines = folder / "rows.parquet", folder / "lines.jsonl"
    if command.startswith("data"):
        raw = raw_folder(folder / "raw", draw)
        if command == "data convert":
            return [*command.split(), *raw, "--output", str(folder / "x.parquet")]
        (folder / "build.yaml").write_text(json.dumps(spoil([SETTINGS], draw)[0], default=str), encoding="utf-8")
        damage(folder / "build.yaml", draw)
        return [*command.split(), str(folder / "build.yaml")]
    sound_rows = command == "eval" and draw.random() < 0.7  # that the model is asked for at all
    rows = ANSWERED if command == "score" else ROWS
    write_parquet(parquet, rows if sound_rows else spoil(rows, draw), draw)
    if not sound_rows:
        damage(parquet, draw)
    if command in ("report", "score", "audit"):
        write_lines(lines, spoil(dumped(), draw))
        damage(lines, draw)
    (folder / "model").mkdir()
    (folder / "model" / "config.json").write_text(json.dumps(spoil([MODEL], draw)[0], default=str), encoding="utf-8")
    damage(folder / "model" / "config.json", draw)
    either = str(draw.choice((parquet, lines)))
    output = ["--output", str(folder / "report.html")]
    own_model = draw.choice(([], ["--model", str(folder / "model")]))
    return {
        "check": ["check", str(parquet)],
        "score": ["score", either, "--output", str(folder / f"scored{draw.choice(('.jsonl', '.parquet'))}")],
        "audit": ["audit", either, "--rows", "2"],
        "report": ["report", str(lines), *draw.choice(([], ["--data", str(parquet)])), *output],
        "eval": ["eval", str(folder / "model"), str(parquet), "--output", str(folder / "eval.jsonl")],
        "plan": ["plan", "--recipe", "mixed_r1", "--gpus", "8", "--data", str(parquet), *own_model],
    }[command]


class Slow(BaseException):
    """A command took more than it may."""


@contextlib.contextmanager
def limited(seconds: float) -> Iterator[None]:
    def late(*_: object) -> None:
        raise Slow

    signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def run(command: str, seed: int, limit_s: float) -> tuple[float, str]:
    """One case: the seconds that it took but for those that it waited for a processor, and what was wrong, or empty."""
    draw, here = random.Random(seed), Path.cwd()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stderr(io.StringIO()):
        arguments = case(command, Path(folder), draw)
        os.chdir(folder)
        start, waited = time.monotonic(), Schedule.of(os.getpid()).waited
        try:
            with limited(limit_s):
                ran = CliRunner().invoke(app, arguments)
        except Slow:
            return limit_s, f"more than {limit_s} s"
        finally:
            os.chdir(here)
    took = time.monotonic() - start - (Schedule.of(os.getpid()).waited - waited)
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        return took, "".join(traceback.format_exception(ran.exception))[-1500:]
    wrong = next((sign for sign in ("Traceback (most", "\x1b", "\x07") if sign in ran.output), "")
    if wrong or ran.exit_code not in (0, 1, 2):
        return took, f"exit {ran.exit_code}, {wrong!r}: {ran.output[-300:]}"
    return took, ""


@dataclass(frozen=True)
class Outcome:
    """What became of a command's cases."""

    cases: int
    wrong: list[str]
    longest: list[tuple[float, int]]  # seconds and the seed, the longest first
    sound_mb: int  # the most memory of a sound file, for which the command imports all that it needs
    most_mb: int


def many(command: str, seeds: range, limit_s: float = LIMIT_S) -> Outcome:
    """Cases in this process, which has done nothing else: its greatest memory is the command's.

    `data build` finds a Ray that runs, as on a cluster: to start one takes 5 to 20 s of a machine with two processors.
    """
    if command == "data build":
        ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    with patch.dict(globals(), spoil=lambda rows, draw: rows, damage=lambda path, draw: None):
        wrong, took = [run(command, -1, 240)[1]], []
    sound_mb = peak_mb()
    for seed in seeds:
        for _ in range(2):  # what another process delayed is not late twice
            seconds, message = run(command, seed, 4 * limit_s)
            if seconds <= limit_s:
                break
        took.append((seconds, seed))
        wrong.append(message or (seconds > limit_s) * f"{seconds:.1f} s")
    told = [f"{command}, seed {seed}: {message}" for seed, message in zip((-1, *seeds), wrong, strict=True) if message]
    return Outcome(len(seeds), told, sorted(took, reverse=True)[:3], sound_mb, peak_mb())


def peak_mb() -> int:
    """The most that this process has held; `ru_maxrss` begins with what the process held that started it."""
    status = Path("/proc/self/status").read_text()
    return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) // 1024


def alone(count: int) -> ProcessPoolExecutor:
    """So many processes, a new one for each command."""
    return ProcessPoolExecutor(count, get_context("spawn"), max_tasks_per_child=1)


def main(count: int, first: int = 1, *commands: str) -> int:
    """Many cases, each command in a process of its own, with what went wrong and the most that was taken."""
    with alone(2) as processes:
        runs = {
            processes.submit(many, command, range(first, first + count * COMMANDS[command] // 100)): command
            for command in commands or COMMANDS
        }
        for done in as_completed(runs):
            outcome = done.result()
            print(*outcome.wrong, sep="\n")
            times = ", ".join(f"{seconds:.1f} s (seed {seed})" for seconds, seed in outcome.longest)
            memory = f"{outcome.most_mb} MB, of a sound file {outcome.sound_mb} MB"
            found = f"{outcome.cases} files, {len(outcome.wrong)} wrong"
            print(f"{runs[done]}: {found}; longest {times}; {memory}", flush=True)
    return sum(len(done.result().wrong) for done in runs)


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3]), *sys.argv[3:]) > 0)
