"""The `verl.plugins` entry point: verl imports this module at the end of `import verl`, in every process of a run.

verl logs an exception in a plugin at DEBUG level and goes on without it, and the run would then train with another
reward or stop somewhere else. So a failure is reported here, loudly, before verl swallows it.
"""

import logging
from types import ModuleType

from mixed_r1_verl.plugin.after_import import after_import

logger = logging.getLogger(__name__)


def register() -> None:
    """Register the reward manager, the curves and, without an accelerator, the CPU platform. Safe to call again."""
    from mixed_r1_verl.plugin import cpu, internvl, versions

    versions.require_supported_verl()
    internvl.accept_internvl_processor()
    if cpu.is_wanted():
        cpu.register()
    after_import("verl.experimental.reward_loop.reward_manager", _register_reward_manager)
    after_import("verl.experimental.reward_loop.reward_loop", _restart_reward_workers)
    after_import("verl.trainer.ppo.v1.trainer_base", _extend_trainer)
    after_import("verl.utils.tracking", _continue_curves)


def _register_reward_manager(registry: ModuleType) -> None:
    from mixed_r1_verl.plugin import reward_manager  # noqa: F401  (registers itself as `mixed_r1`)


def _restart_reward_workers(reward_loop: ModuleType) -> None:
    from mixed_r1_verl.plugin import reward_workers

    reward_workers.restart_killed_workers(reward_loop)


def _extend_trainer(trainer_base: ModuleType) -> None:
    from mixed_r1_verl.plugin import balance, curves

    balance.install(trainer_base)
    curves.install(trainer_base)


def _continue_curves(trackers: ModuleType) -> None:
    from mixed_r1_verl.plugin import tracking

    tracking.install(trackers)


try:
    register()
except Exception as error:
    logger.error("mixed-r1-verl could not plug into verl: %s. `mixed-r1 doctor` says what to do.", error)
    raise
