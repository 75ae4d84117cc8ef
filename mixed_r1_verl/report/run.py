"""A run on disk: its dumped rollouts, its event files, and the data and rewards that its configuration names."""

import json
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mixed_r1_verl.core.rows import TRUTH_COLUMNS, BadRecord, DataError, RowError, count_records, read_records, shown
from mixed_r1_verl.core.verl_config import RunError, find_config, read_config, reward_config, select
from mixed_r1_verl.responses.read import RESPONSE_COLUMNS, Response, responses_of

TRAIN, VALIDATION = "train", "validation"


@dataclass(frozen=True)
class Run:
    """What is known of a run before its rollouts are read."""

    name: str  # shown on the page
    dumps: list[tuple[str, Path]]  # JSONL files, each with its split
    events: list[Path]  # folders with event files of TensorBoard
    data: dict[Path, str]  # parquet files that the run's configuration names and that are there, each with its split
    rewards: Mapping[str, Any]  # the reward block of the run's configuration


def find_run(place: Path, trust_config: bool = False) -> Run:
    """What lies in a run's folder; or one JSONL file, as verl or `mixed-r1 eval` writes it, taken as a run.

    Args:
        place: the folder or file.
        trust_config: look for dumps also where the run's configuration says (`trainer.rollout_data_dir`,
            `trainer.validation_data_dir`) and not only in `rollouts/` and `validation/`; take its data and its rewards.

    Raises:
        RunError: there is nothing of a run.
    """
    if place.is_file():
        name = f"{place.resolve().parent.name}/{place.stem}" if place.stem.isdecimal() else place.stem
        return Run(name, [(VALIDATION, place)], [], {}, {})
    if not place.is_dir():
        raise RunError(f"{place}: no such folder or file")
    config_file = find_config(place) if trust_config else None
    config = read_config(config_file) if config_file else {}
    dumps: list[tuple[str, Path]] = []
    for split, usual, key in (
        (TRAIN, "rollouts", "trainer.rollout_data_dir"),
        (VALIDATION, "validation", "trainer.validation_data_dir"),
    ):
        folders = [place / usual, *map(Path, _listed(select(config, key)))]
        folder = next((folder for folder in folders if folder.is_dir()), None)
        files = [file for file in folder.glob("*.jsonl") if file.stem.isdecimal()] if folder else []
        dumps += [(split, file) for file in sorted(files, key=lambda file: int(file.stem))]
    events = sorted({file.parent for file in place.rglob("*tfevents*")})
    if not dumps and not events:
        raise RunError(
            f"{place}: no rollouts/*.jsonl, validation/*.jsonl or event files; train with "
            f"trainer.rollout_data_dir={place}/rollouts trainer.validation_data_dir={place}/validation"
        )
    named: dict[Path, str] = {}
    for split, key in ((TRAIN, "data.train_files"), (VALIDATION, "data.val_files")):
        for file in map(Path, _listed(select(config, key))):
            if file.is_file():
                named[file] = "" if file in named else split  # a file of both says nothing of a rollout's split
    return Run(place.resolve().name, dumps, events, named, reward_config(config))


def _listed(files: Any) -> list[str]:
    if isinstance(files, str):
        return [files]
    return [str(file) for file in files] if isinstance(files, list) else []


_NO_VALUES = frozenset((*RESPONSE_COLUMNS, *TRUTH_COLUMNS, "input", "uid", "file", "row", "sample", "step", "reward"))
MAX_STEP = 10**12


def read_dump(split: str, path: Path, columns: Collection[str]) -> Iterator[Response]:
    """The responses of a dump of verl or of a file of `mixed-r1 eval`.

    `columns` are what the rewards read of a row; a record that holds them says so of its row, not of its response.

    Raises:
        DataError: naming the line that is neither. A last line without its end is left out: a run may still write it.
    """
    for number, record in read_records(path):
        try:
            yield from _recorded(split, number, record, columns)
        except RowError as error:
            if error.reason == "bad_record" and number > count_records(path):
                return
            raise DataError(f"{path}, line {number}: not a dumped rollout ({error.field}: {error.detail})") from error


def _recorded(
    split: str, number: int, record: dict[str, Any] | BadRecord, columns: Collection[str]
) -> Iterator[Response]:
    values: dict[str, float] = {}
    texts: dict[str, str] = {}
    step, uid = 0, ""
    if not isinstance(record, BadRecord):  # other rewards may have other ground truths
        other = {name: json.dumps(record[name]) for name in TRUTH_COLUMNS if not isinstance(record.get(name, ""), str)}
        record = record | other
        step = record.get("step") or 0
        if not isinstance(step, int) or abs(step) > MAX_STEP:
            raise RowError("step", "not_whole", f"must be a whole number, not {shown(step)}")
        uid = str(record.get("uid") or f"{record.get('file')}:{record.get('row', number)}")
        for name, value in record.items():
            if name in _NO_VALUES or name in columns:
                continue
            if isinstance(value, str):
                texts[name] = value
            elif isinstance(value, bool | int | float):
                with suppress(OverflowError):  # more digits than a float has room for
                    values[name] = float(value)
    for one in responses_of("", number, record):
        yield replace(one, split=split, step=step, group=uid.rsplit("_", 2)[0], values=dict(values), texts=dict(texts))
