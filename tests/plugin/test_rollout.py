"""Prompts without a trainer: those of verl's own dataset, whatever the row."""

import json
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from omegaconf import OmegaConf
from PIL import Image

from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.plugin.rollout import PromptBuilder, load_processors


def write_rows(path: Path) -> list[dict[str, Any]]:
    """Rows with no, one and two pictures."""
    rows = []
    for number, sizes in enumerate(([], [(64, 48)], [(300, 40), (50, 60)])):
        images = []
        for size in sizes:
            encoded = BytesIO()
            Image.new("RGB", size, (200, 30 * number, 0)).save(encoded, "PNG")
            images.append({"bytes": encoded.getvalue(), "path": "a.png"})
        prompt = [{"role": "user", "content": "<image>" * number + "\nIs it <red>?"}]
        rows.append({"prompt": prompt, "images": images, "extra_info": {"index": number}})
    pq.write_table(pa.Table.from_pylist(rows), path)
    return pq.read_table(path).to_pylist()


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl", "internvl"])
def test_prompts_are_those_of_verls_dataset(tmp_path: Path, tiny_models: Path, family: str) -> None:
    from verl.utils.dataset.rl_dataset import RLHFDataset

    records = write_rows(tmp_path / "rows.parquet")
    tokenizer, processor = load_processors(tiny_models / family)
    options = OmegaConf.create({"filter_overlong_prompts": False, "cache_dir": str(tmp_path / "cache")})
    dataset = RLHFDataset(str(tmp_path / "rows.parquet"), tokenizer, options, processor)
    build = PromptBuilder(tokenizer, processor)
    for number, record in enumerate(records):
        before = repr(record)
        prompt = build(record)
        assert repr(record) == before
        messages = dataset[number]["raw_prompt"]
        images, _, _ = dataset._process_multi_modal_info(messages, dataset.image_patch_size, dataset.config)
        assert prompt.text == processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=False)
        assert [image.tobytes() for image in prompt.images] == [image.tobytes() for image in images or []]
        assert len(prompt.images) == number


def test_a_row_whose_pictures_do_not_fit_its_markers_is_refused(tmp_path: Path, tiny_models: Path) -> None:
    record = write_rows(tmp_path / "rows.parquet")[1]
    build = PromptBuilder(*load_processors(tiny_models / "qwen2_5_vl"))
    with pytest.raises(AssertionError, match="image_offset"):
        build({**record, "images": record["images"] * 2})


@pytest.mark.timeout(60)
def test_a_model_that_says_to_have_layers_without_end_is_refused(tmp_path: Path) -> None:
    fields = {"model_type": "qwen2_5_vl", "text_config": {"num_hidden_layers": 2**62}}
    (tmp_path / "config.json").write_text(json.dumps(fields))
    with pytest.raises(DataError, match="num_hidden_layers of config"):
        load_processors(tmp_path)
