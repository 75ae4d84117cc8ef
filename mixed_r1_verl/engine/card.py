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
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from PIL import ImageDraw

from mixed_r1_verl.core.boxes import Box
from mixed_r1_verl.core.code import library_versions
from mixed_r1_verl.core.files import sha256_of
from mixed_r1_verl.data.images import opened
from mixed_r1_verl.engine.config import BuildConfig
from mixed_r1_verl.engine.convert import ConvertedSource
from mixed_r1_verl.engine.decontaminate import EvaluationSet
from mixed_r1_verl.engine.quotas import shortfalls
from mixed_r1_verl.engine.rows import PAIRS, Step, by_label, count_by, drawn_order, staying
from mixed_r1_verl.engine.store import LIBRARIES
from mixed_r1_verl.engine.write import final_rows
from mixed_r1_verl.rewards.mixed import MixedReward

TEMPLATE = Path(__file__).with_name("card.html.j2")
THUMBNAIL = 320
# Where a build runs and where it writes is no property of the data.
NOT_SHOWN = ("output", "work", "raw", "ray")


@dataclass(frozen=True)
class Facts:
    """All that a card is made of."""

    config: BuildConfig
    reward: MixedReward  # with the kinds of the rows
    sources: Sequence[ConvertedSource]
    steps: Mapping[str, Step]  # the stages in their order
    evaluation: Sequence[EvaluationSet]  # what rows were compared with
    files: Mapping[str, Path]  # the parquet files of the result by name
    # train, validation: their rows, in order
    train: pa.Table
    validation: pa.Table


def card_values(facts: Facts) -> dict[str, Any]:
    """The card as plain values, the same for the same build.

    Raises:
        AssertionError: rows were lost or doubled on the way.
    """
    config, steps = facts.config, facts.steps.values()
    files = {name: pq.read_metadata(path).num_rows for name, path in sorted(facts.files.items())}
    read = sum(source.summary["read"] for source in facts.sources)
    rejected = sum(step.rejects.num_rows for step in steps)
    if read != sum(files.values()) + rejected:
        raise AssertionError(f"{read} rows read, but {files} written and {rejected} rejected")
    train, validation = facts.train.num_rows, facts.validation.num_rows
    before_balance = list(steps)[list(facts.steps).index("balance") - 1].rows()
    settings = {key: value for key, value in asdict(config).items() if key not in NOT_SHOWN}
    return {
        "name": config.output_folder.name,
        "rows": {"read": read, "train": train, "validation": validation, "rejected": rejected},
        "stages": [
            {
                "stage": step.stage,
                "entered": step.entered,
                "kept": step.kept,
                "dropped": step.entered - step.kept,
                "reasons": count_by(step.rejects, "source", "reason"),
            }
            for step in steps
        ],
        "sources": _sources(facts),
        "rewards": _rewards(facts),
        "mixture": _mixture(facts.train, config.mix.batch_size),
        "answers": {"before": _answers(before_balance), "train": _answers(facts.train)},
        "difficulty": histograms(facts.steps["difficulty"].table()) if "difficulty" in facts.steps else None,
        "evaluation": [
            {"name": one.name, "match": one.match, "items": pq.read_metadata(one.keys).num_rows, "hash": one.digest}
            for one in facts.evaluation
        ],
        "notes": shortfalls(facts.steps["quotas"].rows(), config.quotas),
        "files": {
            name: {"rows": rows, "bytes": facts.files[name].stat().st_size, "sha256": sha256_of(facts.files[name])}
            for name, rows in files.items()
        },
        "configuration": json.loads(json.dumps(settings, default=dict)),
        "versions": library_versions(*LIBRARIES),
    }


def _sources(facts: Facts) -> list[dict[str, Any]]:
    train, validation = (Counter(table["source"].to_pylist()) for table in (facts.train, facts.validation))
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
            "train": train[source.config.name],
            "validation": validation[source.config.name],
        }
        for source in facts.sources
    ]


def _rewards(facts: Facts) -> dict[str, dict[str, Any]]:
    train, validation = (Counter(table["reward"].to_pylist()) for table in (facts.train, facts.validation))
    means = {reward: _mean(rows["mean"]) for reward, rows in _by_reward(facts.train)}
    return {
        reward: {"train": train[reward], "validation": validation[reward], "mean": means.get(reward)}
        for reward in sorted({*train, *validation})
    }


def _by_reward(table: pa.Table) -> list[tuple[str, pa.Table]]:
    """The rows of each reward, by name."""
    return [
        (name, table.filter(pc.equal(table["reward"], name))) for name in sorted(table["reward"].unique().to_pylist())
    ]


def _mean(values: pa.ChunkedArray) -> float | None:
    """Mean of a column without its nulls, or None where there is nothing."""
    mean = pc.mean(values).as_py()
    return None if mean is None else round(mean, 4)


