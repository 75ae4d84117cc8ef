"""Mixed-Reward: routes each sample to the reward of its kind and weighs task and format reward into one score."""

import importlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import Any

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.rewards.config import REWARD_KINDS, MixedRewardConfig
from mixed_r1_verl.rewards.extraction import ParsedResponse, parse_response
from mixed_r1_verl.rewards.format import format_reward
from mixed_r1_verl.rewards.verdict import GroundTruthError, Verdict

PREDICTION_CHARS = 200
"""Characters of a prediction that are logged with each sample."""

UNSCORED = frozenset({"timeout", "comparison_failed"})
"""Reasons of a verdict that mean that the answer could not be judged, not that it is wrong."""

READ_FIELDS = ("reward", "choices", "question", "width", "height", "box_frame")
"""What is read of a row's `extra_info`."""

Scorer = Callable[[str, str, Mapping[str, Any]], Verdict]


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
        self.config = config or MixedRewardConfig()
        self._scorers: dict[str, Scorer] = {
            "matching": self._matching,
            "chart": self._chart,
            "iou": self._iou,
            "open_ended": self._open_ended,
            "math": self._math,
        }
        for kind, target in self.config.custom.items():
            self._scorers[kind] = _custom_scorer(target)

    @property
    def kinds(self) -> tuple[str, ...]:
        """The reward kinds that a row may name."""
        return tuple(self._scorers)

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
        if kind not in self._scorers:
            raise UnknownRewardError(f"unknown reward {kind!r}; known are {', '.join(self._scorers)}")
        return kind

    def score(
        self, data_source: str, solution_str: str, ground_truth: str, extra_info: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Score one response. Never raises: a row that is itself broken gives score 0 with `error` 1.

        Returns:
            `score`, `acc`, `format`, `error` (floats in [0, 1]), `reward_kind`, `prediction` (what was read,
            at most 200 characters) and `reason` (why `acc` is not 1, or what went wrong). Always the same keys.
        """
        extra_info = extra_info or {}
        kind = str(extra_info.get("reward") or self.config.routes.get(data_source) or "")
        try:
            kind = self.route(data_source, extra_info)
            if len(solution_str) > self.config.max_chars:
                return result(kind, reason="too_long")
            response = parse_response(solution_str)
            verdict = self._judge(kind, response, ground_truth, extra_info)
            return self._weigh(kind, verdict, format_reward(response))
        except Exception as error:  # a reward that raises would lose the whole group of rollouts without a word
            return failure(kind, f"{type(error).__name__}: {error}")

    def _judge(self, kind: str, response: ParsedResponse, ground_truth: str, extra_info: Mapping[str, Any]) -> Verdict:
        if not isinstance(ground_truth, str):
            raise GroundTruthError(f"ground_truth is {type(ground_truth).__name__}, not a string")
        # A broken row is reported as such whatever the response, so the reward reads its ground truth first.
        verdict = self._scorers[kind](response.answer or "", ground_truth, extra_info)
        if response.answer is None:
            return Verdict(0.0, "", response.reason or "no_answer")
        return verdict

    def _weigh(self, kind: str, verdict: Verdict, format_score: float) -> dict[str, Any]:
        acc = float(verdict.acc)
        if verdict.reason in UNSCORED:
            return failure(kind, verdict.reason)
        if not math.isfinite(acc):
            return failure(kind, f"reward returned {acc}")
        acc = min(max(acc, 0.0), 1.0)
        share = self.config.format_weight
        score = (1.0 - share) * self.config.weights.get(kind, 1.0) * acc + share * format_score
        return result(kind, score, acc, format_score, prediction=verdict.prediction, reason=verdict.reason)

    def _matching(self, answer: str, ground_truth: str, extra_info: Mapping[str, Any]) -> Verdict:
        from mixed_r1_verl.rewards.matching import matching_reward

        return matching_reward(answer, ground_truth, choices=_choices(extra_info))

    def _chart(self, answer: str, ground_truth: str, extra_info: Mapping[str, Any]) -> Verdict:
        from mixed_r1_verl.rewards.chart import chart_reward

        return chart_reward(
            answer, ground_truth, question=str(extra_info.get("question") or ""), config=self.config.chart
        )

    def _iou(self, answer: str, ground_truth: str, extra_info: Mapping[str, Any]) -> Verdict:
        from mixed_r1_verl.rewards.iou import iou_reward

        return iou_reward(
            answer,
            ground_truth,
            width=_size(extra_info.get("width")),
            height=_size(extra_info.get("height")),
            box_frame=extra_info.get("box_frame") or None,
            question=str(extra_info.get("question") or ""),
            config=self.config.iou,
        )

    def _open_ended(self, answer: str, ground_truth: str, extra_info: Mapping[str, Any]) -> Verdict:
        from mixed_r1_verl.rewards.open_ended import open_ended_reward

        return open_ended_reward(answer, ground_truth, table=self.embedding_table, config=self.config.open_ended)

    def _math(self, answer: str, ground_truth: str, extra_info: Mapping[str, Any]) -> Verdict:
        from mixed_r1_verl.rewards.math import math_reward

        return math_reward(answer, ground_truth, config=self.config.math)

    def prepare(self) -> None:
        """Do now what the first sample would otherwise wait for: build or map the embedding table, load the encoder.

        Raises:
            OSError, ValueError: when a model cannot be read.
            ImportError: when a package is missing, naming it.
        """
        _ = self.embedding_table
        options = self.config.open_ended
        if options.variant == "encoder" and options.encoder:
            from mixed_r1_verl.rewards.similarity.variants import load_encoder

            load_encoder(options.encoder)

    @cached_property
    def embedding_table(self) -> Any:
        """The open-ended reward's embedding table, memory-mapped; prepared on first use on this machine."""
        from mixed_r1_verl.rewards.similarity.table import EmbeddingTable

        return EmbeddingTable.load(self.config.embedding_model, cache_dir=self.config.cache_dir)


def _choices(extra_info: Mapping[str, Any]) -> list[str]:
    choices = extra_info.get("choices")
    return [] if choices is None else [str(choice) for choice in choices]


def _size(value: Any) -> int | None:
    return int(value) if value else None


def _custom_scorer(target: str) -> Scorer:
    """The scorer behind a configured `package.module:function`."""
    module_name, _, name = target.partition(":")
    try:
        function = getattr(importlib.import_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(f"custom reward {target!r} cannot be loaded: {error}") from error

    def scorer(answer: str, ground_truth: str, extra_info: Mapping[str, Any]) -> Verdict:
        return function(answer, ground_truth, choices=_choices(extra_info))

    return scorer


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
    return MixedReward(with_router(MixedRewardConfig.from_mapping(json.loads(frozen_options)), router))


def with_router(config: MixedRewardConfig, address: str | None, model: str | None = None) -> MixedRewardConfig:
    """The configuration whose judge is served at verl's reward router, unless it names an address of its own."""
    judge = config.open_ended.judge
    if not address or judge.address:
        return config
    judge = replace(judge, address=address, model=judge.model or model)
    return replace(config, open_ended=replace(config.open_ended, judge=judge))


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


__all__ = ["REWARD_KINDS", "MixedReward", "UnknownRewardError", "compute_score", "failure", "result", "with_router"]
