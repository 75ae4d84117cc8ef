"""Curves of a training step by data source and by kind of reward: pure functions of numpy arrays.

verl averages every reward of a batch into one number. With several tasks in the batch that number hides which of them
learns, which has nothing left to learn, and which one the gradient serves. `docs/curves.md` explains each curve.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ZERO_VARIANCE = 1e-6
"""A group whose scores deviate by no more has no advantage: it is the epsilon beside the deviation in verl's GRPO."""

TOKEN_SUMS = ("token-mean", "token-sum", "seq-mean-token-sum", "seq-mean-token-sum-norm")


class Rollouts(NamedTuple):
    """The responses of one training step; each column has one entry for each response."""

    source: NDArray  # name of the data source, str
    reward: NDArray  # kind of reward, str
    group: NDArray  # id of the prompt; the responses to one prompt form a group
    score: NDArray  # in [0, 1], as acc and format
    acc: NDArray
    format: NDArray
    error: NDArray  # 1 where the sample could not be scored, else 0
    abstained: NDArray  # whether its kind could not judge it: no mean of score, acc or format counts it
    timeout: NDArray  # whether scoring ran out of time
    shortened: NDArray  # whether of a time that had been shortened, because others of its kind hung
    length: NDArray  # tokens of the response
    truncated: NDArray  # whether the response reached the length limit
    advantage: NDArray  # mean |A| over the tokens that are trained on
    signal: NDArray  # what the response weighs in the policy gradient, see `gradient_signal`


def gradient_signal(advantages: NDArray, mask: NDArray, loss_agg_mode: str) -> NDArray:
    """What each response weighs in the policy gradient, up to a factor that all of them share.

    At the first update of a step the gradient is the sum of c · A · ∇log π over tokens, where c is the weight that
    the loss aggregation gives to the token: the same for every token when it sums or averages over tokens, and 1 over
    the length of the response in `seq-mean-token-mean`. The signal of a response is the sum of c · |A| over its
    tokens. Clipping and the size of ∇log π are left out: neither is known before the update.

    Args:
        advantages, mask: (responses, tokens), and 1 for tokens that are trained on.
        loss_agg_mode: verl's `actor_rollout_ref.actor.loss_agg_mode`.

    Raises:
        ValueError: for a mode that verl does not have.

    >>> advantages, mask = np.array([[1.0, 1.0], [-1.0, 9.0]]), np.array([[1, 1], [1, 0]])
    >>> [gradient_signal(advantages, mask, mode).tolist() for mode in ("token-mean", "seq-mean-token-mean")]
    [[2.0, 1.0], [1.0, 1.0]]
    """
    total = np.where(mask > 0, np.abs(advantages), 0.0).sum(axis=1)
    if loss_agg_mode in TOKEN_SUMS:
        return total
    if loss_agg_mode == "seq-mean-token-mean":
        return total / np.maximum((mask > 0).sum(axis=1), 1)
    raise ValueError(f"loss_agg_mode {loss_agg_mode!r} is none of {', '.join(TOKEN_SUMS)}, seq-mean-token-mean")


def curves_of_step(rollouts: Rollouts) -> dict[str, float]:
    """All curves of a step, by `mixed_r1/source/<source>/…` and `mixed_r1/reward/<kind>/…`.

    A source or kind that is absent from the step has no entry: a mean over no samples is not 0.

    >>> one = np.ones(2)
    >>> names = np.array(["a", "b"]), np.array(["chart", "iou"]), np.array(["p", "q"])
    >>> step = Rollouts(*names, *[one] * 4, one > 1, *[one] * 6)
    >>> step = curves_of_step(step)
    >>> step["mixed_r1/source/a/acc/mean"], step["mixed_r1/reward/iou/gradient_share"]
    (1.0, 0.5)
    """
    metrics: dict[str, float] = {}
    _, spread = centred(rollouts.score, rollouts.group)
    for prefix, labels in (("source", rollouts.source), ("reward", rollouts.reward)):
        for label in np.unique(labels):
            for name, value in _curves_of(rollouts, labels == label, spread).items():
                metrics[f"mixed_r1/{prefix}/{label}/{name}"] = float(value)
    return metrics


def centred(score: NDArray, group: NDArray, ddof: int = 0) -> tuple[NDArray, NDArray]:
    """Scores less the mean of their group, and the deviation of their group; both 0 in a group of one.

    >>> centred(np.array([0.0, 1.0, 0.5]), np.array(["a", "a", "b"]))
    (array([-0.5,  0.5,  0. ]), array([0.5, 0.5, 0. ]))
    """
    _, index, sizes = np.unique(group, return_inverse=True, return_counts=True)
    rest = score - (np.bincount(index, score) / sizes)[index]
    return rest, np.sqrt(np.bincount(index, rest**2) / np.maximum(sizes - ddof, 1))[index]


def _curves_of(rollouts: Rollouts, part: NDArray, spread: NDArray) -> dict[str, float]:
    """The curves of those responses that `part` selects."""
    _, first = np.unique(rollouts.group[part], return_index=True)
    own = Rollouts(*(column[part] for column in rollouts))
    judged = ~own.abstained
    columns = {name: getattr(own, name)[judged] for name in ("score", "acc", "format") if judged.any()}
    columns["response_length"] = own.length
    rates = {"error": own.error, "timeout": own.timeout, "timeout_shortened": own.shortened, "truncated": own.truncated}
    shares = {"advantage_share": rollouts.advantage, "gradient_share": rollouts.signal}
    return {
        "samples": len(own.score),
        "groups": len(first),
        **{f"{name}/mean": values.mean() for name, values in columns.items()},
        **{f"{name}/std": values.std() for name, values in columns.items()},
        "abstained": own.abstained.mean(),
        "score/group_std": spread[part][first].mean(),
        "zero_variance": (spread[part][first] <= ZERO_VARIANCE).mean(),
        "malformed": ((own.format < 1.0) & judged).mean(),
        **{name: values.mean() for name, values in rates.items()},
        **{name: values[part].sum() / (values.sum() or 1.0) for name, values in shares.items()},
    }


def balance_factors(labels: Sequence[str], signal: NDArray, limit: float) -> dict[str, float]:
    """What to multiply each task's advantages by so that its share of the signal is its share of the responses.

    With s the signal and n the number of responses, task k gets (n_k / n) · s / s_k. A task whose responses all score
    alike has no signal, whatever the factor, and the others keep what is left; a factor beyond `limit`, or below
    1 / `limit`, is cut there, because a task with a single live group would otherwise be all noise.

    Args:
        labels, signal: of each response, its task and its non-negative signal.
        limit: at least 1.

    Returns:
        task → factor. Without a cut, the factors leave the sum of the signal of all live tasks as it was.

    >>> balance_factors(["iou", "iou", "chart", "chart"], np.array([3.0, 3.0, 1.0, 1.0]), limit=4.0)
    {'chart': 2.0, 'iou': 0.6666666666666666}
    """
    names = np.asarray(labels)
    sums = {str(name): signal[names == name].sum() for name in np.unique(names)}
    live = {name: total for name, total in sums.items() if total > 0}
    counts = {name: (names == name).sum() for name in live}
    whole, responses = sum(live.values()), sum(counts.values())
    return {
        name: float(np.clip(counts[name] / responses * whole / live[name], 1.0 / limit, limit)) if name in live else 1.0
        for name in sums
    }
