"""Curves and task balance on verl's own trainer methods and a real TransferQueue."""

import json
import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import transfer_queue as tq
import verl  # noqa: F401
from omegaconf import OmegaConf
from transfer_queue import KVBatchMeta
from verl.trainer.ppo.v1 import PPOTrainerColocateAsync, PPOTrainerSeparateAsync, PPOTrainerSync
from verl.utils.tensordict_utils import list_of_dict_to_tensordict

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.plugin.advantages import replace_advantages
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.mixed import failure, result
from mixed_r1_verl.rewards.verdict import NOT_STARTED, SHORTENED

pytestmark = [pytest.mark.verl, pytest.mark.usefixtures("queue")]

STEP = {
    # prompt: source, responses as (result, length)
    "p": ("a/charts", [(result("chart", 1.0, 1.0, 1.0), 4), (result("chart", 0.1, 0.0, 1.0), 6)]),
    "q": (
        "a/charts",
        [(failure("chart", f"timeout: more than 1 s, {SHORTENED}"), 8), (result("chart"), 3)],
    ),
    "r": ("boxes", [(result("iou", 0.9, 0.9, 1.0), 2), (result("iou", 0.5, 0.5, 1.0), 2)]),
}
"""Three groups of two; the second has no variance, one of its responses reached the limit of 8 tokens."""


def put(step: dict) -> KVBatchMeta:
    """Put the responses into TransferQueue as verl's agent loop does, and one of verl's padding rows."""
    keys, fields, tags = [], [], []
    for uid, (source, responses) in step.items():
        for session, (score, length) in enumerate(responses):
            keys.append(f"{uid}_{session}_0")
            scores = torch.zeros(length)
            scores[-1] = score["score"]
            fields.append(row(uid, source, score, length) | {"rm_scores": scores})
            tags.append({"min_global_steps": 0, "max_global_steps": 0})
    keys.append("pad_0_0")
    fields.append(row("pad", "a/charts", result("chart"), 1) | {"response_mask": torch.zeros(1, dtype=torch.int64)})
    tags.append({"min_global_steps": 0, "max_global_steps": 0, "is_padding": True})
    tq.kv_batch_put(keys=keys, partition_id="train", fields=list_of_dict_to_tensordict(fields), tags=tags)
    return KVBatchMeta(keys=keys, tags=tags, partition_id="train")


def row(uid: str, source: str, score: dict, length: int) -> dict[str, Any]:
    return {
        "uid": uid,
        "data_source": source,
        "extra_fields": {"reward_extra_info": score},
        "prompts": torch.ones(5, dtype=torch.int64),
        "responses": torch.ones(length, dtype=torch.int64),
        "response_mask": torch.ones(length, dtype=torch.int64),
        "rm_scores": torch.zeros(length),
        "num_turns": 2,
    }


def trainer(
    cls: type = PPOTrainerSync, mixed_r1: dict[str, Any] | None = None, name: str = "dapo", **algorithm: Any
) -> Any:
    """A trainer with the configuration that these methods read, and nothing started."""
    self = object.__new__(cls)
    self.config = OmegaConf.create(
        {
            "algorithm": {"adv_estimator": "grpo", "gamma": 1.0, "lam": 1.0, "use_kl_in_reward": False, **algorithm},
            "actor_rollout_ref": {
                "actor": {"loss_agg_mode": "token-mean"},
                "rollout": {"n": 2, "nnodes": 1, "n_gpus_per_node": 1},
                "model": {},
            },
            "data": {"max_response_length": 8},
            "reward": {"reward_manager": {"name": name}, "reward_kwargs": {"mixed_r1": mixed_r1 or {}}},
        }
    )
    self.use_critic = False
    self._rollout_moe_lb_metrics_accumulator = None
    self.resource_pool_manager = SimpleNamespace(get_n_gpus=lambda: 1)
    return self


def metrics_of(self: Any, batch: KVBatchMeta) -> dict[str, Any]:
    metrics: dict[str, Any] = {}
    self._compute_advantage(batch, metrics)
    self._compute_metrics(batch, metrics, {"step": 1.0, "gen": 0.5}, global_steps=1, epoch=0)
    return metrics


