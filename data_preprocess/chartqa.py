"""ChartQA: questions on charts, answered with a number, a label or a short list.

Source: https://github.com/vis-nlp/ChartQA (folder `ChartQA Dataset`); also the re-sorted test split of
https://github.com/RobustCQA/ChartQA-Split. Licence: GPL-3.0.

Raw layout, either of:

    <input>/[ChartQA Dataset/]{train,val,test}/{split}_human.json, {split}_augmented.json, png/<imgname>
    <input>/[dataset/]{simple,complex}/{split}_{human,augmented}_{simple,complex}.json, png/<imgname>

Raw row:

    {"imgname": "21908513006395.png", "query": "Which year(s) recorded the maximum use of condoms?",
     "label": "[2013, 2016]"}

What each field becomes: `query` the question, `label` the ground truth of the chart reward as it is published (lists
as `[2013, 2016]`, numbers without sign or unit), `imgname` the image. Human or augmented stands in the file name only
and becomes part of the id.

Quirks: most pictures are RGBA, nearly all opaque; the same picture has several questions and stands in several files; a
few queries hold U+FFFD in the source where a no-break space was, and get a space.
"""

from collections.abc import Iterator

from mixed_r1_verl.data import Converter, DataError, Example, RawFolder, Row
from mixed_r1_verl.data.fields import one_line, record, scalar_text, stem, text_field


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    names = [
        name
        for pattern in (f"**/{split}/{split}_*.json", f"**/simple/{split}_*.json", f"**/complex/{split}_*.json")
        for name in raw.glob(pattern)
    ]
    if not names:
        raise DataError(f"{raw.root} holds no {split}_human.json or the like; give the ChartQA folder with --input")
    for name in dict.fromkeys(names):
        folder = name.rpartition("/")[0]
        for where, value in raw.json_rows(name):
            yield Row(where, {"record": value, "folder": folder})


def convert(row: Row) -> Example:
    value = record(row.data["record"])
    question = one_line(text_field(value, "query").replace("\ufffd", " "))
    name, _, position = row.where.rpartition("#")
    kind = row.data["folder"].rpartition("/")[2]
    return Example(
        id=f"{kind + '/' if kind in ('simple', 'complex') else ''}{stem(name)}/{position}",
        question=question,
        reward="chart",
        answer=scalar_text(value, "label"),
        images=(f"{row.data['folder']}/png/{text_field(value, 'imgname')}",),
    )


CONVERTERS = (
    Converter("chartqa", rows, convert, ("train", "val", "test"), "GPL-3.0", "https://github.com/vis-nlp/ChartQA"),
)
