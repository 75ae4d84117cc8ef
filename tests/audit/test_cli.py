"""`mixed-r1 audit`: exit codes, what it prints, and files that it cannot use."""

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from audit_rows import ALL_ROWS, CHART_ROWS, MATCHING_ROWS, write_jsonl
from typer.testing import CliRunner

from mixed_r1_verl.audit.cli import audit_command


def run(*arguments: str) -> Any:
    app = typer.Typer()
    app.command()(audit_command)
    return CliRunner().invoke(app, arguments)


def test_command_passes_sound_rewards(tmp_path: Path) -> None:
    result = run(str(write_jsonl(tmp_path / "a.jsonl", ALL_ROWS)))
    assert result.exit_code == 0, result.output
    assert "no attack pays" in result.output


def test_command_prints_json(tmp_path: Path) -> None:
    result = run(str(write_jsonl(tmp_path / "a.jsonl", MATCHING_ROWS)), "--format", "json")
    report = json.loads(result.output)
    assert report["passed"] is True
    assert [audit["kind"] for audit in report["kinds"]] == ["matching", "format"]
    assert {"name", "sort", "mean", "bar", "pays"} == set(report["kinds"][0]["attacks"][0])


def test_command_fails_when_an_attack_pays() -> None:
    result = run("--set", "open_ended.variant=bmas", "--rows", "15")
    assert result.exit_code == 1
    assert "open_ended: honest_five_times pays" in " ".join(result.output.split())


def test_command_fails_when_a_kind_is_not_audited(tmp_path: Path) -> None:
    result = run(str(write_jsonl(tmp_path / "a.jsonl", [MATCHING_ROWS[0], *CHART_ROWS])))
    assert result.exit_code == 1
    assert "not audited: fewer than two different ground truths" in result.output
    assert "no attack pays" not in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("missing.parquet",),
        ("--set", "open_ended.varient=bmas"),
        ("--set", "variant"),
        ("--rows", "1"),
        ("--format", "xml"),
    ],
    ids=str,
)
def test_command_refuses_bad_usage(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_command_shows_all_attacks_on_demand(tmp_path: Path) -> None:
    path = str(write_jsonl(tmp_path / "a.jsonl", MATCHING_ROWS))
    assert " more" in run(path).output
    assert " more" not in run(path, "--all").output


def test_help_has_an_example() -> None:
    assert "Example: mixed-r1 audit train.parquet" in " ".join(run("--help").output.split())
