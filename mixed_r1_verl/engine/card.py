"""The data card: every count of a build as JSON, and as one HTML page with pictures that needs nothing else."""

import base64
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import ImageDraw

from mixed_r1_verl.core.boxes import Box
from mixed_r1_verl.core.files import sha256_of
from mixed_r1_verl.data.images import opened
from mixed_r1_verl.engine.config import BuildConfig
from mixed_r1_verl.engine.convert import ConvertedSource
from mixed_r1_verl.engine.difficulty import histograms, mean_of
from mixed_r1_verl.engine.rows import count_by, numbers_of
from mixed_r1_verl.engine.store import LIBRARIES, draw, library_versions
from mixed_r1_verl.engine.write import whole_rows
from mixed_r1_verl.rewards.mixed import MixedReward

TEMPLATE = Path(__file__).with_name("card.html.j2")
THUMBNAIL = 320
SHOWN_CHARS = 280
# Where a build runs and where it writes is no property of the data.
NOT_SHOWN = ("output", "work", "raw", "ray")


@dataclass(frozen=True)
class Facts:
    """All that a card is made of.

    Attributes:
        config: the build.
        reward: with the kinds of the rows.
        sources: converted sources.
        steps: stage, rows before, rows after, rejects.
        measured: rows before the difficulty stage.
        answers: rows before the balance stage.
        train, validation: rows of the result, in order.
        evaluation: name, match, items and hash of each evaluation set.
        notes: what was asked for and could not be had.
        files: folder with the parquet files.
    """

    config: BuildConfig
    reward: MixedReward
    sources: list[ConvertedSource]
    steps: list[tuple[str, int, int, pa.Table]]
    measured: pa.Table
    answers: pa.Table
    train: pa.Table
    validation: pa.Table
    evaluation: list[tuple[str, str, int, str]]
    notes: list[str]
    files: Path


def card_values(facts: Facts) -> dict[str, Any]:
    """The card as plain values, the same for the same build.

    Raises:
        AssertionError: rows were lost or doubled on the way.
    """
    config = facts.config
    read = sum(source.summary["read"] for source in facts.sources)
    train, validation = facts.train.num_rows, facts.validation.num_rows
    rejected = sum(rejects.num_rows for *_, rejects in facts.steps)
    if read != train + validation + rejected:
        raise AssertionError(f"{read} rows read, but {train} + {validation} written and {rejected} rejected")
    settings = {key: value for key, value in asdict(config).items() if key not in NOT_SHOWN}
    return {
        "name": config.output_folder.name,
        "rows": {"read": read, "train": train, "validation": validation, "rejected": rejected},
        "stages": [
            {"stage": stage, "entered": entered, "kept": kept, "dropped": entered - kept, "reasons": count_by(rejects)}
            for stage, entered, kept, rejects in facts.steps
        ],
        "sources": _sources(facts),
        "rewards": _rewards(facts),
        "mixture": _mixture(facts.train, config.mix.batch_size),
        "answers": {"before": _answers(facts.answers), "train": _answers(facts.train)},
        "difficulty": _difficulty(facts),
        "evaluation": [
            {"name": name, "match": match, "items": items, "hash": digest}
            for name, match, items, digest in facts.evaluation
        ],
        "notes": facts.notes,
        "files": {
            path.name: {
                "rows": pq.read_metadata(path).num_rows,
                "bytes": path.stat().st_size,
                "sha256": sha256_of(path),
            }
            for path in sorted(facts.files.glob("*.parquet"))
        },
        "configuration": json.loads(json.dumps(settings, default=dict)),
        "versions": library_versions(),
    }


def _sources(facts: Facts) -> list[dict[str, Any]]:
    train, validation = (Counter(numbers_of(t, "source").tolist()) for t in (facts.train, facts.validation))
    return [
        {
            "name": source.config.name,
            "converter": source.config.converter,
            "split": source.config.split,
            "licence": source.converter.licence,
            "origin": source.converter.source,
            "input_hash": source.input_hash,
            "converted_hash": source.content_hash,
            "read": source.summary["read"],
            "converted": source.summary["written"],
            "train": train[number],
            "validation": validation[number],
        }
        for number, source in enumerate(facts.sources)
    ]


def _rewards(facts: Facts) -> dict[str, dict[str, Any]]:
    result: dict[str, dict[str, Any]] = {}
    for name, table in (("train", facts.train), ("validation", facts.validation)):
        rewards = np.array(table["reward"].to_pylist(), object)
        for reward in sorted(set(rewards.tolist())):
            rows = table.filter(pa.array(rewards == reward))
            entry = result.setdefault(reward, {"train": 0, "validation": 0, "mean": None})
            entry[name] = rows.num_rows
            if name == "train":
                entry["mean"] = mean_of(rows["mean"])
    return dict(sorted(result.items()))


