"""NLVR2: statements about two photographs, true or false.

Source: https://github.com/lil-lab/nlvr (folder `nlvr2`). Licence: annotations CC BY 4.0; the photographs are not
licensed and have to be asked for or downloaded by their URLs.

Raw layout (pictures may lie elsewhere: name that folder with `--image-root`):

    <input>/[nlvr2/][data/]{split}.json                  JSON lines, whatever the name says
    <input>/[images/]{split}/[<directory>/]<name>-img0.png and <name>-img1.png

Raw row:

    {"sentence": "One of the open laptops is actually a mirror.", "label": "False", "identifier": "dev-519-1-0",
     "left_url": "http://…", "right_url": "http://…", "synset": "laptop", …}

What each field becomes: `sentence` the question, `label` in lower case the ground truth of the matching reward,
`identifier` the id and, without its last number, the name of the left (`img0`) and right (`img1`) picture.
"""

from collections.abc import Iterator

from mixed_r1_verl.data import Converter, Example, RawFolder, Row
from mixed_r1_verl.data.fields import record, scalar_text, text_field

FOLDERS = {"train": "train", "dev": "dev", "test1": "test1", "test2": "test2", "balanced_dev": "dev"}


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    file = f"{split}.json"
    name = raw.first_of(f"nlvr2/data/{file}", f"data/{file}", file)
    for where, value in raw.json_lines(name):
        yield Row(where, {"record": value, "images": _pictures(raw, split, value)})


def convert(row: Row) -> Example:
    value = record(row.data["record"])
    identifier = text_field(value, "identifier")
    return Example(
        id=identifier,
        question=f"Is this true of the two pictures? {text_field(value, 'sentence')}",
        reward="matching",
        answer=text_field(value, "label").lower(),
        images=tuple(row.data["images"]),
    )


def _pictures(raw: RawFolder, split: str, value: object) -> list[str]:
    if not isinstance(value, dict) or not isinstance(value.get("identifier"), str):
        return []
    pair = value["identifier"].rpartition("-")[0]
    inner = f"{scalar_text(value, 'directory')}/" if isinstance(value.get("directory"), int | str) else ""
    folder = f"{FOLDERS[split]}/{inner}"
    return [
        raw.locate(f"images/{folder}{name}", f"{folder}{name}", name)
        for name in (f"{pair}-img0.png", f"{pair}-img1.png")
    ]


CONVERTERS = (
    Converter(
        "nlvr2",
        rows,
        convert,
        tuple(FOLDERS),
        "CC BY 4.0 (annotations)",
        "https://github.com/lil-lab/nlvr",
    ),
)
