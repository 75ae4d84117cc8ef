"""verl's configuration: composed with a recipe as `main_ppo` does, or read where a run left it; and our block in it.

verl's own part is found as a folder: nothing of verl is imported to compose a configuration, which would take seconds.
"""

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixed_r1_verl.core.config import ConfigError

if TYPE_CHECKING:
    from omegaconf import DictConfig

BLOCK = "reward.reward_kwargs.mixed_r1"  # where a recipe keeps the reward block


class RunError(ConfigError):
    """A folder, file or configuration is not what a run leaves behind."""


def compose(recipe: str, overrides: Sequence[str] = ()) -> "DictConfig":
    """A recipe on verl's own configuration, as `main_ppo +recipe=RECIPE OVERRIDES…` composes it; links are kept.

    Raises:
        ConfigError: no such recipe, an override that Hydra refuses, or a link to something that is not there.
    """
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(_verl_folder() / "trainer" / "config"), version_base=None):
            config = compose("ppo_trainer", overrides=[f"+recipe={recipe}", *overrides])
            OmegaConf.resolve(config.copy())
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(f"recipe {recipe}: {' '.join(str(error).split())}") from None
    if config.get("recipe") is not None:  # without the group on its path, Hydra takes +recipe for a plain key
        raise ConfigError(f"recipe {recipe}: not on Hydra's search path; `mixed-r1 doctor` says more")
    return config


def _verl_folder() -> Path:
    spec = find_spec("verl")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigError("verl is not installed; `mixed-r1 doctor` says more")
    return Path(spec.submodule_search_locations[0]).resolve()


def select(config: Mapping[str, Any], key: str) -> Any:
    """The value of a dotted key as plain data, interpolations resolved; None where there is none.

    Raises:
        RunError: it refers to something that the configuration lacks.

    >>> select({"data": {"train_files": ["${root}/a.parquet"]}, "root": "/data"}, "data.train_files")
    ['/data/a.parquet']
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    node: Any = config if OmegaConf.is_config(config) else OmegaConf.create(dict(config))
    try:
        value = OmegaConf.select(node, key)
        return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value
    except OmegaConfBaseException as error:
        raise RunError(f"{key}: {' '.join(str(error).split())}") from error


def reward_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The reward block of a configuration, as `MixedRewardConfig.from_mapping` reads it; empty where there is none.

    Raises:
        RunError: it is no mapping, or refers to something that the configuration lacks.

    >>> reward_config({"reward": {"reward_kwargs": {"mixed_r1": {"format_weight": 0.5}}}})
    {'format_weight': 0.5}
    >>> reward_config({})
    {}
    """
    block = select(config, BLOCK)
    if block is not None and not isinstance(block, dict):
        raise RunError(f"{BLOCK} is not a mapping")
    if _NEVER in json.dumps(block, default=str):
        raise RunError(f"{BLOCK}: a value is missing, or would be read from the environment; give it with --set")
    return block or {}


def find_config(run: Path) -> Path | None:
    """The configuration that Hydra saved in a run's folder or one or two levels below it; the newest of several.

    With `hydra.run.dir=RUN/hydra` it is `RUN/hydra/.hydra/config.yaml`.
    """
    found = [path for level in ("", "*/", "*/*/") for path in run.glob(f"{level}.hydra/config.yaml")]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def read_config(path: Path) -> "DictConfig":
    """A configuration that Hydra saved; `select` and `reward_config` read it.

    Whoever sent the run wrote it. So what a resolver would fetch, such as `${oc.env:SECRET}`, counts as missing.

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
    return OmegaConf.create(_without_resolvers(OmegaConf.to_container(config)))


_NEVER = "???"  # OmegaConf's sign of a missing value


def _without_resolvers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_resolvers(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_without_resolvers(member) for member in value]
    return _NEVER if isinstance(value, str) and ":" in value.partition("${")[2] else value
