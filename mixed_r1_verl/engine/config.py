"""The configuration of a build: one YAML file, read into frozen dataclasses; misspelt keys are refused."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import yaml

from mixed_r1_verl.core.config import ConfigError, read_dataclass
from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.rewards.kinds import KINDS


@dataclass(frozen=True)
class SourceConfig:
    """One published dataset.

    Attributes:
        converter: name of the converter; `mixed-r1 data list` shows all.
        name: what the card and the quotas call this source; the converter's name when empty.
        input: raw folder or record file, relative to `raw`; empty takes what the converter's package brings.
        split: split to read; the converter's first when empty.
        image_roots: further folders with pictures, relative to `raw`.
        limit: take at most this many rows, drawn by the seed.
        max_pixels: reduce larger pictures and their boxes.
        group: a regular expression searched in `extra_info.id`; rows for which its first group (or the whole match) is
            the same stand on one side of the split, as rows that share a picture always do.
    """

    converter: str
    name: str = ""
    input: str = ""
    split: str = ""
    image_roots: tuple[str, ...] = ()
    limit: int | None = None
    max_pixels: int | None = None
    group: str = ""


@dataclass(frozen=True)
class NearConfig:
    """When two pictures count as the same.

    Attributes:
        max_distance: differing bits of the 64-bit perceptual hash, at most.
        max_colour: difference of the mean colour in any channel (0 to 255), at most: a perceptual hash sees no colour.
    """

    max_distance: int = 4
    max_colour: int = 8

    def __post_init__(self) -> None:
        if not 0 <= self.max_distance <= 16:
            raise ConfigError(f"near.max_distance is {self.max_distance}; it must lie in 0 … 16 of 64 bits")
        if not 0 <= self.max_colour <= 255:
            raise ConfigError(f"near.max_colour is {self.max_colour}; it must lie in 0 … 255")


@dataclass(frozen=True)
class EvaluationConfig:
    """One evaluation set that training rows must not repeat.

    Attributes:
        path: a parquet or JSONL file, or a folder of pictures.
        name: what the card calls it; the file's name when empty.
        match: `picture` drops every row with a picture of the set, whatever is asked of it; `question` also demands the
            same question. A folder has no questions.
        image_root: where the pictures that a JSONL names lie; the file's own folder when empty.
    """

    path: str
    name: str = ""
    match: Literal["picture", "question"] = "picture"
    image_root: str = ""


@dataclass(frozen=True)
class DifficultyConfig:
    """How hard a row is for a policy, and which rows are kept for it.

    Attributes:
        model: directory or hub id of the policy.
        recipe: the recipe with which the policy will be trained; its reward block scores the responses.
        reward: keys of that block to override.
        samples: responses for each row; GRPO's group size says how many are worth having.
        temperature, top_p, max_tokens: sampling, as in the rollout.
        metric: `score` (what training pays) or `acc` (the task alone).
        min_mean, max_mean: bounds of a row's mean metric, both inclusive.
        min_spread: largest minus smallest metric of a row's responses must be at least this: responses that all score
            the same teach GRPO nothing.
        chunk_rows: rows of a chunk, the unit of resuming and of sharing out.
        engine: keyword arguments of `vllm.LLM`.
    """

    model: str
    recipe: str = "mixed_r1"
    reward: Mapping[str, Any] = field(default_factory=dict)
    samples: int = 8
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 1024
    metric: Literal["score", "acc"] = "score"
    min_mean: float = 0.1
    max_mean: float = 0.9
    min_spread: float = 0.01
    chunk_rows: int = 256
    engine: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.samples < 2:
            raise ConfigError(f"difficulty.samples is {self.samples}; responses cannot differ with less than 2")
        if not 0 <= self.min_mean <= self.max_mean <= 1:
            raise ConfigError("difficulty: 0 <= min_mean <= max_mean <= 1 must hold")
        if self.chunk_rows < 1 or self.max_tokens < 1 or self.temperature < 0:
            raise ConfigError("difficulty: chunk_rows and max_tokens must be at least 1, temperature at least 0")


@dataclass(frozen=True)
class BalanceConfig:
    """How often one value may occur, as a multiple of its even share; None leaves the values as they are.

    With 1.5 and four options no letter may be the answer of more than 1.5/4 of the questions that have four.

    Attributes:
        letters: answers of multiple-choice questions, for each number of options.
        yes_no: answers of yes/no and of true/false questions.
        sources: sources of a reward.
        difficulty: tenths of the mean metric, of a reward.
        move_answers: before letters are counted, exchange the right option with another where the question allows, so
            that letters are even and fewer rows are dropped.
    """

    letters: float | None = 1.5
    yes_no: float | None = 1.2
    sources: float | None = None
    difficulty: float | None = None
    move_answers: bool = True

    def __post_init__(self) -> None:
        for key in ("letters", "yes_no", "sources", "difficulty"):
            value = getattr(self, key)
            if value is not None and value < 1:
                raise ConfigError(f"balance.{key} is {value}; a multiple of the even share is at least 1")


@dataclass(frozen=True)
class QuotaConfig:
    """The most rows of each source and of each reward; those not named are not limited."""

    sources: Mapping[str, int] = field(default_factory=dict)
    rewards: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class MixConfig:
    """How rewards take turns in the training file.

    Attributes:
        weights: share of each reward in every batch, in any unit; empty keeps the shares that the rows have. With
            weights, rows that are left when one reward runs out are dropped.
        batch_size: rows of a batch for which the card counts the mixture; the order does not depend on it.
    """

    weights: Mapping[str, float] = field(default_factory=dict)
    batch_size: int = 256

    def __post_init__(self) -> None:
        if any(weight <= 0 for weight in self.weights.values()):
            raise ConfigError("mix.weights must be above 0; leave a reward out to have none of it")
        if self.batch_size < 1:
            raise ConfigError(f"mix.batch_size is {self.batch_size}; it must be at least 1")


@dataclass(frozen=True)
class RayConfig:
    """Where the build runs.

    Attributes:
        address: a cluster's address; None starts Ray on this machine. On a cluster the raw data and the output must lie
            on a file system that all nodes share.
        cpus: CPUs to use on this machine; None is all of them.
    """

    address: str | None = None
    cpus: int | None = None


@dataclass(frozen=True)
class BuildConfig:
    """A whole build.

    Attributes:
        output: folder of the result.
        work: folder of the finished stages, kept so that a run can be resumed; `<output>.work` when empty.
        raw: folder to which the inputs of sources are relative.
        seed: draws everything that is drawn.
        validation: share of the rows of each reward that goes to the validation file; 0 writes none.
        chunk_rows: rows of a chunk of the conversion, the unit of resuming.
        pictures: rows of each reward that the card shows.
    """

    sources: tuple[SourceConfig, ...]
    output: str = "data/mixed"
    work: str = ""
    raw: str = "."
    seed: int = 0
    validation: float = 0.02
    chunk_rows: int = 1024
    pictures: int = 4
    near: NearConfig = field(default_factory=NearConfig)
    evaluation: tuple[EvaluationConfig, ...] = ()
    difficulty: DifficultyConfig | None = None
    balance: BalanceConfig = field(default_factory=BalanceConfig)
    quotas: QuotaConfig = field(default_factory=QuotaConfig)
    mix: MixConfig = field(default_factory=MixConfig)
    ray: RayConfig = field(default_factory=RayConfig)

    def __post_init__(self) -> None:
        if not self.sources:
            raise ConfigError("sources: at least one is needed")
        # A source without a name has its converter's; written back, so that everybody else reads `name`.
        named = tuple(replace(source, name=source.name or source.converter) for source in self.sources)
        object.__setattr__(self, "sources", named)
        names = [source.name for source in named]
        for name in names:
            if names.count(name) > 1:
                raise ConfigError(f"sources: two are called {name!r}; give each a name of its own")
            if not name.replace("_", "").replace("-", "").isalnum():
                raise ConfigError(f"sources: {name!r} may hold letters, digits, - and _ only")
        for name in self.quotas.sources:
            if name not in names:
                raise ConfigError(f"quotas.sources: no source is called {name!r}; there are {', '.join(names)}")
        for key, kinds in (("quotas.rewards", self.quotas.rewards), ("mix.weights", self.mix.weights)):
            for kind in kinds:
                if kind not in KINDS:
                    raise ConfigError(f"{key}: unknown reward {kind!r}; known are {', '.join(KINDS)}")
        if not 0 <= self.validation < 1:
            raise ConfigError(f"validation is {self.validation}; it is a share in [0, 1)")
        if self.chunk_rows < 1:
            raise ConfigError(f"chunk_rows is {self.chunk_rows}; it must be at least 1")

    @property
    def output_folder(self) -> Path:
        """Absolute, because tasks of a cluster do not run in the caller's folder."""
        return Path(self.output).expanduser().absolute()

    @property
    def work_folder(self) -> Path:
        """Where stages are kept; absolute."""
        output = self.output_folder
        return Path(self.work).expanduser().absolute() if self.work else output.with_name(output.name + ".work")

    @property
    def raw_folder(self) -> Path:
        """Folder of the raw datasets; absolute."""
        return Path(self.raw).expanduser().absolute()


