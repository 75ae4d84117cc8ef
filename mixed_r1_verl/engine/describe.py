"""Stage describe: the small columns of each converted row, pictures boiled down to hashes.

The perceptual hash is the 64-bit DCT hash of the package imagehash. It reads luminance only, so each picture's mean
colour is kept beside it: drawn scenes that differ in colour alone are different pictures.
"""

import hashlib
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import imagehash
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

from mixed_r1_verl.data.images import opened
from mixed_r1_verl.data.truth import reward_with
from mixed_r1_verl.engine.cluster import Cluster, Item
from mixed_r1_verl.engine.convert import ConvertedSource
from mixed_r1_verl.engine.rows import PAIRS, ROWS, write_rows
from mixed_r1_verl.engine.store import Store, reward_key
from mixed_r1_verl.rewards.mixed import MixedReward

HASH_SIDE = 256
_NOT_WORDS = re.compile(r"[\W_]+")
# A question or an option that speaks of other options by place would be wrong once they have moved.
_SPEAKS_OF_PLACES = re.compile(
    r"\b(all|none|both|neither|either|any) of\b|\b(above|below|former|latter|preceding|following)\b"
    r"|\b(options?|choices?|answers?) \(?[A-Z1-9]\b|\([A-H]\)|\b[A-H] (and|or|&) [A-H]\b",
    re.IGNORECASE,
)


def describe_sources(
    sources: Sequence[ConvertedSource], settings: Mapping[str, Any], store: Store, cluster: Cluster
) -> list[Path]:
    """Files with the rows of all sources, in the order of sources and of the rows in them.

    `settings` are those of the reward, see `BuildConfig.reward`.
    """
    reward = reward_key(settings)
    items: list[Item] = []
    for source in sources:
        name, group = source.config.name, source.config.group
        for number, file in enumerate(source.files):
            key = {"content": source.content_hash, "file": number, "group": group, "reward": reward}
            chunk = store.path(f"describe/{name}", __name__, key, ".parquet")
            place = {"source": name, "file": number}
            items.append({"converted": file, "path": chunk, "place": place, "group": group, "settings": settings})
    cluster.run(_describe_file, items)
    return [item["path"] for item in items]


def _describe_file(converted: Path, path: Path, place: dict[str, Any], group: str, settings: Mapping[str, Any]) -> None:
    """Runs in a Ray worker."""
    reward = reward_with(settings)
    rows: list[dict[str, Any]] = []
    with pq.ParquetFile(converted) as file:
        for number in range(file.num_row_groups):
            for row, record in enumerate(file.read_row_group(number).to_pylist()):
                rows.append({**place, "row_group": number, "row": row, **describe_row(record, reward, group)})
    write_rows(path, pa.Table.from_pylist(rows, schema=ROWS))


def describe_row(row: Mapping[str, Any], reward: MixedReward, group: str = "") -> dict[str, Any]:
    """The columns of one row of `data.schema.row_schema`, without its place; `group` as in `SourceConfig`."""
    extra, truth = row["extra_info"], row["reward_model"]["ground_truth"]
    pictures = [cell["bytes"] for cell in row["images"] or []]
    looks = [describe_picture(data) for data in pictures]
    answer = answer_class(reward, truth, extra)
    found = re.search(group, extra["id"]) if group else None
    return {
        "id": extra["id"],
        "reward": extra["reward"],
        "answer": answer,
        "choices": len(extra["choices"]),
        "movable": len(answer) == 1 and may_move(extra["question"], extra["choices"]),
        "question": hash_question(extra["question"]),
        "truth": hash64(truth.strip().casefold().encode()),
        "pictures": [hash64(data) for data in pictures],
        "phash": [phash for phash, _ in looks],
        "colour": [colour for _, colour in looks],
        "bytes": sum(len(data) for data in pictures),
        "group": found[found.re.groups and 1] if found else None,
    }


def describe_picture(data: bytes) -> tuple[int, int]:
    """Perceptual hash and mean colour of an encoded picture.

    >>> import io; buffer = io.BytesIO()
    >>> Image.new("RGB", (32, 32), (255, 0, 128)).save(buffer, "PNG")
    >>> hex(describe_picture(buffer.getvalue())[1])
    '0xff0080'
    """
    with opened(data) as image:
        image.draft("RGB", (HASH_SIDE, HASH_SIDE))
        picture = image.convert("RGB")
    picture.thumbnail((HASH_SIDE, HASH_SIDE), Image.Resampling.BOX)
    red, green, blue = (round(float(value)) for value in np.asarray(picture).mean(axis=(0, 1)))
    return int(str(imagehash.phash(picture)), 16), red << 16 | green << 8 | blue


def hash_question(question: str) -> int:
    """Hash of a question without case, punctuation, accents of writing and spacing.

    >>> hash_question("What  is it?") == hash_question("what is IT")
    True
    """
    text = _NOT_WORDS.sub(" ", unicodedata.normalize("NFKC", question).casefold()).strip()
    return hash64(text.encode(errors="backslashreplace"))


def hash64(data: bytes) -> int:
    """A 64-bit hash: two of a million different values agree with a probability of 3 in 100 million."""
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


def answer_class(reward: MixedReward, truth: str, extra: Mapping[str, Any]) -> str:
    """The answer where few are possible: a letter, yes, no, true or false; empty for all else.

    >>> [answer_class(MixedReward(), truth, {"reward": kind, "choices": choices}) for kind, truth, choices in
    ...  (("matching", "Yes", []), ("matching", "B", ["x", "y"]), ("chart", "B", []), ("open_ended", "yes", []))]
    ['yes', 'B', '', '']
    """
    text, choices = truth.strip(), extra["choices"]
    if choices and len(text) == 1 and 0 <= ord(text.upper()) - ord("A") < len(choices):
        return text.upper()
    # A question is closed where the kind's prompt names both answers.
    answer = text.casefold()
    named = _NOT_WORDS.split(reward.kinds[extra["reward"]].instruct(truth, choices)) if answer in PAIRS else ()
    return answer if named and set(PAIRS[answer]) <= set(named) else ""


def may_move(question: str, choices: list[str]) -> bool:
    """Whether options may change places without the question changing its meaning.

    >>> may_move("What is it?", ["cat", "dog"]), may_move("What is it?", ["cat", "none of the above"])
    (True, False)
    >>> may_move("Which angle is right?", ["A", "B"])  # the options are drawn in the picture
    False
    """
    texts = [choice.strip() for choice in choices]
    if any(len(text) <= 1 and not text.isdigit() for text in texts) or len(set(texts)) < len(texts):
        return False
    return not any(_SPEAKS_OF_PLACES.search(text[:2000]) for text in (question, *texts))
