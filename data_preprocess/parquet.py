"""Any parquet dataset with the usual column names, as most of the Hugging Face hub is; also an existing verl parquet.

Source: the hub (`--hub someone/dataset`) or a folder of parquet files. Licence: that of the data.

Raw layout:

    <input>/**/*<split>*.parquet (all parquet files with --split all); or one such file as --input

Raw row, one of:

    {"image": {"bytes": …, "path": "1.png"}, "question": "What?", "choices": ["a", "b"], "answer": 1}
    {"images": [{"bytes": …}], "problem": "<image>How many?", "answer": "3"}
    {"prompt": [{"role": "user", "content": "<image>How many?"}], "images": [ … ],
     "reward_model": {"ground_truth": "3"}, "extra_info": {"question": "How many?", "reward": "matching"}}

What each field becomes: the first of `question`, `query`, `problem`, `text`, `instruction` (in a verl file
`extra_info.question`, else the user's message) is the question; of `answer`, `label`, `ground_truth`, `solution`,
`caption` (in a verl file `reward_model.ground_truth`) the answer; of `choices`, `options` the choices; of
`decoded_image`, `image`, `images` the pictures, as bytes or as names that lie in the folder. Answers are letters, texts
or 0-based numbers of the options; several answers become references of an open-ended row; an answer in `<answer>` tags
is taken out of them. The reward is `extra_info.reward` or `reward`, else the one that fits the answer
(`mixed_r1_verl.data.chat.infer_reward`). `id`, `question_id`, `pid` or the place in the file is the id.

Columns of other names are mapped on the command line: `--column question=prompt_text --column answer=gold`, for any of
question, answer, choices, image, id and reward.
"""

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mixed_r1_verl.data import Converter, DataError, Example, RawFolder, Row, RowError, references_json
from mixed_r1_verl.data.chat import infer_reward, read_boxes
from mixed_r1_verl.data.fields import answer_letter, scalar_text, text_list
from mixed_r1_verl.data.prompt import IMAGE_MARKER
from mixed_r1_verl.rewards.kinds import KINDS

QUESTIONS = ("question", "query", "problem", "text", "instruction")
ANSWERS = ("answer", "label", "ground_truth", "solution", "caption")
CHOICES = ("choices", "options")
IMAGES = ("decoded_image", "image", "images")
IDS = ("id", "question_id", "pid")
# What the command line's column map can name, and the columns that the name stands for otherwise.
FIELDS = {
    "question": QUESTIONS,
    "answer": ANSWERS,
    "choices": CHOICES,
    "image": IMAGES,
    "id": IDS,
    "reward": ("reward",),
}
_TAGGED = re.compile(r"<answer>([^<]{1,4000})</answer>")


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    """Names the rows only: pictures are read by the workers, row group by row group."""
    names = [raw.only] if raw.only else raw.glob("**/*.parquet" if split == "all" else f"**/*{split}*.parquet")
    if not names:
        raise DataError(f"{raw.root} holds no parquet file of split {split!r}; use --split all to read every one")
    unknown = [name for name, _ in raw.columns if name not in FIELDS]
    if unknown:
        raise DataError(f"--column {unknown[0]}=…: {unknown[0]!r} is none of {', '.join(FIELDS)}")
    for name in names:
        path = raw.file(name)
        stat = path.stat()
        try:
            metadata, columns = pq.read_metadata(path), pq.read_schema(path).names
        except (OSError, pa.ArrowException) as error:
            raise DataError(f"{path} is not a readable parquet file: {str(error).splitlines()[0]}") from None
        for field, column in raw.columns:
            if column not in columns:
                raise DataError(f"{path} has no column {column!r} (--column {field}={column}); it has {columns}")
        position = 0
        for group in range(metadata.num_row_groups):
            for index in range(metadata.row_group(group).num_rows):
                # Size and time tell a resumed run that the file changed.
                state = [stat.st_size, stat.st_mtime_ns]
                place = {"path": str(path), "group": group, "index": index, "state": state}
                yield Row(f"{name}#{position}", place | {"columns": dict(raw.columns), "custom": raw.custom})
                position += 1


