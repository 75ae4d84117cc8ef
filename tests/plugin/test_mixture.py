"""Each reward's share of every batch: the order of the rows, and what an asynchronous trainer takes of the finished."""

from collections import Counter
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from datasets import Dataset
from hypothesis import example, given
from hypothesis import strategies as st
from omegaconf import OmegaConf
from torchdata.stateful_dataloader import StatefulDataLoader

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.plugin import mixture
from mixed_r1_verl.plugin.mixture import MixtureSampler, Shares

KINDS = ["iou"] * 7 + ["math"] * 20 + ["chart"] * 13
WEIGHTS = {"iou": 2.0, "math": 1.0, "chart": 1.0}


@given(
    weights=st.dictionaries(st.sampled_from("abcdefg"), st.floats(0.001, 1000), min_size=1),
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=40),
)
@example(weights={"a": 5.0, "b": 3.0, "c": 2.0}, sizes=[1, 1, 1, 2])  # a is behind, and its share of 2 is whole
def test_a_share_is_never_a_row_off_in_a_batch_nor_far_off_in_all(weights: dict[str, float], sizes: list[int]) -> None:
    shares, total = Shares(weights), sum(weights.values())
    for size in sizes:
        counts = shares.of_batch(size)
        assert counts.total() == size
        assert all(abs(counts[kind] - size * weight / total) < 1 for kind, weight in weights.items())
        shares.taken += counts
    rows = sum(sizes)
    assert all(abs(shares.taken[kind] - rows * weight / total) < len(weights) for kind, weight in weights.items())


def test_of_four_equal_rewards_in_batches_of_six_all_get_as_many_rows() -> None:
    shares = Shares(dict.fromkeys("abcd", 1))
    for _ in range(100):
        shares.taken += shares.of_batch(6)
    assert set(shares.taken.values()) == {150}


def loader(workers: int = 0, seed: int | None = 3) -> StatefulDataLoader[int]:
    sampler = MixtureSampler(KINDS, WEIGHTS, 8, seed)
    return StatefulDataLoader(range(len(KINDS)), 8, sampler=sampler, num_workers=workers, drop_last=True)  # type: ignore[arg-type]


def read(batches: Iterable[Any]) -> list[list[int]]:
    return [batch.tolist() for batch in batches]


def test_every_batch_holds_the_shares_and_a_reward_repeats_a_row_when_all_were_seen() -> None:
    batches = [batch for loaded in [loader()] for _ in range(3) for batch in read(loaded)]
    assert len(batches) == 3 * (len(KINDS) // 8)
    assert all(Counter(KINDS[row] for row in batch) == {"iou": 4, "math": 2, "chart": 2} for batch in batches)
    seen: Counter[int] = Counter()
    for batch in batches:
        seen.update(batch)
        for kind in WEIGHTS:
            times = {seen[row] for row in range(len(KINDS)) if KINDS[row] == kind}
            assert max(times) - min(times) <= 1
    assert batches != [sorted(batch) for batch in batches]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("epoch", [0, 1])
def test_a_resumed_order_goes_on_where_it_was(epoch: int, workers: int) -> None:
    whole, ended = loader(workers), loader(workers)
    for _ in range(epoch):
        assert read(whole) == read(ended)
    expected = read(whole)[2:]
    batches = iter(ended)
    next(batches)
    next(batches)
    again = loader(workers, seed=4)  # its state brings its seed with it
    again.load_state_dict(ended.state_dict())
    assert read(again) == expected
    assert read(again) == read(whole)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"iou": 1, "math": 1}, r"must name the rewards of the training data \(chart; iou; math\) and has iou; math"),
        ({**WEIGHTS, "anls": 1}, r"\(chart; iou; math\) and has anls; chart; iou; math"),
    ],
)
def test_weights_are_those_of_the_rewards_that_there_are(weights: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MixtureSampler(KINDS, weights, 8, 1)


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf")])
def test_a_weight_is_above_0(weight: float) -> None:
    with pytest.raises(ConfigError, match=r"data.mixture.iou: a share is a number above 0"):
        Shares({"iou": weight})


def test_verls_sampler_stays_without_a_mixture_and_rows_keep_their_order_without_a_shuffle() -> None:
    from verl.trainer.ppo.utils import create_rl_sampler

    rows = [{"prompt": "?", "extra_info": {"reward": kind, "index": number}} for number, kind in enumerate(KINDS)]
    dataset = SimpleNamespace(dataframe=Dataset.from_list(rows).select(range(5, 40)))
    options = OmegaConf.create({"shuffle": False, "seed": None, "train_batch_size": 8, "mixture": None})
    assert type(create_rl_sampler(options, rows)).__name__ == "SequentialSampler"
    options.mixture = WEIGHTS
    sampler = create_rl_sampler(options, dataset)  # iou: rows 0 and 1, math: 2 to 21, chart: 22 to 34
    assert list(sampler)[:8] == [0, 1, 0, 1, 2, 3, 22, 23]
    options.shuffle = True
    first, second = (create_rl_sampler(options, dataset) for _ in range(2))
    assert list(first) != list(second)  # no seed


class Buffer:
    """verl's buffer of the asynchronous trainers, in which a letter names a prompt, and its reward."""

    def __new__(cls, monkeypatch: pytest.MonkeyPatch, mode: str = "separate_async") -> Any:
        from verl.trainer.ppo.v1.replay_buffer import ReplayBufferAsync

        monkeypatch.setattr(mixture, "_kinds", lambda buffer, partition, uids: [uid[0] for uid in uids])
        options = OmegaConf.create({"mixture": {"i": 1, "m": 1}})
        buffer = ReplayBufferAsync(mode, OmegaConf.create({}), None, "drop", options)
        for step, uid in enumerate(("i1", "i2", "i3", "i4", "i5", "m1")):
            buffer.prompt_global_steps["train"][uid] = buffer.prompt_global_steps["val"][uid] = step
        return buffer


@pytest.mark.parametrize(
    ("finished", "in_flight", "enough"),
    [
        ("i1 i2 i3 i4", "m1", False),  # math takes longer, and comes
        ("i1 i2 i3 i4", "i5", True),  # none is on its way: better other rows than none
        ("i1 i2 i3 i4", "", True),
        ("i1 i2 m1 m2", "i3", True),
        ("i1 m1", "m2", False),
    ],
)
def test_a_batch_waits_for_shares_that_are_on_their_way(
    monkeypatch: pytest.MonkeyPatch, finished: str, in_flight: str, enough: bool
) -> None:
    buffer = Buffer(monkeypatch)
    buffer.running_keys["train"] = set(in_flight.split())
    assert buffer._has_enough_samples(1, "train", 4, set(finished.split())) is enough


def test_the_oldest_of_each_reward_are_taken_and_what_was_missed_is_made_up_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    buffer = Buffer(monkeypatch)
    sampleable = {"i5", "i4", "i3", "i2", "i1", "m1"}
    assert buffer._select_prompt_uids("train", sampleable, 4)[0] == ["i1", "i2", "m1", "i3"]
    assert buffer._mixed_r1_shares.taken == {"i": 3, "m": 1}
    assert buffer._mixed_r1_shares.of_batch(3) == {"i": 1, "m": 2}
    assert buffer._select_prompt_uids("val", sampleable, 3)[0] == ["i1", "i2", "i3"]


def test_a_synchronous_trainer_takes_what_it_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = Buffer(monkeypatch, "sync")
    assert buffer._select_prompt_uids("train", {"i2", "i1", "m1"}, 2)[0] == ["i1", "i2"]
