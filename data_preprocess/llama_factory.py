"""LLaMA-Factory's `messages` with `images`.

Source: https://github.com/hiyouga/LLaMA-Factory (`data/mllm_demo.json`, `v1_multimodal_demo.jsonl`). Licence:
Apache-2.0 for the demo data, else that of the data.

Raw layout:

    <input>/[data/]*.json or *.jsonl; or one such file as --input; pictures relative to the file or to the folder above

Raw rows:

    {"messages": [{"role": "user", "content": "<image>Who are they?"}, {"role": "assistant", "content": "They're …"},
                  {"role": "user", "content": "What are they doing?<image>"}, …],
     "images": ["mllm_demo_data/1.jpg", "mllm_demo_data/1.jpg"]}
    {"messages": [{"role": "user", "content": [{"type": "image_url", "value": "data/mllm_demo_data/1.jpg"},
                                               {"type": "text", "value": "Who are they?"}]}, …]}

What each field becomes: the first question and answer, with as many pictures as the first question has markers (all
pictures of the record where it has none). The reward is the one that fits the answer.
"""

from collections.abc import Iterator

from mixed_r1_verl.data import Converter, Example, RawFolder, Row, RowError
from mixed_r1_verl.data.chat import example_of_turn, first_turn
from mixed_r1_verl.data.fields import place_id, record
from mixed_r1_verl.data.prompt import IMAGE_MARKER


def rows(raw: RawFolder, split: str) -> Iterator[Row]:
    for name in raw.record_files():
        folder = f"{name.rpartition('/')[0]}/".lstrip("/")
        for where, value in raw.records(name):
            try:
                images = first_turn(record(value)).images[: _markers(value) or None]
            except RowError as error:
                yield Row(where, error)
                continue
            # Paths start at the file's folder, at the folder above it, or (typed parts) at the repository.
            found = [raw.locate(folder + image, image, folder + image.partition("/")[2]) for image in images]
            yield Row(where, {"record": value, "images": found})


def convert(row: Row) -> Example:
    turn = first_turn(record(row.data["record"]))
    return example_of_turn(place_id(row), turn, tuple(row.data["images"]))


def _markers(value: object) -> int:
    """Image markers in the first turn of the user."""
    messages = value.get("messages") if isinstance(value, dict) else None
    for message in messages if isinstance(messages, list) else []:
        if isinstance(message, dict) and message.get("role") == "user":
            content = message.get("content")
            return content.count(IMAGE_MARKER) if isinstance(content, str) else 0
    return 0


CONVERTERS = (
    Converter(
        "llama_factory",
        rows,
        convert,
        ("train", "val", "test"),
        "that of the data",
        "https://github.com/hiyouga/LLaMA-Factory",
    ),
)
