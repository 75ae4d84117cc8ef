"""The patches for verl apply to the verl that is installed, and what they make of it compiles."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import verl

UPSTREAM = Path(__file__).parent.parent.parent / "docs" / "upstream"
PATCHES = sorted(UPSTREAM.glob("*.patch"))


@pytest.mark.parametrize("patch", PATCHES, ids=lambda path: path.stem)
def test_it_applies(patch: Path, tmp_path: Path) -> None:
    installed = Path(verl.__file__).parent.parent
    touched = re.findall(r"^\+\+\+ b/(\S+)", patch.read_text(encoding="utf-8"), re.M)
    for name in touched:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        if (installed / name).exists():
            shutil.copy(installed / name, tmp_path / name)
    outside = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tmp_path.parent)}
    ran = subprocess.run(["git", "apply", str(patch)], cwd=tmp_path, env=outside, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    for name in touched:
        text = (tmp_path / name).read_text(encoding="utf-8")
        compile(text, name, "exec")
        assert not (installed / name).exists() or text != (installed / name).read_text(encoding="utf-8")


def test_each_is_in_the_table() -> None:
    listed = re.findall(r"\]\((\S+\.patch)\)", (UPSTREAM / "README.md").read_text(encoding="utf-8"))
    assert sorted(listed) == [patch.name for patch in PATCHES]
