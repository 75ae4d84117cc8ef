"""LLaVA-Instruct's detailed descriptions and ShareGPT4V's captions: long texts written by models, in LLaVA's JSON.

Two converters share the form:

- `llava_detail`: https://huggingface.co/datasets/liuhaotian/LLaVA-Instruct-150K (`detail_23k.json`). Licence: CC
  BY 4.0, and the terms of GPT-4, which wrote the texts.
- `sharegpt4v`: https://sharegpt4v.github.io (`sharegpt4v_instruct_gpt4-vision_cap100k.json`). Licence: CC BY-NC 4.0,
  and the terms of GPT-4V.

The layout and the row are taken from the public descriptions; no raw sample was at hand, but the form is that of the
real samples of `llava`.

Raw layout (pictures lie elsewhere: name that folder with `--image-root`):

    <input>/**/*.json, lists of records; or one such file as --input
    <image root>/<image>

Raw row:

    {"id": "000000442786", "image": "coco/train2017/000000442786.jpg", "conversations": [
        {"from": "human", "value": "<image>\\nWhat do you see happening in this image?"},
        {"from": "gpt", "value": "In the picture, there is …"}]}

What each field becomes: the human's text the question, the model's the reference of the open-ended reward, however
short it is. The place in the file is the id, since pictures repeat. A model wrote the references: they hold errors.
"""

from dataclasses import replace
from functools import partial

from mixed_r1_verl.data_preprocess import generic

from mixed_r1_verl.data import Converter, Example, Row, references_json
from mixed_r1_verl.data.fields import one_line
from mixed_r1_verl.data.raw import Told


def convert(row: Row) -> Example:
    example = generic.convert(row, Told(reward="open_ended"))
    return replace(example, answer=references_json([one_line(example.answer)]), how="")


_captions = partial(Converter, rows=generic.rows, convert=convert, splits=("train",))

CONVERTERS = (
    _captions(
        name="llava_detail",
        licence="CC BY 4.0, terms of GPT-4",
        source="https://huggingface.co/datasets/liuhaotian/LLaVA-Instruct-150K",
    ),
    _captions(name="sharegpt4v", licence="CC BY-NC 4.0, terms of GPT-4V", source="https://sharegpt4v.github.io"),
)
