"""Chart-to-text: charts of Statista with a summary, for the open-ended reward.

Source: https://github.com/vis-nlp/Chart-to-text (`statista_dataset/dataset`). Licence: GPL-3.0; the charts are
Statista's. The layout is taken from the repository's list of files and from public loaders; no raw sample was at hand.

Raw layout:

    <input>/[statista_dataset/dataset/]dataset_split/{split}_index_mapping.csv       split: train, val, test
    <input>/[statista_dataset/dataset/][multiColumn/]imgs/<n>.png and captions/<n>.txt

Raw row (a line of the list of a split, which names a caption in one of the two folders):

    two_col-15872.txt
    multi_col-4215.txt

What each part becomes: the caption, with the tokeniser's spaces taken out, is the reference; `two_col` lies in the
upper folder, `multi_col` in `multiColumn`. The line is the id. Lines of another form (a header) are passed over.
"""

import re
from collections.abc import Iterator

from mixed_r1_verl.data import Converter, DataError, Example, RawFolder, Row, RowError, references_json
from mixed_r1_verl.data.fields import detokenise, text_field

FOLDERS = {"two_col": "", "multi_col": "multiColumn/"}
_LINE = re.compile(r"\s*(two_col|multi_col)-(\d{1,9})\.txt\b")


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    file = f"dataset_split/{split}_index_mapping.csv"
    name = raw.first_of(f"statista_dataset/dataset/{file}", f"dataset/{file}", file)
    top = name.removesuffix(file)
    for number, line in raw.lines(name):
        found = _LINE.match(line)
        if not found:
            continue
        folder = f"{top}{FOLDERS[found[1]]}"
        try:
            caption = raw.text(f"{folder}captions/{found[2]}.txt")
        except DataError as error:
            yield Row(f"{name}:{number}", RowError("caption", "unreadable", str(error)[:200]))
            continue
        image = f"{folder}imgs/{found[2]}.png"
        yield Row(f"{name}:{number}", {"id": f"{found[1]}-{found[2]}", "caption": caption, "image": image})


def convert(row: Row) -> Example:
    return Example(
        id=row.data["id"],
        question="Summarise the chart in a few sentences.",
        reward="open_ended",
        answer=references_json([detokenise(text_field(row.data, "caption"))]),
        images=(row.data["image"],),
        ability="chart",
    )


CONVERTERS = (
    Converter(
        "chart_to_text",
        rows,
        convert,
        ("train", "val", "test"),
        "GPL-3.0",
        "https://github.com/vis-nlp/Chart-to-text",
    ),
)
