"""Image tokens of a data file: what verl's own dataset makes of the same rows."""

import dataclasses
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from examples.demo.data import build_demo
from mixed_r1_verl.core.families import get_family
from mixed_r1_verl.data.schema import row_schema
from mixed_r1_verl.plan import PlanError
from mixed_r1_verl.plan.data import processor_limits, read_data


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
    limits = processor_limits(warm_model)
    assert limits is not None
    family = dataclasses.replace(get_family("qwen2_5_vl"), min_pixels=limits[0], max_pixels=limits[1])
    found = read_data(demo, family, 256, warm_model)
    assert found.rows == 32 and found.counted
    assert found.image[2] == found.largest_picture == max(images)
    assert found.mean_image == pytest.approx(sum(images) / 32)
    assert max(prompts) <= found.prompt[2] <= max(prompts) + 40  # an allowance for the chat template


def test_text_is_estimated_without_a_tokenizer(demo: Path) -> None:
    found = read_data(demo, get_family("qwen2_5_vl"), 100)
    assert not found.counted and 0 < found.too_long <= 32


def test_a_model_without_a_processor_has_no_limits(tmp_path: Path) -> None:
    assert processor_limits(tmp_path) is None


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
    with pytest.raises(PlanError, match=message):
        read_data(file, get_family("qwen2_5_vl"), 256)
