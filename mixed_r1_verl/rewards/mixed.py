"""Mixed-Reward: routes each sample to the reward of its kind and weighs task and format reward into one score."""

import json
import math
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any

from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.extraction import ParsedResponse, format_reward, parse_response
from mixed_r1_verl.rewards.kind import Gold, RewardKind, Scoring
from mixed_r1_verl.rewards.kinds import KINDS
from mixed_r1_verl.rewards.verdict import ABSTAINED, NOT_STARTED, GroundTruthError, Verdict

PREDICTION_CHARS = 200  # characters of a prediction that are logged with each sample

UNSCORED = frozenset({"timeout", "comparison_failed", NOT_STARTED})
"""Reasons of a verdict that mean that the answer could not be judged, not that it is wrong."""


class UnknownRewardError(ValueError):
    """The row names a reward kind that is not configured, or none where its source has no route."""


class MixedReward:
    """One reward for many kinds of task.

    `score = (1 - format_weight) * weights[kind] * acc + format_weight * format`, all in [0, 1].

    >>> reward = MixedReward()
    >>> response = "<think>It has four legs.</think><answer>B</answer>"
    >>> result = reward.score("demo", response, "B", {"reward": "matching", "choices": ["bird", "cat"]})
    >>> result["score"], result["acc"], result["format"], result["error"]
    (1.0, 1.0, 1.0, 0.0)
    """

    def __init__(self, config: MixedRewardConfig | None = None):
        from mixed_r1_verl.rewards.custom import custom_kind  # not at the import of `compute_score`

        self.config = config or MixedRewardConfig()
        self.kinds: Mapping[str, RewardKind] = {
            **KINDS,
            **{name: custom_kind(name, target) for name, target in self.config.custom.items()},
        }
        self._scoring = {
            name: Scoring(self.config.of(name) or (kind.config and kind.config()), lambda: self.embedding_table)
            for name, kind in self.kinds.items()
        }

    @property
    def columns(self) -> tuple[str, ...]:
        """What is read of a row's `extra_info`, by any kind."""
        return tuple(dict.fromkeys(("reward", *(name for kind in self.kinds.values() for name in kind.columns))))

    def route(self, data_source: str, extra_info: Mapping[str, Any]) -> str:
        """The reward kind of a row: `extra_info["reward"]`, else the route of its source.

        Raises:
            UnknownRewardError: when neither gives a configured kind.
        """
        kind = extra_info.get("reward") or self.config.routes.get(data_source)
        if not kind:
            raise UnknownRewardError(
                f"extra_info names no reward and source {data_source!r} has no route; set extra_info.reward or "
                f"routes.{data_source}"
            )
        if not isinstance(kind, str) or kind not in self.kinds:
            raise UnknownRewardError(f"unknown reward {kind!r}; known are {', '.join(self.kinds)}")
        return kind

    def parse(self, kind: str, ground_truth: str, extra_info: Mapping[str, Any]) -> Gold:
        """The ground truth of a row as its kind reads it.

        Raises:
            GroundTruthError: the row is broken.
        """
        if not isinstance(ground_truth, str):
            raise GroundTruthError(f"ground_truth is {type(ground_truth).__name__}, not a string")
        return self.kinds[kind].parse(ground_truth, extra_info, self._scoring[kind])

    def read(self, response: str) -> ParsedResponse:
        """A response taken apart, in the format of the configuration."""
        return parse_response(response, self.config.format)

    def score(
        self, data_source: str, solution_str: str, ground_truth: str, extra_info: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Score one response. Never raises: a row that is itself broken gives score 0 with `error` 1.

        Returns:
            `score`, `acc`, `format`, `error` (floats in [0, 1]), `reward_kind`, `prediction` (what was read,
            at most 200 characters) and `reason` (why `acc` is not 1, or what went wrong). Always the same keys.
        """
        kind = ""
        try:
            extra_info = extra_info or {}
            kind = str(extra_info.get("reward") or self.config.routes.get(data_source) or "")
            kind = self.route(data_source, extra_info)
            if len(solution_str) > self.config.max_chars:
                return result(kind, reason="too_long")
            response = self.read(solution_str)
            # A broken row is reported as such whatever the response, so the kind reads and scores in any case.
            verdict = self.parse(kind, ground_truth, extra_info).score(response.answer or "")
            if response.answer is None:
                verdict = Verdict(0.0, "", response.reason or "no_answer")
            return self._weigh(kind, verdict, format_reward(response))
        except Exception as error:  # a reward that raises would lose the whole group of rollouts without a word
            return failure(kind, f"{type(error).__name__}: {error}")

    def _weigh(self, kind: str, verdict: Verdict | None, format_score: float) -> dict[str, Any]:
        if verdict is None:
            return failure(kind, ABSTAINED)
        acc = float(verdict.acc)
        if verdict.reason in UNSCORED:
            return failure(kind, verdict.reason)
        if not math.isfinite(acc):
            return failure(kind, f"reward returned {acc}")
        acc = min(max(acc, 0.0), 1.0)
        share = self.config.format_weight
        score = (1.0 - share) * self.config.weights.get(kind, 1.0) * acc + share * format_score
        return result(kind, score, acc, format_score, prediction=verdict.prediction, reason=verdict.reason)

    def prepare(self) -> None:
        """Do now what the first sample would otherwise wait for: build or map the embedding table, load the encoder.

        Raises:
            OSError, ValueError: when a model cannot be read.
            ImportError: when a package is missing, naming it.
        """
        for name, kind in self.kinds.items():
            kind.prepare(self._scoring[name])

    @cached_property
    def embedding_table(self) -> Any:
        """The open-ended reward's embedding table, memory-mapped; prepared on first use on this machine."""
        from mixed_r1_verl.rewards.similarity.table import EmbeddingTable

        return EmbeddingTable.load(self.config.embedding_model, cache_dir=self.config.cache_dir)


def result(
    kind: str,
    score: float = 0.0,
    acc: float = 0.0,
    format: float = 0.0,
    error: float = 0.0,
    prediction: str = "",
    reason: str = "",
) -> dict[str, Any]:
    """One sample's result; the only place where its keys are written.

    verl's validation keeps the score under `reward`, so the kind of reward is `reward_kind`.
    """
    return {
        "score": score,
        "acc": acc,
        "format": format,
        "error": error,
        "reward_kind": kind,
        "prediction": prediction[:PREDICTION_CHARS],
        "reason": reason[:PREDICTION_CHARS],
    }


def failure(kind: str, reason: str) -> dict[str, Any]:
    """The result of a sample that could not be scored as asked."""
    return result(kind, error=1.0, reason=reason)


@lru_cache(maxsize=8)
def _reward_for(frozen_options: str, router: str) -> MixedReward:
    from mixed_r1_verl.rewards.kinds.open_ended import with_router

    return MixedReward(with_router(MixedRewardConfig.from_mapping(json.loads(frozen_options)), router))


def compute_score(
    data_source: str,
    solution_str: str,
    ground_truth: str,
    extra_info: Mapping[str, Any] | None = None,
    **kwargs: Any,
) -> dict[str, Any]:
    """Score one response, with the signature of verl's custom reward functions.

    Args:
        data_source: name of the source dataset; routes the sample when `extra_info` names no reward.
        solution_str: the decoded response.
        ground_truth: the gold answer, always a string; see `docs/rewards.md` for its form in each reward.
        extra_info: `reward`, `choices`, `question`, `width`, `height`, `box_frame` of the row, as far as they apply.
        **kwargs: keys of `MixedRewardConfig`, above all `embedding_model`.

    Returns:
        A dict with `score`, `acc`, `format`, `error` (floats in [0, 1]) and `reward_kind`, `prediction` and `reason`
        (str).

    Raises:
        ConfigError: for a keyword that Mixed-Reward does not know; never because of a response or a row.

    >>> compute_score("chartqa", "<think>The bar ends at 41.</think><answer>41%</answer>", "41", {"reward": "chart"})[
    ...     "score"
    ... ]
    1.0
    """
    options = {key: value for key, value in kwargs.items() if key not in _VERL_KEYWORDS}
    reward = _reward_for(
        json.dumps(options, sort_keys=True, default=_plain), str(kwargs.get("reward_router_address") or "")
    )
    return reward.score(data_source, solution_str, ground_truth, extra_info)


# verl passes these to every custom reward function when a reward model is served; the first is the judge's address.
_VERL_KEYWORDS = frozenset({"reward_router_address", "reward_model_tokenizer"})


def _plain(value: Any) -> Any:
    """OmegaConf containers as plain ones."""
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "__iter__"):
        return list(value)
    return str(value)


__all__ = ["MixedReward", "UnknownRewardError", "compute_score", "failure", "result"]
