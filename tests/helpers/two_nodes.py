"""Two Ray nodes on this machine, each with a home of its own; prints what verl's reward workers did there, as JSON.

`python two_nodes.py FOLDER MODEL_DIR`: one home for each node is made in FOLDER.
"""

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import ray
from hydra import compose, initialize_config_module
from ray._private import services
from ray.cluster_utils import Cluster
from rollout import proto, row
from verl.experimental.reward_loop import RewardLoopManager
from verl.utils import hf_tokenizer

from mixed_r1_verl.plugin.reward_workers import RewardWorkerError

WAIT_S = 300
"""For each part of a node. Ray waits for 30 seconds, in which a busy machine may not have started it."""
WORKERS, ROLLOUTS = 4, 40
TRUTH = "A large red circle on the left."


def node(cluster: Cluster, folder: Path, name: str, *, broken: bool = False):
    """A node with its own home; a broken one's is a file, so that nothing can be cached there."""
    home = folder / name
    home.touch() if broken else home.mkdir()
    own = tempfile.mkdtemp(dir=os.environ["RAY_TMPDIR"])
    added = cluster.add_node(
        wait=False, node_name=name, num_cpus=8, temp_dir=own, env_vars={"HOME": str(home), "TMPDIR": own}
    )
    services.wait_for_node(added.gcs_address, added.plasma_store_socket_name, WAIT_S)
    return added


def names_of(workers: list) -> list[str]:
    """The node of each worker."""
    from ray._private.state import actors

    nodes = {each["NodeID"]: each["NodeName"] for each in ray.nodes()}
    return [nodes[actors(worker._actor_id.hex())["Address"]["NodeID"]] for worker in workers]


def patient(get_node: Any) -> Any:
    """Ray's question for a node, asked until the node has registered."""

    def ask(*args: Any) -> Any:
        deadline = time.monotonic() + WAIT_S
        while True:
            try:
                return get_node(*args)
            except RuntimeError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.5)

    return ask


def main(folder: Path, model: str) -> None:
    os.environ |= {"HOME": str(folder / "driver"), "RAY_gcs_server_port_wait_time_s": str(WAIT_S)}
    services.get_node = patient(services.get_node)
    # A short path, because of the sockets in it. A cluster writes its address there, so other programs do not join it;
    # and its processes end with this one, whatever ends it.
    with tempfile.TemporaryDirectory(prefix="ray-", ignore_cleanup_errors=True) as own:
        os.environ["RAY_TMPDIR"] = own
        Path(own, "ray").mkdir()
        cluster = Cluster(initialize_head=False)
        try:
            run(cluster, folder, model)
        finally:
            ray.shutdown()
            cluster.shutdown()


def run(cluster: Cluster, folder: Path, model: str) -> None:
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
        name: sorted(path.name for path in (folder / name / ".cache" / "mixed_r1_verl").glob("*-reduced.npy"))
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


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
