"""Every command over files in which something is wrong: at most one message, never a traceback, a stall or much memory.

A sound file is spoilt in one or two places (a value of another type, null, nested, huge, not UTF-8; a byte; an end) and
given to a command. `python tests/test_hostile_files.py 10000` does so 10,000 times, and prints the longest and the
largest; the test does it a few hundred times.
"""

import contextlib
import copy
import io
import json
import math
import os
import random
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent / "helpers"))
from sound_rows import SOUND, png, sound

from mixed_r1_verl.cli import app
from mixed_r1_verl.data.schema import row_schema
from mixed_r1_verl.rewards.mixed import compute_score

LIMIT_S, LIMIT_MB = 5.0, 500

RESPONSES = ("<think>It is.</think><answer>yes</answer>", "<answer>[[0,0,40,20]]</answer>", "Darkness.")
ROWS = [*SOUND, sound("7", truth="no"), sound("8", "iou", '[{"bbox_2d": [5, 5, 20, 10], "label": "cat"}]')]
ROWS += [sound("9", "open_ended", "A cat."), sound("10", "chart", "41"), sound("11", "math", "7")]
LINES: list[dict[str, Any]] = [
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
ANSWERED = [row | {"response": RESPONSES[number % 3]} for number, row in enumerate(ROWS)]
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


def case(folder: Path, draw: random.Random) -> list[str]:
    """Writes spoilt files and gives the command over them."""
    command = draw.choice([*("check", "score", "audit", "report", "data convert") * 6, "plan"])
    parquet, lines = folder / "rows.parquet", folder / "lines.jsonl"
    if command == "data convert":
        (folder / "raw").mkdir()
        write_lines(folder / "raw" / "rows.jsonl", spoil(CHATS, draw))
        damage(folder / "raw" / "rows.jsonl", draw)
        (folder / "raw" / "a.png").write_bytes(png())
        return ["data", "convert", "llava", "--input", str(folder / "raw"), "--output", str(folder / "x.parquet")]
    write_parquet(parquet, spoil(ANSWERED if command == "score" else ROWS, draw), draw)
    damage(parquet, draw)
    write_lines(lines, spoil(LINES, draw))
    damage(lines, draw)
    either = str(draw.choice((parquet, lines)))
    output = ["--output", str(folder / "report.html")]
    return {
        "check": ["check", str(parquet)],
        "score": ["score", either, "--output", str(folder / f"scored{draw.choice(('.jsonl', '.parquet'))}")],
        "audit": ["audit", either, "--rows", "2"],
        "report": ["report", str(lines), *draw.choice(([], ["--data", str(parquet)])), *output],
        "plan": ["plan", "--recipe", "mixed_r1", "--gpus", "8", "--data", str(parquet)],
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


def run(seed: int, root: Path, seconds: float) -> tuple[list[str], float, str]:
    """One case: its command, the seconds that it took, and what was wrong, or empty."""
    draw = random.Random(seed)
    folder = root / str(seed)
    folder.mkdir()
    arguments = case(folder, draw)
    here = Path.cwd()
    os.chdir(folder)
    start = time.monotonic()
    try:
        with limited(seconds):
            ran = CliRunner().invoke(app, arguments)
    except Slow:
        return arguments, seconds, f"more than {seconds} s"
    finally:
        os.chdir(here)
    took = time.monotonic() - start
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        return arguments, took, f"{type(ran.exception).__name__}: {ran.exception}"
    wrong = next((sign for sign in ("Traceback (most", "\x1b", "\x07") if sign in ran.output), "")
    if wrong or ran.exit_code not in (0, 1, 2):
        return arguments, took, f"exit {ran.exit_code}, {wrong!r}: {ran.output[-300:]}"
    return arguments, took, ""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("part", range(4))
def test_spoilt_files(tmp_path: Path, part: int) -> None:
    for seed in range(40 * part, 40 * part + 40):
        arguments, _, wrong = run(seed, tmp_path, 12 * LIMIT_S)  # this machine may be busy
        assert not wrong, f"seed {seed}: {arguments}: {wrong}"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < 4 * LIMIT_MB * 1024  # of all tests so far


def main(count: int, first: int = 0) -> int:
    """Many cases, with what went wrong and the most that was taken."""
    longest, failed = (0.0, 0, [""]), 0
    for seed in range(first, first + count):
        with tempfile.TemporaryDirectory() as root, contextlib.redirect_stderr(io.StringIO()):
            arguments, took, wrong = run(seed, Path(root), 10 * LIMIT_S)
        longest = max(longest, (took, seed, arguments))
        if wrong:
            failed += 1
            print(f"seed {seed}: {arguments[:2]}: {wrong}", flush=True)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{count} cases, {failed} failed; at most {longest[0]:.1f} s (seed {longest[1]}: {longest[2][0]}), {most} MB")
    return failed


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])) > 0)
