"""The digest of code covers all that a module imports, as Python itself finds it out."""

import ast
import importlib.util
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from mixed_r1_verl.core import code
from mixed_r1_verl.core.code import code_digest, imported_modules, running_code
from mixed_r1_verl.rewards.kinds import KINDS


@pytest.mark.parametrize("name", ["core.boxes", "rewards.mixed", "data.schema", "data.convert"])
def test_what_python_imports_is_covered(name: str) -> None:
    name = f"mixed_r1_verl.{name}"
    # What a .pth file of the environment has loaded before is not this module's doing.
    program = f"import sys; before = set(sys.modules); import {name}; print('\\n'.join(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = {module for module in done.stdout.split() if module.split(".")[0] == "mixed_r1_verl"}
    assert loaded <= imported_modules(name)


def _imported_from(path: Path, name: str) -> set[str]:
    """What Python's own parser finds that a module imports."""
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
            found.update([module, *(f"{module}.{alias.name}" for alias in node.names)])
    return found


def test_no_import_that_pythons_parser_sees_is_missed() -> None:
    root = Path(code.__file__).parent.parent
    modules = {path: path.relative_to(root.parent).with_suffix("") for path in root.rglob("*.py")}
    assert len(modules) > 100
    for path, place in modules.items():
        name = ".".join(place.parts).removesuffix(".__init__")
        if "hydra_plugins" not in name:  # a namespace of Hydra's, where it is known by another name
            assert _imported_from(path, name) <= set(code._imports(name)), name


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


def test_tables_beside_the_modules_count(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr(code, "sha256_of", lambda path: read.append(path.name) or "")
    code_digest("mixed_r1_verl.rewards.kinds.chart")
    assert {"words.txt", "units.txt", "chart.py"} <= set(read)


def test_a_package_that_looks_through_its_modules_imports_all_of_them() -> None:
    """Kinds are imported by name, when a row asks for one; the graph has them all the same."""
    assert {f"mixed_r1_verl.rewards.kinds.{name}" for name in KINDS} <= imported_modules("mixed_r1_verl.rewards.mixed")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of somebody else: `one` imports `two` relatively, within a function; `three` is imported by nobody."""
    root = tmp_path / re.sub(r"\W", "_", f"of_{tmp_path.name}")  # a name of its own, since files are remembered
    root.mkdir()
    (root / "__init__.py").write_text("")
    (root / "one.py").write_text("def run():\n    from .two import VALUE\n    from mixed_r1_verl.core import boxes\n")
    (root / "two.py").write_text("VALUE = 1\n")
    (root / "three.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return root


def test_modules_of_the_own_package_count(package):
    name = package.name
    found = imported_modules(f"{name}.one")
    assert {name, f"{name}.one", f"{name}.two", "mixed_r1_verl.core.boxes"} <= found
    assert f"{name}.three" not in found
    assert all(one.split(".")[0] in (name, "mixed_r1_verl") for one in found)


@pytest.mark.parametrize(("name", "changes"), [("one", True), ("two", True), ("three", False)])
def test_the_digest_follows_what_is_imported(package, name, changes):
    before = code_digest(f"{package.name}.one")
    path = package / f"{name}.py"
    path.write_text(path.read_text() + "# changed\n")
    assert (code_digest(f"{package.name}.one") != before) == changes


def test_looking_at_imports_imports_nothing():
    """A key must not cost the import of what it covers: SymPy, pyarrow, torch."""
    code = """
        import sys
        from mixed_r1_verl.core.code import code_digest
        code_digest("mixed_r1_verl.data.convert")
        print([name for name in ("numpy", "pyarrow", "sympy", "PIL", "torch") if name in sys.modules])
    """
    found = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_every_form_of_an_import_is_found(package):
    lines = (
        "import os, {0}.two",
        "from {0} \\\n    import two",
        "x = 1; import {0}.two",
        "try: from . import two\nfinally: pass",
    )
    for number, form in enumerate(("from . import (  # why (all)\n    three,\n    two as x,\n)", *lines)):
        (package / f"form_{number}.py").write_text(form.format(package.name) + "\n")
        assert f"{package.name}.two" in imported_modules(f"{package.name}.form_{number}")


def test_the_code_of_a_process_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first = running_code("mixed_r1_verl.core.boxes")
    monkeypatch.setattr(code, "sha256_of", pytest.fail)
    assert running_code("mixed_r1_verl.core.boxes") == first
