"""Weights from the trainer to separate rollout servers, on a machine without an accelerator.

The mode `separate_async` needs a checkpoint engine, and those of verl need CUDA, an NPU or RDMA. This one, chosen
by `actor_rollout_ref.rollout.checkpoint_engine.backend=cpu`, sends the tensors over ZeroMQ, which verl itself rests on.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import ray
import torch
import zmq
from verl.checkpoint_engine.base import CheckpointEngine, CheckpointEngineRegistry


@CheckpointEngineRegistry.register("cpu")
class CPUCheckpointEngine(CheckpointEngine):
    """Each rollout worker opens a socket; the first actor worker sends every tensor to all of them."""

    def __init__(self, bucket_size: int, is_master: bool = False):  # tensors go one by one, in no buckets
        self.is_master = is_master
        self.context: zmq.Context = zmq.Context.instance()
        self.sockets: list[zmq.Socket] = []

    def prepare(self) -> dict[str, Any]:
        """Open the receiving socket and return its address. Sockets that an actor worker opens are never sent to."""
        socket = self.context.socket(zmq.PULL)
        host = f"tcp://{ray.util.get_node_ip_address()}"
        port = socket.bind_to_random_port(host)
        self.sockets = [socket]
        return {"address": f"{host}:{port}"}

    @classmethod
    def build_topology(
        cls, actor_wg_world_size: int, rollout_world_size: int, metadata: list[dict]
    ) -> tuple[dict[str, list[Any]], dict[str, list[Any]]]:
        """The first actor worker gets the addresses of all rollout workers."""
        receivers = [worker["address"] for worker in metadata[actor_wg_world_size:]]
        nobody: list[list[str]] = [[] for _ in range(actor_wg_world_size - 1)]
        return {"addresses": [receivers, *nobody]}, {"addresses": [[] for _ in range(rollout_world_size)]}

    def init_process_group(self, **kwargs: Any) -> None:
        """Connect to the receivers, the argument `addresses`."""
        addresses = kwargs["addresses"]
        if addresses:
            self.finalize()
            self.sockets = [self.context.socket(zmq.PUSH) for _ in addresses]
            for socket, address in zip(self.sockets, addresses, strict=True):
                socket.connect(address)

    def finalize(self) -> None:
        """Close the sockets; what was sent is delivered first."""
        for socket in self.sockets:
            socket.close()
        self.sockets = []

    @torch.no_grad()
    async def send_weights(
        self, weights: Iterable[tuple[str, torch.Tensor]], global_steps: int | None = None
    ) -> dict[str, Any]:
        """Send name, type, shape and bytes of each tensor, then a message that is no tensor.

        Every actor worker walks the weights, because to produce one is collective work of all of them.
        """
        for name, weight in weights:
            if self.is_master:
                weight = weight.detach().cpu().contiguous()
                header = json.dumps([name, str(weight.dtype).removeprefix("torch."), list(weight.shape)]).encode()
                data = weight.view(-1).view(torch.uint8).numpy().tobytes()
                for socket in self.sockets:
                    socket.send_multipart([header, data])
        if self.is_master:
            for socket in self.sockets:
                socket.send(b"end")
        return {}

    async def receive_weights(  # type: ignore[override]
        self, global_steps: int | None = None
    ) -> AsyncIterator[tuple[str, torch.Tensor]]:
        """Yield the tensors as they arrive."""
        (socket,) = self.sockets
        while True:
            header, *data = await asyncio.to_thread(socket.recv_multipart)
            if not data:
                return
            name, dtype, shape = json.loads(header)
            yield name, torch.frombuffer(bytearray(data[0]), dtype=getattr(torch, dtype)).view(shape)
