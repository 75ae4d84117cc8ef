"""NLVR: statements about drawn boxes with shapes, true or false.

Source: https://github.com/lil-lab/nlvr (folder `nlvr`). Licence: CC BY 4.0.

Raw layout:

    <input>/[nlvr/]{split}/{split}.json                                   JSON lines, whatever the name says
    <input>/[nlvr/]{split}/images/<directory>/{split}-<identifier>-{0..5}.png

Raw row:

    {"sentence": "there is exactly one tower with a blue block at the base", "label": "false",
     "identifier": "4029-2", "directory": "4", "evals": {…}, "structured_rep": …}

What each field becomes: `sentence` the question, `label` the ground truth of the matching reward, `identifier` the id.
The six pictures of a record show one scene in other orders; the first is taken, so that one scene never stands on both
sides of a split. `evals` are single judgments and `structured_rep` is the solution: neither is used.
"""

from collections.abc import Iterator

from mixed_r1_verl.data import Converter, Example, RawFolder, Row
from mixed_r1_verl.data.fields import record, scalar_text, text_field


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    name = raw.first_of(f"nlvr/{split}/{split}.json", f"{split}/{split}.json")
    folder = name.rpartition("/")[0]
    for where, value in raw.json_lines(name):
        yield Row(where, {"record": value, "folder": f"{folder}/images", "split": split})


def convert(row: Row) -> Example:
    value = record(row.data["record"])
    identifier, directory = text_field(value, "identifier"), scalar_text(value, "directory")
    return Example(
        id=identifier,
        question=f"Is this true of the picture? {text_field(value, 'sentence')}",
        reward="matching",
        answer=text_field(value, "label").lower(),
        images=(f"{row.data['folder']}/{directory}/{row.data['split']}-{identifier}-0.png",),
    )


CONVERTERS = (
    Converter("nlvr", rows, convert, ("train", "dev", "test"), "CC BY 4.0", "https://github.com/lil-lab/nlvr"),
)
