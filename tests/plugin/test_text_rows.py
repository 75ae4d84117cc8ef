"""Two FSDP ranks on gloo, of which one has two pictures in its micro batch and the other none."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent.parent
HELPER = REPOSITORY / "tests" / "helpers" / "two_ranks.py"


@pytest.mark.verl
@pytest.mark.timeout(300)
def test_a_rank_without_pictures_trains_beside_one_with_pictures(tiny_models: Path) -> None:
    families = ("qwen2_5_vl", "qwen3_vl", "internvl")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    folders = [str(tiny_models / family) for family in families]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1"}
    ranks = [
        subprocess.Popen(
            [sys.executable, str(HELPER), str(rank), port, *folders],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for rank in (0, 1)
    ]
    answers = [rank.communicate() for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], "\n".join(errors[-2500:] for _, errors in answers)
    results = [[json.loads(line) for line in out.splitlines() if line.startswith('{"model')] for out, _ in answers]
    assert [[result["model_type"] for result in rank] for rank in results] == [list(families)] * 2
    for with_pictures, without in zip(*results, strict=True):
        assert with_pictures["same"] and without["same"]
        assert with_pictures["finite"] and without["finite"]
        assert with_pictures["tower"] == without["tower"] > 0
        # the picture that nothing sees changes nothing of a row of text
        assert without["spread"] == pytest.approx(without["alone"], rel=1e-5)
        assert with_pictures["spread"] != pytest.approx(with_pictures["alone"], rel=1e-5)