def _mixture(train: pa.Table, batch_size: int) -> dict[str, Any]:
    """Fewest and most rows of each reward in any whole batch, read without shuffling."""
    rewards = train["reward"].to_pylist()
    batches = [Counter(rewards[i : i + batch_size]) for i in range(0, len(rewards) - batch_size + 1, batch_size)]
    spread = {
        reward: [min(batch[reward] for batch in batches), max(batch[reward] for batch in batches)]
        for reward in sorted(set(rewards))
        if batches
    }
    return {"batch_size": batch_size, "batches": len(batches), "rows": spread}


def _answers(table: pa.Table) -> dict[str, dict[str, int]]:
    """Answers of closed questions, `{"4 options": {"A": 10, …}, "yes / no": {…}}`."""
    counts: dict[str, Counter[str]] = {}
    pairs = {"yes": "yes / no", "no": "yes / no", "true": "true / false", "false": "true / false"}
    for answer, options in zip(table["answer"].to_pylist(), table["choices"].to_pylist(), strict=True):
        if answer:
            counts.setdefault(pairs.get(answer, f"{options} options"), Counter())[answer] += 1
    return {kind: dict(sorted(found.items())) for kind, found in sorted(counts.items())}


def _difficulty(facts: Facts) -> dict[str, Any] | None:
    if facts.config.difficulty is None:
        return None
    # Means stand in the rows that were kept and, for all others, in the difficulty stage's own table.
    return {"histograms": histograms(facts.measured, facts.answers), "mean": mean_of(facts.measured["mean"])}


def render(values: Mapping[str, Any], facts: Facts) -> str:
    """The card as one HTML page."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["number"] = lambda value: f"{value:,}"
    environment.filters["size"] = _size
    template = environment.get_template(TEMPLATE.name)
    reasons = [
        {"stage": stage["stage"], "source": source, "reason": reason, "rows": rows}
        for stage in values["stages"]
        for source, found in stage["reasons"].items()
        for reason, rows in found.items()
    ]
    shown = json.dumps(values["configuration"], indent=2, ensure_ascii=False)
    return template.render(
        card=values, pictures=_pictures(facts), reasons=reasons, configuration=shown, libraries=LIBRARIES
    )


def _size(value: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


def _pictures(facts: Facts) -> dict[str, list[dict[str, Any]]]:
    """Some rows of each reward, drawn by the seed, with a small picture."""
    table, wanted = facts.train, facts.config.pictures
    ids, rewards = table["id"].to_pylist(), table["reward"].to_pylist()
    chosen: dict[str, list[int]] = {}
    for row in sorted(range(table.num_rows), key=lambda row: draw(facts.config.seed, "card", ids[row])):
        if len(chosen.setdefault(rewards[row], [])) < wanted:
            chosen[rewards[row]].append(row)
    numbers = [row for rows in chosen.values() for row in rows]
    whole: dict[int, dict[str, Any]] = {}
    if numbers:
        for positions, rows in whole_rows(table.take(numbers), facts.sources, facts.reward):
            whole.update(zip(positions.tolist(), rows.to_pylist(), strict=True))
    means = table["mean"].to_pylist()
    shown: dict[str, list[dict[str, Any]]] = {}
    for position, row in enumerate(numbers):
        shown.setdefault(rewards[row], []).append(_example(whole[position], facts.reward) | {"mean": means[row]})
    return dict(sorted(shown.items()))


def _example(row: Mapping[str, Any], reward: MixedReward) -> dict[str, Any]:
    extra, truth = row["extra_info"], row["reward_model"]["ground_truth"]
    gold = reward.parse(extra["reward"], truth, extra)
    picture = _thumbnail(row["images"][0]["bytes"], gold.boxes) if row["images"] else ""
    return {
        "id": extra["id"],
        "question": _cut(extra["question"]),
        "choices": [
            f"{letter}. {_cut(choice)}" for letter, choice in zip(ascii_uppercase, extra["choices"], strict=False)
        ],
        "truth": _cut(gold.references[0] if gold.references else truth),
        "picture": picture,
        "pictures": len(row["images"]),
    }


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"


def _thumbnail(data: bytes, boxes: Sequence[Box]) -> str:
    """A small JPEG as a data URL, boxes drawn on it."""
    with opened(data) as image:
        picture = image.convert("RGB")
    width, height = picture.size
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    scale_x, scale_y = picture.width / width, picture.height / height
    pen = ImageDraw.Draw(picture)
    for x1, y1, x2, y2, *_ in boxes:
        box = [x1 * scale_x, y1 * scale_y, x2 * scale_x - 1, y2 * scale_y - 1]
        corners = [min(box[0], box[2]), min(box[1], box[3]), max(box[0], box[2]), max(box[1], box[3])]
        pen.rectangle(corners, outline=(255, 60, 0), width=2)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
