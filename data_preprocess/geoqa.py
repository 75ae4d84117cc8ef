"""GeoQA: multiple-choice geometry problems of Chinese middle schools, with a diagram.

Source: https://github.com/chen-judge/GeoQA (`data.zip`). Licence: none stated. The layout and the row are taken from
public loaders of the set; no raw sample was at hand. The set also has pickles of its splits (`train.pk`, …), which are
not read: unpickling runs what a file tells it to.

Raw layout:

    <input>/[GeoQA3/]json/<id>.json
    <input>/[GeoQA3/]image/<id>.png

Raw row (one file a problem):

    {"id": "0", "subject": "如图,AB∥CD,…,则∠2的度数为()", "choices": ["40°", "50°", "60°", "70°"], "label": 2,
     "formal_point": [ … ], …}

What each field becomes: `subject` the question, `choices` the options, `label` (0-based) the letter. The file's name is
the id.
"""

from collections.abc import Iterator

from mixed_r1_verl.data import Converter, Example, RawFolder, Row
from mixed_r1_verl.data.fields import answer_letter, record, stem, text_field, text_list


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    yield from raw.json_files("GeoQA3/json/*.json", "json/*.json")


def convert(row: Row) -> Example:
    value = record(row.data)
    choices = text_list(value, "choices")
    return Example(
        id=stem(row.where),
        question=text_field(value, "subject"),
        reward="matching",
        answer=answer_letter(value, "label", choices),
        choices=choices,
        images=(f"{row.where.removesuffix(f'json/{stem(row.where)}.json')}image/{stem(row.where)}.png",),
        ability="math",
    )


CONVERTERS = (Converter("geoqa", rows, convert, ("all",), "none stated", "https://github.com/chen-judge/GeoQA"),)
