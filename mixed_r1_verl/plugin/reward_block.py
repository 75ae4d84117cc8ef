"""The reward block of a recipe: the one place of a verl configuration where this package's own options stand."""

from typing import Any

from omegaconf import DictConfig, OmegaConf

from mixed_r1_verl.rewards.config import MixedRewardConfig

BLOCK = "reward.reward_kwargs.mixed_r1"
"""Where a recipe keeps the reward block."""


def reward_config(config: DictConfig) -> MixedRewardConfig:
    """The typed reward block of a verl configuration; the defaults where there is none.

    Raises:
        ConfigError: naming a misspelt key or a wrong value.
    """
    block = OmegaConf.select(config, BLOCK)
    mapping: Any = {} if block is None else OmegaConf.to_container(block, resolve=True)
    return MixedRewardConfig.from_mapping(mapping)
