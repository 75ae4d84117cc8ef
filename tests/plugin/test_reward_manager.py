"""The real manager on verl's own DataProto, with a real tokenizer; only Ray is not there."""

import asyncio
import logging
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from rollout import proto, row
from verl import DataProto
from verl.utils import hf_tokenizer

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.core.verl_config import reward_config
from mixed_r1_verl.plugin.reward_manager import MixedRewardManager
from mixed_r1_verl.rewards.config import MixedRewardConfig

KEYS = ["score", "acc", "format", "error", "reward_kind", "prediction", "reason", "id"]


@pytest.fixture(scope="module")
def manager(tiny_models: Path):
    from verl.utils.ray_utils import get_event_loop

    get_event_loop()
    path = str(tiny_models / "qwen2_5_vl")
    block = {"embedding_model": path, "custom": {"hostile": "hostile_rewards:obey"}, "time_limit_s": 1.0}
    config = OmegaConf.create({"reward": {"reward_kwargs": {"mixed_r1": block}}})
    manager = MixedRewardManager(config, hf_tokenizer(path), None)
    yield manager
    manager.pool.close()


@pytest.mark.parametrize(
    ("kind", "truth", "extra", "answer"),
    [
        ("matching", "B", {"choices": np.array(["cat", "dog"], dtype=object)}, "B"),
        ("chart", "7", {"choices": []}, "7"),
        ("iou", "[[14, 14, 56, 56]]", {"width": np.int64(112), "height": np.int64(112)}, "[[14,14,56,56]]"),
        ("open_ended", "A red circle.", {}, "A red circle."),
    ],
)
def test_scores_a_right_response_of_every_kind(manager, kind: str, truth: str, extra: dict, answer: str) -> None:
    data = proto(manager.tokenizer, f"<think>I see.</think><answer>{answer}</answer>", row(kind, truth, **extra))
    result = asyncio.run(manager.run_single(data))
    info = result["reward_extra_info"]
    assert list(info) == KEYS
    assert result["reward_score"] == info["score"] == pytest.approx(1.0, abs=1e-3)
    assert info["format"] == 1.0 and info["error"] == 0.0


@pytest.mark.parametrize(
    "broken",
    [
        row("hostile", "hang"),
        row("hostile", "segfault"),
        row("matching", None),
        row("no_such_reward", "x"),
        {"data_source": "test", "reward_model": None, "extra_info": None},
        {},
    ],
    ids=["hang", "crash", "no ground truth", "unknown reward", "empty cells", "no columns"],
)
def test_broken_rows_score_0_with_error_1_and_are_logged(manager, broken: dict, caplog) -> None:
    before = manager.errors
    with caplog.at_level(logging.WARNING):
        result = asyncio.run(manager.run_single(proto(manager.tokenizer, "x", broken)))
    assert result["reward_score"] == 0.0
    assert result["reward_extra_info"]["error"] == 1.0
    assert list(result["reward_extra_info"]) == KEYS
    assert manager.errors == before + 1
    assert "could not be scored" in caplog.text


def test_scoring_that_has_ended_is_said_in_the_result(manager, monkeypatch) -> None:
    """Of what a reward manager raises, verl loses the sample without a word."""

    async def score(*_: object) -> dict:
        raise RuntimeError("the scoring processes do not start: exit code 7")

    monkeypatch.setattr(manager.pool, "score", score)
    info = asyncio.run(manager.run_single(proto(manager.tokenizer, "x", row("chart", "7"))))["reward_extra_info"]
    assert list(info) == KEYS
    assert info["error"] == 1.0 and info["reason"] == "the scoring processes do not start: exit code 7"


def test_only_the_last_sequence_counts(manager) -> None:
    truth = row("matching", "yes")
    first, last = (
        proto(manager.tokenizer, f"<think>I see.</think><answer>{answer}</answer>", truth) for answer in ("no!", "yes")
    )
    both = DataProto.concat([first, last])
    assert asyncio.run(manager.run_single(both))["reward_score"] == 1.0


def test_misspelt_block_is_refused() -> None:
    config = OmegaConf.create({"reward": {"reward_kwargs": {"mixed_r1": {"fromat_weight": 0.1}}}})
    with pytest.raises(ConfigError, match="did you mean 'format_weight'"):
        MixedRewardConfig.from_mapping(reward_config(config))


def test_no_block_is_the_default() -> None:
    assert MixedRewardConfig.from_mapping(reward_config(OmegaConf.create({"reward": {}}))).format_weight == 0.1
