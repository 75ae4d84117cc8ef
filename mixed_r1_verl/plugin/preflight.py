"""What can be known to be wrong before training starts: checked by a Hydra callback that the recipes configure.

A run that fails inside a Ray actor fails minutes later and with a long trace. So the driver checks the reward block,
the model path and the data files first, and stops with one message.
"""

import os
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.core.verl_config import BLOCK, reward_config
from mixed_r1_verl.plugin import rules

if TYPE_CHECKING:
    from mixed_r1_verl.rewards.mixed import MixedReward


TINY = "examples/demo/tiny/assets/qwen2_5_vl"
"""The model of the recipe `mixed_r1_cpu`, which a wheel does not hold."""


class PreflightError(SystemExit):
    """Stops the driver with exit status 1 and one message. (Hydra turns a callback's `Exception` into a warning.)"""


class Preflight(Callback):
    """Hydra callback; in a recipe: `hydra.callbacks.mixed_r1._target_: mixed_r1_verl.plugin.preflight.Preflight`."""

    def on_job_start(self, config: DictConfig, **kwargs: Any) -> None:
        try:
            problems = check(config)
        except Exception as error:  # which Hydra would turn into a warning, and the run would start unchecked
            place = traceback.extract_tb(error.__traceback__)[-1]
            raise PreflightError(
                f"mixed-r1: the checks before the start failed themselves, with {type(error).__name__}: {error} "
                f"({Path(place.filename).name}, line {place.lineno}). Please report it; to start unchecked, add "
                "'~hydra.callbacks.mixed_r1'"
            ) from error
        if problems:
            lines = "\n".join(f"  - {line}" for line in problems)
            hint = "What only this machine lacks is no reason: '~hydra.callbacks.mixed_r1' starts unchecked."
            raise PreflightError(f"mixed-r1: this run cannot start.\n{lines}\n{hint}")


def check(config: DictConfig) -> list[str]:
    """Problems of a training configuration, one clear line each; empty when it can start."""
    from mixed_r1_verl.plugin.versions import UnsupportedVersionError, require_supported_verl

    problems: list[str] = []
    try:
        require_supported_verl()
    except UnsupportedVersionError as error:
        problems.append(str(error))
    reward = None
    if OmegaConf.select(config, "reward.reward_manager.name") == "mixed_r1":
        from mixed_r1_verl.rewards.config import MixedRewardConfig
        from mixed_r1_verl.rewards.mixed import MixedReward

        try:
            reward = MixedReward(MixedRewardConfig.from_mapping(reward_config(config)))
        except ConfigError as error:
            problems.append(f"{BLOCK}: {error}")
    problems += _check_judge(config, reward)
    problems += _check_data(config, reward)
    problems += _check_model(config, reward)
    problems += rules.silent_failures(config, _cpus(config))
    if not problems and reward:
        try:
            reward.prepare()
        except (OSError, ValueError, ImportError) as error:
            key = "open_ended.encoder" if reward.config.of("open_ended").variant == "encoder" else "embedding_model"
            problems.append(f"{BLOCK}.{key}: {error}")
    return problems


def _cpus(config: DictConfig) -> int | None:
    """CPUs that Ray will count, where the run starts a Ray of its own on this machine alone."""
    address = os.environ.get("RAY_ADDRESS") or OmegaConf.select(config, "ray_kwargs.ray_init.address")
    nodes = OmegaConf.select(config, "trainer.nnodes") or 1
    return None if address or nodes > 1 else rules.cpus_of_this_node()


def _check_judge(config: DictConfig, reward: "MixedReward | None") -> list[str]:
    options = reward.config.of("open_ended") if reward is not None else None
    served = OmegaConf.select(config, "reward.reward_model.enable")
    if options is None or options.variant != "judge" or options.judge.address or served:
        return []
    return [
        f"{BLOCK}.open_ended.variant is judge, but there is no judge: set reward.reward_model.enable=true "
        "with reward.reward_model.model_path, or open_ended.judge.address"
    ]


def _check_model(config: DictConfig, reward: "MixedReward | None") -> list[str]:
    """What is wrong with the model's path, or with the model for the recipe. verl itself copies from `hdfs://…`."""
    from transformers import PretrainedConfig

    path = OmegaConf.select(config, "actor_rollout_ref.model.path")
    if not path:
        return ["actor_rollout_ref.model.path is empty: give a model directory or hub id"]
    local = Path(path).expanduser()
    if "://" in path:
        return []
    if local.is_dir() and not (local / "config.json").is_file():
        return [f"actor_rollout_ref.model.path: no config.json in {path}"]
    if not local.is_dir() and (path.startswith(("/", ".", "~")) or path.count("/") != 1):
        hint = "; that of mixed_r1_cpu lies in a checkout: start at its root, or name another" if path == TINY else ""
        return [f"actor_rollout_ref.model.path: {path} is neither a directory nor a hub id{hint}"]
    try:
        model = PretrainedConfig.get_config_dict(str(local) if local.is_dir() else path)[0]
    except OSError as error:  # a hub that cannot be reached from here may be reachable from the workers
        return [f"actor_rollout_ref.model.path: {error}"] if local.is_dir() else []
    if model.get("model_type") == "internvl_chat":
        return [
            f"{path} is an InternVL in its original format, which verl cannot load: take the one named …-hf or …-HF"
        ]
    return _check_family(config, reward, model)


def _check_family(config: DictConfig, reward: "MixedReward | None", model: dict[str, Any]) -> list[str]:
    """One line when recipe and model are of different families: boxes would be read in the wrong frame.

    A model of a family that is not known here is left to its user.
    """
    from mixed_r1_verl.core.families import UnknownFamilyError, get_family

    try:
        family = get_family(str(model.get("model_type")))
    except UnknownFamilyError:
        return []
    patch = (model.get("vision_config") or {}).get("patch_size", family.patch_size)
    patch = patch[0] if isinstance(patch, list) else patch
    wanted = {"data.image_patch_size": patch}
    found = {"data.image_patch_size": OmegaConf.select(config, "data.image_patch_size") or patch}
    if reward is not None:
        key = f"{BLOCK}.iou.family"
        try:
            found[key] = get_family(reward.config.of("iou").family).name
        except UnknownFamilyError as error:
            return [f"{key}: {error}"]
        wanted[key] = family.name
    wrong = [f"{key} is {found[key]}, not {value}" for key, value in wanted.items() if found[key] != value]
    if not wrong:
        return []
    return [
        f"{config.actor_rollout_ref.model.path} is of family {family.name}, which answers with boxes in the frame "
        f"{family.box_frame}, but {' and '.join(wrong)}: use a recipe of its family, or +recipe/family={family.name}"
    ]


def _check_data(config: DictConfig, reward: "MixedReward | None") -> list[str]:
    from mixed_r1_verl.data.columns import quick_check

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
