"""The `verl.plugins` entry point: verl imports this module at the end of `import verl`, in every process of a run.

verl logs an exception in a plugin at DEBUG level and goes on without it, and the run would then train with another
reward or stop somewhere else. So a failure is reported here, loudly, before verl swallows it.
"""

import logging

logger = logging.getLogger(__name__)


def register() -> None:
    """Lay the patches of `plugin.seams` on verl and, without an accelerator, its CPU platform. Safe to call again."""
    from mixed_r1_verl.plugin import device, seams, versions

    versions.require("verl")
    cpu = device.cpu_is_wanted()
    if cpu:
        from mixed_r1_verl.plugin.cpu import platform

        platform.register()
    seams.install("verl", cpu)


try:
    register()
except Exception as error:
    logger.error("mixed-r1-verl could not plug into verl: %s. `mixed-r1 doctor` says what to do.", error)
    raise
