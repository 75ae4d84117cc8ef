"""Ray Data as the engine uses it: one task for each item, whose result is a file.

Each task writes a file, its argument `path`, whose name says what is in it: it does not matter which worker runs which
task, in which order, or how often, and one whose file is there is not run again.
"""

import logging
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, cached_property, partial
from typing import Any

from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.engine.config import RayConfig

Item = dict[str, Any]  # keyword arguments of a task, `path` among them; anything that can be pickled


class Cluster:
    """Ray on this machine or elsewhere, joined or started when the first task needs it, to be closed at the end."""

    def __init__(self, config: RayConfig) -> None:
        self._config = config
        self._ours = False

    def close(self) -> None:
        """Ends what was started."""
        if self._ours:
            import ray

            ray.shutdown()

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
            except Exception as error:  # Ray raises what it likes, a plain Exception for a node that starts too slowly
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

    def run(self, task: Callable[..., object], items: Sequence[Item], *, cpus: int = 1) -> None:
        """Calls `task(**item)` for each item whose file is not there, in any order.

        Raises:
            DataError: a task raised it, or Ray has failed.
        """
        for _ in self._results(items, fn=partial(_call, task), num_cpus=cpus):
            pass

    def run_actors(self, make: Callable[..., Any], items: Sequence[Item], *, gpus: int = 1) -> Iterator[Any]:
        """What `make(has_gpu=…)(**item)` returns for each item without its file, in any order; made once an actor.

        There is one actor for every `gpus` GPUs, and one on the CPU where there is none.

        Raises:
            DataError: an actor raised it, or Ray has failed.
        """
        if not (items := missing(items)):  # Ray is not even started
            return
        from ray.data import ActorPoolStrategy

        there = int(self._resources.get("GPU", 0))
        yield from self._results(
            items,
            fn=_Actor,
            fn_constructor_kwargs={"make": partial(make, has_gpu=there > 0)},
            compute=ActorPoolStrategy(size=min(len(items), max(1, there // gpus))),
            # An actor on the CPU asks for one CPU, though vLLM uses all: it is alone while it runs.
            **({"num_gpus": gpus} if there else {"num_cpus": 1}),
        )

    def _results(self, items: Sequence[Item], **options: Any) -> Iterator[Any]:
        if not (items := missing(items)):
            return
        _ = self._resources
        import ray.data
        import ray.exceptions

        # A block for each item: items are chunks already. Arrow would turn them into something else, bytes it leaves.
        rows = [{"item": pickle.dumps(item)} for item in items]
        dataset = ray.data.from_items(rows, override_num_blocks=len(rows)).map(**options)
        try:
            for row in dataset.iter_rows():
                if row["error"]:
                    raise DataError(row["error"])
                yield pickle.loads(row["result"])
        except (ray.exceptions.RayError, ray.exceptions.UserCodeException) as error:
            # A worker that died, a node that went away, a defect of ours: what is done stays done.
            lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
            reason = lines[-1].strip()[:300]
            raise DataError(f"a task on Ray failed: {reason}; run the same command again to go on") from error


def missing(items: Sequence[Item]) -> list[Item]:
    """Those whose file is still to be made."""
    return [item for item in items if not item["path"].is_file()]


def _call(task: Callable[..., object], row: dict[str, bytes]) -> dict[str, Any]:
    """Runs in a Ray worker; an exception would reach the build as a page of Ray's own."""
    try:
        return {"error": "", "result": pickle.dumps(task(**pickle.loads(row["item"])))}
    except DataError as error:
        return {"error": str(error), "result": b""}


class _Actor:
    """Lives in a Ray worker; made at the first call, since one that cannot start would be started again and again."""

    def __init__(self, make: Callable[[], Callable[..., object]]) -> None:
        self._actor = cache(make)

    def __call__(self, row: dict[str, bytes]) -> dict[str, Any]:
        return _call(lambda **item: self._actor()(**item), row)
