"""Every red line of the doctor, each brought about for real."""

from importlib import metadata
from pathlib import Path

import pytest
from fresh import run
from typer.testing import CliRunner

from mixed_r1_verl import doctor
from mixed_r1_verl.cli import app

pytestmark = pytest.mark.verl


def test_all_green_here() -> None:
    result = CliRunner().invoke(app, ["doctor"], env={"COLUMNS": "200"})
    assert result.exit_code == 0, result.output
    assert "all green" in result.output


VERSIONS = "from importlib import metadata; real = metadata.version; others = {others}\n"
VERSIONS += "metadata.version = lambda name: others.get(name) or real(name)"


@pytest.mark.parametrize(
    ("setup", "name", "line"),
    [
        (
            "import sys; sys.modules['mixed_r1_verl.plugin.internvl'] = None",
            "verl plugin",
            "fail import failed:",
        ),
        (
            "import sys; sys.modules['hydra_plugins.mixed_r1_verl'] = None",
            "recipe mixed_r1",
            "fail not on Hydra's search path",
        ),
        (VERSIONS.format(others={"verl": "0.8.0"}), "verl", "fail 0.8.0 is not supported"),
        (
            VERSIONS.format(others={"transformers": "5.23.0"}),
            "transformers",
            "fail 5.23.0 is not supported (supported: !=5.6.0,<5.11",
        ),
        (VERSIONS.format(others={"vllm": "0.32.0"}), "vLLM", "fail 0.32.0 is not supported (supported: <0.32,>=0.24)"),
        (
            "import os; os.environ['VERL_PLATFORM'] = 'nvidia'",
            "GPU",
            "fail verl runs on cuda and torch sees none",
        ),
        (
            "import os; os.environ['VERL_USE_EXTERNAL_PLUGINS'] = 'none'",
            "verl plugin",
            "fail VERL_USE_EXTERNAL_PLUGINS=none keeps it out",
        ),
    ],
    ids=[
        "plugin import broken",
        "recipe missing",
        "verl of another version",
        "newer transformers",
        "newer vLLM",
        "broken driver",
        "plugins switched off",
    ],
)
def test_the_right_line_is_red(setup: str, name: str, line: str) -> None:
    ask = f"from mixed_r1_verl import doctor; found = doctor.examine({name!r})"
    ran = run(f"{setup}\n{ask}; print(found.status, found.detail)")
    assert line in ran.stdout, ran.stdout + ran.stderr


def test_a_red_line_ends_the_command_with_1() -> None:
    code = "from mixed_r1_verl import doctor; from mixed_r1_verl.cli import main; import sys\n"
    code += "doctor.CHECKS = {'verl': lambda: 1 / 0}; sys.argv = ['mixed-r1', 'doctor']; main()"
    ran = run(code)
    assert ran.returncode == 1 and "1 of 1 checks failed" in ran.stdout, ran.stdout + ran.stderr


def test_fix_writes_the_shim_only_where_it_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert doctor.fix() == "nothing to fix"

    def broken() -> str:
        raise doctor.Finding("torchvision::nms", "mixed-r1 doctor --fix")

    monkeypatch.setitem(doctor.CHECKS, "torchvision", broken)
    monkeypatch.setattr(doctor.sysconfig, "get_path", lambda name: str(tmp_path))
    assert doctor.fix().startswith("wrote ")
    assert len(list(tmp_path.glob("*.pth"))) == 1


def test_every_red_line_says_what_to_do() -> None:
    assert metadata.version("verl")
    for check in map(doctor.examine, doctor.CHECKS):
        assert check.status != "fail" or check.advice


def test_the_pins_of_the_gpu_stack_are_those_of_the_installed_verl() -> None:
    """verl 0.9.1; another verl brings its own, and these numbers are then out of date everywhere."""
    assert doctor.upstream_pins() == {
        "torch": "2.11.0",
        "torchvision": "0.26.0",
        "vllm": "0.24.0",
        "transformers": "5.9.0",
        "flash-attn": "2.8.3",
    }


@pytest.mark.parametrize(
    ("installed", "status", "said"),
    [
        ({"flash-attn": None}, "fail", "pip install flash-attn==2.8.3 --no-build-isolation"),
        ({"vllm": "0.30.0"}, "note", "vllm 0.30.0; upstream pins torch 2.11.0"),
        ({"torch": "2.11.0+cu130"}, "ok", "flash-attn 2.8.3"),
    ],
    ids=["no flash-attn", "another vLLM", "upstream's pins"],
)
def test_the_gpu_stack_is_compared_with_upstreams_pins(
    monkeypatch: pytest.MonkeyPatch, installed: dict[str, str | None], status: str, said: str
) -> None:
    stack = doctor.upstream_pins() | installed
    monkeypatch.setattr(doctor, "has_gpu", lambda: True)
    monkeypatch.setattr(doctor, "installed", stack.get)
    check = doctor.examine("GPU stack")
    assert check.status == status and said in f"{check.detail} {check.advice}"


def test_a_verl_that_pins_no_flash_attention_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "has_gpu", lambda: True)
    monkeypatch.setattr(doctor, "upstream_pins", lambda: {"torch": "2.11.0"})
    monkeypatch.setattr(doctor, "installed", {"torch": "2.11.0"}.get)
    assert doctor.examine("GPU stack") == doctor.Check("GPU stack", "ok", "torch 2.11.0")
