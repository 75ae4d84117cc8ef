"""M3CoT: multiple-choice questions that need several steps over picture and text.

Source: https://github.com/LightChen233/M3CoT. Licence: as stated there. The layout and the row are taken from the
public description; no raw sample was at hand.

Raw layout (the parquet files on the Hugging Face hub have the same fields; read these with the converter `parquet`):

    <input>/[data/]{split}.jsonl       split: train, dev, test
    <input>/[data/]images/<id>.png

Raw row:

    {"id": "physical-commonsense-1204", "question": "Which object …?", "choices": ["…", "…"], "context": "",
     "answer": "B", "rationale": "…", "domain": "commonsense", "topic": "physical-commonsense", "image_id": "…"}

What each field becomes: `choices` the options, `answer` is the letter; `context`, where there is one, stands before the
question; `rationale` explains the answer and is not shown. `id` is the id and names the picture, unless `image` or
`image_id` names another.
"""

from collections.abc import Iterator

from mixed_r1_verl.data import Converter, Example, RawFolder, Row
from mixed_r1_verl.data.fields import answer_letter, record, text_field, text_list


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    name = raw.first_of(f"data/{split}.jsonl", f"{split}.jsonl")
    folder = name.removesuffix(f"{split}.jsonl")
    for where, value in raw.json_lines(name):
        named = [value.get(key) for key in ("image", "image_id", "id")] if isinstance(value, dict) else []
        files = [f"images/{one.removeprefix('images/').removesuffix('.png')}.png" for one in named if _is_text(one)]
        spelt = [spelling for file in files for spelling in (f"{folder}{file}", file)]
        yield Row(where, {"record": value, "image": raw.locate(*spelt) if spelt else ""})


def convert(row: Row) -> Example:
    value = record(row.data["record"])
    choices = text_list(value, "choices")
    context = f"{text_field(value, 'context')}\n" if value.get("context") else ""
    return Example(
        id=text_field(value, "id"),
        question=context + text_field(value, "question"),
        reward="matching",
        answer=answer_letter(value, "answer", choices),
        choices=choices,
        images=(row.data["image"],),
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


CONVERTERS = (
    Converter(
        "m3cot",
        rows,
        convert,
        ("train", "dev", "test"),
        "as stated in the repository",
        "https://github.com/LightChen233/M3CoT",
    ),
)
