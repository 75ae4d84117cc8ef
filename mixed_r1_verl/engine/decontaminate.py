"""Stage decontaminate: rows that repeat an evaluation set leave.

The same keys as for duplicates: near perceptual hash and mean colour of pictures, and the normalised question. Any of a
row's pictures counts. Every picture of the evaluation set must be readable, since nobody could otherwise promise that
the training set is free of it.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mixed_r1_verl.core.files import atomic
from mixed_r1_verl.core.rows import BadRecord, DataError, RowError, read_records
from mixed_r1_verl.data.images import cell_bytes, read_image_file, store_image
from mixed_r1_verl.data.raw import RawFolder
from mixed_r1_verl.engine.cluster import Cluster
from mixed_r1_verl.engine.config import EvaluationConfig, NearConfig
from mixed_r1_verl.engine.describe import describe_picture, hash_question
from mixed_r1_verl.engine.near import NearIndex, same_colour
from mixed_r1_verl.engine.rows import Drop, Outcome, drop_rows, list_column, numbers_of, write_rows
from mixed_r1_verl.engine.store import Item, Store, Wanted
from mixed_r1_verl.responses.read import parquet_columns

STAGE = "decontaminate"
SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")
COLUMNS = ("question", "extra_info", "image", "images")
ITEMS = pa.schema([("question", pa.uint64()), ("phash", pa.uint64()), ("colour", pa.uint32()), ("where", pa.string())])


def describe_evaluation(
    sets: tuple[EvaluationConfig, ...], store: Store, cluster: Cluster
) -> list[tuple[EvaluationConfig, pa.Table, str]]:
    """Each evaluation set with its keys, one row for each picture (or for each question without one), and its hash.

    Raises:
        DataError: a set cannot be read.
    """
    folders: list[Wanted] = []
    for entry in sets:
        path = Path(entry.path).expanduser().absolute()
        if not path.exists():
            raise DataError(f"evaluation: {path} is not there")
        root = Path(entry.image_root).expanduser().absolute() if entry.image_root else path.parent
        key = {"content": store.hash_folder(path)}
        if path.suffix in (".jsonl", ".json"):
            key["pictures"] = store.hash_folder(root)
        folders.append((f"evaluation-{path.stem}", key, [{"path": str(path), "root": str(root)}]))
    files = store.filled(folders, __name__, partial(cluster.run, _describe))
    found = zip(sets, folders, files, strict=True)
    return [(entry, pq.read_table(*paths), key["content"]) for entry, (_, key, _), paths in found]


def _describe(item: Item) -> Item:
    """Runs in a Ray worker."""
    path = Path(item["path"])
    try:
        items = pa.Table.from_pylist(list(_items(path, Path(item["root"]))), schema=ITEMS)
    except (RowError, OSError, pa.ArrowException) as error:
        return {"error": f"evaluation: {path}: {error}"}
    except DataError as error:
        return {"error": f"evaluation: {error}"}
    with atomic(Path(item["chunk"]), "wb") as file:
        write_rows(file, items)
    return {"error": ""}


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
    raw, is_parquet = RawFolder(root), path.suffix == ".parquet"
    if is_parquet and not set(COLUMNS) & set(parquet_columns(path)):
        raise DataError(f"{path} has no column {', '.join(COLUMNS)}")
    for number, record in read_records(path, COLUMNS):
        try:
            if isinstance(record, BadRecord):
                raise RowError("record", "bad_record", record.reason)
            found = record.get("images") or record.get("image") or []
            cells = found if isinstance(found, list) else [found]
            question = record.get("question") or (record.get("extra_info") or {}).get("question")
            pictures = [_picture(cell, raw) for cell in cells]
            yield from _keys(f"{path.name}{'#' if is_parquet else ':'}{number}", question, pictures)
        except (RowError, OSError, ValueError, TypeError, AttributeError) as error:
            place = f"row {number}" if is_parquet else f"line {number}"
            raise DataError(f"{path}: {place}: {error}; a row has `question` and `image`") from None


def _picture(cell: Any, raw: RawFolder) -> bytes:
    """A picture out of a cell: its bytes, a name, or either in verl's form."""
    if isinstance(cell, str):
        return read_image_file(raw.image(cell)).data
    return store_image(cell if isinstance(cell, bytes) else cell_bytes(cell)).data


def _keys(where: str, question: Any, pictures: list[bytes]) -> Iterator[dict[str, Any]]:
    hashed = hash_question(question) if isinstance(question, str) and question.strip() else None
    looks: list[tuple[int | None, int | None]] = [describe_picture(data) for data in pictures]
    for phash, colour in looks or [(None, None)]:
        if hashed is not None or phash is not None:
            yield {"question": hashed, "phash": phash, "colour": colour, "where": where}


def drop_contaminated(
    table: pa.Table, sets: Sequence[tuple[str, str, pa.Table]], near: NearConfig, sources: list[str]
) -> Outcome:
    """Drops rows that repeat an evaluation set, with the reason `in_evaluation_set`.

    Args:
        table: rows.
        sets: name, `match` and keys of each set.
        near: when pictures are the same.
        sources: names of the sources.
    """
    drops: dict[int, Drop] = {}
    offsets, phash = list_column(table, "phash")
    colour = list_column(table, "colour")[1]
    owner = np.repeat(np.arange(table.num_rows), np.diff(offsets))
    question = numbers_of(table, "question")
    textual = np.flatnonzero(np.diff(offsets) == 0)
    for name, match, keys in sets:
        items = keys.to_pylist()
        index = NearIndex(near.max_distance)
        for number, item in enumerate(items):
            if item["phash"] is not None:
                index.add(item["phash"], number)
        for place, row in enumerate(owner.tolist()):
            if row in drops:
                continue
            for number, _ in index.find(int(phash[place])):
                item = items[number]
                if match == "question" and item["question"] != question[row]:
                    continue
                if same_colour(int(colour[place]), item["colour"], near.max_colour):
                    drops[row] = Drop("in_evaluation_set", f"{name}: {item['where']}")
                    break
        # A question without a picture can only be told by its text.
        texts = {item["question"]: item["where"] for item in items if item["phash"] is None}
        for row in textual.tolist():
            where = texts.get(int(question[row]))
            if where is not None and row not in drops:
                drops[row] = Drop("in_evaluation_set", f"{name}: {where}")
    return drop_rows(table, drops, STAGE, sources)
