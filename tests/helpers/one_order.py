"""Parts of verl for a run that can be repeated to the last digit, put in through verl's own configuration.

verl's `full_determinism` gives every response of a prompt the same seed, so that all are alike and nothing is learned,
and it leaves the order of a batch to the random names of its prompts.
"""

from typing import Any

import transfer_queue as tq
from verl.experimental.agent_loop.single_turn_agent_loop import SingleTurnAgentLoop
from verl.trainer.ppo.v1.replay_buffer import ReplayBuffer


class SeededLoop(SingleTurnAgentLoop):
    """Samples each response with a seed of its own: that of its step, its row and its number."""

    async def run(self, sampling_params: dict[str, Any], **kwargs: Any) -> Any:
        step, row, number = (int(kwargs[name]) for name in ("global_steps", "index", "session_id"))
        return await super().run({**sampling_params, "seed": (step * 10_000 + row) * 100 + number}, **kwargs)


class OrderedBuffer(ReplayBuffer):
    """Batches in the order of the rows, whichever response came first."""

    def _materialize_batch(self, partition_id: str, *args: Any) -> Any:
        batch = super()._materialize_batch(partition_id, *args)
        rows = tq.kv_batch_get(keys=batch.keys, partition_id=partition_id, select_fields=["index"])["index"]
        places = [(int(row), *map(int, key.split("_")[1:])) for row, key in zip(rows, batch.keys, strict=True)]
        batch.reorder(sorted(range(len(places)), key=places.__getitem__))
        return batch