@pytest.fixture
def batch() -> Any:
    batch = put(STEP)
    yield batch
    tq.kv_clear(keys=batch.keys, partition_id="train")


@pytest.mark.parametrize("mode", [PPOTrainerSync, PPOTrainerColocateAsync, PPOTrainerSeparateAsync])
def test_every_trainer_mode_has_the_curves_beside_verls_own(batch: KVBatchMeta, mode: type) -> None:
    metrics = metrics_of(trainer(mode), batch)
    assert metrics["critic/score/mean"] == pytest.approx(2.5 / 6)
    expected = {
        "source/a/charts/acc/mean": 0.25,
        "source/a/charts/samples": 4,
        "source/boxes/acc/mean": 0.7,
        "reward/chart/zero_variance": 0.5,
        "reward/chart/malformed": 0.5,
        "reward/chart/error": 0.25,
        "reward/chart/timeout": 0.25,
        "reward/chart/timeout_shortened": 0.25,
        "reward/chart/truncated": 0.25,
        "reward/chart/response_length/mean": 21 / 4,
        "reward/iou/advantage_share": 0.5,  # two of four responses with an advantage of the same size
        "reward/iou/gradient_share": 4 / 14,  # but 4 of their 14 tokens
    }
    for name, value in expected.items():
        assert metrics[f"mixed_r1/{name}"] == pytest.approx(value, abs=1e-4), name
    assert not any("pad" in name for name in metrics if name.startswith("mixed_r1/"))


def test_other_rewards_are_left_alone(batch: KVBatchMeta) -> None:
    other = list_of_dict_to_tensordict([{"extra_fields": {"reward_extra_info": {"acc": 1.0}}}] * len(batch.keys))
    tq.kv_batch_put(keys=batch.keys, partition_id="train", fields=other)
    assert not any(name.startswith("mixed_r1/") for name in metrics_of(trainer(), batch))


def test_a_failure_is_one_loud_warning_and_training_goes_on(
    batch: KVBatchMeta, caplog: pytest.LogCaptureFixture
) -> None:
    self = trainer()
    self.config.actor_rollout_ref.actor.loss_agg_mode = "median"
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert "critic/score/mean" in metrics_of(self, batch)
    assert [record.message for record in caplog.records if "mixed_r1" in record.message] == [
        "mixed_r1: the curves by source and reward cannot be computed; training goes on without them"
    ]


def test_several_outputs_of_one_session_count_once() -> None:
    """verl copies the last output's score to the others; the session is one response, and all its tokens train."""
    scored = [(result("chart", 1.0, 1.0, 1.0), 4), (result("chart", 0.0, 0.0, 1.0), 4)]
    batch = put({"p": ("a", scored)})
    key = "p_0_1"
    tq.kv_batch_put(
        keys=[key],
        partition_id="train",
        fields=list_of_dict_to_tensordict([row("p", "a", scored[0][0], 2) | {"rm_scores": torch.tensor([0.0, 1.0])}]),
        tags=[{"min_global_steps": 0, "max_global_steps": 0}],
    )
    batch = KVBatchMeta(keys=[*batch.keys, key], tags=[*batch.tags, batch.tags[0]], partition_id="train")
    try:
        metrics = metrics_of(trainer(), batch)
    finally:
        tq.kv_clear(keys=batch.keys, partition_id="train")
    assert metrics["mixed_r1/source/a/samples"] == 2
    assert metrics["mixed_r1/source/a/acc/mean"] == 0.5


