"""Ray Data as the engine uses it: one task for each item, whose result is a file.

Tasks write their own files under names that say what is in them, so it does not matter which worker runs which task, in
which order, or how often.
"""

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import Any

from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.engine.config import RayConfig
from mixed_r1_verl.engine.store import Item


class Cluster:
    """Ray on this machine or elsewhere, joined or started when the first task needs it."""

    def __init__(self, config: RayConfig) -> None:
        self._config = config
        self._ours = False

    @cached_property
    def _resources(self) -> Mapping[str, float]:
        import ray
        from ray.data import DataContext

        if not ray.is_initialized():
            settings: dict[str, Any] = {"address": self._config.address}
            if self._config.address is None:
                settings = {"address": "local", "num_cpus": self._config.cpus, "include_dashboard": False}
            try:
                ray.init(logging_level=logging.ERROR, log_to_driver=False, **settings)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise DataError(f"cannot reach Ray at {self._config.address or 'this machine'}: {error}") from None
            self._ours = True
        context = DataContext.get_current()
        context.enable_progress_bars = False
        context.print_on_execution_start = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
        return dict(ray.cluster_resources())

    @property
    def cpus(self) -> int:
        """CPUs that Ray counts."""
        return max(1, int(self._resources.get("CPU", 1)))

    def close(self) -> None:
        """Ends Ray if it was started here."""
        if self._ours:
            import ray

            ray.shutdown()

    def run(self, task: Callable[[Item], Item], items: list[Item], *, cpus: int = 1) -> None:
        """Runs a function on each item, in any order.

        Raises:
            DataError: a task returned an `error`.
        """
        if items:
            for _ in self._results(items, task, num_cpus=cpus):
                pass

    def run_actors(
        self, actor: type, arguments: Mapping[str, Any], items: list[Item], *, gpus: int = 1
    ) -> Iterator[Item]:
        """Runs a callable class on each item: one replica for every `gpus` GPUs, one on the CPU where there is none.

        Args:
            actor: constructed with `arguments` and `has_gpu`.
            arguments: keyword arguments of the constructor.
            items: one call each.
            gpus: GPUs of a replica.

        Raises:
            DataError: a task returned an `error`.
        """
        if not items:
            return
        from ray.data import ActorPoolStrategy

        there = int(self._resources.get("GPU", 0))
        replicas = min(len(items), max(1, there // gpus))
        # A replica on the CPU asks for one CPU, though vLLM uses all: it is alone while it runs.
        options: dict[str, Any] = {"num_gpus": gpus} if there else {"num_cpus": 1}
        options["fn_constructor_kwargs"] = {**arguments, "has_gpu": there > 0}
        yield from self._results(items, actor, compute=ActorPoolStrategy(size=replicas), **options)

    def _results(self, items: list[Item], task: Any, **options: Any) -> Iterator[Item]:
        _ = self._resources
        import ray.data
        import ray.exceptions

        # A block for each item: items are chunks already.
        dataset = ray.data.from_items(items, override_num_blocks=len(items)).map(task, **options)
        try:
            for result in dataset.iter_rows():
                if result.get("error"):
                    raise DataError(result["error"])
                yield result
        except (ray.exceptions.RayError, ray.exceptions.UserCodeException) as error:
            # A worker that died, a node that went away, a defect of ours: what is done stays done.
            lines = [line for line in str(error).splitlines() if line.strip()]
            reason = lines[-1].strip()[:300] if lines else type(error).__name__
            raise DataError(f"a task on Ray failed: {reason}; run the same command again to go on") from error


@contextmanager
def cluster(config: RayConfig) -> Iterator[Cluster]:
    """A cluster for the time of a block; what it started ends with it."""
    found = Cluster(config)
    try:
        yield found
    finally:
        found.close()
