"""InternVL's processor through verl's own loader, and on a prompt that verl has stripped of its placeholders."""

import pickle
from pathlib import Path

import pytest
import torch
from PIL import Image
from verl.utils import hf_processor


@pytest.fixture(scope="module")
def processor(tiny_models: Path):
    return hf_processor(str(tiny_models / "internvl"))


def test_verl_loads_it(processor) -> None:
    assert type(processor).__name__ == "InternVLProcessor"
    assert not hasattr(processor, "get_rope_index")


def test_other_families_are_loaded_as_before(tiny_models: Path) -> None:
    qwen = hf_processor(str(tiny_models / "qwen2_5_vl"))
    assert type(qwen).__name__ == "Qwen2_5_VLProcessor" and hasattr(qwen, "get_rope_index")


def test_a_path_that_is_no_checkpoint_is_left_to_verl(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="Failed to create processor"):
        assert hf_processor(str(tmp_path)) is None


@pytest.mark.parametrize("size", [(112, 112), (400, 90), (90, 400)], ids=["square", "wide", "tall"])
@pytest.mark.parametrize("count", [1, 2])
def test_pixels_of_a_stripped_prompt_are_those_of_the_whole_one(processor, size: tuple[int, int], count: int) -> None:
    images = [Image.linear_gradient("L").resize(size).convert("RGB") for _ in range(count)]
    images[-1] = images[-1].rotate(90)
    whole = processor(text=[processor.image_token * count + "What is it?"], images=images, return_tensors="pt")
    stripped = processor(text=["What is it?"], images=images, return_tensors="pt")
    assert torch.equal(whole["pixel_values"], stripped["pixel_values"])
    # tiles and image tokens stay in step, also where a picture is cut into several tiles
    tokens = int((whole["input_ids"] == processor.image_token_id).sum())
    assert tokens == whole["pixel_values"].shape[0] * processor.image_seq_length


def test_it_goes_through_plain_pickle(processor) -> None:
    copied = pickle.loads(pickle.dumps(pickle.loads(pickle.dumps(processor))))
    picture = Image.linear_gradient("L").convert("RGB")
    ours, theirs = (one(text=["?"], images=[picture], return_tensors="pt") for one in (processor, copied))
    assert type(copied).__name__ == "InternVLProcessor" and copied.config.model_type == "internvl"
    assert torch.equal(ours["pixel_values"], theirs["pixel_values"])


def test_the_configuration_of_another_family_is_built_as_often_as_by_verl_alone(
    tiny_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoConfig

    built, load = [], AutoConfig.from_pretrained
    monkeypatch.setattr(AutoConfig, "from_pretrained", lambda *args, **kwargs: built.append(1) or load(*args, **kwargs))
    hf_processor.__wrapped__(str(tiny_models / "qwen3_vl"))
    alone = len(built)
    hf_processor(str(tiny_models / "qwen3_vl"))
    assert len(built) == 2 * alone
