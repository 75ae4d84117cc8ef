"""Stage decontaminate: rows that repeat an evaluation set leave.

The same keys as for duplicates: near perceptual hash and mean colour of pictures, and the normalised question. Any of a
row's pictures counts. Every picture of the evaluation set must be readable, since nobody could otherwise promise that
the training set is free of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mixed_r1_verl.core.rows import BadRecord, DataError, RowError, read_records
from mixed_r1_verl.data.images import cell_bytes, read_image_file, store_image
from mixed_r1_verl.data.raw import RawFolder
from mixed_r1_verl.engine.cluster import Cluster
from mixed_r1_verl.engine.config import EvaluationConfig, NearConfig
from mixed_r1_verl.engine.describe import describe_picture, hash_question
from mixed_r1_verl.engine.duplicates import Look, Looks, NearIndex, same_colour
from mixed_r1_verl.engine.rows import Drop, drop, write_rows
from mixed_r1_verl.engine.store import Store
from mixed_r1_verl.responses.read import parquet_columns

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
COLUMNS = ("question", "extra_info", "image", "images")
ITEMS = pa.schema([("question", pa.uint64()), ("phash", pa.uint64()), ("colour", pa.uint32()), ("where", pa.string())])


@dataclass(frozen=True)
class EvaluationSet:
    """An evaluation set as rows are compared with it."""

    # name, match: as configured
    name: str
    match: str
    keys: Path  # file of the keys of each picture, or of each question without one
    digest: str = ""  # of the set itself


def describe_evaluation(sets: Sequence[EvaluationConfig], store: Store, cluster: Cluster) -> list[EvaluationSet]:
    """The keys of each evaluation set; raises `DataError` for one that cannot be read."""
    found, items = [], []
    for entry in sets:
        path = Path(entry.path).expanduser().absolute()
        if not path.exists():
            raise DataError(f"evaluation: {path} is not there")
        root = Path(entry.image_root).expanduser().absolute() if entry.image_root else path.parent
        key = {"content": store.hash_folder(path)}
        if path.suffix in (".jsonl", ".json"):
            key["pictures"] = store.hash_folder(root)
        keys = store.path(f"evaluation/{path.stem}", __name__, key, ".parquet")
        items.append({"evaluation": path, "root": root, "path": keys})
        found.append(EvaluationSet(entry.label, entry.match, keys, key["content"]))
    cluster.run(_describe, items)
    return found


def _describe(evaluation: Path, root: Path, path: Path) -> None:
    """Runs in a Ray worker."""
    try:
        items = pa.Table.from_pylist(list(_items(evaluation, root)), schema=ITEMS)
    except (RowError, OSError, pa.ArrowException) as error:
        raise DataError(f"evaluation: {evaluation}: {error}") from error
    except DataError as error:
        raise DataError(f"evaluation: {error}") from error
    write_rows(path, items)


def _items(path: Path, root: Path) -> Iterator[dict[str, Any]]:
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.suffix.lower() in SUFFIXES)
        if not found:
            raise DataError(f"{path} holds no picture")
        for file in found:
            yield from _keys(file.name, None, [read_image_file(file).data])
    elif path.suffix in (".jsonl", ".json", ".parquet"):
        yield from _records(path, root)
    else:
        raise DataError(f"{path} is neither a folder nor a .jsonl, .json or .parquet file")


def _records(path: Path, root: Path) -> Iterator[dict[str, Any]]:
    """A file of this package, or one with `question` and `image` or `images`: bytes, or names of files below `root`."""
    raw = RawFolder(root)
    sign, unit = ("#", "row") if path.suffix == ".parquet" else (":", "line")
    if unit == "row" and not set(COLUMNS) & set(parquet_columns(path)):
        raise DataError(f"{path} has no column {', '.join(COLUMNS)}")
    for number, record in read_records(path, COLUMNS):
        try:
            if isinstance(record, BadRecord):
                raise RowError("record", "bad_record", record.reason)
            found = record.get("images") or record.get("image") or []
            question = record.get("question") or (record.get("extra_info") or {}).get("question")
            pictures = [_picture(cell, raw) for cell in (found if isinstance(found, list) else [found])]
            yield from _keys(f"{path.name}{sign}{number}", question, pictures)
        except (RowError, OSError, ValueError, TypeError, AttributeError) as error:
            raise DataError(f"{path}: {unit} {number}: {error}; a row has `question` and `image`") from None


def _picture(cell: Any, raw: RawFolder) -> bytes:
    """A picture out of a cell: its bytes, a name, or either in verl's form."""
    if isinstance(cell, str):
        return read_image_file(raw.image(cell)).data
    return store_image(cell if isinstance(cell, bytes) else cell_bytes(cell)).data


def _keys(where: str, question: Any, pictures: Sequence[bytes]) -> Iterator[dict[str, Any]]:
    hashed = hash_question(question) if isinstance(question, str) and question.strip() else None
    for data in pictures:
        phash, colour = describe_picture(data)
        yield {"question": hashed, "phash": phash, "colour": colour, "where": where}
    if hashed is not None and not pictures:
        yield {"question": hashed, "phash": None, "colour": None, "where": where}


def drop_contaminated(table: pa.Table, sets: Sequence[EvaluationSet], near: NearConfig) -> pa.Table:
    """Drops rows that repeat an evaluation set, with the reason `in_evaluation_set`."""
    drops: dict[int, Drop] = {}
    looks, questions = Looks(table), table["question"].to_pylist()
    for entry in sets:
        known = _Known(pq.read_table(entry.keys).to_pylist(), entry.match == "question", near)
        for row, question in enumerate(questions):
            where = None if row in drops else known.where(question, looks[row])
            if where is not None:
                drops[row] = Drop("in_evaluation_set", f"{entry.name}: {where}")
    return drop(table, drops)


class _Known:
    """The keys of one evaluation set, ready to be looked up; `asked` demands the same question too."""

    def __init__(self, keys: list[dict[str, Any]], asked: bool, near: NearConfig) -> None:
        self.keys, self.asked, self.near = keys, asked, near
        self.index = NearIndex(near.max_distance)
        self.texts = {key["question"]: key["where"] for key in keys if key["phash"] is None}
        for number, key in enumerate(keys):
            if key["phash"] is not None:
                self.index.add(key["phash"], number)

    def where(self, question: int, looks: Sequence[Look]) -> str | None:
        """Where the set has one of the pictures; a question without a picture can only be told by its text."""
        if not looks:
            return self.texts.get(question)
        for phash, colour in looks:
            for key in (self.keys[number] for number, _ in self.index.find(phash)):
                right = not self.asked or key["question"] == question
                if right and same_colour(colour, key["colour"], self.near.max_colour):
                    return key["where"]
        return None
