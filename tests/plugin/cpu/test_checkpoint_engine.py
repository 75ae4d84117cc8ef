"""Weights over real sockets, from one sender to two receivers."""

import asyncio

import pytest
import torch
import verl  # noqa: F401
from verl.checkpoint_engine import CheckpointEngineRegistry

from mixed_r1_verl.plugin.device import cpu_is_wanted

pytestmark = pytest.mark.skipif(
    not cpu_is_wanted(), reason="builds for GPUs are installed: nothing for CPUs is registered"
)

WEIGHTS = {
    "matrix": torch.arange(6.0).view(2, 3),
    "transposed": torch.arange(6.0).view(2, 3).T,
    "half": torch.ones(3, dtype=torch.bfloat16) / 3,
    "scalar": torch.tensor(7),
    "trained": torch.nn.Parameter(torch.ones(2)),
}


@pytest.mark.timeout(60)
def test_every_receiver_gets_every_tensor_at_every_update() -> None:
    actors = [CheckpointEngineRegistry.new("cpu", bucket_size=1 << 20, is_master=rank == 0) for rank in range(2)]
    rollouts = [CheckpointEngineRegistry.new("cpu", bucket_size=1 << 20) for _ in range(2)]

    async def receive(engine) -> dict[str, torch.Tensor]:
        return {name: tensor async for name, tensor in engine.receive_weights(global_steps=1)}

    async def update() -> list[dict[str, torch.Tensor]]:
        sending = [actor.send_weights(iter(WEIGHTS.items()), global_steps=1) for actor in actors]
        *received, _, _ = await asyncio.gather(*map(receive, rollouts), *sending)
        return received

    for _ in range(2):
        workers = [*actors, *rollouts]
        metadata = [worker.prepare() for worker in workers]
        arguments = [engine["addresses"] for engine in actors[0].build_topology(len(actors), len(rollouts), metadata)]
        for worker, addresses in zip(workers, [*arguments[0], *arguments[1]], strict=True):
            worker.init_process_group(addresses=addresses)
        for received in asyncio.run(update()):
            assert received.keys() == WEIGHTS.keys()
            for name, tensor in received.items():
                assert tensor.dtype == WEIGHTS[name].dtype and torch.equal(tensor, WEIGHTS[name])
        for worker in workers:
            worker.finalize()
            assert worker.sockets == []
