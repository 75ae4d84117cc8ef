"""What can be known to be wrong before training starts: checked by a Hydra callback that the recipes configure.

A run that fails inside a Ray actor fails minutes later and with a long trace. So the driver checks the reward block,
the model path and the data files first, and stops with one message.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from mixed_r1_verl.rewards.mixed import MixedReward


class PreflightError(SystemExit):
    """Stops the driver with exit status 1 and one message. (Hydra turns a callback's `Exception` into a warning.)"""


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
    reward = None
    if OmegaConf.select(config, "reward.reward_manager.name") == "mixed_r1":
        from mixed_r1_verl.plugin.reward_manager import BLOCK, reward_config
        from mixed_r1_verl.rewards.mixed import MixedReward

        try:
            reward = MixedReward(reward_config(config))
        except ConfigError as error:
            problems.append(f"{BLOCK}: {error}")
    problems += _check_model(config)
    problems += _check_data(config, reward)
    if not problems and reward:
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


def _check_data(config: DictConfig, reward: "MixedReward | None") -> list[str]:
    from mixed_r1_verl.data.quick_check import quick_check

    problems: list[str] = []
    for key in ("train_files", "val_files"):
        files = OmegaConf.select(config, f"data.{key}") or []
        files = [files] if isinstance(files, str) else list(files)
        local = [file for file in files if "://" not in file]
        absent = [file for file in local if not Path(file).expanduser().is_file()]
        problems += [
            f"data.{key}: {file} does not exist; `mixed-r1 data --help` says how to build it" for file in absent
        ]
        if reward is not None:
            present = [file for file in local if file not in absent]
            problems += [
                f"data.{key}: {line}" for line in quick_check(present, reward.kinds, routes=reward.config.routes)
            ]
    return problems
