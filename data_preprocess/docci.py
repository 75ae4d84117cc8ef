"""DOCCI: long human descriptions of photographs.

Source: https://google.github.io/docci/. Licence: CC BY 4.0. The layout and the row are taken from the public
description; no raw sample was at hand.

Raw layout (pictures may lie elsewhere: name that folder with `--image-root`):

    <input>/docci_descriptions.jsonlines
    <input>/images/<image_file>

Raw row:

    {"split": "train", "example_id": "train_00000", "image_file": "train_00000.jpg", "description": "An angled view …"}

What each field becomes: `description` the reference of the open-ended reward, `image_file` the picture, `example_id`
the id; `split` says which rows `--split` takes.
"""

from collections.abc import Iterator

from mixed_r1_verl.data import Converter, Example, RawFolder, Row, references_json
from mixed_r1_verl.data.fields import one_line, record, text_field


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    for where, value in raw.json_lines("docci_descriptions.jsonlines"):
        if not isinstance(value, dict) or value.get("split") == split:
            file = value.get("image_file") if isinstance(value, dict) else ""
            yield Row(where, {"record": value, "image": raw.locate(f"images/{file}", str(file))})


def convert(row: Row) -> Example:
    value = record(row.data["record"])
    text_field(value, "image_file")
    return Example(
        id=text_field(value, "example_id"),
        question="Describe the picture in detail.",
        reward="open_ended",
        answer=references_json([one_line(text_field(value, "description"))]),
        images=(row.data["image"],),
    )


CONVERTERS = (
    Converter(
        "docci",
        rows,
        convert,
        ("train", "test", "qual_dev", "qual_test"),
        "CC BY 4.0",
        "https://google.github.io/docci/",
    ),
)
