"""verl's own rules for a configuration, asked without starting a run."""

import contextlib
import io
import warnings

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
