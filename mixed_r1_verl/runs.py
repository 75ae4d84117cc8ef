"""What a training run of verl leaves in a folder, and where: the configuration that Hydra saved, and what it says."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

BLOCK = "reward.reward_kwargs.mixed_r1"
"""Where a recipe keeps the reward block; as in `plugin.reward_manager`, which cannot be imported without Ray."""


class RunError(ValueError):
    """A folder or file is not what a run leaves behind."""


def find_config(run: Path) -> Path | None:
    """The configuration that Hydra saved in a run's folder or one or two levels below it; the newest of several.

    With `hydra.run.dir=RUN/hydra` it is `RUN/hydra/.hydra/config.yaml`.
    """
    found = [path for level in ("", "*/", "*/*/") for path in run.glob(f"{level}.hydra/config.yaml")]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def read_config(path: Path) -> Mapping[str, Any]:
    """A configuration that Hydra saved; `select` reads it.

    Raises:
        RunError: the file cannot be read as one.
    """
    from omegaconf import DictConfig, OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        config = OmegaConf.load(path)
    except (OSError, UnicodeDecodeError, YAMLError, OmegaConfBaseException) as error:
        raise RunError(f"{path}: cannot be read as a configuration ({error})") from error
    if not isinstance(config, DictConfig):
        raise RunError(f"{path}: not a configuration of a training run")
    return config


def select(config: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted key as plain data, interpolations resolved; None where there is none.

    Raises:
        RunError: it refers to something that the configuration lacks.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        value = OmegaConf.select(OmegaConf.create(config), key)  # type: ignore[call-overload]
        return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    except OmegaConfBaseException as error:
        raise RunError(f"{key} of the run's configuration: {error}") from error


def reward_block(path: Path) -> dict[str, Any]:
    """The reward block of a run: the mapping that `MixedRewardConfig.from_mapping` reads.

    Args:
        path: `config.yaml` that Hydra saved, usually `.hydra/config.yaml` in `hydra.run.dir`.

    Returns:
        The block; empty for a run that has none.

    Raises:
        RunError: the file cannot be read, or the block refers to something that the file lacks.
    """
    block = select(read_config(path), BLOCK)
    if block is not None and not isinstance(block, dict):
        raise RunError(f"{path}: {BLOCK} is not a mapping")
    return block or {}


def merge(block: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """A block with some of its keys changed, also within its own blocks.

    Example:
        >>> merge({"iou": {"mode": "raw", "threshold": 0.5}}, {"iou": {"mode": "giou"}})
        {'iou': {'mode': 'giou', 'threshold': 0.5}}
    """
    merged = dict(block)
    for key, value in changes.items():
        own = merged.get(key)
        merged[key] = merge(own, value) if isinstance(own, Mapping) and isinstance(value, Mapping) else value
    return merged
