"""Shared fixtures: tiny models built once a session, and the raw samples where they are present."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import settings

# Property tests draw the same examples everywhere, so that a red run can be repeated; to look for new ones:
# pytest --hypothesis-profile=default
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

REPOSITORY = Path(__file__).parent.parent
RAW = Path(os.environ.get("MIXED_R1_RAW", REPOSITORY.parent / "shared" / "data" / "raw"))


@pytest.fixture(scope="session")
def raw() -> Path:
    """Folder with samples of real public datasets; tests that need it are skipped where it is absent."""
    if not RAW.is_dir():
        pytest.skip(f"no raw samples at {RAW}; set MIXED_R1_RAW")
    return RAW


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with random-weight tiny models `qwen2_5_vl`, `qwen3_vl` and `internvl`."""
    folder = tmp_path_factory.mktemp("tiny")
    code = (
        "import sys; from examples.demo.tiny.__main__ import FAMILIES, main\n"
        "for name in FAMILIES: main([name, '--output', f'{sys.argv[1]}/{name}'])"
    )
    subprocess.run([sys.executable, "-c", code, str(folder)], check=True, capture_output=True, cwd=REPOSITORY)
    return folder


@pytest.fixture(scope="session")
def warm_model() -> Path:
    """The warm-started tiny Qwen2.5-VL that comes with the repository."""
    from examples.demo.tiny import WARM_STARTED

    return WARM_STARTED
