"""A whole build: the stages in their order, what each costs in rows, and the published result.

Every stage is a file of the work folder (`store.py`) with all its rows, those that leave with their reason; its hash is
part of the next stage's key. A change of one stage's settings repeats that stage and those behind it.
"""

import json
import shutil
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mixed_r1_verl.core.files import atomic, link, publish_folder, write_text
from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.data.truth import reward_with
from mixed_r1_verl.engine import balance, card, decontaminate, describe, difficulty, duplicates, mix, quotas, write
from mixed_r1_verl.engine.cluster import Cluster
from mixed_r1_verl.engine.config import BuildConfig
from mixed_r1_verl.engine.convert import ConvertedSource, convert_sources
from mixed_r1_verl.engine.decontaminate import EvaluationSet
from mixed_r1_verl.engine.rows import Step, count_by, leaving, write_rows
from mixed_r1_verl.engine.store import Store


@dataclass
class Watch:
    """What a caller may follow: `step` after each stage, `progress(stage, done, of)` within the difficulty stage."""

    step: Callable[[Step], None] = lambda step: None
    progress: Callable[[str, int, int], None] = lambda stage, done, of: None
    steps: dict[str, Step] = field(default_factory=dict)

    def add(self, step: Step) -> None:
        self.steps[step.stage] = step
        self.step(step)


def build(config: BuildConfig, watch: Watch | None = None) -> dict[str, Any]:
    """Builds a training set, publishes it in `config.output` and returns its data card, as it stands in `card.json`.

    Raises:
        DataError: something cannot be used; the message says what and what to do. Finished stages stay.
    """
    output = config.output_folder
    if output.exists() and not (output / "card.json").is_file() and (not output.is_dir() or any(output.iterdir())):
        raise DataError(f"{output} holds something that no build wrote; choose another output or empty it")
    if config.work_folder.is_relative_to(output):
        raise DataError(f"work: {config.work_folder} lies in the output, which is replaced as a whole; choose another")
    store = Store(config.work_folder)
    with store.locked(), closing(Cluster(config.ray)) as ray:
        return _publish(_Build(config, store, ray, watch or Watch()).run())


class _Build:
    """The stages of one build, each fed by the one before."""

    def __init__(self, config: BuildConfig, store: Store, ray: Cluster, watch: Watch) -> None:
        self.config, self.store, self.ray, self.watch = config, store, ray, watch
        self.since = time.perf_counter()

    def run(self) -> card.Facts:
        """Runs what has not run."""
        config, seed = self.config, self.config.seed
        sources, step = self._convert()
        step = self._stage(step, duplicates.drop_duplicates, near=config.near)
        evaluation = decontaminate.describe_evaluation(config.evaluation, self.store, self.ray)
        if evaluation:
            step = self._stage(step, decontaminate.drop_contaminated, sets=evaluation, near=config.near)
        if config.difficulty is not None:
            progress = partial(self.watch.progress, "difficulty")
            # The responses themselves are the input: of a GPU nobody can know them beforehand.
            chunks = difficulty.measure(step.rows(), config, sources, self.store, self.ray, progress)
            step = self._stage(step, difficulty.drop_by_difficulty, chunks=chunks, config=config.difficulty)
        step = self._stage(step, balance.drop_surplus, config=config.balance, seed=seed)
        step = self._stage(step, quotas.apply_quotas, config=config.quotas, seed=seed)
        step = self._stage(step, mix.split_and_mix, config=config.mix, validation=config.validation, seed=seed)
        return self._write(step, sources, evaluation)

    def _convert(self) -> tuple[list[ConvertedSource], Step]:
        """The converted sources, and the small columns of their rows."""
        sources = convert_sources(self.config, self.store, self.ray)
        rejects = pa.concat_tables([source.rejects() for source in sources])
        left = sum(source.summary["read"] for source in sources)
        for stage in ("convert", "validate"):
            gone = rejects.filter(pc.equal(rejects["stage"], stage))
            left = self._done(Step(stage, left, left - gone.num_rows, rejects=gone)).kept
        chunks = describe.describe_sources(sources, self.config.reward, self.store, self.ray)
        path = self.store.file(
            "rows",
            describe.__name__,
            {"chunks": [chunk.name for chunk in chunks]},
            lambda path: write_rows(path, pa.concat_tables([pq.read_table(chunk) for chunk in chunks])),
        )
        self.since = time.perf_counter()
        return sources, Step("describe", left, left, path=path)

    def _stage(self, before: Step, function: Callable[..., pa.Table], **arguments: Any) -> Step:
        """A stage over the rows of the one before, unless it has run already; it is called like its module."""
        name = function.__module__.rpartition(".")[2]
        key = {"arguments": arguments, "rows": before.path}
        make = lambda path: write_rows(path, function(before.rows(), **arguments))  # noqa: E731
        path = self.store.file(name, function.__module__, key, make)
        rejects = leaving(pq.read_table(path), name)
        kept = pq.read_metadata(path).num_rows - rejects.num_rows
        step = self._done(Step(name, before.kept, kept, rejects=rejects, path=path))
        if not step.kept:
            reasons = "; ".join(f"{source}: {found}" for source, found in count_by(rejects, "source", "reason").items())
            raise DataError(f"stage {name} leaves no row ({reasons}); loosen its settings")
        return step

    def _done(self, step: Step) -> Step:
        """What every stage ends in."""
        if step.entered != step.kept + step.rejects.num_rows:
            gone = step.rejects.num_rows
            raise AssertionError(f"{step.stage}: {step.entered} rows came, {step.kept} stay and {gone} leave")
        now = time.perf_counter()
        step = replace(step, seconds=now - self.since)
        self.since = now
        self.watch.add(step)
        return step

    def _write(self, step: Step, sources: Sequence[ConvertedSource], evaluation: Sequence[EvaluationSet]) -> card.Facts:
        """The two files, and what the card says of them."""
        reward, rows = reward_with(self.config.reward), step.rows()
        converted = {source.config.name: source.files for source in sources}
        key = {"rows": step.path, "content": [source.content_hash for source in sources]}
        sides = {name: rows.filter(pc.equal(rows["validation"], name == "val")) for name in ("train", "val")}
        if not sides["train"].num_rows:
            raise DataError("no row is left for training; see mix.weights and validation")
        files = {
            f"{name}.parquet": self.store.file(
                name, write.__name__, {**key, "side": name}, partial(write.write_file, table, converted, reward)
            )
            for name, table in sides.items()
            if table.num_rows
        }
        return card.Facts(self.config, reward, sources, self.watch.steps, evaluation, files, *sides.values())


def _publish(facts: card.Facts) -> dict[str, Any]:
    """Puts the result in place of an older one, whole; returns the card."""
    output = facts.config.output_folder
    values = card.card_values(facts)
    ready = output.with_name(f"{output.name}.ready")
    shutil.rmtree(ready, ignore_errors=True)
    ready.mkdir(parents=True)
    for name, path in facts.files.items():
        link(path, ready / name)
    with atomic(ready / "rejects.jsonl") as handle:
        for step in facts.steps.values():
            for batch in step.rejects.to_batches(max_chunksize=1 << 14):
                handle.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in batch.to_pylist())
    write_text(ready / "card.json", json.dumps(values, indent=2, ensure_ascii=False) + "\n")
    write_text(ready / "card.html", card.render(values, facts))
    publish_folder(ready, output)
    return values
