"""Multi-chart QA: questions over two or three charts.

Source: https://github.com/Zivenzhu/Multi-chart-QA. Licence: none stated.

Raw layout:

    <input>/[data/]<group>/chart-path_and_question-answer_pair.json
    <input>/[data/]<group>/<picture>.png

Raw row:

    {"id": "group_182_question_0", "image": ["modified_local_full_qa\\\\<group>\\\\<picture>.png", …],
     "question": "The first chart is <image>. The second chart is <image>. Question:\\nWhat …?\\nNote that …\\nA. …",
     "answer": "B", "task": "Direct_Questions/Structure", "type": "multiple-choice", "context": null}

What each field becomes: the pictures by their base names (the Windows paths do not exist), all in front of the
question, whose last sentence (how to write the answer) goes; options at its end become the choices of a matching row,
everything else is a chart row with `answer` as it is published (`0; Cubic Rewards; 200`). `id` is the id.
"""

import re
from collections.abc import Iterator

from mixed_r1_verl.data import Converter, DataError, Example, RawFolder, Row, RowError
from mixed_r1_verl.data.fields import LETTERS, record, scalar_text, text_field, text_list
from mixed_r1_verl.data.options import split_choices

# Says how to write the answer, which the prompt template does; the form of compound answers (`a; b`) is kept.
_FORMAT_NOTE = re.compile(r"\s*Note that your answer format should be as follows: Answer: The_answer_you_get\s*\Z")

FILE = "chart-path_and_question-answer_pair.json"


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    names = raw.glob(f"**/{FILE}")
    if not names:
        raise DataError(f"{raw.root} holds no {FILE}")
    for name in names:
        folder = name.removesuffix(FILE)
        value = raw.json(name)
        found = value if isinstance(value, list) else [value]
        yield from (Row(f"{name}#{i}", {"record": member, "folder": folder}) for i, member in enumerate(found))


def convert(row: Row) -> Example:
    value = record(row.data["record"])
    images = text_list(value, "image")
    if not images:
        raise RowError("image", "missing")
    published, answer = _FORMAT_NOTE.sub("", text_field(value, "question")), scalar_text(value, "answer")
    question, choices = split_choices(published)
    if choices and not (len(answer) == 1 and answer in LETTERS[: len(choices)]):
        question, choices = published, ()
    return Example(
        id=text_field(value, "id"),
        question=question,
        reward="matching" if choices else "chart",
        answer=answer,
        choices=choices,
        images=tuple(row.data["folder"] + image.replace("\\", "/").rpartition("/")[2] for image in images),
    )


CONVERTERS = (
    Converter("multi_chart_qa", rows, convert, ("test",), "none stated", "https://github.com/Zivenzhu/Multi-chart-QA"),
)