def _mixture(train: pa.Table, batch_size: int) -> dict[str, Any]:
    """Fewest and most rows of each reward in any whole batch, read without shuffling."""
    rewards = train["reward"].to_pylist()
    batches = [Counter(rewards[i : i + batch_size]) for i in range(0, len(rewards) - batch_size + 1, batch_size)]
    counts = {reward: [batch[reward] for batch in batches] for reward in sorted(set(rewards)) if batches}
    spread = {reward: [min(found), max(found)] for reward, found in counts.items()}
    return {"batch_size": batch_size, "batches": len(batches), "rows": spread}


def _answers(table: pa.Table) -> dict[str, dict[str, int]]:
    """Answers of closed questions, `{"4 options": {"A": 10, …}, "yes / no": {…}}`."""
    closed = table.filter(pc.not_equal(table["answer"], ""))
    kinds = [
        " / ".join(PAIRS[answer]) if answer in PAIRS else f"{options} options"
        for answer, options in zip(closed["answer"].to_pylist(), closed["choices"].to_pylist(), strict=True)
    ]
    return count_by(pa.table({"kind": pa.array(kinds, pa.string()), "answer": closed["answer"]}), "kind", "answer")


def histograms(table: pa.Table) -> dict[str, Any]:
    """Rows of the difficulty stage in each tenth of the mean metric, `{"chart": {"measured": […], "kept": […]}}`."""

    def tenths(rows: pa.Table) -> list[int]:
        return np.histogram(rows["mean"].drop_null().to_numpy(), bins=10, range=(0, 1))[0].tolist()

    counts = {name: {"measured": tenths(rows), "kept": tenths(staying(rows))} for name, rows in _by_reward(table)}
    return {"histograms": counts, "mean": _mean(table["mean"])}


def render(values: Mapping[str, Any], facts: Facts) -> str:
    """The card as one HTML page."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["number"] = lambda value: f"{value:,}"
    reasons = [
        {"stage": stage["stage"], "source": source, "reason": reason, "rows": rows}
        for stage in values["stages"]
        for source, found in stage["reasons"].items()
        for reason, rows in found.items()
    ]
    shown = json.dumps(values["configuration"], indent=2, ensure_ascii=False)
    template = environment.get_template(TEMPLATE.name)
    return template.render(card=values, pictures=_pictures(facts), reasons=reasons, configuration=shown)


def _pictures(facts: Facts) -> dict[str, list[dict[str, Any]]]:
    """Some rows of each reward, drawn by the seed, with a small picture."""
    drawn = by_label(drawn_order(facts.train, facts.config.seed, "card"), facts.train["reward"].to_pylist())
    chosen = [row for _, rows in sorted(drawn.items()) for row in rows[: facts.config.pictures]]
    table = facts.train.take(chosen)
    files = {source.config.name: source.files for source in facts.sources}
    shown: dict[int, dict[str, Any]] = {}
    for numbers, rows in final_rows(table, files, facts.reward):
        shown.update(zip(numbers, (_example(row, facts.reward) for row in rows.to_pylist()), strict=True))
    found: dict[str, list[dict[str, Any]]] = {}
    for row, (reward, mean) in enumerate(zip(table["reward"].to_pylist(), table["mean"].to_pylist(), strict=True)):
        found.setdefault(reward, []).append({**shown[row], "mean": mean})
    return found


def _example(row: Mapping[str, Any], reward: MixedReward) -> dict[str, Any]:
    extra, truth = row["extra_info"], row["reward_model"]["ground_truth"]
    gold = reward.parse(extra["reward"], truth, extra)
    answer = gold.references[0] if gold.references else truth
    prompt = "\n\n".join(message["content"] for message in row["prompt"])
    sizes = [f"prompt {len(prompt):,} and answer {len(answer):,} characters"]
    for cell in row["images"] or ():
        with opened(cell["bytes"]) as image:
            sizes.append(f"picture {image.width} × {image.height}")
    sizes += [f"box {abs(x2 - x1):.0f} × {abs(y2 - y1):.0f}" for x1, y1, x2, y2, *_ in gold.boxes]
    return {
        "id": extra["id"],
        "question": extra["question"],
        "choices": [f"{letter}. {choice}" for letter, choice in zip(ascii_uppercase, extra["choices"], strict=False)],
        "truth": answer,
        "prompt": prompt,
        "sizes": sizes,
        "picture": _thumbnail(row["images"][0]["bytes"], gold.boxes) if row["images"] else "",
    }


def _thumbnail(data: bytes, boxes: Sequence[Box]) -> str:
    """A small JPEG as a data URL, boxes drawn on it."""
    with opened(data) as image:
        picture = image.convert("RGB")
    width, height = picture.size
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    scale_x, scale_y = picture.width / width, picture.height / height
    pen = ImageDraw.Draw(picture)
    for x1, y1, x2, y2, *_ in boxes:
        left, right = sorted([x1 * scale_x, x2 * scale_x - 1])
        top, bottom = sorted([y1 * scale_y, y2 * scale_y - 1])
        pen.rectangle([left, top, right, bottom], outline=(255, 60, 0), width=2)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
