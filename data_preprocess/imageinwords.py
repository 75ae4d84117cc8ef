"""ImageInWords: long, dense human descriptions.

Source: https://github.com/google/imageinwords. Licence: CC BY 4.0; pictures come from Open Images, DOCCI and SA-1B.

Raw layout (pictures lie elsewhere: name their folder with `--image-root`):

    <input>/[datasets/]{IIW-400,DOCCI_Test,DCI_Test}/data.jsonl
    <image root>/<key>.jpg

Raw row:

    {"image/key": "aar_test_04608", "IIW": "In a very, very dark black and white medium shot, …", "IIW-P5B": "…",
     "objects": [ … ], …}

What each field becomes: `IIW`, written by people, is the reference of the open-ended reward; `IIW-P5B` is a model's and
may be wrong, `DOCCI` is shorter: neither is used. `image/key` (in DOCCI_Test and DCI_Test `image`) names the picture
and is the id.
"""

from collections.abc import Iterator

from mixed_r1_verl.data import Converter, Example, RawFolder, Row, RowError, references_json
from mixed_r1_verl.data.fields import one_line, record, stem, text_field

FOLDERS = {"iiw_400": "IIW-400", "docci_test": "DOCCI_Test", "dci_test": "DCI_Test"}
QUESTION = "Describe the picture in detail."


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    file = f"{FOLDERS[split]}/data.jsonl"
    for where, value in raw.json_lines(raw.first_of(f"datasets/{file}", file)):
        key = value.get("image/key", value.get("image")) if isinstance(value, dict) else None
        found = raw.locate(key if "." in key else f"{key}.jpg", f"{key}.png", key) if isinstance(key, str) else ""
        yield Row(where, {"record": value, "image": found})


def convert(row: Row) -> Example:
    value = record(row.data["record"])
    if not row.data["image"]:
        raise RowError("image/key", "missing")
    return Example(
        id=stem(row.data["image"]),
        question=QUESTION,
        reward="open_ended",
        answer=references_json([one_line(text_field(value, "IIW"))]),
        images=(row.data["image"],),
    )


CONVERTERS = (
    Converter("imageinwords", rows, convert, tuple(FOLDERS), "CC BY 4.0", "https://github.com/google/imageinwords"),
)
