"""Advantages that know of tasks: pure functions of numpy arrays, and where they take the place of verl's.

verl's estimators see scores and group ids. What is here sees the kind of reward and the components of the score too,
and acts on what the configured estimator has computed, in every trainer mode: replaces it, and then rescales it where
no task shall drown another.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, rankdata

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.core.verl_config import BLOCK, reward_config, select
from mixed_r1_verl.plugin.curves import as_list, batch_and_metrics, last_outputs, read_batch
from mixed_r1_verl.plugin.metrics import ZERO_VARIANCE, balance_factors, centred, gradient_signal
from mixed_r1_verl.plugin.tracking import keep_steps
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.verdict import NOT_STARTED

__all__ = ["add_balance", "ema_grpo", "g2rpo", "gdpo"]

SPREADS = "mixed_r1_spreads.jsonl"
"""In `trainer.default_local_dir`: the moving averages after each step, with which the next one goes on."""


def ema_grpo(
    score: NDArray, group: NDArray, task: NDArray, spreads: Mapping[str, float], decay: float = 0.99, limit: float = 5.0
) -> tuple[NDArray, dict[str, float]]:
    """EMA-GRPO: scores less the mean of their group, by a moving average of the task's spread instead of the group's.

    With s_k the mean over the groups of task k of their deviation, S_k ← decay · S_k + (1 - decay) · s_k, and S_k = s_k
    at first; A = (r - mean of the group) / S_k, cut at ± limit. A group that hardly varies no longer weighs as much as
    one that varies much, and a task of narrow scores as much as one of wide ones. Source: OneThinker
    (arXiv 2512.03043), which averages the deviation of a task's rewards; that it is the one of groups is our reading.

    Args:
        score, group, task: (responses,).
        spreads: S of each task so far.
        decay, limit: in [0, 1), and above 0.

    Returns:
        (responses,) advantages, and S of each task from now on. A task without any spread keeps its S.

    >>> scores, groups = np.array([0.0, 1.0, 0.4, 0.6]), np.array([0, 0, 1, 1])
    >>> advantages, spreads = ema_grpo(scores, groups, np.array(["iou"] * 4), {}, decay=0.9)
    >>> advantages.round(2).tolist(), round(spreads["iou"], 3)
    ([-1.18, 1.18, -0.24, 0.24], 0.424)
    """
    rest, deviation = centred(score, group, ddof=1)
    _, first = np.unique(group, return_index=True)
    advantages, kept = np.zeros_like(rest), dict(spreads)
    for name in np.unique(task):
        part = task == name
        now = float(deviation[first[part[first]]].mean())
        if now > ZERO_VARIANCE:
            kept[str(name)] = decay * kept.get(str(name), now) + (1 - decay) * now
        advantages[part] = rest[part] / (kept.get(str(name), 1.0) + ZERO_VARIANCE)
    return np.clip(advantages, -limit, limit), kept


def g2rpo(score: NDArray, group: NDArray, task: NDArray) -> NDArray:
    """G²RPO: what a score is above its group's mean, as a normal deviate by its rank among those of its task.

    A = Φ⁻¹((rank - ½) / n) over the n responses of the task whose group varies, equal ones with their mean rank, less
    the mean. So every task's advantages are distributed alike, whatever its scores are, and no outlier weighs much.
    Source: OpenVLThinkerV2's Gaussian GRPO (arXiv 2604.08539), which matches distributions by optimal transport, in one
    dimension by ranks. That ranks are those of r - mean, and that groups without variance get 0, is ours.

    >>> g2rpo(np.array([0.0, 9.0, 0.4, 0.6]), np.array([0, 0, 1, 1]), np.array(["iou"] * 4)).round(2).tolist()
    [-1.15, 1.15, -0.32, 0.32]
    """
    rest, deviation = centred(score, group, ddof=1)
    advantages = np.zeros_like(rest)
    for name in np.unique(task):
        part = (deviation > ZERO_VARIANCE) & (task == name)
        if part.any():
            normal = norm.ppf((rankdata(rest[part].round(9)) - 0.5) / part.sum())
            advantages[part] = normal - normal.mean()
    return advantages


def gdpo(components: NDArray, group: NDArray) -> NDArray:
    """GDPO: each component of the score is normalised within its group by itself, then their sum over the batch.

    A component that all responses of a group share, above all the format, no longer hides what another one says.
    Source: arXiv 2601.05242; a component's weight is already in it, and cancels in its own normalisation.

    Args:
        components, group: (responses, components) and (responses,).

    >>> parts = np.array([[0.0, 0.1], [0.9, 0.1], [0.0, 0.0], [0.0, 0.1]])
    >>> gdpo(parts, np.array([0, 0, 1, 1])).round(2).tolist()
    [-0.87, 0.87, -0.87, 0.87]
    """
    total = np.zeros(len(components))
    for component in components.T:
        rest, deviation = centred(component, group, ddof=1)
        total += rest / (deviation + ZERO_VARIANCE)
    return (total - total.mean()) / (total.std(ddof=1) + 1e-8) if len(total) > 1 else total


def add_balance(compute_advantage: Callable[..., Any], trainer: Any, args: Any, kwargs: Any) -> Any:
    """Around `PPOTrainer._compute_advantage`: replaces or rescales what it computed where the reward block asks for it.

    Raises:
        RuntimeError: scoring has ended, and the step would train on zeros: a reward that raises ends no run of verl.
        ConfigError: the responses were not scored by Mixed-Reward, or the scores are not all of the reward.
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


