"""The page: data in compressed columns, and the files of `assets/` around them.

The browser must not stall on 50,000 rollouts, so it first unpacks what filters and sorts, one array for each field, and
then, while the page is already in use, the responses in blocks. Everything that came from a run is base64 in the page
and reaches the document as text only; a content security policy allows the page's own script and style by their hashes
and nothing else, so no response can run or fetch anything.
"""

import base64
import gzip
import hashlib
import json
import math
import zlib
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any, TypeVar

from mixed_r1_verl.core.rows import DataRow
from mixed_r1_verl.report.components import boxes_of
from mixed_r1_verl.report.history import Curves
from mixed_r1_verl.report.pictures import Pictures
from mixed_r1_verl.report.verdict import Finding
from mixed_r1_verl.responses.read import Response
from mixed_r1_verl.rewards.mixed import MixedReward

T = TypeVar("T", bound=Hashable)

MAX_COMPONENTS = 40  # recorded numbers that are shown of a rollout, the commonest
BLOCK_ROWS = 2000  # rollouts whose texts are compressed together

SCRIPTS = ("data.js", "charts.js", "text.js", "list.js", "detail.js", "app.js")


@dataclass(frozen=True)
class LoadedRun:
    """A run that is ready to be shown."""

    name: str  # of the run
    rollouts: list[Response]  # those that are shown
    curves: Curves  # of all its rollouts
    verdict: list[Finding]  # what they say at a glance
    notes: list[str]  # what a reader must know: what was left out, recomputed or not found
    reward: MixedReward  # with which its boxes are read


def _numbered(values: Iterable[T]) -> tuple[list[T], list[int]]:
    """Values that repeat: each once, and which of them stands where."""
    numbers: dict[T, int] = {}
    places = [numbers.setdefault(value, len(numbers)) for value in values]
    return list(numbers), places


def choose(rollouts: Sequence[Response], most: int) -> list[Response]:
    """At most so many rollouts: whole groups, drawn evenly by a hash of their names, in the order of the run."""
    groups: dict[tuple[str, int, str], list[int]] = {}
    for number, rollout in enumerate(rollouts):
        groups.setdefault((rollout.split, rollout.step, rollout.group), []).append(number)
    kept: list[int] = []
    for key in sorted(groups, key=lambda key: zlib.crc32(repr(key).encode())):
        if len(kept) + len(groups[key]) <= most:
            kept += groups[key]
    return [rollouts[number] for number in sorted(kept)]


def render_page(title: str, runs: Sequence[LoadedRun], rows: Sequence[DataRow], pictures: Pictures) -> str:
    """The page of one run, or of two that are compared, as HTML; `Response.found` points to the rows of the data."""
    from jinja2 import Environment

    assets = resources.files(__package__) / "assets"

    def asset(name: str) -> str:
        return (assets / name).read_text(encoding="utf-8")

    script, style = "\n".join(map(asset, SCRIPTS)), asset("page.css")
    template = Environment(autoescape=True, keep_trailing_newline=True).from_string(asset("page.html.j2"))
    return template.render(
        title=title,
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
        blobs=_blobs(title, runs, rows, pictures),
        pictures=pictures.encoded,
    )


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")


