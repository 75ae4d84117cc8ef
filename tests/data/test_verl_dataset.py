"""Rows through verl's own dataset and a real processor, in both image forms and mixed from many sources."""

import io
import json

import pytest
from PIL import Image

from examples.demo.data import SCENES, build_demo
from mixed_r1_verl.data.convert import Options, convert_dataset
from mixed_r1_verl.data.raw import RawFolder
from mixed_r1_verl.data.registry import get_converter

torch = pytest.importorskip("torch")
rl_dataset = pytest.importorskip("verl.utils.dataset.rl_dataset")


@pytest.fixture(scope="module")
def processor():
    from examples.demo.tiny.qwen2_5_vl import build_processor

    return build_processor()


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A CLEVR folder with the pictures that make trouble: alpha, CMYK, EXIF rotation, palette."""
    folder = tmp_path_factory.mktemp("clevr")
    (folder / "images" / "train").mkdir(parents=True)
    (folder / "questions").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6
    base = Image.new("RGB", (224, 56), (250, 0, 0))
    base.convert("RGBA").save(folder / "images" / "train" / "0.png")
    base.convert("CMYK").save(folder / "images" / "train" / "1.jpg")
    base.save(folder / "images" / "train" / "2.jpg", exif=exif)
    base.convert("P").save(folder / "images" / "train" / "3.gif")
    base.convert("L").save(folder / "images" / "train" / "4.jpg")
    names = ["0.png", "1.jpg", "2.jpg", "3.gif", "4.jpg"]
    records = [
        {"question_index": i, "image_filename": name, "question": "Is <image> red?", "answer": "yes"}
        for i, name in enumerate(names)
    ]
    (folder / "questions" / "CLEVR_train_questions.json").write_text(json.dumps({"questions": records}))
    return folder


def load(paths, processor, cache, **config):
    from omegaconf import OmegaConf

    settings = {"max_prompt_length": 512, "filter_overlong_prompts": True, "filter_overlong_prompts_workers": None}
    return rl_dataset.RLHFDataset(
        data_files=[str(path) for path in paths],
        tokenizer=processor.tokenizer,
        config=OmegaConf.create(settings | {"cache_dir": str(cache)} | config),
        processor=processor,
    )


def tokens_of(dataset, processor, row) -> int:
    """Image tokens that the processor makes of a row, by verl's own way of handing pictures over."""
    images, _, _ = dataset._process_multi_modal_info(row["raw_prompt"], dataset.image_patch_size, dataset.config)
    text = processor.apply_chat_template(row["raw_prompt"], add_generation_prompt=True, tokenize=False)
    ids = processor(text=[text], images=images, return_tensors="pt")["input_ids"]
    assert all(image.mode == "RGB" for image in images)
    return int((ids == processor.image_token_id).sum())


@pytest.mark.parametrize("form", ["bytes", "path"])
def test_pictures_that_make_trouble(pictures, processor, tmp_path, monkeypatch, form):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "clevr.parquet"
    convert_dataset(get_converter("clevr"), RawFolder(pictures), path, Options(images=form))
    dataset = load([path], processor, tmp_path)
    assert len(dataset) == 5  # verl drops, with a warning only, every row that it cannot process
    for index in range(5):
        row = dataset[index]
        assert row["extra_info"]["index"] == index
        assert row["reward_model"] == {"style": "rule", "ground_truth": "yes"}
        kinds = [part["type"] for part in row["raw_prompt"][0]["content"]]
        assert kinds == ["image", "text"]
        assert "[image]" in row["raw_prompt"][0]["content"][1]["text"]
        assert tokens_of(dataset, processor, row) == 16
    images, _, _ = dataset._process_multi_modal_info(dataset[2]["raw_prompt"], 14, dataset.config)
    assert images[0].size == (56, 224)


def test_all_sources_concatenate(pictures, processor, tmp_path, monkeypatch):
    """One file has no choices at all, another no boxes, a third one several references: the types must not care."""
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    build_demo(tmp_path, rows=16, val_rows=8)
    paths = [tmp_path / "train.parquet"]
    for converter, split in ((get_converter("clevr"), "train"), (SCENES, "val")):
        paths.append(tmp_path / f"{converter.name}.parquet")
        convert_dataset(converter, RawFolder(pictures), paths[-1], Options(split=split, limit=12))
    dataset = load(paths, processor, tmp_path)
    assert len(dataset) == 16 + 5 + 12
    batch = rl_dataset.collate_fn([dataset[i] for i in range(len(dataset))])
    assert {info["reward"] for info in batch["extra_info"]} == {"matching", "chart", "iou", "open_ended"}
    for index in (0, 16, 21):
        assert tokens_of(dataset, processor, dataset[index]) == 16


def test_a_folder_of_shards_by_pattern(pictures, processor, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    convert_dataset(get_converter("clevr"), RawFolder(pictures), tmp_path / "out", Options(chunk_rows=2))
    assert len(load([tmp_path / "out" / "train-*.parquet"], processor, tmp_path)) == 5


def test_embedded_bytes_are_what_the_reward_was_told(pictures, tmp_path):
    import pyarrow.parquet as pq

    convert_dataset(get_converter("clevr"), RawFolder(pictures), tmp_path / "a.parquet", Options())
    for row in pq.read_table(tmp_path / "a.parquet").to_pylist():
        with Image.open(io.BytesIO(row["images"][0]["bytes"])) as image:
            assert image.size == (row["extra_info"]["width"], row["extra_info"]["height"])