def read_config(path: str | Path, **overrides: str | None) -> BuildConfig:
    """Reads a configuration.

    Args:
        path: a YAML file, or the name of one that comes with this package (`mixed_45k`).
        **overrides: top-level keys that replace those of the file; None leaves the file's.

    Raises:
        DataError: the file is not there, is not YAML, or has a key or value that is not known; the message names it.
    """
    file = Path(path)
    shipped = Path(str(files("mixed_r1_verl.recipes"))) / "data" / f"{path}.yaml"
    if not file.is_file() and shipped.is_file():
        file = shipped
    try:
        mapping = yaml.safe_load(file.read_text(encoding="utf-8"))
    except OSError as error:
        known = ", ".join(sorted(found.stem for found in shipped.parent.glob("*.yaml")))
        raise DataError(f"{path}: {error.strerror}; give a YAML file or one of: {known}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(mapping, dict):
        raise DataError(f"{path} holds a {type(mapping).__name__}, not a mapping of keys; see docs/data-engine.md")
    given = {key: value for key, value in overrides.items() if value is not None}
    try:
        _require(mapping)
        return read_dataclass(BuildConfig, {**mapping, **given}, "")  # type: ignore[no-any-return]
    except ConfigError as error:
        raise DataError(f"{path}: {error}") from None


def _require(mapping: Mapping[str, Any]) -> None:
    """The keys without a default, which a dataclass would only miss with a TypeError."""
    if not mapping.get("sources"):
        raise ConfigError("sources: at least one is needed")
    lists = (("sources", SourceConfig, "converter"), ("evaluation", EvaluationConfig, "path"))
    for key, kind, needed in lists:
        for number, item in enumerate(mapping.get(key) or ()):
            if isinstance(item, Mapping) and needed not in item and set(item) <= {f.name for f in fields(kind)}:
                raise ConfigError(f"{key}[{number}] needs the key {needed!r}")
    difficulty = mapping.get("difficulty")
    if isinstance(difficulty, Mapping) and "model" not in difficulty:
        raise ConfigError("difficulty needs the key 'model'")
