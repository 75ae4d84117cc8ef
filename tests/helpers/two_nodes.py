"""Two Ray nodes on this machine, each with a home of its own; prints what verl's reward workers did there, as JSON.

`python two_nodes.py FOLDER MODEL_DIR`: one home for each node is made in FOLDER.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path

import ray
from hydra import compose, initialize_config_module
from ray.cluster_utils import Cluster
from rollout import proto, row
from verl.experimental.reward_loop import RewardLoopManager
from verl.utils import hf_tokenizer

from mixed_r1_verl.plugin.reward_workers import RewardWorkerError

WORKERS, ROLLOUTS = 4, 40
TRUTH = "A large red circle on the left."


def node(cluster: Cluster, folder: Path, name: str, *, broken: bool = False):
    """A node with its own home; a broken one's is a file, so that nothing can be cached there."""
    home = folder / name
    home.touch() if broken else home.mkdir(exist_ok=True)
    own = tempfile.mkdtemp(prefix="ray-")  # short, because of the sockets in it
    options = {"num_cpus": 8, "temp_dir": own, "env_vars": {"HOME": str(home), "TMPDIR": own}}
    try:
        return cluster.add_node(node_name=name, **options)
    except Exception:  # Ray gives a node 30 seconds, which a busy machine may not have
        return cluster.add_node(node_name=name, **options)


def names_of(workers: list) -> list[str]:
    """The node of each worker."""
    from ray._private.state import actors

    nodes = {each["NodeID"]: each["NodeName"] for each in ray.nodes()}
    return [nodes[actors(worker._actor_id.hex())["Address"]["NodeID"]] for worker in workers]


def main(folder: Path, model: str) -> None:
    os.environ |= {"HOME": str(folder / "driver"), "RAY_TMPDIR": tempfile.mkdtemp(prefix="ray-")}
    Path(os.environ["RAY_TMPDIR"], "ray").mkdir()  # where a cluster writes its address: other programs do not join it
    cluster = Cluster(initialize_head=False)
    node(cluster, folder, "node-a")
    second = node(cluster, folder, "node-b")
    ray.init(address=cluster.address, log_to_driver=True)
    with initialize_config_module("verl.trainer.config", version_base=None):
        options = [f"actor_rollout_ref.model.path={model}", f"reward.num_workers={WORKERS}"]
        config = compose("ppo_trainer", ["+recipe=mixed_r1_cpu", *options])
    data = proto(hf_tokenizer(model), "<think>I see.</think><answer>A red circle.</answer>", row("open_ended", TRUTH))
    manager = RewardLoopManager(config)  # it keeps what a worker needs to be started again
    workers = manager.reward_loop_workers

    def send_all() -> list:
        return [workers[number % WORKERS].compute_score.remote(data) for number in range(ROLLOUTS)]

    result: dict = {"places": names_of(workers)}
    before = ray.get(send_all(), timeout=300)
    sent = send_all()
    cluster.remove_node(second, allow_graceful=False)  # kill -9, with samples under way
    after = ray.get(sent + send_all(), timeout=300)
    deadline = time.monotonic() + 60
    while "node-b" in (moved := names_of(workers)) and time.monotonic() < deadline:
        time.sleep(0.5)
    result |= {"before": len(before), "after": len(after), "moved": moved}
    result["equal"] = all(answer == before[0] for answer in before + after)
    result["score"] = before[0]["reward_score"]
    result["tables"] = {
        name: sorted(path.name for path in (folder / name / ".cache" / "mixed_r1_verl").glob("*-reduced"))
        for name in ("node-a", "node-b", "driver")
    }
    for worker in workers:
        ray.kill(worker)
    node(cluster, folder, "node-c", broken=True)
    start = time.monotonic()
    try:
        RewardLoopManager(config)
    except RewardWorkerError as error:
        result["refused"] = str(error)
    result["refused_after_s"] = time.monotonic() - start
    print(json.dumps(result), flush=True)
    time.sleep(2)
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
