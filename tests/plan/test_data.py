"""Image tokens of a data file: what verl's own dataset makes of the same rows."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from examples.demo.data import build_demo
from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.data.schema import row_schema
from mixed_r1_verl.data.tokens import TokenCounter, processor_limits
from mixed_r1_verl.plan.data import read_data


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    build_demo(folder, rows=32, val_rows=8)
    return folder / "train.parquet"


def test_tokens_are_those_of_the_processor(demo: Path, warm_model: Path) -> None:
    """Every row through the processor that ships with the tiny model."""
    import io

    from PIL import Image
    from transformers import AutoProcessor

    processor = AutoProcessor.from_pretrained(warm_model)
    pad = processor.tokenizer.convert_tokens_to_ids("<|image_pad|>")
    images, prompts = [], []
    for row in pq.read_table(demo).to_pylist():
        content = [{"type": "image"}, {"type": "text", "text": row["prompt"][0]["content"].replace("<image>", "")}]
        chat = [{"role": "user", "content": content}]
        text = processor.apply_chat_template(chat, add_generation_prompt=True, tokenize=False)
        ids = processor(text=[text], images=[Image.open(io.BytesIO(row["images"][0]["bytes"]))])["input_ids"][0]
        images.append(sum(token == pad for token in ids))
        prompts.append(len(ids))
    assert processor_limits(warm_model)
    found = read_data(demo, TokenCounter.of("qwen2_5_vl", warm_model), 256)
    assert found.rows == 32 and found.counted
    assert found.image[2] == found.largest_picture == max(images)
    assert found.mean_image == pytest.approx(sum(images) / 32)
    assert max(prompts) <= found.prompt[2] <= max(prompts) + 40  # an allowance for the chat template


def test_text_is_estimated_without_a_tokenizer(demo: Path) -> None:
    found = read_data(demo, TokenCounter.of("qwen2_5_vl"), 100)
    assert not found.counted and 0 < found.too_long <= 32


def test_a_model_without_a_processor_has_no_limits(tmp_path: Path) -> None:
    assert processor_limits(tmp_path) == ()


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda file: file.write_bytes(b"PAR"), "rows.parquet"),
        (lambda file: pq.write_table(pa.table({"text": ["a"]}), file), "no column `prompt`"),
        (lambda file: pq.write_table(pa.Table.from_pylist([], row_schema("bytes")), file), "holds no rows"),
        (lambda file: pq.write_table(pa.table({"prompt": ["a question"]}), file), "row 0: prompt is not a list"),
        (
            lambda file: pq.write_table(
                pa.table(
                    {"prompt": [[{"role": "user", "content": "<image>"}]], "images": [[{"bytes": b"no picture"}]]}
                ),
                file,
            ),
            "row 0: picture 0",
        ),
    ],
)
def test_bad_files(write, message: str, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    file = tmp_path / "rows.parquet"
    write(file)
    with pytest.raises(DataError, match=message):
        read_data(file, TokenCounter.of("qwen2_5_vl"), 256)


def test_check_counts_with_the_limits_of_the_model_as_plan_does(tmp_path: Path, warm_model: Path) -> None:
    """Of the model's own processor, and of the picture's own cell."""
    from mixed_r1_verl.data.check import check_files

    model = tmp_path / "model"
    model.mkdir()
    (model / "tokenizer.json").write_bytes((warm_model / "tokenizer.json").read_bytes())
    size = {"shortest_edge": 56 * 56, "longest_edge": 112 * 112}
    (model / "preprocessor_config.json").write_text(json.dumps({"size": size}))
    build_demo(tmp_path, rows=8, val_rows=8)
    planned = read_data(tmp_path / "train.parquet", TokenCounter.of("qwen2_5_vl", model), 256)
    checked = check_files([tmp_path / "train.parquet"], tokenizer=model).statistics
    assert planned.largest_picture == checked["image tokens"][-1] <= 16
    assert planned.prompt[-1] == checked["prompt tokens"][-1]
    assert TokenCounter.of("qwen2_5_vl").picture((448, 448), {"max_pixels": 112 * 112}) == 16