def convert(row: Row) -> Example:
    value = _mapped(_row(row.data["path"], row.data["group"], row.data["index"]), row.data["columns"])
    extra = value["extra_info"] if isinstance(value.get("extra_info"), dict) else {}
    question = re.sub(rf"\s*{IMAGE_MARKER}\s*", " ", _question(value, extra)).strip()
    choices = next((text_list(values, key) for values in (value, extra) for key in CHOICES if values.get(key)), ())
    references = [] if choices else _references(value)
    answer = references_json(references) if references else _answer(value, choices)
    inferred = "open_ended" if references else infer_reward(answer, choices)
    kinds = (*KINDS, *row.data["custom"])
    reward = next((kind for kind in (extra.get("reward"), value.get("reward")) if kind in kinds), inferred)
    boxes = read_boxes(answer) if reward == "iou" else ()
    key = next((key for key in IDS if isinstance(value.get(key), int | str)), None)
    return Example(
        id=scalar_text(value, key) if key else row.where.replace("#", "/"),
        question=question,
        reward=str(reward),
        answer="" if boxes else answer,
        choices=choices,
        boxes=boxes,
        images=_images(value),
    )


@lru_cache(maxsize=2)
def _group(path: str, group: int) -> pa.Table:
    with pq.ParquetFile(path) as file:
        return file.read_row_group(group)


def _row(path: str, group: int, index: int) -> dict[str, Any]:
    try:
        (found,) = _group(path, group).slice(index, 1).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise RowError("row", "unreadable", str(error).splitlines()[0][:200]) from None
    return found


def _mapped(value: dict[str, Any], columns: dict[str, str]) -> dict[str, Any]:
    """The row with its columns under the names that are looked for, as the column map says."""
    hidden = {other for name in columns for other in FIELDS[name]}
    kept = {key: found for key, found in value.items() if key not in hidden}
    return kept | {FIELDS[name][0]: value[column] for name, column in columns.items()}


def _question(value: dict[str, Any], extra: dict[str, Any]) -> str:
    if isinstance(extra.get("question"), str) and extra["question"].strip():
        return extra["question"]
    for key in QUESTIONS:
        if isinstance(value.get(key), str) and value[key].strip():
            return value[key]
    for message in value.get("prompt") or []:
        if isinstance(message, dict) and message.get("role") == "user" and isinstance(message.get("content"), str):
            return message["content"]
    raise RowError("question", "missing", f"none of {', '.join(QUESTIONS)}")


def _references(value: dict[str, Any]) -> list[str]:
    """The answers of a row that has several; empty for every other row."""
    key = next((key for key in ANSWERS if value.get(key) is not None), "")
    found = value.get(key)
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        return []
    references = list(dict.fromkeys(text.strip() for text in found if text.strip()))
    return references if len(references) > 1 else []


def _answer(value: dict[str, Any], choices: tuple[str, ...]) -> str:
    model = value.get("reward_model")
    if isinstance(model, dict) and model.get("ground_truth") is not None:
        return scalar_text(model, "ground_truth")
    key = next((key for key in ANSWERS if value.get(key) is not None), None)
    if key is None:
        raise RowError("answer", "missing", f"none of {', '.join(ANSWERS)}")
    found = value[key]
    if not choices:
        if isinstance(found, list) and len(found) == 1:
            return scalar_text({key: found[0]}, key)
        if isinstance(found, list):
            return json.dumps(found)
        text = scalar_text(value, key)
        tagged = _TAGGED.search(text)
        return tagged[1].strip() if tagged else text
    return answer_letter(value, key, choices)


def _images(value: dict[str, Any]) -> tuple[str | bytes, ...]:
    key = next((key for key in IMAGES if value.get(key) is not None), None)
    if key is None:
        return ()
    found = value[key] if isinstance(value[key], list) else [value[key]]
    images: list[str | bytes] = []
    for cell in found:
        if isinstance(cell, dict):
            cell = cell.get("bytes") or cell.get("image") or cell.get("path")
        if not isinstance(cell, str | bytes) or not cell:
            raise RowError(key, "missing", "a picture with neither bytes nor a name")
        images.append(cell)
    return tuple(images)


CONVERTERS = (
    Converter(
        "parquet",
        rows,
        convert,
        ("train", "validation", "val", "test", "all"),
        "that of the data",
        "any parquet dataset with the usual column names",
    ),
)
