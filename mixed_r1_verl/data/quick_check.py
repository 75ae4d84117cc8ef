"""What can be known to be wrong with parquet files without reading pictures; training runs it before it starts."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mixed_r1_verl.data.check_types import compare_schemas
from mixed_r1_verl.data.prompt import IMAGE_MARKER
from mixed_r1_verl.data.schema import image_form

EXAMPLES_SHOWN = 3


def quick_check(
    paths: Sequence[str | Path], known_rewards: Collection[str], *, routes: Mapping[str, str] | None = None
) -> list[str]:
    """What can be known to be wrong without reading pictures: cheap enough to run before every training.

    Args:
        paths: parquet files, or patterns with `*`; anything that is not a local parquet file is not looked at.
        known_rewards: reward kinds that the run is configured for.
        routes: `data_source` to reward kind, for rows that name none.

    Returns:
        One line for each kind of fault, with the number of rows and the first of them; empty when all is well.
    """
    messages: list[str] = []
    schemas: dict[Path, pa.Schema] = {}
    for given in paths:
        if "://" in str(given) or not str(given).endswith(".parquet"):
            continue
        path = Path(given).expanduser()
        found = sorted(path.parent.glob(path.name)) if "*" in path.name else [path]
        if not found or not found[0].is_file():
            messages.append(f"{given} is not there")
            continue
        for file in found:
            try:
                schemas[file] = pq.read_schema(file)
                messages += _quick_check_file(file, schemas[file], known_rewards, routes or {})
            except (OSError, pa.ArrowException) as error:
                messages.append(f"{file} is not a readable parquet file: {str(error).splitlines()[0]}")
    return messages + [str(problem) for problem in compare_schemas(schemas)]


def _quick_check_file(
    path: Path, schema: pa.Schema, known_rewards: Collection[str], routes: Mapping[str, str]
) -> list[str]:
    missing = [name for name in ("prompt", "data_source", "reward_model") if name not in schema.names]
    if missing:
        return [f"{path} has no column {' and no column '.join(missing)}"]
    if not _has_field(schema, "reward_model", "ground_truth"):
        return [f"{path}: reward_model has no field ground_truth"]
    columns = ["data_source", "prompt", "reward_model.ground_truth"]
    if _has_field(schema, "extra_info", "reward"):
        columns.append("extra_info.reward")
    form = image_form(schema)
    if form is not None:
        # One small leaf of the column is enough to count the pictures.
        columns.append("images.list.element.path" if form == "bytes" else "images.list.element.image")
    faults: dict[str, list[int]] = {}
    number = 0
    with pq.ParquetFile(path) as file:
        if not file.metadata.num_rows:
            return [f"{path} has no rows"]
        for batch in file.iter_batches(batch_size=4096, columns=columns):
            for row in batch.to_pylist():
                for fault in _quick_faults(row, form is not None, known_rewards, routes):
                    faults.setdefault(fault, []).append(number)
                number += 1
    return [
        f"{path}: {len(rows)} of {number} rows {fault} (row {', '.join(map(str, rows[:EXAMPLES_SHOWN]))}"
        + (", …)" if len(rows) > EXAMPLES_SHOWN else ")")
        for fault, rows in faults.items()
    ]


def _quick_faults(
    row: dict[str, Any], has_images: bool, known_rewards: Collection[str], routes: Mapping[str, str]
) -> Iterator[str]:
    truth = (row["reward_model"] or {}).get("ground_truth")
    if truth is None or (isinstance(truth, str) and not truth.strip()):
        yield "have no ground_truth"
    elif not isinstance(truth, str):
        yield f"have a ground_truth that is a {type(truth).__name__}, not text"
    reward = (row.get("extra_info") or {}).get("reward") or routes.get(row["data_source"] or "")
    if not reward:
        yield f"name no reward, and data_source {row['data_source']!r} has no route"
    elif reward not in known_rewards:
        yield f"name the unknown reward {reward!r}; known are {', '.join(sorted(known_rewards))}"
    if has_images:
        prompt = row["prompt"] if isinstance(row["prompt"], list) else []
        texts = [message.get("content") for message in prompt if isinstance(message, dict)]
        markers = sum(text.count(IMAGE_MARKER) for text in texts if isinstance(text, str))
        if markers != len(row["images"] or []):
            yield f"have another number of {IMAGE_MARKER} markers than images"


def _has_field(schema: pa.Schema, column: str, name: str) -> bool:
    index = schema.get_field_index(column)
    kind = schema.field(index).type if index >= 0 else None
    return kind is not None and pa.types.is_struct(kind) and kind.get_field_index(name) >= 0
