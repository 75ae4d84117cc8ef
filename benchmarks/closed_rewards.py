"""The parts of `reward_throughput.py` for the rewards that need no table: matching, chart and IoU.

Ours is `MixedReward.score` as a training run calls it: tags, format, reading, comparing, weighing. Beside it stands
what users run today, written here as it is usually written; it does a part of that work, and reads far fewer forms.
"""

import json
import logging
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from measure import Row, rate
from sample_rows import mixed_rows

ROWS = 20_000
"""Different responses, more than any cache of the rewards holds."""

SLOW_ROWS = 500
"""Responses for what is so slow that it would not get through all of them."""

Score = Callable[[str, dict[str, Any]], Any]

_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)


def matching(seconds: float, folder: Path) -> Iterable[Row]:
    """Matching, a regular expression with string equality, and math-verify as R1-style recipes use it for letters."""
    yield from _beside("matching", _equal_strings, "regex and ==", seconds)
    try:
        from math_verify import parse, verify
    except ImportError:
        print("skipped: comparison with math-verify (package math-verify is not installed)")
        return

    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that time limits are off

    def with_math_verify(response: str, row: dict[str, Any]) -> float:
        truth = row["reward_model"]["ground_truth"]
        if verify(parse(truth, parsing_timeout=None), parse(response, parsing_timeout=None), timeout_seconds=None):
            return 1.0
        return _equal_strings(response, row)

    yield from _beside("matching", with_math_verify, "math-verify, then ==", seconds, SLOW_ROWS)


def chart(seconds: float, folder: Path) -> Iterable[Row]:
    """Chart, and relaxed accuracy of a regular expression's match with `float`."""
    yield from _beside("chart", _relaxed, "regex and float", seconds)


def iou(seconds: float, folder: Path) -> Iterable[Row]:
    """IoU, and `json.loads`, a NumPy IoU matrix and SciPy's assignment."""
    yield from _beside("iou", _numpy_iou, "json, NumPy and SciPy", seconds)


def _beside(kind: str, other: Score, name: str, seconds: float, rows: int = ROWS) -> Iterable[Row]:
    from mixed_r1_verl.rewards.mixed import MixedReward

    reward = MixedReward()
    samples = mixed_rows(ROWS, (kind,))

    def ours(response: str, row: dict[str, Any]) -> Any:
        return reward.score(row["data_source"], response, row["reward_model"]["ground_truth"], row["extra_info"])

    fast = rate(ours, samples, seconds)
    slow = rate(other, samples[:rows], seconds)
    yield Row(kind, fast, "responses/s", "goal 20,000")
    yield Row(f"  {name}", slow, "responses/s")
    yield Row(f"  {kind} over that", fast / slow, "x")


def _answer(response: str) -> str:
    match = _ANSWER.search(response)
    return match[1].strip() if match else response.strip()


def _equal_strings(response: str, row: dict[str, Any]) -> float:
    return float(_answer(response) == row["reward_model"]["ground_truth"])


def _relaxed(response: str, row: dict[str, Any]) -> float:
    answer, truth = _answer(response), row["reward_model"]["ground_truth"]
    try:
        value, target = float(answer.rstrip("%")), float(truth.rstrip("%"))
    except ValueError:
        return float(answer.lower() == truth.lower())
    return float(abs(value - target) <= 0.05 * abs(target))


def _numpy_iou(response: str, row: dict[str, Any]) -> float:
    from scipy.optimize import linear_sum_assignment

    try:
        found = json.loads(_answer(response).removeprefix("```json").removesuffix("```"))
        boxes = found if isinstance(found[0], list | dict) else [found]
        predicted = np.array([box["bbox_2d"] if isinstance(box, dict) else box for box in boxes], dtype=float)
    except (ValueError, KeyError, TypeError, IndexError):
        return 0.0
    gold = np.array(json.loads(row["reward_model"]["ground_truth"]), dtype=float)
    corner = np.maximum(predicted[:, None, :2], gold[None, :, :2])
    opposite = np.minimum(predicted[:, None, 2:], gold[None, :, 2:])
    shared = np.clip(opposite - corner, 0, None).prod(axis=2)
    areas = [np.prod(side[:, 2:] - side[:, :2], axis=1) for side in (predicted, gold)]
    ious = shared / (areas[0][:, None] + areas[1][None, :] - shared)
    pairs = linear_sum_assignment(ious, maximize=True)
    return float(ious[pairs].sum() / max(len(predicted), len(gold)))
