"""Ray Data as the engine uses it: one task for each item, whose result is a file.

Tasks write their own files under names that say what is in them, so it does not matter which worker runs which task, in
which order, or how often.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mixed_r1_verl.data.engine.config import RayConfig
from mixed_r1_verl.data.raw import DataError

Item = dict[str, Any]


class Cluster:
    """A running Ray, on this machine or elsewhere."""

    def __init__(self, cpus: int, gpus: int) -> None:
        self.cpus = cpus
        self.gpus = gpus

    def run(self, task: Callable[[Item], Item], items: Iterable[Item], *, cpus: int = 1) -> Iterator[Item]:
        """Runs a function on each item; yields results as they come, in any order.

        Raises:
            DataError: a task returned an `error`.
        """
        yield from self._results(list(items), task, num_cpus=cpus)

    def run_actors(
        self, actor: type, arguments: Mapping[str, Any], items: Iterable[Item], *, gpus: int = 1
    ) -> Iterator[Item]:
        """Runs a callable class on each item: one replica for every `gpus` GPUs, one on the CPU where there is none.

        Raises:
            DataError: a task returned an `error`.
        """
        from ray.data import ActorPoolStrategy

        items = list(items)
        replicas = min(len(items), max(1, self.gpus // gpus))
        # A replica on the CPU asks for one CPU, though vLLM uses all: it is alone while it runs.
        resources = {"num_gpus": gpus} if self.gpus else {"num_cpus": 1}
        yield from self._results(
            items, actor, fn_constructor_kwargs=dict(arguments), compute=ActorPoolStrategy(size=replicas), **resources
        )

    def _results(self, items: list[Item], task: Any, **options: Any) -> Iterator[Item]:
        import ray.data

        if not items:
            return
        # A block for each item: items are chunks already.
        dataset = ray.data.from_items(items, override_num_blocks=len(items)).map(task, **options)
        for result in dataset.iter_rows():
            if result.get("error"):
                raise DataError(result["error"])
            yield result


@contextmanager
def cluster(config: RayConfig) -> Iterator[Cluster]:
    """Joins or starts Ray; what was started here ends with the block.

    Raises:
        DataError: there is no cluster at the address.
    """
    import logging

    import ray
    from ray.data import DataContext

    ours = not ray.is_initialized()
    if ours:
        settings: dict[str, Any] = {"logging_level": logging.ERROR, "log_to_driver": False}
        if config.address is None:
            settings |= {"num_cpus": config.cpus, "include_dashboard": False, "address": "local"}
        else:
            settings |= {"address": config.address}
        try:
            ray.init(**settings)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise DataError(f"cannot reach Ray at {config.address or 'this machine'}: {error}") from None
    context = DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    for name in ("ray.data", "ray._private"):
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        resources = ray.cluster_resources()
        yield Cluster(max(1, int(resources.get("CPU", 1))), int(resources.get("GPU", 0)))
    finally:
        if ours:
            ray.shutdown()
