"""The digest of code covers all that a module imports, as Python itself finds it out."""

import subprocess
import sys
from pathlib import Path

import pytest

from mixed_r1_verl.core import code
from mixed_r1_verl.core.code import code_digest, imported_modules


@pytest.mark.parametrize("name", ["core.boxes", "rewards.mixed", "data.schema"])
def test_what_python_imports_is_covered(name: str) -> None:
    name = f"mixed_r1_verl.{name}"
    # What a .pth file of the environment has loaded before is not this module's doing.
    program = f"import sys; before = set(sys.modules); import {name}; print('\\n'.join(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {module for module in done.stdout.split() if module.split(".")[0] == "mixed_r1_verl"}
    assert loaded <= imported_modules(name)


def test_families_are_part_of_what_reads_boxes() -> None:
    assert "mixed_r1_verl.core.families" in imported_modules("mixed_r1_verl.rewards.kinds.iou")


def test_a_change_of_an_imported_module_changes_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "toy_package").mkdir()
    for name, text in (("__init__", ""), ("a", "def f():\n    from toy_package import b\n"), ("b", "X = 1\n")):
        (tmp_path / "toy_package" / f"{name}.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(code, "PACKAGE", "toy_package")
    before = code_digest("toy_package.a")
    (tmp_path / "toy_package" / "b.py").write_text("X = 2\n")
    assert code_digest("toy_package.a") != before
