"""Raw folders that are broken or mean harm: a reject or one clear message, never a traceback or half a file."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from described_datasets import CASES, PICTURE, Case, write_folder
from typer.testing import CliRunner

from mixed_r1_verl.cli import app
from mixed_r1_verl.data.check import check_files

ODD_VALUES: list[Any] = [
    None,
    True,
    -1,
    10**30,
    1.5e308,
    float("nan"),
    "",
    " ",
    "\x00",
    "\ud83d",
    "../../../../etc/passwd",
    "/etc/passwd",
    "a" * 5000,
    "<image><video></think>",
    "Ünïcode 图 🐱\u202e",
    [],
    {},
    [[[[]]]],
    [None, 1, "a"],
    {"a": {"b": []}},
]
ODD_TEXTS = [
    "",
    "{",
    "null",
    "[]",
    "{}",
    "3",
    '"text"',
    "[1, 2",
    "[" * 100_000,
    "\ufeff[]",
    "\x00\x01",
    "<html></html>",
]
ODD_PICTURES = [b"", b"\x89PNG\r\n\x1a\n", b"<svg/>", b"GIF89a", b"\xff\xd8\xff\xe0"]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where in a JSON value something can be replaced."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, member in inner for place in places(member, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], odd: Any) -> Any:
    if not path:
        return odd
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], odd)
    return copy


def spoilt(case: Case, draw: random.Random) -> dict[str, Any]:
    """The case's files with one of them broken as a whole, or one value in it replaced by another kind of value."""
    name = draw.choice(sorted(case.files))
    content = case.files[name]
    if content is PICTURE or draw.random() < 0.2:
        return case.files | {name: draw.choice(ODD_PICTURES if content is PICTURE else ODD_TEXTS)}
    if isinstance(content, str):
        cut = draw.randrange(len(content))
        return case.files | {name: content[:cut] + draw.choice(ODD_TEXTS[:8]) + content[cut + 3 :]}
    odd = replaced(content, draw.choice(places(content)), draw.choice(ODD_VALUES))
    return case.files | {name: json.dumps(odd) if isinstance(odd, str) else odd}


def write(folder: Path, files: dict[str, Any], picture) -> None:
    write_folder(folder, {name: content for name, content in files.items() if not isinstance(content, bytes)}, picture)
    for name, content in files.items():
        if isinstance(content, bytes):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)


def convert(folder: Path, case: Case, output: Path) -> str:
    """Runs the command line; whatever happens, there is a sound file or none, and at most one message."""
    arguments = ["data", "convert", case.converter, "--input", str(folder), "--split", case.split]
    result = CliRunner().invoke(app, [*arguments, "--output", str(output)])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert "Traceback" not in result.output
    assert result.exit_code in (0, 1)
    assert output.exists() == (result.exit_code == 0)
    assert not list(output.parent.glob("*.tmp")) and not list(output.parent.glob("*.partial"))
    if result.exit_code:
        assert result.output.count("error: ") == 1
    else:
        summary = json.loads(output.with_name(f"{output.stem}.summary.json").read_text())
        assert summary["read"] == summary["written"] + summary["rejected"]
        assert check_files([output]).problems == []
    return result.output


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.converter)
def test_spoilt_folders(tmp_path, picture, case: Case):
    draw = random.Random(case.converter)
    for number in range(12):
        folder = tmp_path / str(number)
        write(folder / "raw", spoilt(case, draw), picture)
        convert(folder / "raw", case, folder / "x.parquet")


def only(name: str) -> Case:
    return next(case for case in CASES if case.converter == name)


@pytest.mark.parametrize("target", ["/etc", "../outside"], ids=["absolute", "relative"])
def test_links_out_of_the_folder(tmp_path, picture, target):
    """A folder of the raw data that is a link to elsewhere: what lies there is not read."""
    case = only("dvqa")
    write(tmp_path / "raw", case.files, picture)
    picture(tmp_path / "outside" / "bar_1.png")
    (tmp_path / "raw" / "images" / "bar_1.png").unlink()
    (tmp_path / "raw" / "images").rmdir()
    (tmp_path / "raw" / "images").symlink_to(target)
    assert "path_escape" in convert(tmp_path / "raw", case, tmp_path / "x.parquet")


def test_a_record_file_that_is_a_link_out(tmp_path, picture):
    case = only("dvqa")
    write(tmp_path / "raw", case.files, picture)
    record = tmp_path / "raw" / "qa" / "val_easy_qa.json"
    record.rename(tmp_path / "secret.json")
    record.symlink_to(tmp_path / "secret.json")
    assert "holds none of" in convert(tmp_path / "raw", case, tmp_path / "x.parquet")


def test_a_loop_of_links(tmp_path, picture):
    case = only("dvqa")
    write(tmp_path / "raw", case.files, picture)
    (tmp_path / "raw" / "images" / "bar_1.png").unlink()
    (tmp_path / "raw" / "images" / "bar_1.png").symlink_to("bar_1.png")
    assert "1 x image/" in convert(tmp_path / "raw", case, tmp_path / "x.parquet")


def test_unicode_names_in_both_forms(tmp_path, picture):
    """The record writes the accent as one character, the file system has it as two."""
    record = {"question": "Which?", "question_id": 1, "answer": "drama", "image": "caf\u00e9 图.png"}
    write_folder(tmp_path / "raw", {"val_easy_qa.json": [record], "images/cafe\u0301 图.png": PICTURE}, picture)
    assert "written 1" in convert(tmp_path / "raw", only("dvqa"), tmp_path / "ü.parquet")


@pytest.mark.parametrize("name", ["a.zip", "a.tar.gz"])
def test_archives_are_not_unpacked(tmp_path, name):
    """No archive is read, so none can write outside; the message says what is missing."""
    (tmp_path / name).write_bytes(b"PK\x03\x04")
    assert "holds none of" in convert(tmp_path, only("dvqa"), tmp_path / "out" / "x.parquet")
