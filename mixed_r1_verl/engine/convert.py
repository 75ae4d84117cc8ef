"""Stage convert: every source through its converter, which also validates each row by its own reward.

Each source is one Ray task. What `mixed_r1_verl.data.convert` promises holds here: chunks that are done stay done, and
the bytes do not depend on interruptions or on the number of processes.
"""

import json
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa

from mixed_r1_verl.core.rows import DataError, read_records
from mixed_r1_verl.data.convert import Options, convert_dataset, converter_code
from mixed_r1_verl.data.converter import Converter
from mixed_r1_verl.data.raw import RawFolder, Told
from mixed_r1_verl.data.registry import get_converter
from mixed_r1_verl.data.source import open_raw
from mixed_r1_verl.engine.cluster import Cluster, Item, missing
from mixed_r1_verl.engine.config import BuildConfig, SourceConfig
from mixed_r1_verl.engine.rows import REJECTS
from mixed_r1_verl.engine.store import Store, hash_value

SUMMARY = "summary.json"  # of a conversion; written last


@dataclass(frozen=True)
class ConvertedSource:
    """One source after its conversion."""

    config: SourceConfig  # the source as configured
    converter: Converter  # what converted it
    folder: Path  # the converted files, with `summary.json` and `rejects.jsonl`
    input_hash: str  # hash of the raw files

    @cached_property
    def summary(self) -> dict[str, Any]:
        """The counts and files, see `data.convert.Summary`."""
        return json.loads((self.folder / SUMMARY).read_text(encoding="utf-8"))  # type: ignore[no-any-return]

    @property
    def content_hash(self) -> str:
        """Hash of the converted files."""
        return hash_value([entry["sha256"] for entry in self.summary["files"]])

    @cached_property
    def files(self) -> list[Path]:
        """The parquet files, in order."""
        return [self.folder / entry["name"] for entry in self.summary["files"]]

    def rejects(self) -> pa.Table:
        """The rejects of the conversion, as the engine writes them."""
        rejects = []
        for _, reject in read_records(self.folder / "rejects.jsonl"):
            assert isinstance(reject, dict)
            stage = "validate" if reject["stage"] in ("validate", "duplicate") else "convert"
            detail = f"{reject.pop('field')}: {reject['detail']}".rstrip(": ")
            rejects.append({**reject, "stage": stage, "detail": detail, "source": self.config.name})
        return pa.Table.from_pylist(rejects, schema=REJECTS)


def convert_sources(config: BuildConfig, store: Store, cluster: Cluster) -> list[ConvertedSource]:
    """Converts all sources that are not converted yet.

    Raises:
        DataError: a source cannot be used; the message names it.
    """
    # Code and raw folders are looked at before anything runs, so that a wrong name does not cost an hour.
    found = [_look(config, source, store) for source in config.sources]
    waiting = missing([item for _, item in found])
    workers = max(1, cluster.cpus // len(waiting)) if waiting else 1  # for nothing, Ray is not even started
    cluster.run(_convert, [{**item, "workers": workers} for item in waiting], cpus=workers)
    return [source for source, _ in found]


def _look(config: BuildConfig, source: SourceConfig, store: Store) -> tuple[ConvertedSource, Item]:
    """A source as it will be converted, and what its task needs, as plain values."""
    try:
        converter = get_converter(source.converter)
        root = config.raw_folder
        told = Told(
            columns=tuple(source.columns.items()),
            box_frame=source.box_frame,
            box_format=source.box_format,
            reward=source.reward,
            answer_type=source.answer_type,
            # Two sources of one converter may hold files of one name; rows and ids tell them apart.
            data_source=source.name if source.name != source.converter else "",
            turns=source.turns,
        )
        given = root / source.input if source.input else None
        raw = open_raw(converter, given, source.hub, [root / name for name in source.image_roots], told)
        converter.check_split(source.split or converter.splits[0])
    except DataError as error:
        raise DataError(f"source {source.name}: {error}") from None
    options = Options(
        split=source.split or converter.splits[0],
        limit=source.limit,
        max_pixels=source.max_pixels,
        seed=config.seed,
        chunk_rows=config.chunk_rows,
        reward=config.reward,
    )
    input_hash = hash_value([raw.only, *(store.hash_folder(folder) for folder in (raw.root, *raw.image_roots))])
    code = converter_code(converter, config.reward.get("custom", {}))
    key = {"input": input_hash, "converter": converter.name, "options": options, "code": code, "told": told}
    folder = store.path(f"convert-{source.name}", __name__, key)
    item = {"name": source.name, "converter": converter.name, "raw": raw, "options": options, "path": folder / SUMMARY}
    return ConvertedSource(source, converter, folder, input_hash), item


def _convert(name: str, converter: str, raw: RawFolder, options: Options, path: Path, workers: int) -> None:
    """Runs in a Ray worker."""
    output = path.parent
    try:
        convert_dataset(get_converter(converter), raw, output, replace(options, workers=workers))
    except DataError as error:
        raise DataError(f"source {name}: {error}") from error
    except OSError as error:
        raise DataError(f"source {name}: cannot write {output}: {error.strerror or error}") from error
