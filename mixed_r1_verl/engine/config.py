"""The configuration of a build: one YAML file, read into frozen dataclasses; misspelt keys are refused."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml

from mixed_r1_verl.core.config import ConfigError, Count, Interval, Share, check_bounds, read_dataclass, suggestion
from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.rewards.config import MixedRewardConfig

Multiple = Annotated[float, Interval(ge=1)]  # of an even share


@dataclass(frozen=True)
class SourceConfig:
    """One published dataset."""

    converter: str  # name of the converter; `mixed-r1 data list` shows all
    name: str = ""  # what rows (`data_source`, `id`), card and quotas call this source; the converter's name when empty
    input: str = ""  # raw folder or record file, relative to `raw`; empty takes what the converter's package brings
    hub: str = ""  # dataset repository of the Hugging Face hub, in place of `input`
    split: str = ""  # split to read; the converter's first when empty
    image_roots: tuple[str, ...] = ()  # further folders with pictures, relative to `raw`
    limit: Count | None = None  # take at most this many rows, drawn by the seed
    max_pixels: Count | None = None  # reduce larger pictures and their boxes
    # columns, box_frame, box_format, answer_type, turns: what the user says of the records, see `data.raw.Told`
    columns: Mapping[str, str] = field(default_factory=dict)
    box_frame: str = ""
    box_format: Literal["", "xyxy", "xywh"] = ""
    reward: str = ""  # kind of every row; empty leaves it to the converter
    answer_type: str = ""
    turns: Literal["", "first", "all"] = ""
    # a regular expression searched in `extra_info.id`; rows for which its first group (or the whole match) is the same
    # stand on one side of the split, as rows that share a picture always do
    group: str = ""

    def __post_init__(self) -> None:
        check_bounds(self, f"source {self.name or self.converter}")


@dataclass(frozen=True)
class NearConfig:
    """When two pictures count as the same."""

    max_distance: Annotated[int, Interval(ge=0, le=16)] = 4  # differing bits of the 64-bit perceptual hash, at most
    # difference of the mean colour in any channel (0 to 255), at most: a perceptual hash sees no colour
    max_colour: Annotated[int, Interval(ge=0, le=255)] = 8

    def __post_init__(self) -> None:
        check_bounds(self, "near")


@dataclass(frozen=True)
class EvaluationConfig:
    """One evaluation set that training rows must not repeat."""

    path: str  # a parquet or JSONL file, or a folder of pictures
    name: str = ""  # what the card calls it; the file's name when empty
    # `picture` drops every row with a picture of the set, whatever is asked of it; `question` also demands the same
    # question. A folder has no questions.
    match: Literal["picture", "question"] = "picture"
    image_root: str = ""  # where the pictures that a JSONL names lie; the file's own folder when empty

    @property
    def label(self) -> str:
        """What the card calls it."""
        return self.name or Path(self.path).name


@dataclass(frozen=True)
class DifficultyConfig:
    """How hard a row is for a policy, and which rows are kept for it."""

    model: str  # directory or hub id of the policy
    recipe: str = "mixed_r1"  # the recipe with which the policy will be trained; its reward block scores the responses
    reward: Mapping[str, Any] = field(default_factory=dict)  # keys of that block to override
    # responses for each row; GRPO's group size says how many are worth having
    samples: Annotated[int, Interval(ge=2)] = 8  # a single response cannot differ
    # temperature, top_p, max_tokens: sampling, as in the rollout
    temperature: Annotated[float, Interval(ge=0)] = 1.0
    top_p: Annotated[float, Interval(gt=0, le=1)] = 1.0
    max_tokens: Count = 1024
    metric: Literal["score", "acc"] = "score"  # `score` (what training pays) or `acc` (the task alone)
    # min_mean, max_mean: bounds of a row's mean metric, both inclusive
    min_mean: Share = 0.1
    max_mean: Share = 0.9
    # largest minus smallest metric of a row's responses must be at least this: responses that all score the same teach
    # GRPO nothing
    min_spread: Share = 0.01
    chunk_rows: Count = 256  # rows of a chunk, the unit of resuming and of sharing out
    engine: Mapping[str, Any] = field(default_factory=dict)  # keyword arguments of `vllm.LLM`

    def __post_init__(self) -> None:
        check_bounds(self, "difficulty")
        if self.min_mean > self.max_mean:
            raise ConfigError(f"difficulty.min_mean is {self.min_mean}, above max_mean, which is {self.max_mean}")


@dataclass(frozen=True)
class BalanceConfig:
    """How often one value may occur, as a multiple of its even share; None leaves the values as they are.

    With 1.5 and four options no letter may be the answer of more than 1.5/4 of the questions that have four.
    """

    letters: Multiple | None = 1.5  # answers of multiple-choice questions, for each number of options
    yes_no: Multiple | None = 1.2  # answers of yes/no and of true/false questions
    sources: Multiple | None = None  # sources of a reward
    difficulty: Multiple | None = None  # tenths of the mean metric, of a reward
    # before letters are counted, exchange the right option with another where the question allows, so that letters are
    # even and fewer rows are dropped
    move_answers: bool = True

    def __post_init__(self) -> None:
        check_bounds(self, "balance")


@dataclass(frozen=True)
class QuotaConfig:
    """The most rows of each source and of each reward; those not named are not limited."""

    sources: Mapping[str, Annotated[int, Interval(ge=0)]] = field(default_factory=dict)
    rewards: Mapping[str, Annotated[int, Interval(ge=0)]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_bounds(self, "quotas")


@dataclass(frozen=True)
class MixConfig:
    """How rewards take turns in the training file."""

    # share of each reward in every batch, in any unit; empty keeps the shares that the rows have. With weights, rows
    # that are left when one reward runs out are dropped.
    weights: Mapping[str, Annotated[float, Interval(gt=0)]] = field(default_factory=dict)
    batch_size: Count = 256  # rows of a batch for which the card counts the mixture; the order does not depend on it

    def __post_init__(self) -> None:
        check_bounds(self, "mix")


@dataclass(frozen=True)
class RayConfig:
    """Where the build runs."""

    # a cluster's address; None starts Ray on this machine. On a cluster the raw data and the output must lie on a file
    # system that all nodes share.
    address: str | None = None
    cpus: Count | None = None  # CPUs to use on this machine; None is all of them

    def __post_init__(self) -> None:
        check_bounds(self, "ray")


@dataclass(frozen=True)
class BuildConfig:
    """A whole build."""

    sources: tuple[SourceConfig, ...]
    output: str = "data/mixed"  # folder of the result
    work: str = ""  # folder of the finished stages, kept so that a run can be resumed; `<output>.work` when empty
    raw: str = "."  # folder to which the inputs of sources are relative
    seed: Annotated[int, Interval(ge=0)] = 0  # draws everything that is drawn
    # share of the rows of each reward that goes to the validation file; 0 writes none
    validation: Annotated[float, Interval(ge=0, lt=1)] = 0.02
    chunk_rows: Count = 1024  # rows of a chunk of the conversion, the unit of resuming
    pictures: Annotated[int, Interval(ge=0)] = 4  # rows of each reward that the card shows
    # keys of the reward block that training will have and rows depend on, above all its `custom` kinds
    reward: Mapping[str, Any] = field(default_factory=dict)
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
        kinds = MixedRewardConfig.from_mapping(self.reward).kinds
        _require_known("quotas.sources", "source", self.quotas.sources, names)
        _require_known("quotas.rewards", "reward", self.quotas.rewards, kinds)
        _require_known("mix.weights", "reward", self.mix.weights, kinds)
        check_bounds(self)

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


def _require_known(key: str, what: str, names: Iterable[str], known: Iterable[str]) -> None:
    known = list(known)
    for name in names:
        if name not in known:
            raise ConfigError(f"{key}: unknown {what} {name!r}{suggestion(name, known)}")


def read_config(path: str | Path, **overrides: str | None) -> BuildConfig:
    """Reads a YAML file, or the one of this name that comes with this package (`mixed_45k`).

    `overrides` are top-level keys that replace those of the file; None leaves the file's.

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
        return read_dataclass(BuildConfig, {**mapping, **given})
    except ConfigError as error:
        raise DataError(f"{path}: {error}") from None
