"""Puts the curves of `plugin.metrics` among the metrics that verl's trainer logs at every step.

verl's V1 trainers, whatever their mode, compute a step's metrics in `PPOTrainer._compute_metrics`, when the responses
are still in TransferQueue and before the trackers are called. There the curves are added: every tracker gets them with
verl's own step number, and nothing else of the trainer is touched. A run whose reward manager returns no
`reward_kind` is left as it is.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixed_r1_verl.plugin.metrics import Rollouts, curves_of_step, gradient_signal
from mixed_r1_verl.rewards.verdict import ABSTAINED, SHORTENED

logger = logging.getLogger(__name__)

RESULTS = ("reward_kind", "acc", "format", "error", "reason")
FIELDS = ["uid", "data_source", "extra_fields", "rm_scores", "response_mask", "advantages"]


def add_curves(compute_metrics: Callable[..., None], trainer: Any, args: Any, kwargs: Any) -> None:
    """Around `PPOTrainer._compute_metrics`: adds the curves of the step to its metrics."""
    batch, metrics = batch_and_metrics(*args, **kwargs)
    compute_metrics(*args, **kwargs)
    start = time.perf_counter()
    try:
        rollouts = read_rollouts(batch, trainer.config)
        if rollouts is not None:
            metrics.update(curves_of_step(rollouts))
            metrics["mixed_r1/curves_s"] = time.perf_counter() - start
    except Exception:  # curves are worth less than the run
        if not getattr(trainer, "_mixed_r1_warned", False):
            trainer._mixed_r1_warned = True
            logger.warning(
                "mixed_r1: the curves by source and reward cannot be computed; training goes on without them",
                exc_info=True,
            )


def batch_and_metrics(batch: Any, metrics: dict[str, Any], *_: Any, **__: Any) -> tuple[Any, dict[str, Any]]:
    """The first two arguments of a method of verl's trainer, however they are given."""
    return batch, metrics


def read_rollouts(batch: Any, config: Any) -> Rollouts | None:
    """The responses of a step out of TransferQueue; None when they were not scored by Mixed-Reward.

    An agent loop may return several outputs for one session, with keys of the form `{uid}_{session}_{output}`. verl
    scores the last one, and so it stands here for the session; the signal is that of all outputs.
    """
    keys, data, results = read_batch(batch, FIELDS)
    if results is None:
        return None
    mask = data["response_mask"].to_padded_tensor(0).numpy()
    advantages = data["advantages"].to_padded_tensor(0.0).float().numpy()
    last, session = last_outputs(keys)
    signal = gradient_signal(advantages, mask, config.actor_rollout_ref.actor.loss_agg_mode)
    length = data["response_mask"].offsets().diff().numpy()[last]
    source, group = (np.array(as_list(data[name]), dtype=str)[last] for name in ("data_source", "uid"))
    column = {name: np.array([results[row][name] for row in last]) for name in RESULTS}
    return Rollouts(
        source=source,
        reward=column["reward_kind"],
        group=group,
        score=data["rm_scores"].to_padded_tensor(0.0).sum(dim=1).double().numpy()[last],
        acc=column["acc"],
        format=column["format"],
        error=column["error"],
        abstained=column["reason"] == ABSTAINED,
        timeout=np.char.startswith(column["reason"], "timeout"),
        shortened=np.char.find(column["reason"], SHORTENED) >= 0,
        length=length,
        truncated=length >= config.data.max_response_length,
        advantage=gradient_signal(advantages, mask, "seq-mean-token-mean")[last],
        signal=np.bincount(session, signal),
    )


def read_batch(batch: Any, fields: Sequence[str]) -> tuple[list[str], Any, list[dict[str, Any]] | None]:
    """Keys, fields and results of the step's responses, without verl's padding; see `reward_results`."""
    import transfer_queue as tq

    keys = [key for key, tag in zip(batch.keys, batch.tags, strict=True) if not tag.get("is_padding", False)]
    if not keys:
        return [], None, None
    data = tq.kv_batch_get(keys=keys, partition_id=batch.partition_id, select_fields=list(fields))
    return keys, data, reward_results(data)


def reward_results(data: Any) -> list[dict[str, Any]] | None:
    """What Mixed-Reward returned for each row, out of the field `extra_fields`; None where other rewards scored."""
    results = [fields.get("reward_extra_info") or {} for fields in as_list(data["extra_fields"])]
    return results if all("reward_kind" in result for result in results) else None


def as_list(values: Any) -> list[Any]:
    """A field that holds no tensors: of TransferQueue's batches, a tensordict stack or a list of its own."""
    return values.tolist() if hasattr(values, "tolist") else list(values)


def last_outputs(keys: Sequence[str]) -> tuple[NDArray, NDArray]:
    """The rows of each session's last output, and for each row the number of its session.

    >>> last, session = last_outputs(["p_0_0", "p_0_1", "p_1_0"])
    >>> last.tolist(), session.tolist()
    ([1, 2], [0, 0, 1])
    """
    parts = [key.rsplit("_", 1) for key in keys]
    _, session = np.unique([name for name, _ in parts], return_inverse=True)
    order = np.array([int(output) for _, output in parts])
    last = np.zeros(session.max() + 1, dtype=int)
    for row in np.argsort(order, kind="stable"):
        last[session[row]] = row
    return last, session
