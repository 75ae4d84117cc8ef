"""What can be known to be wrong before training starts: checked by a Hydra callback that the recipes configure.

A run that fails inside a Ray actor fails minutes later and with a long trace. So the driver checks the reward block,
the model path and the data files first, and stops with one message.
"""

import os
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.core.console import say
from mixed_r1_verl.core.verl_config import BLOCK, reward_config, select
from mixed_r1_verl.plugin import rules, versions

if TYPE_CHECKING:
    from mixed_r1_verl.rewards.mixed import MixedReward


TINY = "examples/demo/tiny/assets/qwen2_5_vl"  # the model of the recipe `mixed_r1_cpu`, which a wheel does not hold


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
        if line := goes_on(config):
            say(line)


def goes_on(config: DictConfig) -> str:
    """That verl goes on from a checkpoint without being asked, maybe one of another run in this folder; else empty.

    A run of as many steps as the other had would end at once, with nothing trained.
    """
    folder = select(config, "trainer.default_local_dir") or ""
    newest = Path(folder).expanduser() / "latest_checkpointed_iteration.txt"
    if not folder or select(config, "trainer.resume_mode") != "auto" or not newest.is_file():
        return ""
    step = newest.read_text(encoding="utf-8").strip()
    another = "trainer.default_local_dir=FOLDER, or trainer.resume_mode=disable"
    return f"mixed-r1: this run goes on from step {step} in {folder}; to begin anew: {another}"


def check(config: DictConfig) -> list[str]:
    """Problems of a training configuration, one clear line each; empty when it can start."""
    problems: list[str] = []
    try:
        versions.require("verl")
    except versions.UnsupportedVersionError as error:
        problems.append(str(error))
    reward = None
    if select(config, "reward.reward_manager.name") == "mixed_r1":
        from mixed_r1_verl.rewards.config import MixedRewardConfig
        from mixed_r1_verl.rewards.mixed import MixedReward

        try:
            reward = MixedReward(MixedRewardConfig.from_mapping(reward_config(config)))
        except ConfigError as error:
            problems.append(f"{BLOCK}: {error}")
    problems += [*_judge(config, reward), *_data(config, reward), *_model(config, reward)]
    # CPUs are known where the run starts a Ray of its own on this machine alone.
    ray = os.environ.get("RAY_ADDRESS") or select(config, "ray_kwargs.ray_init.address")
    alone = not ray and (select(config, "trainer.nnodes") or 1) == 1
    own = [key for key in ("ray_kwargs.ray_init.num_cpus", "ray_kwargs.ray_init.num_gpus") if select(config, key)]
    if ray not in (None, "local") and own:  # ray.init would refuse
        problems.append(f"a Ray that runs already counts for itself: {' '.join(f'{key}=null' for key in own)}")
    problems += rules.silent_failures(config, rules.cpus_of_this_node() if alone else None)
    if not problems and reward:
        try:
            reward.prepare()
        except (OSError, ValueError, ImportError) as error:
            key = "open_ended.encoder" if reward.config.of("open_ended").variant == "encoder" else "embedding_model"
            problems.append(f"{BLOCK}.{key}: {error}")
    return problems


def _judge(config: DictConfig, reward: "MixedReward | None") -> Iterator[str]:
    options = reward.config.of("open_ended") if reward is not None else None
    served = select(config, "reward.reward_model.enable")
    if options is not None and options.variant == "judge" and not options.judge.address and not served:
        yield (
            f"{BLOCK}.open_ended.variant is judge, but there is no judge: set reward.reward_model.enable=true "
            "with reward.reward_model.model_path, or open_ended.judge.address"
        )


def _data(config: DictConfig, reward: "MixedReward | None") -> Iterator[str]:
    from mixed_r1_verl.data.columns import quick_check

    for key in ("data.train_files", "data.val_files"):
        files = select(config, key) or []
        local = [file for file in ([files] if isinstance(files, str) else files) if "://" not in file]
        present = [file for file in local if Path(file).expanduser().is_file()]
        for file in local:
            if file not in present:
                yield f"{key}: {file} does not exist; `mixed-r1 data --help` says how to build it"
        if reward is not None:
            for line in quick_check(present, reward.kinds, routes=reward.config.routes):
                yield f"{key}: {line}"


def _model(config: DictConfig, reward: "MixedReward | None") -> Iterator[str]:
    """What is wrong with the model's path, or with the model for the recipe. verl itself copies from `hdfs://…`."""
    from transformers import PretrainedConfig

    key = "actor_rollout_ref.model.path"
    path = select(config, key) or ""
    local = Path(path).expanduser()
    if not path:
        yield f"{key} is empty: give a model directory or hub id"
    elif "://" in path:
        return
    elif local.is_dir() and not (local / "config.json").is_file():
        yield f"{key}: no config.json in {path}"
    elif not local.is_dir() and (path.startswith(("/", ".", "~")) or path.count("/") != 1):
        where = f"; that of mixed_r1_cpu lies in a checkout: start at its root, or name CHECKOUT/{TINY}"
        hint = where if path == TINY else ""
        yield f"{key}: {path} is neither a directory nor a hub id{hint}"
    else:
        try:
            model = PretrainedConfig.get_config_dict(str(local) if local.is_dir() else path)[0]
        except OSError as error:
            if local.is_dir():  # a hub that cannot be reached from here may be reachable from the workers
                yield f"{key}: {error}"
            return
        yield from _family(config, reward, model, path)


def _family(config: DictConfig, reward: "MixedReward | None", model: dict[str, Any], path: str) -> Iterator[str]:
    """Recipe and model must be of one family, or boxes are read in the wrong frame; one not known here is let pass."""
    from mixed_r1_verl.core.families import UnknownFamilyError, get_family

    if model.get("model_type") == "internvl_chat":
        yield f"{path} is an InternVL in its original format, which verl cannot load: take the one named …-hf or …-HF"
    try:
        family = get_family(str(model.get("model_type")))
    except UnknownFamilyError:
        return
    patch = (model.get("vision_config") or {}).get("patch_size", family.patch_size)
    patch = patch[0] if isinstance(patch, list) else patch
    pairs = {"data.image_patch_size": (select(config, "data.image_patch_size") or patch, patch)}
    if reward is not None:
        key = f"{BLOCK}.iou.family"
        try:
            pairs[key] = (get_family(reward.config.of("iou").family).name, family.name)
        except UnknownFamilyError as error:
            yield f"{key}: {error}"
            return
    wrong = [f"{key} is {found}, not {wanted}" for key, (found, wanted) in pairs.items() if found != wanted]
    if wrong:
        yield (
            f"{path} is of family {family.name}, which answers with boxes in the frame {family.box_frame}, "
            f"but {' and '.join(wrong)}: use a recipe of its family, or +recipe/family={family.name}"
        )
