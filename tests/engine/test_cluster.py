"""Ray as the engine starts it, and what it says where it does not start."""

from typing import NoReturn

import pytest
import ray

from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.engine.cluster import Cluster
from mixed_r1_verl.engine.config import RayConfig


def test_a_node_that_starts_too_slowly_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(**settings: object) -> NoReturn:
        raise Exception("The current node timed out during startup.")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", slow)
    with pytest.raises(DataError, match="cannot reach Ray at this machine: The current node timed out during startup"):
        assert Cluster(RayConfig()).cpus
