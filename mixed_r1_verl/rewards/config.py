"""The typed block that configures Mixed-Reward: `reward.reward_kwargs.mixed_r1` in a recipe."""

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

REWARD_KINDS = ("matching", "chart", "iou", "open_ended", "math")
BOX_FRAMES = ("pixel", "norm1000", "norm1", "resized")


class ConfigError(ValueError):
    """A key or value of the reward block is not one that Mixed-Reward knows."""


@dataclass(frozen=True)
class ChartConfig:
    """Chart reward.

    Attributes:
        tolerance: relative error up to which a number counts as right; 0.05 is ChartQA's convention.
        anls_threshold: when set, a label that is not equal scores its normalised Levenshtein similarity if that is at
            least this value (ANLS uses 0.5); None scores labels by equality only.
    """

    tolerance: float = 0.05
    anls_threshold: float | None = None


@dataclass(frozen=True)
class IoUConfig:
    """IoU reward.

    Attributes:
        mode: `raw` pays the IoU itself, `threshold` pays 1 from `threshold` up, `stepped` pays the share of
            `steps` that the IoU reaches, `giou` pays max(0, GIoU).
        threshold: IoU from which `threshold` mode pays.
        steps: ascending IoU thresholds of `stepped` mode.
        box_frame: the frame in which the model answers, used when the row's extra_info names none.
        family: model family whose resize rule the `resized` frame uses.
        min_pixels, max_pixels: the image processor's pixel limits, for the `resized` frame.
        max_boxes: an answer with more boxes than this scores 0 (flooding).
    """

    mode: Literal["raw", "threshold", "stepped", "giou"] = "raw"
    threshold: float = 0.5
    steps: tuple[float, ...] = (0.5, 0.65, 0.75, 0.85, 0.95)
    box_frame: Literal["pixel", "norm1000", "norm1", "resized"] = "pixel"
    family: str = "qwen2_5_vl"
    min_pixels: int | None = None
    max_pixels: int | None = None
    max_boxes: int = 64


@dataclass(frozen=True)
class OpenEndedConfig:
    """Open-ended reward.

    Attributes:
        variant: the similarity; see `mixed_r1_verl.rewards.open_ended`.
        references: how several references combine.
        max_tokens: tokens of a text that are read; a longer answer is cut there and pays for its length.
    """

    variant: str = "robust"
    references: Literal["max", "mean"] = "max"
    max_tokens: int = 1024


@dataclass(frozen=True)
class MathConfig:
    """Math reward (ours, not the paper's).

    Attributes:
        max_chars: a longer answer is not parsed and scores 0.
        timeout_s: seconds after which the process that compares two expressions is killed.
    """

    max_chars: int = 2000
    timeout_s: float = 3.0


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
    chart: ChartConfig = field(default_factory=ChartConfig)
    iou: IoUConfig = field(default_factory=IoUConfig)
    open_ended: OpenEndedConfig = field(default_factory=OpenEndedConfig)
    math: MathConfig = field(default_factory=MathConfig)
