"""A whole build: the stages in their order, what each costs in rows, and the published result.

Every stage is a folder of the work folder (`store.py`) holding `rows.parquet` and `rejects.parquet`; the hash of the
rows is part of the next stage's key. A change of one stage's settings repeats that stage and those behind it.
"""

import json
import shutil
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mixed_r1_verl.core.files import atomic, link, publish_folder, sha256_of, write_text
from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.data.columns import quick_check
from mixed_r1_verl.data.truth import reward_with
from mixed_r1_verl.engine import (
    balance,
    card,
    decontaminate,
    describe,
    difficulty,
    duplicates,
    mix,
    quotas,
    split,
    write,
)
from mixed_r1_verl.engine.cluster import Cluster, cluster
from mixed_r1_verl.engine.config import BuildConfig, MixConfig
from mixed_r1_verl.engine.convert import ConvertedSource, convert_sources
from mixed_r1_verl.engine.rows import REJECTS, Outcome, count_by, write_rows
from mixed_r1_verl.engine.store import Store, reward_key


@dataclass(frozen=True)
class Step:
    """One stage after it has run.

    Attributes:
        stage: its name.
        entered, kept: rows before and after.
        rejects: the rows that left.
        path: file of the rows that go on.
        seconds: wall time since the stage before; near 0 when it had run before.
    """

    stage: str
    entered: int
    kept: int
    rejects: pa.Table
    path: Path = Path()
    seconds: float = 0.0

    def rows(self) -> pa.Table:
        """The rows that go on."""
        return pq.read_table(self.path)


@dataclass
class Watch:
    """What a caller may follow: `step` after each stage, `progress(stage, done, of)` within the difficulty stage."""

    step: Callable[[Step], None] = lambda step: None
    progress: Callable[[str, int, int], None] = lambda stage, done, of: None
    steps: list[Step] = field(default_factory=list)

    def add(self, step: Step) -> Step:
        self.steps.append(step)
        self.step(step)
        return step


def build(config: BuildConfig, watch: Watch | None = None) -> dict[str, Any]:
    """Builds a training set and publishes it in `config.output`.

    Args:
        config: the build.
        watch: called while the build goes on.

    Returns:
        The data card, as it is written in `card.json`.

    Raises:
        DataError: something cannot be used; the message says what and what to do. Finished stages stay.
    """
    output = config.output_folder
    if output.exists() and not (output / "card.json").is_file() and (not output.is_dir() or any(output.iterdir())):
        raise DataError(f"{output} holds something that no build wrote; choose another output or empty it")
    if config.work_folder.is_relative_to(output):
        raise DataError(f"work: {config.work_folder} lies in the output, which is replaced as a whole; choose another")
    store = Store(config.work_folder)
    with store.locked(), cluster(config.ray) as ray:
        result = _Build(config, store, ray, watch or Watch()).run()
        _publish(result, output)
    return json.loads((output / "card.json").read_text(encoding="utf-8"))  # type: ignore[no-any-return]


