"""Reads what verl wrote about a run: dumped validation rows and TensorBoard's event files."""

import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path


def read_validation(folder: Path) -> dict[int, list[dict]]:
    """Validation rows by training step, as verl wrote them."""
    rows = {}
    for file in folder.glob("*.jsonl"):
        with file.open(encoding="utf-8") as lines:
            rows[int(file.stem)] = [json.loads(line) for line in lines]
    return dict(sorted(rows.items()))


def mean_and_error(values: Sequence[float]) -> tuple[float, float]:
    """Mean and its standard error."""
    n = len(values)
    mean = sum(values) / n
    variance = sum((value - mean) ** 2 for value in values) / max(n - 1, 1)
    return mean, (variance / n) ** 0.5


def results_by_reward(rows: list[dict]) -> dict[str, dict[str, float]]:
    """Mean `acc`, its standard error, and mean `format` of validation rows for each reward kind."""
    groups = defaultdict(list)
    for row in rows:
        groups[row["reward_kind"]].append(row)
    results = {}
    for name, members in sorted(groups.items()):
        acc, error = mean_and_error([row["acc"] for row in members])
        results[name] = {
            "acc": round(acc, 4),
            "standard_error": round(error, 4),
            "format": round(sum(row["format"] for row in members) / len(members), 4),
            "rows": len(members),
        }
    return results


def changes_by_reward(before: list[dict], after: list[dict]) -> dict[str, dict[str, float]]:
    """Mean change of `acc` for each reward kind, and its standard error over the questions, each of which was answered
    both times: how hard a question is cancels out."""
    earlier = {row["id"]: row["acc"] for row in before}
    groups = defaultdict(list)
    for row in after:
        groups[row["reward_kind"]].append(row["acc"] - earlier[row["id"]])
    results = {}
    for name, changes in sorted(groups.items()):
        change, error = mean_and_error(changes)
        results[name] = {"acc": round(change, 4), "standard_error": round(error, 4)}
    return results


def read_curves(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Every scalar over the steps, from TensorBoard's event files."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {
        tag: sorted({event.step: event.value for event in events.Scalars(tag)}.items())
        for tag in events.Tags()["scalars"]
    }


def results_by_source(curves: dict[str, list[tuple[int, float]]]) -> dict[str, dict[str, dict[str, float]]]:
    """Mean `acc` and `format` before and after for each data source, as verl logged them."""
    results = {}
    for tag, points in curves.items():
        if tag.startswith("val-core/") and tag.endswith("/acc/mean@1"):
            source = tag.removeprefix("val-core/").removesuffix("/acc/mean@1")
            formats = curves[f"val-aux/{source}/format/mean@1"]
            results[source] = {
                when: {"acc": round(points[at][1], 4), "format": round(formats[at][1], 4)}
                for when, at in (("before", 0), ("after", -1))
            }
    return dict(sorted(results.items()))
