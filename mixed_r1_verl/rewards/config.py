"""The typed block that configures Mixed-Reward: `reward.reward_kwargs.mixed_r1` in a recipe."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from mixed_r1_verl.core.config import ConfigError, Count, Interval, Share, check_bounds, read_dataclass, suggestion
from mixed_r1_verl.rewards.formats import ResponseFormat
from mixed_r1_verl.rewards.kinds import KINDS

__all__ = ["MixedRewardConfig"]

_STANDARD = ResponseFormat()


@dataclass(frozen=True)
class MixedRewardConfig:
    """Everything that Mixed-Reward can be told.

    The score of a sample of kind k is `(1 - format_weight) * weights[k] * acc + format_weight * format`.

    Attributes:
        format: what a response looks like, and how a prompt asks for it.
        format_weight: share of the format reward in the score, in [0, 1].
        weights: weight in [0, 1] of each kind's task reward; 1 for those that are not named.
        routes: `data_source` to reward kind, for rows whose extra_info names no reward.
        custom: further reward kinds, name to `package.module:object`; see `mixed_r1_verl.rewards.custom`.
        embedding_model: directory or hub id of the model whose tokenizer and input-embedding table the open-ended
            reward reads; None uses a built-in table of hashed character n-grams.
        cache_dir: where prepared embedding tables are kept; None is `~/.cache/mixed_r1_verl`.
        time_limit_s: seconds that scoring one sample may take in training before its process is killed.
        processes: scoring processes of each reward worker.
        max_chars: characters of a response that are read; a longer one scores 0.
        advantage: `grpo` leaves verl's advantages as they are; `ema_grpo`, `g2rpo` and `gdpo` put those of
            `mixed_r1_verl.plugin.advantages` in their place.
        advantage_decay, advantage_limit: of `ema_grpo`: how slowly the spread of a task is averaged, what bounds |A|.
        task_balance: `none` leaves the advantages as they are; `samples` gives each kind of reward the share of the
            gradient signal that it has of the responses (`mixed_r1_verl.plugin.metrics.balance_factors`).
        task_balance_limit: a kind's advantages are multiplied by no more than this, and by no less than its inverse.
        options: configuration of the kinds by their names, a section each in the block; see `of`.
    """

    format: ResponseFormat = _STANDARD
    format_weight: Share = 0.1
    weights: Mapping[str, Share] = field(default_factory=dict)
    routes: Mapping[str, str] = field(default_factory=dict)
    custom: Mapping[str, str] = field(default_factory=dict)
    embedding_model: str | None = None
    cache_dir: str | None = None
    time_limit_s: Annotated[float, Interval(gt=0)] = 10.0
    processes: Count = 1
    max_chars: Count = 100_000
    advantage: Literal["grpo", "ema_grpo", "g2rpo", "gdpo"] = "grpo"
    advantage_decay: Annotated[float, Interval(ge=0, lt=1)] = 0.99
    advantage_limit: Annotated[float, Interval(gt=0)] = 5.0
    task_balance: Literal["none", "samples"] = "none"
    task_balance_limit: Annotated[float, Interval(ge=1)] = 4.0
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = self.kinds
        for kind in self.custom:
            if kind in KINDS:
                raise ConfigError(f"custom.{kind}: there is a built-in reward of this name; choose another")
        for kind in self.weights:
            if kind not in known:
                raise ConfigError(f"weights.{kind}: unknown reward{suggestion(kind, known)}")
        for source, kind in self.routes.items():
            if kind not in known:
                raise ConfigError(f"routes.{source}: unknown reward {kind!r}{suggestion(kind, known)}")
        object.__setattr__(self, "weights", {**dict.fromkeys(known, 1.0), **self.weights})
        defaults = {name: kind.config and kind.config() for name, kind in KINDS.items()}
        object.__setattr__(self, "options", {**defaults, **self.options})
        check_bounds(self)
        for options in self.options.values():
            if hasattr(options, "check_with"):
                options.check_with(self)

    @property
    def kinds(self) -> tuple[str, ...]:
        """Names of the kinds that a row may name."""
        return (*KINDS, *self.custom)

    def of(self, kind: str) -> Any:
        """The configuration of a kind; None for a kind that has none."""
        return self.options.get(kind)

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> "MixedRewardConfig":
        """Read the block of a recipe; every key and type is checked.

        Raises:
            ConfigError: naming the offending key and the nearest known one.

        >>> MixedRewardConfig.from_mapping({"chart": {"tolerance": 0.1}}).of("chart").tolerance
        0.1
        >>> MixedRewardConfig.from_mapping({"fromat_weight": 0.2})
        Traceback (most recent call last):
        ...
        mixed_r1_verl.core.config.ConfigError: unknown key 'fromat_weight'; did you mean 'format_weight'?
        """
        if not isinstance(mapping, Mapping):
            raise ConfigError(f"the reward block must be a mapping, not {type(mapping).__name__}")
        sections = {name: kind.config for name, kind in KINDS.items() if kind.config is not None}
        custom = mapping.get("custom")
        custom = custom if isinstance(custom, Mapping) else {}
        for name in set(custom) & set(mapping):
            from mixed_r1_verl.rewards.custom import custom_kind

            own = custom_kind(name, custom[name]).config
            if own is None:
                raise ConfigError(f"{name}: the custom reward {custom[name]!r} has no options")
            sections[name] = own
        general = [one.name for one in dataclasses.fields(cls) if one.name != "options"]
        for key in mapping:
            if key not in general and key not in sections:
                raise ConfigError(f"unknown key {str(key)!r}{suggestion(key, [*general, *sections])}")
        options: dict[str, Any] = {
            name: read_dataclass(own, mapping[name], name) for name, own in sections.items() if name in mapping
        }
        plain = read_dataclass(cls, {key: value for key, value in mapping.items() if key in general})
        return dataclasses.replace(plain, options=options)