class _Build:
    """The stages of one build, each fed by the one before."""

    def __init__(self, config: BuildConfig, store: Store, ray: Cluster, watch: Watch) -> None:
        self.config = config
        self.store = store
        self.ray = ray
        self.watch = watch
        self.names = [source.name for source in config.sources]
        self.reward = reward_with(config.reward)
        self.since = time.perf_counter()

    def run(self) -> Path:
        """Runs what has not run; returns the folder with the result."""
        config, names, seed = self.config, self.names, self.config.seed
        sources, step = self._convert()
        step = self._step(duplicates, config.near, step, lambda t: duplicates.drop_duplicates(t, config.near, names))
        evaluation = []
        if config.evaluation:
            evaluation = decontaminate.describe_evaluation(config.evaluation, self.store, self.ray)
            sets = [(entry.label, entry.match, keys) for entry, keys, _ in evaluation]
            settings = [asdict(config.near), [[entry.label, entry.match, digest] for entry, _, digest in evaluation]]
            step = self._step(
                decontaminate, settings, step, lambda t: decontaminate.drop_contaminated(t, sets, config.near, names)
            )
        measured = step.rows()
        if config.difficulty is not None:
            measured, step = self._difficulty(step, sources)
        answers = step
        step = self._step(balance, config.balance, step, lambda t: balance.balance(t, config.balance, seed, names))
        step = self._step(quotas, config.quotas, step, lambda t: quotas.apply_quotas(t, config.quotas, seed, names))
        notes = quotas.shortfalls(step.rows(), config.quotas, names)
        train, validation = self._split_and_mix(step)
        facts = card.Facts(
            config=config,
            reward=self.reward,
            sources=sources,
            steps=[(s.stage, s.entered, s.kept, s.rejects) for s in self.watch.steps],
            measured=measured,
            answers=answers.rows(),
            train=pq.read_table(train),
            validation=pq.read_table(validation),
            evaluation=[(entry.label, entry.match, keys.num_rows, digest) for entry, keys, digest in evaluation],
            notes=notes,
            files=self._write(train, validation, sources),
        )
        return self._card(facts)

    def _done(self, stage: str, entered: int, kept: int, rejects: pa.Table, path: Path = Path()) -> Step:
        """What every stage ends in."""
        if entered != kept + rejects.num_rows:
            raise AssertionError(f"{stage}: {entered} rows came, {kept} stay and {rejects.num_rows} leave")
        now = time.perf_counter()
        step = self.watch.add(Step(stage, entered, kept, rejects, path, now - self.since))
        self.since = now
        return step

    def _convert(self) -> tuple[list[ConvertedSource], Step]:
        sources = convert_sources(self.config, self.store, self.ray)
        rejects = pa.concat_tables([source.rejects() for source in sources])
        kept = sum(source.summary["read"] for source in sources)
        for stage in ("convert", "validate"):
            gone = rejects.filter(pc.equal(rejects["stage"], stage))
            kept = self._done(stage, kept, kept - gone.num_rows, gone).kept
        table = describe.describe_sources(sources, self.config.reward, self.store, self.ray)
        if table.num_rows != kept:
            raise AssertionError(f"{kept} rows were converted, {table.num_rows} are described")
        key = {
            "sources": [[source.config.name, source.content_hash, source.config.group] for source in sources],
            "reward": reward_key(self.config.reward),
        }
        folder = self.store.stage(
            "rows", describe.__name__, key, lambda folder: write_rows(folder / "rows.parquet", table)
        )
        self.since = time.perf_counter()
        return sources, Step("describe", kept, kept, REJECTS.empty_table(), folder / "rows.parquet")

    def _step(self, module: ModuleType, settings: Any, before: Step, function: Callable[[pa.Table], Outcome]) -> Step:
        """The stage of a module over the rows of another, unless it has run already."""
        stage = module.STAGE
        plain = settings if isinstance(settings, list | dict) else asdict(settings)
        key = {"settings": plain, "seed": self.config.seed, "names": self.names, "rows": sha256_of(before.path)}

        def make(folder: Path) -> None:
            outcome = function(before.rows())
            write_rows(folder / "rows.parquet", outcome.rows)
            write_rows(folder / "rejects.parquet", outcome.rejects)

        folder = self.store.stage(stage, module.__name__, key, make)
        rejects, path = pq.read_table(folder / "rejects.parquet"), folder / "rows.parquet"
        step = self._done(stage, before.kept, pq.read_metadata(path).num_rows, rejects, path)
        if not step.kept:
            reasons = "; ".join(f"{source}: {found}" for source, found in count_by(step.rejects).items())
            raise DataError(f"stage {stage} leaves no row ({reasons}); loosen its settings")
        return step

    def _difficulty(self, before: Step, sources: list[ConvertedSource]) -> tuple[pa.Table, Step]:
        """Rows with their scores, and those of them that stay."""
        settings = self.config.difficulty
        assert settings is not None

        def progress(done: int, of: int) -> None:
            self.watch.progress("difficulty", done, of)

        chunks = difficulty.measure(before.rows(), self.config, sources, self.store, self.ray, progress)
        measured = difficulty.add_scores(before.rows(), chunks, settings.metric)
        # The responses themselves are the input: of a GPU nobody can know them beforehand.
        key = {**asdict(settings), "responses": [sha256_of(chunk) for chunk in chunks]}
        return measured, self._step(
            difficulty, key, before, lambda _: difficulty.select(measured, chunks, settings, self.names)
        )

    def _split_and_mix(self, before: Step) -> tuple[Path, Path]:
        """Files with the rows of the training and of the validation set, in their order."""
        config = self.config
        key = {
            "rows": sha256_of(before.path),
            "validation": config.validation,
            "weights": dict(config.mix.weights),
            "seed": config.seed,
            "names": self.names,
        }

        def make(folder: Path) -> None:
            table = before.rows()
            chosen = split.validation_rows(table, config.validation, config.seed)
            outcome = mix.mix(table.filter(pa.array(~chosen)), config.mix, config.seed, self.names)
            # Validation takes turns too, but nobody is dropped from it.
            validation = mix.mix(table.filter(pa.array(chosen)), MixConfig(), config.seed, self.names)
            write_rows(folder / "train.parquet", outcome.rows)
            write_rows(folder / "val.parquet", validation.rows)
            write_rows(folder / "rejects.parquet", outcome.rejects)

        folder = self.store.stage(mix.STAGE, __name__, key, make)
        train, validation = folder / "train.parquet", folder / "val.parquet"
        kept = [pq.read_metadata(path).num_rows for path in (train, validation)]
        if not kept[0]:
            raise DataError("no row is left for training; see mix.weights and validation")
        self._done(mix.STAGE, before.kept, sum(kept), pq.read_table(folder / "rejects.parquet"))
        return train, validation

    def _write(self, train: Path, validation: Path, sources: list[ConvertedSource]) -> Path:
        """The folder with the two files."""
        key = {
            "content": [source.content_hash for source in sources],
            "rows": [sha256_of(train), sha256_of(validation)],
        }

        def make(folder: Path) -> None:
            for path in (train, validation):
                table = pq.read_table(path)
                if table.num_rows:
                    write.write_file(table, sources, self.reward, folder / path.name)
            problems = quick_check(sorted(folder.glob("*.parquet")), self.reward.kinds)
            if problems:
                raise AssertionError("; ".join(problems))

        return self.store.stage("write", write.__name__, key, make)

    def _card(self, facts: card.Facts) -> Path:
        """The result: the two files, the rejects and the card."""
        values = card.card_values(facts)
        key = {"card": values, "template": sha256_of(card.TEMPLATE)}

        def make(folder: Path) -> None:
            for path in facts.files.glob("*.parquet"):
                (folder / path.name).unlink(missing_ok=True)
                link(path, folder / path.name)
            with atomic(folder / "rejects.jsonl") as handle:
                for _, _, _, rejects in facts.steps:
                    for batch in rejects.to_batches(max_chunksize=1 << 14):
                        handle.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in batch.to_pylist())
            write_text(folder / "card.json", json.dumps(values, indent=2, ensure_ascii=False) + "\n")
            write_text(folder / "card.html", card.render(values, facts))

        return self.store.stage("result", card.__name__, key, make)


def _publish(result: Path, output: Path) -> None:
    """Puts the result in place of an older one, whole."""
    ready = output.with_name(f"{output.name}.ready")
    shutil.rmtree(ready, ignore_errors=True)
    ready.mkdir(parents=True)
    for path in result.iterdir():
        link(path, ready / path.name)
    publish_folder(ready, output)
