"""The tiny models load from their directories through the Auto classes and take pictures."""

import json
from pathlib import Path

import pytest
from PIL import Image

from examples.demo.scenes import make_scene
from examples.demo.tiny.__main__ import main
from mixed_r1_verl.data.prompt import build_prompt

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

CLASSES = {
    "qwen2_5_vl": ("Qwen2_5_VLForConditionalGeneration", "Qwen2_5_VLProcessor", "<|image_pad|>"),
    "qwen3_vl": ("Qwen3VLForConditionalGeneration", "Qwen3VLProcessor", "<|image_pad|>"),
    "internvl": ("InternVLForConditionalGeneration", "InternVLProcessor", "<IMG_CONTEXT>"),
}


@pytest.fixture(scope="module", params=sorted(CLASSES))
def family(request):
    return request.param


@pytest.fixture(scope="module")
def folder(family, tiny_models) -> Path:
    return tiny_models / family


@pytest.fixture(scope="module")
def processor(folder):
    return transformers.AutoProcessor.from_pretrained(folder)


@pytest.fixture(scope="module")
def model(folder):
    return transformers.AutoModelForImageTextToText.from_pretrained(folder).eval()


def inputs_for(processor, images):
    message = build_prompt("What is it?", "open_ended", n_images=len(images))[0]["content"]
    text = message.replace("<image>", "", len(images))
    content = [*({"type": "image"} for _ in images), {"type": "text", "text": text}]
    chat = processor.apply_chat_template(
        [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
    )
    return processor(text=[chat], images=images, return_tensors="pt")


def test_classes_and_size(family, model, processor):
    assert (type(model).__name__, type(processor).__name__) == CLASSES[family][:2]
    assert 2_000_000 < sum(p.numel() for p in model.parameters()) < 5_000_000
    assert model.get_input_embeddings().weight.data_ptr() == model.get_output_embeddings().weight.data_ptr()


@pytest.mark.parametrize(
    ("size", "tokens"),
    [
        ((112, 112), {"qwen2_5_vl": 16, "qwen3_vl": 16, "internvl": 16}),
        ((64, 64), {"qwen2_5_vl": 16, "qwen3_vl": 16, "internvl": 16}),
        ((224, 112), {"qwen2_5_vl": 32, "qwen3_vl": 28, "internvl": 3 * 16}),
        ((640, 480), {"qwen2_5_vl": 24, "qwen3_vl": 24, "internvl": 5 * 16}),
    ],
    ids=str,
)
def test_image_tokens_of_a_picture(family, model, processor, size, tokens):
    inputs = inputs_for(processor, [Image.new("RGB", size, "red")])
    assert int((inputs["input_ids"] == model.config.image_token_id).sum()) == tokens[family]
    with torch.no_grad():
        assert model(**inputs).logits.isfinite().all()


def test_two_pictures(model, processor):
    pictures = [make_scene("iou", seed).picture.render() for seed in (1, 2)]
    inputs = inputs_for(processor, pictures)
    assert int((inputs["input_ids"] == model.config.image_token_id).sum()) == 32
    with torch.no_grad():
        assert model(**inputs).logits.isfinite().all()


def test_the_picture_reaches_the_logits(model, processor):
    with torch.no_grad():
        red, blue = (model(**inputs_for(processor, [Image.new("RGB", (112, 112), c)])).logits for c in ("red", "blue"))
    assert not torch.equal(red[:, -1], blue[:, -1])


def test_special_tokens_are_whole_and_vanish_from_decoded_text(family, processor):
    tokenizer = processor.tokenizer
    text = f"<|im_start|>assistant\n{CLASSES[family][2]}<think>Two.</think><answer>[[14,28]]</answer><|im_end|>"
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode(ids, skip_special_tokens=True) == text[12 : text.index("\n") + 1] + (
        "<think>Two.</think><answer>[[14,28]]</answer>"
    )
    assert (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|endoftext|>")
    assert ids.count(tokenizer.convert_tokens_to_ids(CLASSES[family][2])) == 1


def test_digits_are_single_tokens_and_any_text_survives(processor):
    tokenizer = processor.tokenizer
    assert tokenizer.convert_ids_to_tokens(tokenizer("1998")["input_ids"]) == list("1998")
    strange = "Größe 数 🙂\t<b>"
    assert tokenizer.decode(tokenizer(strange)["input_ids"]) == strange


def test_generation_ends_at_either_end_token(folder, processor):
    config = json.loads((folder / "generation_config.json").read_text())
    names = processor.tokenizer.convert_ids_to_tokens(config["eos_token_id"])
    assert names == ["<|im_end|>", "<|endoftext|>"]


def test_the_same_seed_gives_the_same_files(family, folder, tmp_path):
    assert main([family, "--output", str(tmp_path), "--seed", "0"]) == 0
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()
    assert main([family, "--output", str(tmp_path), "--seed", "1"]) == 0
    assert (tmp_path / "model.safetensors").read_bytes() != (folder / "model.safetensors").read_bytes()


def test_an_unknown_family_is_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["llava", "--output", "x"])
    assert stop.value.code == 2 and "llava" in capsys.readouterr().err
