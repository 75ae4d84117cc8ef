"""Records of any layout: LLaVA, VLM-R1, ms-swift, LLaMA-Factory, EasyR1, Qwen-VL, InternVL, verl's, most of the hub's.

Five converters read the same records and differ in name only: `llava`, `vlm_r1`, `ms_swift` and `llama_factory` read
JSON, JSON lines, TSV and CSV, `parquet` reads parquet files (all of one split). Licence: that of the data.

Raw layout (pictures may lie elsewhere: name that folder with `--image-root`):

    <input>/**/*.json, *.jsonl, or for `parquet` *<split>*.parquet (all with --split all); or one such file as --input

Raw rows, some of many:

    {"image": "a.png", "conversations": [{"from": "human", "value": "<image>Is it?"}, {"from": "gpt", "value": "Yes"}]}
    {"messages": [{"role": "user", "content": "<image>Find <ref-object>"}, {"role": "assistant", "content": "<bbox>"}],
     "images": ["a.png"], "objects": {"ref": ["a sheep"], "bbox": [[10, 20, 30, 40]]}}
    {"image": {"bytes": …}, "question": "What?", "A": "cat", "B": "dog", "answer": "B", "hint": "It barks."}
    {"problem": "<image>How many?", "answer": "3", "images": ["a.png"]}
    {"prompt": [{"role": "user", "content": "<image>How many?"}], "images": [ … ],
     "reward_model": {"ground_truth": "3"}, "extra_info": {"question": "How many?", "reward": "matching"}}

What each field becomes: the first exchange of a conversation (`--turns all` makes a row of each; the pairs of `texts`
are always rows of their own), else the first of `question`, `query`, `problem`, `text`, `instruction`, with `hint` or
`context` before it; the answer is that of the exchange or the first of `answer`, `answers`, `label`, `ground_truth`,
`solution`, `caption`, …; options stand in a list, in columns, or at the end of the question. The final answer is taken
out of a chain of thought (`<answer>`, `<CONCLUSION>`, `\\boxed{}`, "the answer is B"). Of ten people's answers the
majority counts, `captions` are references of a description, and with `--reward anls` all answers are accepted. The
kind is what `--reward` or the record says, else what the answer is by evidence (`--explain 5` shows it); where two
kinds fit, the row is rejected.

Columns of other names: `--column question=prompt_text --column answer=meta.gold`, for question, answer, choices, image,
id, reward and context. Boxes are corners in pixels, 0-1000 in `<box>` markup, unless `--box-frame` or `--box-format`
say otherwise.

Quirks: videos, points, actions of a user interface, questions that hold boxes, a lone letter without options, and a
`history` that the question leans on are rejected; URLs are never fetched (download them into the image root).
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from mixed_r1_verl.data_preprocess.chat import IMAGES, TURN_LISTS, Picture, Turn, exchanges, pictures, without_markers
from mixed_r1_verl.data_preprocess.reading import FIELDS, LAYOUTS, not_named, said, text_of

from mixed_r1_verl.core.rows import opened_parquet
from mixed_r1_verl.data import Converter, DataError, Example, RawFolder, Row, RowError
from mixed_r1_verl.data.fields import place_id, record, scalar_text
from mixed_r1_verl.data.markup import media_in
from mixed_r1_verl.data.raw import Told

_COCO_NUMBER = re.compile(r"\d{12}\.jpg")
_COCO_PREFIX = "COCO_val2014_"


def rows(raw: RawFolder, split: str, *, parquet: bool = False) -> Iterator[Row]:
    """One row for each record, or for each exchange of it where that is wanted or usual; pictures are not read."""
    names = _files(raw, split, parquet)
    unknown = [name for name, _ in raw.told.columns if name not in FIELDS]
    if unknown:
        raise DataError(f"--column {unknown[0]}=…: {unknown[0]!r} is none of {', '.join(FIELDS)}")
    for name in names:
        found = _parquet_rows(raw, name) if name.endswith(".parquet") else _text_rows(raw, name)
        for where, data, turns in found:
            if len(turns) < 2:
                yield Row(where, data | {"turn": 0})
            else:
                yield from (Row(f"{where}/{turn}", data | {"turn": turn}) for turn in turns)


def _files(raw: RawFolder, split: str, parquet: bool) -> Sequence[str]:
    if raw.only or not parquet:
        return raw.record_files()
    names = raw.glob("**/*.parquet" if split == "all" else f"**/*{split}*.parquet")
    if not names:
        raise DataError(f"{raw.root} holds no parquet file of split {split!r}; use --split all to read every one")
    return names


def _text_rows(raw: RawFolder, name: str) -> Iterator[tuple[str, dict[str, Any], Sequence[int]]]:
    folder = f"{name.rpartition('/')[0]}/".lstrip("/")
    for where, value in raw.records(name):
        data = {"record": value if not isinstance(value, RowError) else None, "folder": folder}
        if isinstance(value, RowError):
            data["error"] = [value.field, value.reason, value.detail]
        yield where, data, _wanted_turns(value, raw.told.turns)


def _parquet_rows(raw: RawFolder, name: str) -> Iterator[tuple[str, dict[str, Any], Sequence[int]]]:
    path = raw.file(name)
    stat = path.stat()
    with opened_parquet(path) as file:
        metadata, columns = file.metadata, file.schema_arrow.names
    for field, column in raw.told.columns:
        if column.partition(".")[0] not in columns:
            raise DataError(f"{path} has no column {column!r} (--column {field}={column}); it has {columns}")
    talks = [column for column in columns if column in TURN_LISTS]
    position = 0
    with pq.ParquetFile(path) as file:
        for group in range(metadata.num_row_groups):
            count = metadata.row_group(group).num_rows
            talk = file.read_row_group(group, columns=talks).to_pylist() if talks else [{}] * count
            for index in range(count):
                # Size and time tell a resumed run that the file changed.
                state = [stat.st_size, stat.st_mtime_ns]
                data = {"path": str(path), "group": group, "index": index, "state": state, "folder": ""}
                yield f"{name}#{position}", data, _wanted_turns(talk[index], raw.told.turns)
                position += 1


def _wanted_turns(value: Any, told: str) -> Sequence[int]:
    """Numbers of the exchanges of a record that become rows."""
    if not isinstance(value, dict) or not (told == "all" or (value.get("texts") and told != "first")):
        return (0,)
    try:
        return range(len(exchanges(value)) or 1)
    except RowError:  # said when the row is converted
        return (0,)


def convert(row: Row, told: Told) -> Example:
    """The example of a record; see the top of this file."""
    value = _record(row.data)
    if "error" in row.data:
        raise RowError(*row.data["error"])
    value, columns = _mapped(value, told)
    captions = value.get("captions") if value.get("captions") is not None else value.get("caption")
    if isinstance(value.get("Question"), list) and len(value["Question"]) > 1:
        raise RowError("Question", "needs_history", "the question is the last of several turns")
    if isinstance(captions, list) and not any(value.get(name) for name in (*FIELDS["question"], *TURN_LISTS)):
        others = {key: found for key, found in value.items() if key not in (*FIELDS["answer"], *FIELDS["context"])}
        value = others | {"captions": captions, "question": "Describe the picture in one sentence."}
    if any(value.get(key) for key in ("video", "videos", "audio", "audios")) or value.get("data_type") == "video":
        raise RowError("video", "media", "the record is about a video or sound, which no row can hold")
    turn, others = _turn(value, row.data["turn"])
    media = media_in(turn.question)
    if media:
        raise RowError("question", media.reason, media.message)
    return replace(
        said(value, turn, told, columns),
        id=_identity(row, value, columns),
        images=_spelt(turn.images, row.data["folder"]),
        data_source=text_of(value, "data_source") if isinstance(value.get("reward_model"), dict) else "",
        dropped_turns=0 if value.get("texts") or told.turns == "all" else others,
    )


def _record(data: dict[str, Any]) -> dict[str, Any]:
    if "path" not in data:
        return record(data["record"] or {})
    try:
        (found,) = _group(data["path"], data["group"], tuple(data["state"])).slice(data["index"], 1).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise RowError("row", "unreadable", str(error).splitlines()[0][:200]) from None
    return found  # type: ignore[no-any-return]


@lru_cache(maxsize=2)
def _group(path: str, group: int, state: tuple[int, ...]) -> pa.Table:
    """A row group of a file; of a file that has changed since, another one."""
    with pq.ParquetFile(path) as file:
        return file.read_row_group(group)


def _mapped(value: dict[str, Any], told: Told) -> tuple[dict[str, Any], dict[str, str]]:
    """The record with its columns under the names that are looked for, and the column map, the layout's included."""
    columns = dict(told.columns)
    for _, needed, known in LAYOUTS:
        if needed <= value.keys():
            columns = {field: column for field, column in known.items() if field != "reward"} | columns
    if not columns:
        return value, columns
    hidden = {other for name in columns for other in FIELDS[name]}
    kept = {key: found for key, found in value.items() if key not in hidden}
    if "question" in columns or "answer" in columns:
        kept = {key: found for key, found in kept.items() if key not in TURN_LISTS or "question" not in columns}
    return kept | {FIELDS[name][0]: _nested(value, column) for name, column in columns.items()}, columns


