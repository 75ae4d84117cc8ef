"""Reward workers of verl: one that cannot start stops the run; one that is killed starts again and scores as before."""

import gc
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from rollout import proto, row

from mixed_r1_verl.plugin.reward_workers import RewardWorkerError

FORGETS_S = 3.0  # after which Ray has forgotten an argument of more than 100 kB
FORGOTTEN_S = 60.0  # in which Ray has forgotten a worker that nobody holds
NAME = "reward_loop_worker_0"  # verl's, of which a cluster has one at a time


@pytest.fixture
def workers(cluster: None) -> Iterator[None]:
    """Ends when Ray has forgotten the test's worker, or the next test's could not have its name."""
    import ray

    yield
    deadline = time.monotonic() + FORGOTTEN_S
    with pytest.raises(ValueError, match=NAME):
        while time.monotonic() < deadline:
            gc.collect()  # what was raised holds the manager, and that its workers, dead ones too
            ray.get_actor(NAME)
            time.sleep(0.1)


def composed(model: Path, *options: str):  # type: ignore[no-untyped-def]
    from hydra import compose, initialize_config_module

    with initialize_config_module("verl.trainer.config", version_base=None):
        return compose("ppo_trainer", ["+recipe=mixed_r1_cpu", f"actor_rollout_ref.model.path={model}", *options])


@pytest.mark.timeout(300)
def test_a_worker_that_cannot_start_stops_the_run(workers: None, tiny_models: Path, tmp_path: Path) -> None:
    import ray
    from verl.experimental.reward_loop import RewardLoopManager

    gone = tmp_path / "gone"
    table = f"reward.reward_kwargs.mixed_r1.embedding_model={gone}"
    [node] = ray.nodes()
    with pytest.raises(RewardWorkerError) as stopped:
        RewardLoopManager(composed(tiny_models / "qwen2_5_vl", table))
    said = str(stopped.value)
    assert said.startswith(f"mixed_r1: reward worker 0 cannot start on node {node['NodeManagerHostname']} (")
    assert node["NodeName"] in said and str(gone) in said and "\n" not in said


def test_a_killed_worker_scores_again(workers: None, tiny_models: Path) -> None:
    import ray
    from verl.experimental.reward_loop import RewardLoopManager
    from verl.utils import hf_tokenizer

    model = tiny_models / "qwen2_5_vl"
    config = composed(model)
    config.data.train_files = [f"/data/of/a/large/mixture/of/sources/train-{i:05}.parquet" for i in range(4000)]
    data = proto(hf_tokenizer(str(model)), "<think>I see.</think><answer>7</answer>", row("chart", "7"))
    manager = RewardLoopManager(config)
    [worker] = manager.reward_loop_workers
    before = ray.get(worker.compute_score.remote(data), timeout=120)
    time.sleep(FORGETS_S)
    ray.kill(worker, no_restart=False)
    after = ray.get(worker.compute_score.remote(data), timeout=120)
    assert after == before
    assert after["reward_score"] == 1.0
    ray.kill(worker)
