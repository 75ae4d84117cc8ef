"""The mixture online: each reward's share of every batch, as `data.mixture` asks for it.

Rows are drawn so that every batch holds the shares. An asynchronous trainer takes what is finished first, which is what
has short answers; it waits for its batch's share of each reward instead, as long as that is on its way.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from itertools import islice
from typing import Any

import numpy as np

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.plugin.curves import as_list


class Shares:
    """How many rows of each reward the next batch holds.

    Args:
        weights: reward → its share of the rows, in any unit, above 0.

    Attributes:
        taken: rows of each reward in the batches so far; to be added to by the caller.

    Raises:
        ConfigError: a weight is not above 0.

    >>> shares = Shares({"chart": 1, "iou": 1, "math": 2})
    >>> shares.of_batch(6) == {"chart": 2, "iou": 1, "math": 3}
    True
    >>> shares.taken += shares.of_batch(6)
    >>> shares.of_batch(6) == {"chart": 1, "iou": 2, "math": 3}
    True
    """

    def __init__(self, weights: Mapping[str, float]) -> None:
        if wrong := [kind for kind, weight in weights.items() if not 0 < weight < float("inf")]:
            raise ConfigError(f"data.mixture.{wrong[0]}: a share is a number above 0, not {weights[wrong[0]]}")
        total = sum(map(Fraction, weights.values()))
        self._shares = {kind: Fraction(weight) / total for kind, weight in weights.items()}
        self.taken: Counter[str] = Counter()

    def of_batch(self, size: int) -> Counter[str]:
        """Each share of so many rows, rounded down or up: up for those that are the most behind."""
        counts = Counter({kind: int(size * share) for kind, share in self._shares.items()})
        rows = size + self.taken.total()
        cut = [kind for kind, share in self._shares.items() if counts[kind] != size * share]
        ahead = sorted(cut, key=lambda kind: self.taken[kind] + counts[kind] - rows * self._shares[kind])
        return counts + Counter(ahead[: size - counts.total()])


class MixtureSampler:
    """The order in which a dataloader reads rows: every batch of an epoch holds each reward's share.

    A reward's rows are drawn anew whenever they run out, so one with few rows and a large share repeats them. An epoch
    has as many batches as the dataset. The state, of which `StatefulDataLoader` keeps track, is the rows so far.

    Args:
        kinds: the reward of each row of the dataset.
        weights: as `Shares` takes them, for just those rewards.
        batch_size: prompts of a batch.
        seed: of the order; None takes the rows of a reward as they come.

    Raises:
        ConfigError: there are rows of a reward without a weight, or none of one that has a weight.

    >>> sampler = MixtureSampler(["iou", "iou", "iou", "math"], {"iou": 1, "math": 1}, batch_size=2, seed=None)
    >>> list(sampler), list(sampler)
    ([0, 3, 1, 3], [2, 3, 0, 3])
    """

    def __init__(self, kinds: Sequence[str], weights: Mapping[str, float], batch_size: int, seed: int | None) -> None:
        if {*kinds} != {*weights}:
            there, asked = ("; ".join(sorted(names)) for names in ({*kinds}, {*weights}))
            raise ConfigError(f"data.mixture must name the rewards of the training data ({there}) and has {asked}")
        self._rows = {kind: np.flatnonzero(np.array(kinds) == kind).tolist() for kind in weights}
        self._weights, self._batch_size, self._seed = dict(weights), batch_size, seed
        self._length = len(kinds) // batch_size * batch_size
        self._drawn = 0

    def __len__(self) -> int:
        return self._length

    def __iter__(self) -> Iterator[int]:
        left = self._length - self._drawn % self._length
        for row in islice(self._order(), self._drawn, self._drawn + left):
            self._drawn += 1
            yield row

    def _order(self) -> Iterator[int]:
        draw, shares = np.random.default_rng(self._seed or 0), Shares(self._weights)

        def shuffled(rows: list[int]) -> list[int]:
            return rows if self._seed is None else draw.permutation(rows).tolist()

        def without_end(rows: list[int]) -> Iterator[int]:
            while True:
                yield from shuffled(rows)

        waiting = {kind: without_end(rows) for kind, rows in self._rows.items()}
        while True:
            counts = shares.of_batch(self._batch_size)
            shares.taken += counts
            yield from shuffled([next(waiting[kind]) for kind in counts.elements()])

    def state_dict(self) -> dict[str, Any]:
        return {"drawn": self._drawn, "seed": self._seed}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._drawn, self._seed = state["drawn"], state["seed"]


def order_rows(create_rl_sampler: Callable[..., Any], _: Any, args: Any, kwargs: Any) -> Any:
    """Around `create_rl_sampler(data_config, dataset)`: the order of the rows where there is a mixture."""

    def create(data_config: Any, dataset: Any) -> Any:
        if not (weights := data_config.get("mixture")):
            return create_rl_sampler(data_config, dataset)
        rows = dataset.dataframe.select_columns(["extra_info"]).with_format("arrow")[:]["extra_info"]
        kinds = [_reward(row) for row in rows.to_pylist()]
        seed = data_config.get("seed")
        seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
        return MixtureSampler(kinds, weights, data_config.train_batch_size, seed if data_config.shuffle else None)

    return create(*args, **kwargs)


def wait_for_shares(has_enough: Callable[..., bool], buffer: Any, args: Any, kwargs: Any) -> bool:
    """Around `ReplayBufferAsync._has_enough_samples`: waits for each share that is on its way."""

    def enough(global_steps: int, partition_id: str, batch_size: int, sampleable_keys: set[str]) -> bool:
        if not has_enough(global_steps, partition_id, batch_size, sampleable_keys):
            return False
        if (shares := _shares(buffer, partition_id)) is None:
            return True
        missing = shares.of_batch(batch_size)
        missing.subtract(_kinds(buffer, partition_id, sampleable_keys))
        coming = _kinds(buffer, partition_id, buffer.pending_keys[partition_id] | buffer.running_keys[partition_id])
        return not any(missing[kind] > 0 for kind in coming)

    return enough(*args, **kwargs)


def choose_shares(select_prompts: Callable[..., Any], buffer: Any, args: Any, kwargs: Any) -> Any:
    """Around `ReplayBuffer._select_prompt_uids`: the oldest prompts of each reward, as many as are its share."""

    def choose(partition_id: str, sampleable_keys: set[str], batch_size: int) -> Any:
        if (shares := _shares(buffer, partition_id)) is None:
            return select_prompts(partition_id, sampleable_keys, batch_size)
        oldest_first, *rest = select_prompts(partition_id, sampleable_keys, len(sampleable_keys))
        kinds = _kinds(buffer, partition_id, oldest_first)
        chosen = in_shares(kinds, shares.of_batch(batch_size))[:batch_size]
        shares.taken += Counter(kinds[place] for place in chosen)
        return [oldest_first[place] for place in chosen], *rest

    return choose(*args, **kwargs)


def in_shares(kinds: Iterable[str], counts: Mapping[str, int]) -> list[int]:
    """Places in an order: first those that fill the counts, then what is left, each as they come.

    >>> in_shares(["iou", "iou", "math", "iou"], {"iou": 2, "math": 1})
    [0, 1, 2, 3]
    >>> in_shares(["iou", "iou", "math", "iou"], {"iou": 1, "math": 2})
    [0, 2, 1, 3]
    """
    wanted: list[int] = []
    others: list[int] = []
    left = Counter(counts)
    for place, kind in enumerate(kinds):
        (wanted if left[kind] > 0 else others).append(place)
        left[kind] -= 1
    return wanted + others


def _shares(buffer: Any, partition_id: str) -> Shares | None:
    """Of a buffer of an asynchronous trainer in which there is a mixture; a synchronous one takes all that it asked."""
    weights = (buffer.sampler_kwargs or {}).get("mixture")
    if not weights or partition_id == "val" or buffer.trainer_mode == "sync":
        return None
    buffer._mixed_r1_shares = getattr(buffer, "_mixed_r1_shares", None) or Shares(weights)
    return buffer._mixed_r1_shares


def _kinds(buffer: Any, partition_id: str, uids: Iterable[str]) -> list[str]:
    """The reward of each prompt, which TransferQueue keeps until it is trained on."""
    import transfer_queue as tq

    known: dict[str, str] = buffer.__dict__.setdefault("_mixed_r1_kinds", {})
    wanted = list(uids)
    if new := [uid for uid in wanted if uid not in known]:
        data = tq.kv_batch_get(keys=new, partition_id=partition_id, select_fields=["extra_info"])
        known.update(zip(new, map(_reward, as_list(data["extra_info"])), strict=True))
    return [known[uid] for uid in wanted]


def _reward(extra_info: Mapping[str, Any]) -> str:
    return str(extra_info.get("reward") or "extra_info without a reward")