def _scored(batch: Any, fields: Sequence[str], option: str) -> tuple[list[str], Any, list[dict[str, Any]]]:
    keys, data, results = read_batch(batch, fields)
    if results is None:
        raise ConfigError(f"{BLOCK}.{option} needs rewards that return `reward_kind`, as mixed_r1's do")
    return keys, data, results


def balance_advantages(batch: Any, limit: float, loss_agg_mode: str) -> dict[str, float]:
    """Task balance: rescale the advantages of a batch in TransferQueue, and return the factors as metrics."""
    keys, data, results = _scored(batch, ["extra_fields", "response_mask", "advantages"], "task_balance")
    kinds = [str(result["reward_kind"]) for result in results]
    advantages = data["advantages"]
    mask = data["response_mask"].to_padded_tensor(0).numpy()
    signal = gradient_signal(advantages.to_padded_tensor(0.0).float().numpy(), mask, loss_agg_mode)
    factors = balance_factors(kinds, signal, limit)
    rows = [row * factors[kind] for row, kind in zip(advantages.unbind(), kinds, strict=True)]
    write_advantages(keys, batch, rows, "advantages")
    return {f"mixed_r1/reward/{kind}/balance_factor": factor for kind, factor in factors.items()}


def replace_advantages(trainer: Any, batch: Any, options: MixedRewardConfig) -> None:
    """Write the advantages that the reward block asks for over those that verl computed."""
    if trainer.config.algorithm.use_kl_in_reward:
        raise ConfigError(f"{BLOCK}.advantage={options.advantage} reads scores; set algorithm.use_kl_in_reward=false")
    keys, data, results = _scored(batch, ["uid", "extra_fields", "response_mask"], "advantage")
    last, session = last_outputs(keys)
    scored = [results[row] for row in last]
    group = np.array(as_list(data["uid"]), dtype=str)[last]
    task = np.array([str(one["reward_kind"]) for one in scored])
    score = np.array([float(one["score"]) for one in scored])
    if options.advantage == "ema_grpo":
        path = Path(trainer.config.trainer.default_local_dir).expanduser() / SPREADS
        spreads = read_spreads(path, trainer.global_steps - 1)
        values, spreads = ema_grpo(score, group, task, spreads, options.advantage_decay, options.advantage_limit)
        write_spreads(path, trainer.global_steps, spreads)
    elif options.advantage == "g2rpo":
        values = g2rpo(score, group, task)
    else:
        share = options.format_weight * np.array([float(one["format"]) for one in scored])
        values = gdpo(np.stack([score - share, share], axis=1), group)
    masks = data["response_mask"].unbind()
    rows = [float(value) * mask.float() for value, mask in zip(values[session], masks, strict=True)]
    write_advantages(keys, batch, rows, "advantages", "returns")


def write_advantages(keys: list[str], batch: Any, rows: Sequence[Any], *names: str) -> None:
    """Write one tensor a response, (tokens,), to fields of TransferQueue."""
    import torch
    import transfer_queue as tq
    from tensordict import TensorDict

    nested = torch.nested.as_nested_tensor(list(rows), layout=torch.jagged)
    fields = TensorDict({name: nested.clone() for name in names}, batch_size=len(keys))
    tq.kv_batch_put(keys=keys, partition_id=batch.partition_id, fields=fields)


def read_spreads(path: Path, step: int) -> dict[str, float]:
    """The moving averages after a step; empty where there are none. Later ones, which a resumed run repeats, go."""
    kept = keep_steps(path, step) if path.is_file() else []
    return json.loads(kept[-1])["spreads"] if kept else {}


def write_spreads(path: Path, step: int, spreads: Mapping[str, float]) -> None:
    """Add the moving averages after a step; a kill leaves whole lines and at most a part of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps({"step": step, "spreads": spreads}) + "\n")
