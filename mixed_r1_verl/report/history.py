"""Curves: scalars from event files of TensorBoard, and means over the dumped rollouts of a step."""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.report.run import TRAIN, VALIDATION
from mixed_r1_verl.responses.read import Response

TRAINER = "trainer"
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


Point = tuple[int, float, float | None]
Curves = dict[tuple[str, str, str], dict[str, list[Point]]]
"""Charts: of a group (`train`, `validation` or `trainer`), by `source`, by `reward` or by nothing, and of a metric.

Each has lines by their names, a line has points: (step, value, standard error or None).
"""


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


def logged_curves(scalars: Mapping[str, Sequence[tuple[int, float]]]) -> Curves:
    """The curves that event files hold: by source and reward where they were logged, and the trainer's own."""
    curves: Curves = {}
    tags: list[tuple[str, tuple[str, str, str], str]] = []
    for tag in sorted(scalars):
        if ours := _OURS.match(tag):
            tags.append((tag, (TRAIN, ours[1], ours[3].removesuffix("/mean").replace("/", " ")), ours[2]))
        elif validation := _VALIDATION.match(tag):
            metric = validation[2] if validation[3] == "1" else f"{validation[2]}, mean of {validation[3]}"
            tags.append((tag, (VALIDATION, "source", metric), validation[1]))
    tags += [(tag, (TRAINER, "", title), "") for tag, title in TRAINER_TAGS if tag in scalars]
    for tag, key, line in tags:
        if points := [(step, value, None) for step, value in scalars[tag] if math.isfinite(value)]:
            curves.setdefault(key, {})[line] = list(points)
    return curves


def dumped_curves(rollouts: Iterable[Response], metrics: Sequence[str]) -> Curves:
    """Means by step over a run's dumped rollouts, with their standard errors, by source and by reward.

    `metrics` are names of recorded values; `characters`, the length of the response, comes besides.
    """
    values: dict[tuple[tuple[str, str, str], str, int], list[float]] = {}
    for rollout in rollouts:
        own = {name: rollout.values[name] for name in metrics if name in rollout.values}
        for metric, value in (own | {"characters": float(len(rollout.text))}).items():
            for by, line in (("source", rollout.row.data_source), ("reward", rollout.kind)):
                if line:
                    values.setdefault(((rollout.split, by, metric), line, rollout.step), []).append(value)
    curves: Curves = {}
    for (key, line, step), found in values.items():
        curves.setdefault(key, {}).setdefault(line, []).append((step, *_mean(found)))
    return {key: {line: sorted(lines[line]) for line in sorted(lines)} for key, lines in curves.items()}


def _mean(values: Sequence[float]) -> tuple[float, float | None]:
    """Mean and standard error of the mean."""
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else None
    return float(np.mean(values)), error


def merge_curves(logged: Curves, dumped: Curves) -> Curves:
    """The curves of a run: of training what was logged, of validation what was dumped, each where it is there."""
    chosen = dumped | {key: lines for key, lines in logged.items() if key[0] == TRAIN or key not in dumped}
    rank = {metric: number for number, metric in enumerate(FIRST)}
    return dict(sorted(chosen.items(), key=lambda curve: rank.get(curve[0][2], len(rank))))
