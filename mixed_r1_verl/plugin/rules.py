"""verl's own rules for a configuration and its registries, asked without starting a run; and those that it lacks."""

import contextlib
import io
import warnings
from typing import Any

from omegaconf import DictConfig

from mixed_r1_verl.core.verl_config import BLOCK, select

CPUS_PER_GPU = 3  # of the bundle that verl reserves for the workers of one GPU


def refusals(config: DictConfig) -> list[str]:
    """Why a configuration would not start, by verl's own checks, or would hang or go wrong; empty when nothing."""
    from verl.trainer.ppo.utils import need_critic, need_reference_policy
    from verl.utils.config import omega_conf_to_dataclass, validate_config

    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # verl warns that GRPO has no critic
            validate_config(config, need_reference_policy(config), need_critic(config))
            omega_conf_to_dataclass(config.actor_rollout_ref.rollout)
    except Exception as error:  # assertions, ValueError, Hydra's instantiation errors
        return [f"validate_config: {' '.join(str(error).split())[:400]}", *silent_failures(config)]
    return silent_failures(config)


def silent_failures(config: DictConfig, cpus: int | None = None) -> list[str]:
    """Settings with which verl starts, and then waits for ever or trains something else.

    Args:
        config: composed by a recipe of ours.
        cpus: that Ray will count on all nodes; None where that is not known. `ray_init.num_cpus` beats it.
    """
    problems = []
    cpus, needed = select(config, "ray_kwargs.ray_init.num_cpus") or cpus, needed_cpus(config)
    if cpus is not None and cpus < needed:  # verl#7656
        problems.append(
            f"Ray counts {cpus} CPUs and the run needs {needed}: verl would wait for ever, without a word. Lower "
            "transfer_queue.backend.SimpleStorage.num_data_storage_units, or set ray_kwargs.ray_init.num_cpus, which "
            "may be more than there are"
        )
    model, rollout = "actor_rollout_ref.model", "actor_rollout_ref.rollout"
    rank = select(config, f"{model}.lora_rank") or select(config, f"{model}.lora.rank") or 0
    backend = select(config, f"{rollout}.checkpoint_engine.backend") or "naive"
    if rank > 0 and backend != "naive" and not select(config, f"{model}.lora.merge"):  # verl#7495
        problems.append(
            f"with LoRA and {rollout}.checkpoint_engine.backend={backend} the rollout never gets the adapter and "
            f"samples the initial policy: add {model}.lora.merge=true, or take the backend naive"
        )
    ulysses = "ulysses_sequence_parallel_size"
    keys = [f"actor_rollout_ref.{part}.{ulysses}" for part in ("actor", "actor.fsdp_config", "ref", "ref.fsdp_config")]
    split = [key for key in keys if (select(config, key) or 1) > 1]
    if split and select(config, f"{BLOCK}.iou.family") == "internvl":
        problems.append(f"{split[0]} is more than 1, and verl splits no sequences for InternVL: set it to 1")
    return problems


def needed_cpus(config: DictConfig) -> int:
    """CPUs that Ray must count, on all nodes, for the processes of a run to be placed."""

    def gpus(place: str) -> int:
        nodes, each = (select(config, f"{place}.{key}") or 0 for key in ("nnodes", "n_gpus_per_node"))
        return int(nodes) * int(each)

    units = select(config, "transfer_queue.backend.SimpleStorage.num_data_storage_units") or 0
    separate = select(config, "trainer.v1.trainer_mode") == "separate_async"
    on_gpus = gpus("trainer") + (gpus("actor_rollout_ref.rollout") if separate else 0)
    return 2 + int(units) + CPUS_PER_GPU * on_gpus  # two: the task runner and TransferQueue's controller


def cpus_of_this_node() -> int:
    """CPUs that Ray counts on this machine: fewer than it has, in a container with a quota."""
    from ray._private.utils import get_num_cpus

    return int(get_num_cpus(override_docker_cpu_warning=True))


def reward_manager_class(name: str) -> type[Any]:
    """The reward manager that verl has registered under a name; verl raises where there is none."""
    from verl.experimental.reward_loop.reward_manager import get_reward_manager_cls

    return get_reward_manager_cls(name)


def device_name() -> str:
    """What verl runs on: `cuda`, `cpu`, …"""
    from verl.plugin.platform import get_platform

    return str(get_platform().device_name)
