"""easy-VQA: questions on one coloured shape, answered with yes/no, a colour or a form."""

import importlib.util
from pathlib import Path

from mixed_r1_verl.data_preprocess.records import Records


def installed_data() -> Path | None:
    """The data folder of the installed package, found without importing it; None where it is not installed."""
    spec = importlib.util.find_spec("easy_vqa")
    folder = Path(spec.origin).parent / "data" if spec and spec.origin else None
    return folder if folder and folder.is_dir() else None


_RECORDS = Records(
    about="easy-VQA: questions on one coloured shape, answered with yes/no, a colour or a form.",
    row='["what shape does the image contain?", "triangle", 455]',
    splits=("train", "test"),
    licence="MIT",
    source="https://pypi.org/project/easy-vqa/",
    files=("{SPLIT}/questions.json", "data/{SPLIT}/questions.json", "easy_vqa/data/{SPLIT}/questions.json"),
    notes="The data are the folder `easy_vqa/data` of the package `easy-vqa`; `--input` may be left out where it is"
    " installed. A question has no id of its own; its position in the file is the id.",
    quirks="image ids start at 0 in train and in test and mean other pictures there; about three of four answers are"
    " yes or no; pictures are 64x64 pixels.",
    names=("question", "answer", "image_id"),
    pictures=(("{FOLDER}images/{image_id}.png",),),
)
rows, convert = _RECORDS.rows, _RECORDS.convert
EASY_VQA = _RECORDS.converter("easy_vqa", __name__, default_input=installed_data)
CONVERTERS = (EASY_VQA,)
