"""TabMWP: grade-school questions on tables; options (matching) and free answers (chart).

Source: https://github.com/lupantech/PromptPG (`data/tabmwp`). Licence: CC BY-NC-SA 4.0.

Raw layout:

    <input>/[data/tabmwp/]problems_{split}.json      split: train, dev, test, dev1k, test1k
    <input>/[data/tabmwp/]tables/<id>.png

Raw row (a value of one big object; its key is the id):

    "33": {"question": "The table shows a function. Is the function linear or nonlinear?",
           "choices": ["linear", "nonlinear"], "answer": "nonlinear", "unit": null, "table": "x | y\\n10 | 15 …",
           "ques_type": "multi_choice", "ans_type": "boolean_text", "split": "dev", …}

What each field becomes: with `choices` the row is a matching one whose ground truth is the letter of `answer`; without,
it is a chart one and `answer` the ground truth (`4,727`, `8.20`, `3/20`), with `unit` named after the question. The
picture is `tables/<id>.png`. `table` is the whole table as text and is not shown: the picture is to be read.
"""

from collections.abc import Iterator

from mixed_r1_verl.data import Converter, Example, RawFolder, Row
from mixed_r1_verl.data.fields import letter_of, question_with_unit, record, scalar_text, text_field, text_list


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    file = f"problems_{split}.json"
    name = raw.first_of(f"data/tabmwp/{file}", f"tabmwp/{file}", file)
    folder = name.removesuffix(file)
    for where, value in raw.json_rows(name):
        yield Row(where, {"record": value, "image": f"{folder}tables/{where.rpartition('#')[2]}.png"})


def convert(row: Row) -> Example:
    value = record(row.data["record"])
    answer, choices = scalar_text(value, "answer"), text_list(value, "choices")
    return Example(
        id=row.where.rpartition("#")[2],
        question=text_field(value, "question") if choices else question_with_unit(value),
        reward="matching" if choices else "chart",
        answer=letter_of(answer, choices) if choices else answer,
        choices=choices,
        images=(row.data["image"],),
    )


CONVERTERS = (
    Converter(
        "tabmwp",
        rows,
        convert,
        ("train", "dev", "test", "dev1k", "test1k"),
        "CC BY-NC-SA 4.0",
        "https://github.com/lupantech/PromptPG",
    ),
)
