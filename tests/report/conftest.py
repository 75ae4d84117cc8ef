"""One small run, and its page, for all tests of the report."""

from pathlib import Path

import pytest
from chromium import browser  # noqa: F401
from report_run import make_run
from typer.testing import CliRunner

from mixed_r1_verl.cli import app


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "demo"
    folder.mkdir()
    return make_run(folder)


@pytest.fixture(scope="session")
def report_file(run_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    ran = CliRunner().invoke(app, ["report", str(run_folder), "--trust-config", "--output", str(path)])
    assert ran.exit_code == 0, ran.output
    return path
