"""Task balance: rescales the advantages so that no task drowns another.

verl's estimators see scores and group ids, not tasks, so this cannot be an advantage estimator. It acts on what the
configured estimator has computed, in `PPOTrainer._compute_advantage`, for every trainer mode and every estimator.
"""

from collections.abc import Callable
from typing import Any

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.core.verl_config import BLOCK, reward_config, select
from mixed_r1_verl.plugin.advantages import replace_advantages
from mixed_r1_verl.plugin.curves import batch_and_metrics, read_batch
from mixed_r1_verl.plugin.metrics import balance_factors, gradient_signal
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.verdict import NOT_STARTED


def add_balance(compute_advantage: Callable[..., Any], trainer: Any, args: Any, kwargs: Any) -> Any:
    """Around `PPOTrainer._compute_advantage`: replaces or rescales what it computed where the reward block asks for it.

    Raises:
        RuntimeError: scoring has ended, so that the step would train on zeros. A reward that raises does not end a run
            of verl, so it is ended here.
    """
    batch, metrics = batch_and_metrics(*args, **kwargs)
    if select(trainer.config, "reward.reward_manager.name") == "mixed_r1":
        reasons = [result["reason"] for result in read_batch(batch, ["extra_fields"])[2] or ()]
        if ended := [reason for reason in reasons if reason.startswith(NOT_STARTED)]:
            raise RuntimeError(
                f"mixed_r1: {ended[0]}; {len(ended)} of {len(reasons)} samples of this step are unscored"
            )
    batch = compute_advantage(*args, **kwargs)
    options = MixedRewardConfig.from_mapping(reward_config(trainer.config))
    if options.advantage != "grpo":
        replace_advantages(trainer, batch, options)
    if options.task_balance == "samples":
        loss_agg_mode = trainer.config.actor_rollout_ref.actor.loss_agg_mode
        metrics.update(balance_advantages(batch, options.task_balance_limit, loss_agg_mode))
    return batch


def balance_advantages(batch: Any, limit: float, loss_agg_mode: str) -> dict[str, float]:
    """Rescale the advantages of a batch in TransferQueue, and return the factors as metrics.

    Raises:
        ConfigError: when the responses were not scored by Mixed-Reward, so that their tasks are not known.
    """
    import torch
    import transfer_queue as tq
    from tensordict import TensorDict

    keys, data, results = read_batch(batch, ["extra_fields", "response_mask", "advantages"])
    if results is None:
        raise ConfigError(f"{BLOCK}.task_balance needs rewards that return `reward_kind`, as mixed_r1's do")
    kinds = [str(result["reward_kind"]) for result in results]
    advantages = data["advantages"]
    mask = data["response_mask"].to_padded_tensor(0).numpy()
    signal = gradient_signal(advantages.to_padded_tensor(0.0).float().numpy(), mask, loss_agg_mode)
    factors = balance_factors(kinds, signal, limit)
    scaled = [row * factors[kind] for row, kind in zip(advantages.unbind(), kinds, strict=True)]
    tq.kv_batch_put(
        keys=keys,
        partition_id=batch.partition_id,
        fields=TensorDict(
            {"advantages": torch.nested.as_nested_tensor(scaled, layout=torch.jagged)}, batch_size=len(keys)
        ),
    )
    return {f"mixed_r1/reward/{kind}/balance_factor": factor for kind, factor in factors.items()}
