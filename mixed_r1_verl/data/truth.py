"""Whether a row's ground truth can be read, and earned, by the very kind that will score it."""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.kind import Gold
from mixed_r1_verl.rewards.mixed import UNSCORED, MixedReward
from mixed_r1_verl.rewards.verdict import ABSTAINED, GroundTruthError

GOLD_ACC = 0.999  # the least `acc` of an honest answer: 1 but for the rounding of a similarity


def reward_with(settings: Mapping[str, Any]) -> MixedReward:
    """The reward of a reward block, made once a process: `{"custom": {"mine": "package.module:function"}}`.

    Without an embedding model: a description scores 1 against itself whatever the table.

    Raises:
        ConfigError: the block is not sound.
    """
    return _reward_with(json.dumps(settings, sort_keys=True, default=dict) if settings else "{}")


@lru_cache(maxsize=4)
def _reward_with(settings: str) -> MixedReward:
    return MixedReward(MixedRewardConfig.from_mapping(json.loads(settings)))


THOUGHT = "This is the published answer."


def gold_acc(reward: MixedReward, kind: str, ground_truth: str, extra_info: Mapping[str, Any]) -> float:
    """`acc` of the honest response to a row, read and scored as a rollout is.

    Args:
        reward: the reward.
        kind: name of the row's kind. One that is not `exact` is tried, and what it says counts as 1.
        ground_truth: the row's ground truth.
        extra_info: the row's `extra_info`.

    Raises:
        GroundTruthError: the row could not be read or scored at all.

    >>> gold_acc(MixedReward(), "matching", "B", {"choices": ["cat", "dog"]})
    1.0
    """
    gold = reward.parse(kind, ground_truth, extra_info)
    if len(gold.references) > 1:
        # One of several is enough, so its own score decides; the others could only raise it.
        alone = json.dumps(gold.references[:1], ensure_ascii=False)
        acc = _acc(reward, reward.parse(kind, alone, extra_info))
        if acc >= GOLD_ACC:
            return acc
    acc = _acc(reward, gold, may_abstain=not reward.kinds[kind].exact)
    return acc if reward.kinds[kind].exact else 1.0


def _acc(reward: MixedReward, gold: Gold, *, may_abstain: bool = False) -> float:
    response = reward.read(reward.config.format.reply(gold.honest, THOUGHT))
    verdict = gold.score(response.answer or "")
    if verdict is None:
        if not may_abstain:
            raise GroundTruthError(ABSTAINED)
        return 1.0
    if verdict.reason in UNSCORED:
        raise GroundTruthError(verdict.reason)
    return 0.0 if response.answer is None else float(verdict.acc)
