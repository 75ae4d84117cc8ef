"""Curves: scalars from event files of TensorBoard, and means over the dumped rollouts of a step."""

import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.report.run import TRAIN
from mixed_r1_verl.responses.read import Response

TRAINER_TAGS = (
    ("critic/score/mean", "score"),
    ("response_length/mean", "response length in tokens"),
    ("response_length/clip_ratio", "truncated responses"),
    ("actor/entropy", "entropy"),
    ("actor/grad_norm", "gradient norm"),
    ("actor/pg_clipfrac", "clipped tokens"),
    ("actor/ppo_kl", "KL to the rollout policy"),
    ("training/rollout_actor_probs_pearson_corr", "rollout and actor agree"),
    ("perf/throughput", "tokens per second and device"),
    ("timing_s/step", "seconds per step"),
)
"""Scalars of verl that are shown besides those by source and reward, and what they are called."""

FIRST = ("score", "acc", "format", "error", "gradient_share", "advantage_share", "zero_variance", "malformed")
"""Metrics that stand before all others."""

_OURS = re.compile(r"mixed_r1/(source|reward)/(.+?)/([^/]+(?:/(?:mean|std|group_std))?)$")
_VALIDATION = re.compile(r"val-(?:core|aux)/(.+)/([^/]+)/mean@(\d+)$")


@dataclass
class Curve:
    """A chart: one metric, a line for each source or reward.

    Attributes:
        group: `train`, `validation` or `trainer`.
        by: `source`, `reward`, or empty for one line.
        metric: what is drawn.
        lines: name of the line to its points, (step, value, standard error or None).
    """

    group: str
    by: str
    metric: str
    lines: dict[str, list[tuple[int, float, float | None]]] = field(default_factory=dict)


def read_scalars(folders: Iterable[Path]) -> dict[str, list[tuple[int, float]]]:
    """Every scalar of event files over its steps; of a step that was logged again, after a resume, the last value.

    Raises:
        DataError: there are event files, and the package tensorboard is not installed.
    """
    folders = list(folders)
    if not folders:
        return {}
    try:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    except ImportError as error:
        raise DataError(f"{folders[0]}: to read event files: pip install tensorboard") from error
    scalars: dict[str, dict[int, float]] = {}
    for folder in folders:
        events = EventAccumulator(str(folder), size_guidance={"scalars": 0}, purge_orphaned_data=False)
        events.Reload()
        for tag in events.Tags()["scalars"]:
            scalars.setdefault(tag, {}).update({event.step: event.value for event in events.Scalars(tag)})
    return {tag: sorted(points.items()) for tag, points in scalars.items()}


def logged_curves(scalars: dict[str, list[tuple[int, float]]]) -> list[Curve]:
    """The curves that event files hold: by source and reward where they were logged, and the trainer's own."""
    curves: dict[tuple[str, str, str], Curve] = {}

    def add(group: str, by: str, metric: str, line: str, points: list[tuple[int, float]]) -> None:
        sound = [(step, value, None) for step, value in points if math.isfinite(value)]
        if sound:
            curves.setdefault((group, by, metric), Curve(group, by, metric)).lines[line] = list(sound)

    for tag, points in sorted(scalars.items()):
        if ours := _OURS.match(tag):
            add(TRAIN, ours[1], ours[3].removesuffix("/mean").replace("/", " "), ours[2], points)
        elif validation := _VALIDATION.match(tag):
            metric = validation[2] if validation[3] == "1" else f"{validation[2]}, mean of {validation[3]}"
            add("validation", "source", metric, validation[1], points)
    for tag, title in TRAINER_TAGS:
        add("trainer", "", title, "", scalars.get(tag, []))
    return list(curves.values())


def dumped_curves(rollouts: Sequence[Response], metrics: Sequence[str]) -> list[Curve]:
    """Means by step over dumped rollouts, with their standard errors, by source and by reward.

    Args:
        rollouts: of one run, of both splits.
        metrics: names of recorded values; `characters`, the length of the response, comes besides.
    """
    points: dict[tuple[str, str, str], dict[str, dict[int, list[float]]]] = {}
    for rollout in rollouts:
        values = {name: rollout.values[name] for name in metrics if name in rollout.values}
        for metric, value in (values | {"characters": float(len(rollout.text))}).items():
            for by, line in (("source", rollout.row.data_source), ("reward", rollout.kind)):
                if line:
                    steps = points.setdefault((rollout.split, by, metric), {}).setdefault(line, {})
                    steps.setdefault(rollout.step, []).append(value)
    return [
        Curve(
            *key, {line: [(step, *_mean(own)) for step, own in sorted(lines[line].items())] for line in sorted(lines)}
        )
        for key, lines in points.items()
    ]


def _mean(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and standard error of the mean."""
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else None
    return float(np.mean(values)), error


def merge_curves(logged: Sequence[Curve], dumped: Sequence[Curve]) -> list[Curve]:
    """The curves of a run: of training what was logged, of validation what was dumped, each where it is there."""
    chosen: dict[tuple[str, str, str], Curve] = {}
    for curve in (*dumped, *logged):
        key = (curve.group, curve.by, curve.metric)
        if curve.group == TRAIN or key not in chosen:
            chosen[key] = curve
    return sorted(chosen.values(), key=lambda curve: FIRST.index(curve.metric) if curve.metric in FIRST else len(FIRST))
