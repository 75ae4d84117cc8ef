"""AI2D: multiple-choice questions on diagrams of school science.

Source: https://prior.allenai.org/projects/diagram-understanding (`ai2d-all.zip`, `ai2d_test_ids.csv`). Licence: CC
BY-SA 4.0, as its authors state it. The layout and the row are taken from the public description; no raw sample was at
hand.

Raw layout:

    <input>/[ai2d/]questions/<n>.png.json
    <input>/[ai2d/]images/<n>.png and abcImages/<n>.png
    <input>/[ai2d/]ai2d_test_ids.csv       one number a line; needed for --split train and test, not for all

Raw row (a member of the object `questions` of a picture's file; its key is the question):

    {"imageName": "0.png", "questions": {"what is shown at A?": {"abcLabel": true, "correctAnswer": 1,
     "answerTexts": ["face", "liver", "lungs", "heart"], "questionId": "0.png-0"}}}

What each field becomes: the key is the question, `answerTexts` the options, `correctAnswer` (0-based) the letter,
`questionId` the id. Where `abcLabel` is true the question speaks of letters that are drawn only in `abcImages`.
"""

from collections.abc import Iterator

from mixed_r1_verl.data import Converter, DataError, Example, RawFolder, Row, RowError
from mixed_r1_verl.data.fields import answer_letter, record, scalar_text, text_field, text_list


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    folder = "ai2d/" if raw.has("ai2d/questions") else ""
    names = raw.glob(f"{folder}questions/*.json")
    if not names:
        raise DataError(f"{raw.root} holds no questions/*.json")
    test = set() if split == "all" else set(raw.text(f"{folder}ai2d_test_ids.csv").split())
    for name in names:
        number = name.rpartition("/")[2].partition(".")[0]
        if split != "all" and (number in test) != (split == "test"):
            continue
        try:
            value = record(raw.json(name))
            questions = record(value.get("questions"))
        except (DataError, RowError) as error:
            yield Row(name, RowError("record", "bad_json", str(error)[:200]))
            continue
        for question, found in questions.items():
            data = {"folder": folder, "image": value.get("imageName"), "question": question, "record": found}
            yield Row(f"{name}#{question}", data)


def convert(row: Row) -> Example:
    value = record(row.data["record"])
    pictures = "abcImages" if value.get("abcLabel") else "images"
    choices = text_list(value, "answerTexts")
    return Example(
        id=scalar_text(value, "questionId"),
        question=text_field(row.data, "question"),
        reward="matching",
        answer=answer_letter(value, "correctAnswer", choices),
        choices=choices,
        images=(f"{row.data['folder']}{pictures}/{text_field(row.data, 'image')}",),
    )


CONVERTERS = (
    Converter(
        "ai2d",
        rows,
        convert,
        ("train", "test", "all"),
        "CC BY-SA 4.0",
        "https://prior.allenai.org/projects/diagram-understanding",
    ),
)