def _blobs(title: str, runs: Sequence[LoadedRun], rows: Sequence[DataRow], pictures: Pictures) -> dict[str, str]:
    """The compressed parts of the page's data by name."""
    shown = [rollout for run in runs for rollout in run.rollouts]
    of_run = [number for number, run in enumerate(runs) for _ in run.rollouts]
    boxes = [boxes_of(rollout, run.reward) for run in runs for rollout in run.rollouts]
    found = Counter(name for rollout in shown for name in rollout.values)
    for name in ("score", "reward", "truncated"):
        del found[name]
    names = [name for name, _ in found.most_common(MAX_COMPONENTS)]
    names = ["score", *sorted(names, key=lambda name: (_FIRST.get(name, 9), name))]
    splits, split = _numbered(rollout.split for rollout in shown)
    sources, source = _numbered(rollout.row.data_source for rollout in shown)
    kinds, kind = _numbered(rollout.kind for rollout in shown)
    reasons, reason = _numbered(rollout.texts.get("reason", "") for rollout in shown)
    groups = zip(of_run, split, (rollout.step for rollout in shown), (rollout.group for rollout in shown), strict=True)
    prompts, prompt = _numbered(_prompt_key(rollout, rows) for rollout in shown)
    first = {number: place for place, number in reversed(list(enumerate(prompt)))}
    meta = {
        "title": title,
        "runs": [
            {"name": run.name, "rollouts": len(run.rollouts), "notes": run.notes, "verdict": run.verdict}
            for run in runs
        ],
        "splits": splits,
        "sources": sources,
        "kinds": kinds,
        "reasons": reasons,
        "components": names,
        "rows": len(shown),
        "blockRows": BLOCK_ROWS,
        "curves": [curve for number, run in enumerate(runs) for curve in _curves(number, run.curves)],
    }
    columns = {
        "run": of_run,
        "split": split,
        "step": [rollout.step for rollout in shown],
        "source": source,
        "kind": kind,
        "reason": reason,
        "group": _numbered(groups)[1],
        "prompt": prompt,
        "length": [len(rollout.text) for rollout in shown],
        "values": {name: [_number(rollout.values.get(name)) for rollout in shown] for name in names},
    }
    asked = [_prompt(shown[first[number]], boxes[first[number]][0], pictures) for number in range(len(prompts))]
    blobs: dict[str, Any] = {"meta": meta, "columns": columns, "prompts": asked}
    for start in range(0, len(shown), BLOCK_ROWS):
        block = shown[start : start + BLOCK_ROWS]
        blobs[f"texts-{start // BLOCK_ROWS}"] = {
            "response": [rollout.text for rollout in block],
            "prediction": [rollout.texts.get("prediction", "") for rollout in block],
            "boxes": [predicted for _, predicted in boxes[start : start + BLOCK_ROWS]],
        }
    return {name: _pack(data) for name, data in blobs.items()}


_FIRST = {"acc": 0, "format": 1, "error": 2}


def _prompt_key(rollout: Response, rows: Sequence[DataRow]) -> tuple[object, ...]:
    """What tells prompts apart; the same row of the data is the same prompt in both runs."""
    if rollout.found is None:
        return "text", rollout.split, rollout.prompt, rollout.row.ground_truth
    return "row", rows[rollout.found].file, rows[rollout.found].number


def _prompt(rollout: Response, gold: list[list[int]], pictures: Pictures) -> dict[str, Any]:
    row, info = rollout.row, rollout.row.extra_info
    return {
        "id": row.id,
        "text": rollout.prompt,
        "question": str(info.get("question", "")),
        "truth": row.ground_truth,
        "choices": info.get("choices") or [],
        "size": [_number(info.get(name)) or 0 for name in ("width", "height")],
        "pictures": [] if rollout.found is None else pictures.places.get(rollout.found, []),
        "joined": rollout.found is not None,
        "gold": gold,
    }


def _curves(run: int, curves: Curves) -> Iterator[dict[str, Any]]:
    for (group, by, metric), lines in curves.items():
        drawn = [
            {"name": name, "points": [[step, _number(value), _number(error)] for step, value, error in points]}
            for name, points in lines.items()
        ]
        yield {"run": run, "group": group, "by": by, "metric": metric, "lines": drawn}


def _number(value: float | None) -> float | None:
    """A number in six digits, as JSON can hold it."""
    return float(f"{value:.6g}") if value is not None and math.isfinite(value) else None


def _pack(data: Any) -> str:
    """JSON in ASCII, compressed, in base64: nothing in it can end an HTML element."""
    text = json.dumps(data, separators=(",", ":"))
    return base64.b64encode(gzip.compress(text.encode("ascii"), compresslevel=6, mtime=0)).decode("ascii")
