"""The typed block that configures Mixed-Reward: `reward.reward_kwargs.mixed_r1` in a recipe."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from mixed_r1_verl.core.config import ConfigError, read_dataclass, suggestion
from mixed_r1_verl.rewards.chart import ChartConfig
from mixed_r1_verl.rewards.iou import IoUConfig
from mixed_r1_verl.rewards.math import MathConfig

REWARD_KINDS = ("matching", "chart", "iou", "open_ended", "math")


@dataclass(frozen=True)
class JudgeConfig:
    """The judge of the open-ended variant `judge`.

    Attributes:
        address: `host:port` or URL of a server of the OpenAI chat protocol; None is verl's reward router, when
            `reward.reward_model.enable` is set.
        model: the name under which the server knows the judge; None is verl's `reward.reward_model.model_path`, or the
            first model that the server names.
        timeout_s: seconds that the server may take to reply; a sample whose judge is late has `error` 1.
    """

    address: str | None = None
    model: str | None = None
    timeout_s: float = 8.0


@dataclass(frozen=True)
class OpenEndedConfig:
    """Open-ended reward.

    Attributes:
        variant: the similarity. `robust` (default) matches words in both directions and cannot be gamed cheaply; `bmas`
            is the paper's as reconstructed from its name, `bmas_f1` its harmonic form. For ablation: `rouge_l` and
            `bleu` need the packages rouge-score and sacrebleu, `encoder` is the cosine of sentence vectors, `judge` the
            mark of a language model. See docs/rewards-open-ended.md.
        references: how several references combine: the best one, or their mean.
        max_tokens: tokens of a text that are read; a longer answer is cut there and pays for its length.
        encoder: directory or hub id of the Hugging Face encoder of the variant `encoder`.
        judge: the judge of the variant `judge`.
    """

    variant: Literal["robust", "bmas", "bmas_f1", "rouge_l", "bleu", "encoder", "judge"] = "robust"
    references: Literal["max", "mean"] = "max"
    max_tokens: int = 1024
    encoder: str | None = None
    judge: JudgeConfig = field(default_factory=JudgeConfig)

    def __post_init__(self) -> None:
        if self.variant == "encoder" and not self.encoder:
            raise ConfigError("open_ended.variant is encoder; open_ended.encoder must name a model directory or hub id")


@dataclass(frozen=True)
class MixedRewardConfig:
    """Everything that Mixed-Reward can be told.

    The score of a sample of kind k is `(1 - format_weight) * weights[k] * acc + format_weight * format`.

    Attributes:
        format_weight: share of the format reward in the score, in [0, 1].
        weights: weight in [0, 1] of each kind's task reward.
        routes: `data_source` to reward kind, for rows whose extra_info names no reward.
        custom: further reward kinds, name to `package.module:function`; the function has the signature of
            `mixed_r1_verl.rewards.matching.matching_reward`.
        embedding_model: directory or hub id of the model whose tokenizer and input-embedding table the open-ended
            reward reads; None uses a built-in table of hashed character n-grams.
        cache_dir: where prepared embedding tables are kept; None is `~/.cache/mixed_r1_verl`.
        time_limit_s: seconds that scoring one sample may take in training before its process is killed.
        processes: scoring processes of each reward worker.
        max_chars: characters of a response that are read; a longer one scores 0.
        task_balance: `none` leaves the advantages as they are; `samples` gives each kind of reward the share of the
            gradient signal that it has of the responses (`mixed_r1_verl.metrics.balance_factors`).
        task_balance_limit: a kind's advantages are multiplied by no more than this, and by no less than its inverse.
    """

    format_weight: float = 0.1
    weights: Mapping[str, float] = field(default_factory=lambda: dict.fromkeys(REWARD_KINDS, 1.0))
    routes: Mapping[str, str] = field(default_factory=dict)
    custom: Mapping[str, str] = field(default_factory=dict)
    embedding_model: str | None = None
    cache_dir: str | None = None
    time_limit_s: float = 10.0
    processes: int = 1
    max_chars: int = 100_000
    task_balance: Literal["none", "samples"] = "none"
    task_balance_limit: float = 4.0
    chart: ChartConfig = field(default_factory=ChartConfig)
    iou: IoUConfig = field(default_factory=IoUConfig)
    open_ended: OpenEndedConfig = field(default_factory=OpenEndedConfig)
    math: MathConfig = field(default_factory=MathConfig)

    def __post_init__(self) -> None:
        object.__setattr__(self, "weights", {**dict.fromkeys(REWARD_KINDS, 1.0), **self.weights})
        if not 0 <= self.format_weight <= 1:
            raise ConfigError(f"format_weight is {self.format_weight}; it must lie in [0, 1]")
        for kind, weight in self.weights.items():
            if kind not in (*REWARD_KINDS, *self.custom):
                raise ConfigError(f"weights.{kind}: unknown reward{suggestion(kind, REWARD_KINDS)}")
            if not 0 <= weight <= 1:
                raise ConfigError(f"weights.{kind} is {weight}; a weight must lie in [0, 1]")
        for source, kind in self.routes.items():
            if kind not in (*REWARD_KINDS, *self.custom):
                raise ConfigError(f"routes.{source}: unknown reward {kind!r}{suggestion(kind, REWARD_KINDS)}")
        if self.time_limit_s <= 0 or self.processes < 1:
            raise ConfigError("time_limit_s must be above 0 and processes at least 1")
        if not self.task_balance_limit >= 1:
            raise ConfigError(f"task_balance_limit is {self.task_balance_limit}; it must be at least 1")
        judge = self.open_ended.judge
        if self.open_ended.variant == "judge" and not 0 < judge.timeout_s < self.time_limit_s:
            raise ConfigError(
                f"open_ended.judge.timeout_s is {judge.timeout_s}; it must lie between 0 and time_limit_s "
                f"({self.time_limit_s}), after which the sample is given up"
            )

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "MixedRewardConfig":
        """Read the block of a recipe; every key and type is checked.

        Raises:
            ConfigError: naming the offending key and the nearest known one.

        >>> MixedRewardConfig.from_mapping({"chart": {"tolerance": 0.1}}).chart.tolerance
        0.1
        >>> MixedRewardConfig.from_mapping({"fromat_weight": 0.2})
        Traceback (most recent call last):
        ...
        mixed_r1_verl.core.config.ConfigError: unknown key 'fromat_weight'; did you mean 'format_weight'?
        """
        if not isinstance(mapping, Mapping):
            raise ConfigError(f"the reward block must be a mapping, not {type(mapping).__name__}")
        return read_dataclass(cls, mapping)
