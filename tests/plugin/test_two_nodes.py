"""Reward workers on two Ray nodes of this machine: one is killed, and a third cannot start its worker."""

import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parent.parent.parent
HELPERS = REPOSITORY / "tests" / "helpers"


@pytest.mark.verl
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_rewards_on_two_nodes_of_which_one_is_killed(tmp_path: Path, tiny_models: Path) -> None:
    # Since 2.60 `ray.init` makes its process and all that it starts ask for a token, which it keeps in the home folder.
    # The nodes have homes of their own, so they get one token, as the nodes of a real cluster do.
    token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    ran = subprocess.run(
        [sys.executable, str(HELPERS / "two_nodes.py"), str(tmp_path), str(tiny_models / "qwen2_5_vl")],
        capture_output=True,
        text=True,
        env={**os.environ, **token, "PYTHONPATH": f"{HELPERS}:{REPOSITORY}"},
    )
    assert ran.returncode == 0, ran.stderr[-6000:]
    result = json.loads(next(line for line in ran.stdout.splitlines() if line.startswith('{"places"')))
    # workers take turns on the nodes, and each node makes the table once, for itself
    assert sorted(result["places"]) == ["node-a", "node-a", "node-b", "node-b"]
    assert [len(result["tables"][name]) for name in ("node-a", "node-b", "driver")] == [1, 1, 0]
    # the killed node is named, its workers are started on the other, and every sample has its score
    assert "node name: node-b has been marked dead" in ran.stdout + ran.stderr
    assert set(result["moved"]) == {"node-a"}
    assert (result["before"], result["after"], result["equal"]) == (40, 80, True) and result["score"] > 0.5
    # a worker that cannot start stops the run with the name of its node and the reason
    assert "cannot start on node" in result["refused"] and "(node-c)" in result["refused"]
    assert "cannot prepare" in result["refused"] and "set cache_dir" in result["refused"]