def _nested(value: Any, path: str) -> Any:
    """What stands at `a.b.0`; None where nothing does."""
    if isinstance(value, dict) and path in value:
        return value[path]
    head, _, rest = path.partition(".")
    if isinstance(value, dict):
        found = value.get(head)
    elif isinstance(value, list) and head.isdecimal() and int(head) < len(value):
        found = value[int(head)]
    else:
        return None
    return _nested(found, rest) if rest else found


def _turn(value: dict[str, Any], number: int) -> tuple[Turn, int]:
    """The exchange that a row is made of, with its pictures; and how many others the record has."""
    turns, named = exchanges(value), pictures(value)
    if not turns:
        text = _question(value)
        turns = [Turn(without_markers(text), "", (), text.count("<image>"))]
    turn = turns[number]
    if not turn.question:
        raise RowError("question", "empty")
    markers = sum(one.markers for one in turns[: number + 1])
    if not named and (turn.images or not markers):
        if not turn.images and any(key in value for key in IMAGES):
            raise RowError("image", "no_picture", "the column of pictures is empty")
        return turn, len(turns) - 1
    if markers > len(named):
        detail = f"{markers} <image> markers for {len(named)} pictures; name their column with --column image=COLUMN"
        raise RowError("images", "markers", detail)
    if 0 < markers < len(named) and sum(one.markers for one in turns) != len(named) and len(turns) == 1:
        raise RowError("images", "markers", f"{len(named)} pictures, but {markers} <image> markers in the question")
    return turn._replace(images=named[: markers or None]), len(turns) - 1


