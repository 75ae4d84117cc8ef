"""Whether this process trains on the CPU; asked in every process, so nothing of `plugin.cpu` is imported for it."""

import os


def cpu_is_wanted() -> bool:
    """Whether this machine trains on the CPU: asked for by `VERL_PLATFORM=cpu`, or no accelerator is there."""
    chosen = os.environ.get("VERL_PLATFORM", "").strip().lower()
    if chosen:
        return chosen == "cpu"
    from verl.plugin.platform import PlatformRegistry

    others = (PlatformRegistry.get(name) for name in PlatformRegistry.registered_names() if name != "cpu")
    return not any(platform().is_platform_available(use_smi_check=True) for platform in others if platform)
