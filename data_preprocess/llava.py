"""LLaVA's JSON: `conversations` of a human and a model about a picture; also LLaVA-Bench's files.

Source: https://github.com/haotian-liu/LLaVA, and every dataset published in its form (LLaVA-Instruct, ShareGPT4V,
Qwen-VL fine-tuning data). Licence: that of the data; LLaVA-Bench: Apache-2.0, answers written by GPT-4.

Raw layout (pictures may lie elsewhere: name that folder with `--image-root`):

    <input>/**/*.json or *.jsonl, lists or lines of records; or one such file as --input

Raw rows:

    {"image": "demo/images/10095.png", "conversations": [
        {"from": "human", "value": "Is the value of Favorable 38 in 2015?\\n<image>"}, {"from": "gpt", "value": "Yes"}]}
    {"id": "000000525439", "image": "COCO_val2014_000000525439.jpg", "instruction": "What is the position of …?",
     "output": "The skateboard in the image is …", "type": "conv"}
    {"id": "000000473210", "image": "000000473210.jpg", "captions": ["two people …", …], "instances": [ … ]}

What each field becomes: the first question and answer (later ones lean on what was said before); the reward is the one
that fits the answer, see `mixed_r1_verl.data.chat.infer_reward`. Records with `captions` become a description row with
all captions as references. Records without an answer (LLaVA-Bench's questions) are rejected. A picture named
`COCO_val2014_000000525439.jpg` is also looked for as `000000525439.jpg`, and the other way round.
"""

import re
from collections.abc import Iterator

from mixed_r1_verl.data import Converter, Example, RawFolder, Row, RowError, references_json
from mixed_r1_verl.data.chat import example_of_turn, first_turn, image_names
from mixed_r1_verl.data.fields import one_line, place_id, record, text_list

COCO_PREFIX = "COCO_val2014_"
_COCO_NUMBER = re.compile(r"\d{12}\.jpg")


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    for name in raw.record_files():
        for where, value in raw.records(name):
            try:
                images = [_found(raw, image) for image in image_names(record(value))]
            except RowError as error:
                yield Row(where, error)
                continue
            yield Row(where, {"record": value, "images": images})


def convert(row: Row) -> Example:
    value, images = record(row.data["record"]), tuple(row.data["images"])
    identity = place_id(row)
    if "captions" in value:
        captions = [one_line(text) for text in text_list(value, "captions")]
        if not captions:
            raise RowError("captions", "missing")
        return Example(
            id=identity,
            question="Describe the picture in one sentence.",
            reward="open_ended",
            answer=references_json(captions),
            images=images,
        )
    if "text" in value and "conversations" not in value:
        raise RowError("answer", "missing", "the record is a question without an answer")
    return example_of_turn(identity, first_turn(value), images)


def _found(raw: RawFolder, image: str) -> str:
    folder, slash, file = image.rpartition("/")
    other = file.removeprefix(COCO_PREFIX) if file.startswith(COCO_PREFIX) else file
    if other == file and _COCO_NUMBER.fullmatch(file):
        other = COCO_PREFIX + file
    return raw.locate(image, f"{folder}{slash}{other}")


CONVERTERS = (
    Converter(
        "llava", rows, convert, ("train", "val", "test"), "that of the data", "https://github.com/haotian-liu/LLaVA"
    ),
)