def _question(value: dict[str, Any]) -> str:
    extra = value.get("extra_info")
    for holder in (extra if isinstance(extra, dict) else {}, value):
        for key in FIELDS["question"]:
            if isinstance(holder.get(key), str) and holder[key].strip():
                return str(holder[key])
    messages = value.get("prompt") if isinstance(value.get("prompt"), list) else []
    if messages:
        return exchanges({"messages": messages})[0].question
    raise RowError("question", "missing", not_named("question", value))


def _identity(row: Row, value: dict[str, Any], columns: dict[str, str]) -> str:
    """The record's own id where it comes from parquet, with its file; else file and position."""
    if "path" not in row.data and "id" not in columns:
        return place_id(row)
    key = next((key for key in FIELDS["id"] if isinstance(value.get(key), int | str) and value[key] != ""), None)
    if key is None:
        return place_id(row)
    turn = f"/{row.data['turn']}" if row.data["turn"] or value.get("texts") else ""
    return f"{place_id(row).rpartition('/')[0]}/{scalar_text(value, key)}{turn}"


def _spelt(images: Sequence[Picture], folder: str) -> tuple[Picture | tuple[str, ...], ...]:
    """Under which names pictures may lie: as they stand, from their file's folder, without the first folder, COCO's."""
    return tuple(_spellings(one, folder) if isinstance(one, str) else one for one in images)


def _spellings(name: str, folder: str) -> tuple[str, ...] | str:
    if name.startswith(("http://", "https://", "data:")):
        return name
    parent, slash, file = name.rpartition("/")
    other = file.removeprefix(_COCO_PREFIX)
    if other == file and _COCO_NUMBER.fullmatch(file):
        other = _COCO_PREFIX + file
    name = name.removeprefix("./")
    spellings = (name, folder + name, folder + name.partition("/")[2], f"{parent}{slash}{other}", f"images/{name}")
    return tuple(dict.fromkeys(one for one in spellings if one and not one.endswith("/")))


_chat = partial(
    Converter,
    rows=rows,
    convert=convert,
    splits=("train", "val", "test", "*"),
    licence="that of the data",
    generic=True,
)

CONVERTERS = (
    _chat(name="llava", source="https://github.com/haotian-liu/LLaVA"),
    _chat(name="vlm_r1", source="https://github.com/om-ai-lab/VLM-R1"),
    _chat(name="ms_swift", source="https://github.com/modelscope/ms-swift"),
    _chat(name="llama_factory", source="https://github.com/hiyouga/LLaMA-Factory"),
    _chat(
        name="parquet",
        rows=partial(rows, parquet=True),
        splits=("train", "validation", "val", "test", "all", "*"),
        source="any parquet dataset",
    ),
)
