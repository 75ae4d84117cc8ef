"""What all commands do alike: settings, and errors on one line with an exit code."""

import json
from typing import Any

import pytest
import typer

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.core.console import (
    BAD_USAGE,
    FAILED,
    INTERRUPTED,
    command_errors,
    merge,
    parse_settings,
    print_json,
    say,
    terminal,
)
from mixed_r1_verl.core.rows import DataError


@pytest.mark.parametrize(
    ("settings", "mapping"),
    [
        ([], {}),
        (["a.b=1", "a.c=x"], {"a": {"b": 1, "c": "x"}}),
        (["a=[1, 2]"], {"a": [1, 2]}),
        (["a=b=c"], {"a": "b=c"}),
        (["a=null", "b=true"], {"a": None, "b": True}),
    ],
)
def test_settings(settings: list[str], mapping: dict[str, Any]) -> None:
    assert parse_settings(settings) == mapping


@pytest.mark.parametrize("settings", [["a"], ["=1"], ["a=1", "a.b=2"]])
def test_settings_that_are_none(settings: list[str]) -> None:
    with pytest.raises(ConfigError, match="--set"):
        parse_settings(settings)


def test_merge_keeps_what_is_not_changed() -> None:
    block = {"iou": {"mode": "raw", "steps": [1]}, "x": 1}
    assert merge(block, {"iou": {"steps": [2]}}) == {"iou": {"mode": "raw", "steps": [2]}, "x": 1}
    assert block["iou"]["steps"] == [1]


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigError("bad [bold]key[/bold]"), BAD_USAGE, "error: bad [bold]key[/bold]\n"),
        (DataError("no file"), BAD_USAGE, "error: no file\n"),
        (KeyError("mine"), BAD_USAGE, "error: 'mine'\n"),
        (OSError(28, "No space left on device"), FAILED, "error: [Errno 28] No space left on device\n"),
        (KeyboardInterrupt(), INTERRUPTED, "interrupted; nothing was written\n"),
        (typer.Exit(7), 7, ""),
    ],
)
def test_an_error_is_one_line_and_a_code(
    error: BaseException, code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as caught, command_errors(KeyError):
        raise error
    assert caught.value.exit_code == code
    assert capsys.readouterr().err == said


ESCAPES = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\ud800[/]"


def test_nothing_of_a_file_commands_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    from rich.table import Table

    table = Table(ESCAPES)
    table.add_row(f"{ESCAPES}\nsecond line")
    console = terminal(width=200)
    console.print(table, markup=False)
    console.print(ESCAPES, markup=False)
    say(ESCAPES)
    print_json({ESCAPES: [ESCAPES]})
    shown = capsys.readouterr()
    for text in (shown.out, shown.err):
        assert not set(text) & set("\x1b\x07\x9b\u202e\ud800")
        assert r"\u001b]0;owned\u0007\u001b[2J\u009b31m\u202e\ud800" in text


def test_json_stays_what_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({ESCAPES: "é"})
    assert json.loads(capsys.readouterr().out) == {ESCAPES: "é"}
