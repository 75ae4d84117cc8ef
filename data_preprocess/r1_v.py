"""R1-V's JSON lines: counting (SuperCLEVR) and geometry (GeoQA) questions.

Source: https://github.com/Deep-Agent/R1-V (`src/eval/prompts`). Licence: none stated; pictures are SuperCLEVR's and
Geo170K's.

Raw layout (name the folder that holds the pictures with `--image-root`):

    <input>/**/*.jsonl; or one such file as --input

Raw row:

    {"image_path": "./Geo170K/images/test/1.png", "question": "As shown in the figure, AB parallel  CD, …",
     "ground_truth": "65°"}

What each field becomes: `question` the question; an integer `ground_truth` (counting) is matched exactly, a text one
(`65°`, `9米`, `\\frac{4}{3}`) is `math`. The place in the file is the id.
"""

from mixed_r1_verl.data_preprocess.lmm_r1 import rows

from mixed_r1_verl.data import Converter, Example, Row
from mixed_r1_verl.data.fields import one_line, place_id, record, scalar_text, text_field


def convert(row: Row) -> Example:
    value = record(row.data)
    return Example(
        id=place_id(row),
        question=one_line(text_field(value, "question")),
        reward="matching" if isinstance(value.get("ground_truth"), int) else "math",
        answer=scalar_text(value, "ground_truth"),
        images=(text_field(value, "image_path").removeprefix("./"),),
    )


CONVERTERS = (Converter("r1_v", rows, convert, ("test", "train"), "none stated", "https://github.com/Deep-Agent/R1-V"),)
