"""What can be known to be wrong before training starts: checked by a Hydra callback that the recipes configure.

A run that fails inside a Ray actor fails minutes later and with a long trace. So the driver checks the reward block,
the model path and the data files first, and stops with one message.
"""

from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf


class PreflightError(SystemExit):
    """Stops the driver with exit status 1 and one message. (Hydra turns other exceptions of callbacks into warnings.)"""


class Preflight(Callback):
    """Hydra callback; in a recipe: `hydra.callbacks.mixed_r1._target_: mixed_r1_verl.plugin.preflight.Preflight`."""

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        problems = check(config)
        if problems:
            raise PreflightError("mixed-r1: this run cannot start.\n" + "\n".join(f"  - {line}" for line in problems))


def check(config: DictConfig) -> list[str]:
    """Problems of a training configuration, one clear line each; empty when it can start."""
    from mixed_r1_verl.plugin.versions import UnsupportedVersionError, require_supported_verl
    from mixed_r1_verl.rewards.config import ConfigError

    problems: list[str] = []
    try:
        require_supported_verl()
    except UnsupportedVersionError as error:
        problems.append(str(error))
    kinds: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()
    if OmegaConf.select(config, "reward.reward_manager.name") == "mixed_r1":
        from mixed_r1_verl.plugin.reward_manager import BLOCK, reward_config
        from mixed_r1_verl.rewards.mixed import MixedReward

        try:
            reward = MixedReward(reward_config(config))
            kinds, routes = reward.kinds, tuple(reward.config.routes)
        except ConfigError as error:
            problems.append(f"{BLOCK}: {error}")
    problems += _check_model(config)
    problems += _check_data(config, kinds, routes)
    if not problems and kinds:
        try:
            reward.prepare()
        except (OSError, ValueError) as error:
            problems.append(f"{BLOCK}.embedding_model: {error}")
    return problems


def _check_model(config: DictConfig) -> list[str]:
    path = OmegaConf.select(config, "actor_rollout_ref.model.path")
    if not path:
        return ["actor_rollout_ref.model.path is empty: give a model directory or hub id"]
    local = Path(path).expanduser()
    if local.is_dir():
        return [] if (local / "config.json").is_file() else [f"actor_rollout_ref.model.path: no config.json in {path}"]
    if path.startswith(("/", ".", "~")) or path.count("/") != 1:
        return [f"actor_rollout_ref.model.path: {path} is neither a directory nor a hub id"]
    return []


def _check_data(config: DictConfig, kinds: tuple[str, ...], routes: tuple[str, ...]) -> list[str]:
    from mixed_r1_verl.data.check import quick_check

    problems: list[str] = []
    for key in ("train_files", "val_files"):
        files = OmegaConf.select(config, f"data.{key}") or []
        for file in [files] if isinstance(files, str) else list(files):
            if file.startswith(("hdfs://", "s3://")):
                continue
            path = Path(file).expanduser()
            if not path.is_file():
                problems.append(f"data.{key}: {file} does not exist; `mixed-r1 data --help` builds data files")
            elif kinds and path.suffix == ".parquet":
                problems += [f"data.{key}: {line}" for line in quick_check([path], kinds, routes)]
    return problems
