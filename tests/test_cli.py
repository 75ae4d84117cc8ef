"""The command line as a whole: what it lists is what there is, and listing it costs nothing."""

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from mixed_r1_verl.cli import COMMANDS, app, load

HEAVY = ("numpy", "pyarrow", "PIL", "rich", "scipy", "tokenizers", "hydra", "jinja2", "torch", "verl", "ray")


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_what_the_command_says_of_itself(name: str) -> None:
    command = load(name)
    assert COMMANDS[name][1] == " ".join(command.help.split("\n\n")[0].split())
    assert f"Example: mixed-r1 {name}" in command.help


@pytest.mark.parametrize("arguments", [["--help"], [], ["data", "--help"]])
def test_the_list_of_commands_is_whole_and_imports_none_of_them(arguments: list[str]) -> None:
    listed = ["data"] if "data" not in arguments else []
    listed += [name.removeprefix("data ") for name in COMMANDS if name.startswith("data ") == ("data" in arguments)]
    code = (
        "import sys\n"
        "from mixed_r1_verl.cli import main\n"
        f"sys.argv = ['mixed-r1', *{arguments}]\n"
        "try:\n"
        "    main()\n"
        "except SystemExit:\n"
        f"    loaded = [name for name in sys.modules if name in {HEAVY} or name.startswith('mixed_r1_verl.rewards')]\n"
        "    print('loaded:', loaded)\n"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert all(f"  {name} " in ended.stdout + ended.stderr for name in listed)
    assert "loaded: []" in ended.stdout


def test_a_command_without_a_name_like_it_is_bad_usage() -> None:
    result = CliRunner().invoke(app, ["scores"])
    assert result.exit_code == 2 and "No such command 'scores'" in result.output
