"""Rows made ready for an audit: the honest answer to each, and other rows whose answers are unrelated to it."""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mixed_r1_verl.audit.attacks import Target, reply
from mixed_r1_verl.audit.rows import AuditRow
from mixed_r1_verl.core.boxes import Box, frame_scale, rescale
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.mixed import MixedReward
from mixed_r1_verl.rewards.verdict import GroundTruthError

CLOSED_KINDS = ("matching", "chart", "math")
_DEFAULT_EXTENT = (1000, 1000)
_WORD = re.compile(r"\w+")


@dataclass(frozen=True)
class Case:
    """A row that can be scored, its honest answer, and the size of its image in the frame of its boxes."""

    row: AuditRow
    honest: str
    extent: tuple[float, float]
    form: str


def readable_cases(kind: str, rows: Sequence[AuditRow], reward: MixedReward) -> list[Case]:
    """The rows of a kind whose ground truth can be scored."""
    cases = []
    for row in rows:
        try:
            case = _case(kind, row, reward.config)
        except (GroundTruthError, ValueError):
            continue
        if not score(reward, case, reply(case.honest))["error"]:
            cases.append(case)
    return cases


def _case(kind: str, row: AuditRow, config: MixedRewardConfig) -> Case:
    choices = row.extra_info.get("choices") or ()
    if kind == "iou":
        return _iou_case(row, config)
    if kind == "open_ended":
        from mixed_r1_verl.rewards.kinds.open_ended import parse_ground_truth

        first, *others = parse_ground_truth(row.ground_truth)
        if others:
            row = AuditRow(row.data_source, json.dumps(others, ensure_ascii=False), row.extra_info)
        return Case(row, first, _DEFAULT_EXTENT, "")
    if kind == "matching" and len(choices):
        from mixed_r1_verl.rewards.kinds.matching import parse_ground_truth as parse_choice

        letter = str(parse_choice(row.ground_truth, tuple(choices)).expected)
        return Case(row, letter, _DEFAULT_EXTENT, f"{len(choices)} options")
    polar = str(row.ground_truth).strip().casefold() in ("yes", "no", "true", "false")
    return Case(row, str(row.ground_truth), _DEFAULT_EXTENT, "polar" if polar else "")


def _iou_case(row: AuditRow, config: MixedRewardConfig) -> Case:
    from mixed_r1_verl.rewards.kinds.iou import parse_ground_truth

    info, iou = row.extra_info, config.of("iou")
    width, height = info.get("width"), info.get("height")
    scale = frame_scale(
        info.get("box_frame") or iou.box_frame,
        width,
        height,
        family=iou.family,
        min_pixels=iou.min_pixels,
        max_pixels=iou.max_pixels,
    )
    boxes = []
    for gold in parse_ground_truth(row.ground_truth):
        box = rescale(Box(*gold[:4]), (1 / scale[0], 1 / scale[1]))
        corners = [round(number, 5) for number in box[:4]]
        boxes.append({"bbox_2d": corners, "label": gold.labels[0]} if gold.labels else corners)
    extent = ((width or _DEFAULT_EXTENT[0]) / scale[0], (height or _DEFAULT_EXTENT[1]) / scale[1])
    return Case(row, json.dumps(boxes), extent, "")


def score(reward: MixedReward, case: Case, response: str) -> dict[str, Any]:
    """What Mixed-Reward says to a response to a row."""
    return reward.score(case.row.data_source, response, case.row.ground_truth, case.row.extra_info)


def moved(answer: str, source: Case, target: Case) -> str:
    """Another row's answer, as it would be given to this row: boxes keep their share of the picture."""
    if source.extent == target.extent:
        return answer
    across, down = target.extent[0] / source.extent[0], target.extent[1] / source.extent[1]
    moved = []
    for box in json.loads(answer):
        corners = box["bbox_2d"] if isinstance(box, dict) else box
        new = [corners[0] * across, corners[1] * down, corners[2] * across, corners[3] * down]
        moved.append({**box, "bbox_2d": new} if isinstance(box, dict) else new)
    return json.dumps(moved)


def partners_of(kind: str, cases: Sequence[Case]) -> list[list[Case]]:
    """Three other rows for each row. Closed answers come from rows of the same form, whether they agree or not, so that
    the mean is the rate of a lucky guess; texts and boxes come from rows with another ground truth."""
    partners = []
    for number, case in enumerate(cases):
        rest = [*cases[number + 1 :], *cases[:number]]
        if kind in CLOSED_KINDS:
            suitable = [other for other in rest if other.form == case.form]
        else:
            suitable = [other for other in rest if other.row.ground_truth != case.row.ground_truth]
        suitable = suitable or rest
        step = max(1, len(suitable) // 3)
        partners.append(suitable[::step][:3])
    return partners


def target_of(kind: str, case: Case, unrelated: str, frequent: tuple[str, ...] = (), seed: int = 0) -> Target:
    """What an attack may know of a row."""
    info = case.row.extra_info
    return Target(
        kind=kind,
        question=str(info.get("question") or ""),
        choices=tuple(str(choice) for choice in info.get("choices") or ()),
        honest=case.honest,
        unrelated=unrelated,
        extent=case.extent,
        frequent=frequent,
        seed=seed,
    )


def frequent_words(texts: Sequence[str]) -> tuple[str, ...]:
    """The forty words that occur in most texts."""
    counts = Counter(word for text in texts for word in dict.fromkeys(_WORD.findall(text.lower())))
    return tuple(word for word, _ in counts.most_common(40))