@pytest.mark.parametrize(
    ("limit", "iou", "chart"),
    [(4.0, (2 / 6) * 14 / 4, (4 / 6) * 14 / 10), (1.1, 1.1, 14 / 15)],
    ids=["balanced", "cut at the limit"],
)
def test_balance_gives_each_reward_its_share(batch: KVBatchMeta, limit: float, iou: float, chart: float) -> None:
    plain = metrics_of(trainer(), batch)
    advantages = tq.kv_batch_get(keys=batch.keys, partition_id="train", select_fields=["advantages"])["advantages"]
    self = trainer(mixed_r1={"task_balance": "samples", "task_balance_limit": limit})
    metrics = metrics_of(self, batch)
    balanced = tq.kv_batch_get(keys=batch.keys, partition_id="train", select_fields=["advantages"])["advantages"]
    assert metrics["mixed_r1/reward/iou/balance_factor"] == pytest.approx(iou, abs=1e-4)
    assert metrics["mixed_r1/reward/chart/balance_factor"] == pytest.approx(chart, abs=1e-4)
    for key, before, after in zip(batch.keys, advantages.unbind(), balanced.unbind(), strict=True):
        factor = {"p": chart, "q": chart, "r": iou, "pad": 1.0}[key.split("_")[0]]
        assert torch.allclose(after, before * factor, atol=1e-4)
    assert "mixed_r1/reward/iou/balance_factor" not in plain
    if limit == 4.0:
        assert metrics["mixed_r1/reward/iou/gradient_share"] == pytest.approx(1 / 3, abs=1e-4)


def test_balance_without_known_tasks_stops_with_one_message(batch: KVBatchMeta) -> None:
    other = list_of_dict_to_tensordict([{"extra_fields": {"reward_extra_info": {"acc": 1.0}}}] * len(batch.keys))
    tq.kv_batch_put(keys=batch.keys, partition_id="train", fields=other)
    with pytest.raises(ConfigError, match=r"reward_kwargs\.mixed_r1\.task_balance needs rewards"):
        metrics_of(trainer(mixed_r1={"task_balance": "samples"}), batch)


def test_a_run_whose_scoring_has_ended_ends_before_it_trains_on_it() -> None:
    batch = put({"p": ("a", [(result("chart"), 4), (failure("chart", f"{NOT_STARTED}: exit code 7"), 4)])})
    try:
        with pytest.raises(RuntimeError, match="do not start: exit code 7; 1 of 2 samples of this step are unscored"):
            metrics_of(trainer(name="mixed_r1"), batch)
    finally:
        tq.kv_clear(keys=batch.keys, partition_id="train")


@pytest.mark.parametrize("mode", [PPOTrainerSync, PPOTrainerColocateAsync, PPOTrainerSeparateAsync])
@pytest.mark.parametrize("name", ["ema_grpo", "g2rpo", "gdpo"])
def test_advantages_that_know_of_tasks_take_the_place_of_verls(
    batch: KVBatchMeta, mode: type, name: str, tmp_path: Path
) -> None:
    metrics_of(trainer(), batch)
    self = trainer(mode, mixed_r1={"advantage": name, "advantage_decay": 0.5})
    self.config.trainer = {"default_local_dir": str(tmp_path)}
    self.global_steps = 1
    metrics_of(self, batch)
    data = tq.kv_batch_get(keys=batch.keys, partition_id="train", select_fields=["advantages", "returns"])
    for group in ("p", "q", "r"):  # q has no variance
        rows = [data["advantages"][at] for at, key in enumerate(batch.keys) if key.startswith(group)]
        assert all(torch.allclose(row, row[0]) for row in rows)
        assert torch.allclose(rows[0][0], -rows[1][0], atol=0.4) and (rows[0][0] > 0.3) == (group != "q")
    assert all(
        torch.equal(one, other)
        for one, other in zip(data["advantages"].unbind(), data["returns"].unbind(), strict=True)
    )
    if name == "ema_grpo":  # a trainer that resumes after step 1 goes on with its averages
        resumed = trainer(mode, mixed_r1={"advantage": name, "advantage_decay": 0.5})
        resumed.config.trainer, resumed.global_steps = self.config.trainer, 2
        metrics_of(resumed, batch)
        one, two = map(json.loads, (tmp_path / "mixed_r1_spreads.jsonl").open())
        assert (one["step"], two["step"]) == (1, 2) and two["spreads"] == pytest.approx(one["spreads"])


def test_advantages_of_other_rewards_stop_with_one_message(batch: KVBatchMeta) -> None:
    with pytest.raises(ConfigError, match=r"set algorithm\.use_kl_in_reward=false"):
        self = trainer(mixed_r1={"advantage": "g2rpo"})
        self.config.algorithm.use_kl_in_reward = True
        replace_advantages(self, batch, MixedRewardConfig(advantage="g2rpo"))
