"""A reward worker of verl that is killed is started again and gives the score that it gave before."""

import time
from pathlib import Path

from rollout import proto, row

FORGETS_S = 3.0  # after which Ray has forgotten an argument of more than 100 kB


def test_a_killed_worker_scores_again(cluster: None, tiny_models: Path) -> None:
    import ray
    from hydra import compose, initialize_config_module
    from verl.experimental.reward_loop import RewardLoopManager
    from verl.utils import hf_tokenizer

    path = str(tiny_models / "qwen2_5_vl")
    with initialize_config_module("verl.trainer.config", version_base=None):
        config = compose("ppo_trainer", ["+recipe=mixed_r1_cpu", f"actor_rollout_ref.model.path={path}"])
    config.data.train_files = [f"/data/of/a/large/mixture/of/sources/train-{i:05}.parquet" for i in range(4000)]
    data = proto(hf_tokenizer(path), "<think>I see.</think><answer>7</answer>", row("chart", "7"))
    manager = RewardLoopManager(config)
    [worker] = manager.reward_loop_workers
    before = ray.get(worker.compute_score.remote(data), timeout=120)
    time.sleep(FORGETS_S)
    ray.kill(worker, no_restart=False)
    after = ray.get(worker.compute_score.remote(data), timeout=120)
    assert after == before
    assert after["reward_score"] == 1.0
    ray.kill(worker)
