"""A reward worker that is killed is started again, and the samples that it held are scored again.

verl starts its reward workers without restarts. When one dies, of memory for instance, every sample that is sent
to it fails from then on, its group is trained on without it or not at all, and the run goes on with what is left.
"""

from collections.abc import Callable
from typing import Any

MAX_TASK_RETRIES = 3


class KeptArguments:
    """An actor class whose actors find their arguments again when they are started anew.

    Ray puts an argument of more than 100 kB into its object store and forgets it seconds after the actor has started,
    so that a restart fails (https://github.com/ray-project/ray/issues/53727); verl's configuration is about as large.
    Here every argument is put there, and the reference is kept for as long as this object.

    Args:
        actor_class: what `ray.remote` made.
    """

    def __init__(self, actor_class: Any):
        self.actor_class = actor_class
        self.references: list[Any] = []

    def options(self, **options: Any) -> "KeptArguments":
        chosen = KeptArguments(self.actor_class.options(**options))
        chosen.references = self.references
        return chosen

    def remote(self, *arguments: Any) -> Any:
        import ray

        references = [ray.put(argument) for argument in arguments]
        self.references += references
        return self.actor_class.remote(*references)


def make_restartable(init_workers: Callable[[], None], manager: Any, args: Any, kwargs: Any) -> None:
    """Around `RewardLoopManager._init_reward_loop_workers`: the workers of the manager `mixed_r1` restart.

    Scoring is a pure function of the sample, so that a sample may be scored twice.
    """
    if manager.config.reward.reward_manager.name == "mixed_r1":
        import ray
        from verl.experimental.reward_loop.reward_loop import RewardLoopWorker

        remote = ray.remote(max_restarts=-1, max_task_retries=MAX_TASK_RETRIES)
        manager.reward_loop_workers_class = KeptArguments(remote(RewardLoopWorker))
    init_workers(*args, **kwargs)
