"""Every command that README and docs print: run, read by its own program, or marked as needing a GPU or a cluster."""

import importlib.util
import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import tomllib
from hydra import compose, initialize_config_module
from PIL import Image
from typer.testing import CliRunner

from mixed_r1_verl.cli import app, load

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROGRAMS = "mixed-r1|python3?|pip|make|ray|vllm|sbatch|kubectl|export"
TRAINING = "python -m verl.trainer.main_ppo"
NEEDS = {"vllm serve": "a GPU", "sbatch": "SLURM", "kubectl": "Kubernetes", "pip install flash-attn": "a GPU"}


def lines(page: Path) -> list[str]:
    """The indented commands of a page, whole and without their comments, as they are printed."""
    text = re.sub(r"\\\n\s*", "", page.read_text(encoding="utf-8"))
    return [re.sub(r"\s+#.*", "", line) for line in re.findall(rf"^    ((?:{PROGRAMS}|examples/\S+) .*)$", text, re.M)]


def commands(*, own: bool) -> list[Any]:
    """All commands of the documentation: `mixed-r1` and trainings, or those of other programs and within sentences."""
    found = {(page, line) for page in PAGES for line in lines(page)}
    for page in PAGES if not own else ():
        spans = re.findall(rf"`((?:{PROGRAMS}) [^`]+|examples/[^`]+)`", page.read_text(encoding="utf-8"))
        found |= {(page, " ".join(span.split())) for span in spans}
    of_ours = ("mixed-r1 ", TRAINING)
    chosen = [(page, line) for page, line in sorted(found) if line.startswith(of_ours) == own]
    return [pytest.param(line, id=f"{page.stem}: {line[:60]}") for page, line in chosen]


@pytest.mark.parametrize("line", commands(own=True))
def test_a_command_of_ours_is_one(line: str) -> None:
    """Its name, its options and the values of those, or its overrides; not the files, which its reader has."""
    words = shlex.split(re.split(r" [|>] ", line.replace(" …", ""))[0])
    if words[0] == "mixed-r1":
        name = " ".join(words[1 : 3 if words[1] == "data" else 2])
        load(name).make_context(name, words[1 + len(name.split()) :])
        return
    with initialize_config_module("verl.trainer.config", version_base=None):
        overrides = [word for word in words[3:] if not word.startswith("~hydra")]
        assert compose("ppo_trainer", overrides=overrides).reward.reward_manager.name


@pytest.mark.parametrize("line", commands(own=False))
def test_a_command_of_another_program_names_what_there_is(line: str) -> None:
    if need := next((need for start, need in NEEDS.items() if line.startswith(start)), None):
        pytest.skip(f"needs {need}: {line}")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    words = shlex.split(line.partition(" -- ")[0])
    for file in re.findall(r"(?:^|\s)((?:tests|examples|benchmarks)/\S+)", line):
        assert (ROOT / file).exists(), file
    if words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    elif words[:2] == ["pip", "install"]:
        extras = {extra for word in words for extra in re.findall(r"\[(\w+)\]", word)}
        assert extras <= set(project["optional-dependencies"])
    elif words[0].startswith("python"):
        module = words[2] if words[1] == "-m" else words[1].removesuffix(".py").replace("/", ".")
        spec = importlib.util.find_spec(module)
        assert spec, module
        if module.startswith(("examples.", "benchmarks.")):
            source = "".join(file.read_text(encoding="utf-8") for file in Path(str(spec.origin)).parent.glob("*.py"))
            for option in re.findall(r"--([a-z][a-z-]+)", line):
                assert option in source or option.replace("-", "_") in source, option
    elif words[:3] == ["ray", "job", "submit"] and len(words) > 3:
        assert json.loads(words[words.index("--runtime-env-json") + 1]).keys() == {"pip"}
    else:
        assert words[0] in ("export", "ray") or words[0].startswith("examples/"), line


def test_the_tutorials_of_own_data_and_own_reward_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What they print, in a folder with the row that one of them begins with, in order."""
    data, reward = (ROOT / "docs" / "tutorials" / f"own-{name}.md" for name in ("data", "reward"))
    row = json.loads(re.findall(r"^    (\{.*\})$", data.read_text(encoding="utf-8"), re.M)[0])
    function = re.search(r"^    # my_rewards\.py\n((?:    .*\n)+)", reward.read_text(encoding="utf-8"), re.M)
    assert function
    (tmp_path / "my_rewards.py").write_text(re.sub("^    ", "", function[1], flags=re.M), encoding="utf-8")
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (56, 56)).save(tmp_path / "pictures" / row["pic"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)  # export PYTHONPATH=$PWD
    for page, truths in ((data, "B"), (reward, ("10", "25", "40"))):
        rows = [row | {"uid": truth, "meta": {"gold": truth}} for truth in truths]
        Path("mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        own = [line for line in lines(page) if re.match("mixed-r1 (?!report)", line)]
        assert len(own) == 3
        for line in own:
            ran = CliRunner().invoke(app, shlex.split(line)[1:], env={"COLUMNS": "80"})
            assert ran.exit_code == 0, f"{line}\n{ran.output}"
        assert ran.output.rstrip().endswith(("no problems", "no attack pays")), ran.output
