"""verl's own rules for a configuration and its registries, asked without starting a run."""

import contextlib
import io
import warnings
from typing import Any

from omegaconf import DictConfig


def refusals(config: DictConfig) -> list[str]:
    """What verl's `validate_config` and configuration classes say against a configuration; empty when nothing."""
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import omega_conf_to_dataclass, validate_config

    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # verl warns that GRPO has no critic
            validate_config(config, need_reference_policy(config), need_critic(config))
            omega_conf_to_dataclass(config.actor_rollout_ref.rollout)
    except Exception as error:  # assertions, ValueError, Hydra's instantiation errors
        return [f"validate_config: {' '.join(str(error).split())[:400]}"]
    return []


def reward_manager_class(name: str) -> type[Any]:
    """The reward manager that verl has registered under a name; verl raises where there is none."""
    from verl.experimental.reward_loop.reward_manager import get_reward_manager_cls

    return get_reward_manager_cls(name)


def device_name() -> str:
    """What verl runs on: `cuda`, `cpu`, …"""
    from verl.plugin.platform import get_platform

    return str(get_platform().device_name)
