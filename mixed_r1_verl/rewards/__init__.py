"""Mixed-Reward: pure functions that score the text of a response; neither verl nor Ray nor torch is imported.

    from mixed_r1_verl.rewards import MixedReward, MixedRewardConfig

The way of a response: `extraction` takes it apart, the row's kind (`kinds`, `custom`) reads the ground truth and judges
the answer, `mixed` weighs the two parts of the score. `answer` reads what answers say, `similarity` compares texts,
`pool` scores in processes that can be killed.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "Cheat": "cheats",
    "Gold": "kind",
    "GroundTruthError": "verdict",
    "KINDS": "kinds",
    "MixedReward": "mixed",
    "MixedRewardConfig": "config",
    "RewardKind": "kind",
    "Sample": "pool",
    "ScoringPool": "pool",
    "Verdict": "verdict",
    "compute_score": "mixed",
    "parse_response": "extraction",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
