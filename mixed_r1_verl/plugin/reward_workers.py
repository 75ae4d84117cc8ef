"""Reward workers that all start, or the run does not; and that start again when they are killed.

verl waits for none of its reward workers and starts them without restarts. One that cannot start, or that dies, of
memory for instance, fails every sample that is sent to it from then on; their groups are trained on without them or
not at all, and the run goes on with what is left.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

logger = logging.getLogger(__name__)

MAX_TASK_RETRIES = 100  # a node that was killed refuses several times before Ray knows that it is gone
PATIENCE_S = 60.0  # after which it is said that workers are waited for; to build a large table may take longer


class RewardWorkerError(RuntimeError):
    """A reward worker could not start."""


class KeptArguments:
    """An actor class whose actors find their arguments again when they are started anew.

    Ray puts an argument of more than 100 kB into its object store and forgets it seconds after the actor has started,
    so that a restart fails (https://github.com/ray-project/ray/issues/53727); verl's configuration is about as large.
    Here every argument is put there, and the reference is kept for as long as this object.
    """

    def __init__(self, actor_class: Any, references: list[Any]):
        self.actor_class, self.references = actor_class, references

    def options(self, **options: Any) -> "KeptArguments":
        return KeptArguments(self.actor_class.options(**options), self.references)

    def remote(self, *arguments: Any) -> Any:
        import ray

        references = [ray.put(argument) for argument in arguments]
        self.references += references
        return self.actor_class.remote(*references)


def start_and_wait(init_workers: Callable[[], None], manager: Any, args: Any, kwargs: Any) -> None:
    """Around `RewardLoopManager._init_reward_loop_workers`: those of the manager `mixed_r1` restart and are waited for.

    Scoring is a pure function of the sample, so that a sample may be scored twice.
    """
    if manager.config.reward.reward_manager.name != "mixed_r1":
        return init_workers(*args, **kwargs)
    import ray
    from verl.experimental.reward_loop.reward_loop import RewardLoopWorker

    remote = ray.remote(max_restarts=-1, max_task_retries=MAX_TASK_RETRIES)
    manager.reward_loop_workers_class = KeptArguments(remote(RewardLoopWorker), [])
    init_workers(*args, **kwargs)
    wait_for(manager.reward_loop_workers)


def wait_for(workers: Sequence[Any]) -> None:
    """Return when every worker has been constructed.

    Raises:
        RewardWorkerError: one of them could not, with the name of its node and what it raised.
    """
    import ray

    # As verl does: the workers take turns on the nodes that have processors.
    nodes = [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU", 0) > 0]
    places = [nodes[number % len(nodes)] for number in range(len(workers))]
    names = [f"{place['NodeManagerHostname']} ({place['NodeName']})" for place in places]
    pending = {worker.__ray_ready__.remote(): number for number, worker in enumerate(workers)}
    while pending:
        ready, _ = ray.wait(list(pending), timeout=PATIENCE_S)
        for reference in ready:
            number = pending.pop(reference)
            try:
                ray.get(reference)
            except ray.exceptions.RayError as error:
                cause = str(error).strip().rpartition("\n")[2]
                raise RewardWorkerError(
                    f"mixed_r1: reward worker {number} cannot start on node {names[number]}: {cause}"
                ) from error
        if not ready:
            waited = ", ".join(f"{number} on {names[number]}" for number in pending.values())
            logger.warning("mixed_r1: still waiting for reward workers to start: %s", waited)
