"""Model families against their own Hugging Face processors, and boxes there and back through each family's frame."""

import io
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mixed_r1_verl.core.boxes import FRAMES, Box, frame_scale, rescale
from mixed_r1_verl.core.families import (
    FAMILIES,
    ImageSizeError,
    UnknownFamilyError,
    fetched_size,
    get_family,
    smart_resize,
)
from mixed_r1_verl.rewards.kinds.iou import IoUConfig, iou_reward

QWEN = ("qwen2_vl", "qwen2_5_vl", "qwen3_vl")


def random_sizes(count: int = 1000, seed: int = 0) -> list[tuple[int, int]]:
    """Sizes from stamps to posters, with all aspect ratios that the processors take."""
    draw = random.Random(seed)
    sizes: list[tuple[int, int]] = []
    while len(sizes) < count:
        width, height = (int(2 ** draw.uniform(2, 13)) for _ in range(2))
        if max(width, height) <= 190 * min(width, height):
            sizes.append((width, height))
    return sizes


def qwen_processor(name: str, **limits: int) -> Any:
    """The class that transformers uses for the three Qwen families, with the values that the checkpoints ship."""
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import Qwen2VLImageProcessor

    shipped = {
        "qwen2_vl": {"patch_size": 14, "size": {"shortest_edge": 3136, "longest_edge": 12845056}},
        "qwen2_5_vl": {"patch_size": 14, "size": {"shortest_edge": 3136, "longest_edge": 12845056}},
        "qwen3_vl": {"patch_size": 16, "size": {"shortest_edge": 65536, "longest_edge": 16777216}},
    }[name]
    return Qwen2VLImageProcessor(merge_size=2, **shipped, **limits)


def internvl_processor(**limits: int) -> Any:
    from transformers.models.got_ocr2.image_processing_got_ocr2 import GotOcr2ImageProcessor

    return GotOcr2ImageProcessor(size={"height": 448, "width": 448}, crop_to_patches=True, **limits)


@pytest.mark.parametrize("name", QWEN)
@pytest.mark.parametrize("limits", [{}, {"min_pixels": 256 * 28 * 28, "max_pixels": 1280 * 28 * 28}], ids=str)
def test_qwen_sizes_are_those_of_the_processor(name: str, limits: dict[str, int]) -> None:
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize as reference

    family, processor = get_family(name).limited(**limits), qwen_processor(name, **limits)
    least, most = processor.size["shortest_edge"], processor.size["longest_edge"]
    for width, height in random_sizes():
        size = family.resized_size(width, height)
        assert size == reference(height, width, family.factor, least, most)[::-1], (width, height)
        patches = processor.get_number_of_image_patches(height, width, {})
        assert family.image_tokens(width, height) == patches // 4


@pytest.mark.parametrize("name", QWEN)
def test_qwen_grid_of_a_real_picture(name: str) -> None:
    """The whole processor, not only its resize function."""
    import torch

    family, processor = get_family(name), qwen_processor(name)
    for width, height in [(64, 64), (100, 75), (333, 517), (640, 480), (1000, 30)]:
        grid = processor(torch.zeros(3, height, width, dtype=torch.uint8), return_tensors="pt")["image_grid_thw"][0]
        size = family.resized_size(width, height)
        assert (int(grid[2]) * family.patch_size, int(grid[1]) * family.patch_size) == size
        assert int(grid.prod()) // family.merge_size**2 == family.image_tokens(width, height)


@pytest.mark.parametrize("tiles", [(1, 12), (1, 6), (2, 4), (1, 1)], ids=str)
def test_internvl_tiles_are_those_of_the_processor(tiles: tuple[int, int]) -> None:
    from transformers.models.got_ocr2.image_processing_got_ocr2 import get_optimal_tiled_canvas

    family = get_family("internvl").limited(tiles[0] * 448 * 448, tiles[1] * 448 * 448)
    processor = internvl_processor(min_patches=tiles[0], max_patches=tiles[1])
    for width, height in random_sizes():
        columns, rows = get_optimal_tiled_canvas((height, width), (448, 448), *tiles)
        assert family.resized_size(width, height) == (448 * columns, 448 * rows), (width, height)
        pictures = processor.get_number_of_image_patches(height, width, {})
        assert family.image_tokens(width, height) == 256 * pictures


def test_internvl_tiles_of_a_real_picture() -> None:
    import torch

    family, processor = get_family("internvl"), internvl_processor()
    for width, height in [(100, 75), (448, 448), (800, 600), (1000, 100), (1300, 1900)]:
        output = processor(torch.zeros(3, height, width, dtype=torch.uint8), return_tensors="pt")
        assert output["pixel_values"].shape[1:] == (3, 448, 448)
        assert family.image_tokens(width, height) == 256 * len(output["pixel_values"])


def test_internvl_default_is_up_to_twelve_tiles() -> None:
    family = get_family("internvl")
    assert max(family.image_tokens(width, height) for width, height in random_sizes()) == 256 * 13


@pytest.mark.parametrize("limits", [{}, {"min_pixels": 50176, "max_pixels": 200704}], ids=str)
@pytest.mark.parametrize("factor", [28, 32])
def test_fetched_size_is_that_of_qwen_vl_utils(factor: int, limits: dict[str, int]) -> None:
    from qwen_vl_utils.vision_process import smart_resize as reference

    for width, height in random_sizes():
        expected = reference(height, width, factor, **limits)[::-1]
        if min(expected) == 0:
            continue  # qwen_vl_utils makes an empty picture of a sliver, and stops
        assert fetched_size(width, height, factor, **limits) == expected, (width, height)


def test_tokens_in_verl_are_those_of_fetch_image_and_processor() -> None:
    import numpy as np
    from PIL import Image
    from qwen_vl_utils import fetch_image

    family, processor = get_family("qwen3_vl"), qwen_processor("qwen3_vl")
    for width, height in [(50, 60), (20, 300), (333, 517), (640, 480)]:
        picture = Image.fromarray(np.zeros((height, width, 3), dtype=np.uint8))
        fetched = fetch_image({"image": picture}, image_patch_size=family.patch_size)
        patches = processor.get_number_of_image_patches(fetched.height, fetched.width, {})
        assert family.verl_image_tokens(width, height) == patches // 4


@pytest.mark.parametrize("name", FAMILIES)
def test_check_and_plan_count_the_image_tokens_of_verls_own_dataset(name: str, tmp_path: Path) -> None:
    """verl fetches every family's pictures with qwen_vl_utils before the processor sees them, InternVL's too."""
    import pyarrow.parquet as pq
    from PIL import Image
    from sound_rows import sound
    from verl.utils.dataset.rl_dataset import RLHFDataset

    from mixed_r1_verl.data.check import check_files
    from mixed_r1_verl.data.schema import rows_to_table
    from mixed_r1_verl.data.tokens import TokenCounter
    from mixed_r1_verl.plan.data import read_data

    family = get_family(name)
    processor = internvl_processor() if name == "internvl" else qwen_processor(name)
    per_patch = 256 if name == "internvl" else 1 / family.merge_size**2
    rows, expected = [], []
    for number, size in enumerate([(500, 10), (50, 60), (640, 480), *random_sizes(40, seed=7)]):
        picture = Image.new("RGB", (min(size[0], 2000), min(size[1], 2000)))
        data = io.BytesIO()
        picture.save(data, "PNG")
        messages = [{"role": "user", "content": [{"type": "image", "image": picture}]}]
        (fetched,), _, _ = RLHFDataset._process_multi_modal_info(messages, family.patch_size, None)
        patches = processor.get_number_of_image_patches(fetched.height, fetched.width, {})
        expected.append(int(patches * per_patch))
        assert family.verl_image_tokens(*picture.size) == expected[-1], picture.size
        width, height = picture.size
        images = [{"bytes": data.getvalue(), "path": ""}]
        rows.append(sound(str(number), images=images, width=width, height=height))
    pq.write_table(rows_to_table(rows), tmp_path / "rows.parquet")
    planned = read_data(tmp_path / "rows.parquet", TokenCounter(family), 1024)
    assert planned.mean_image * len(rows) == pytest.approx(sum(expected))
    checked = check_files([tmp_path / "rows.parquet"], family=name).statistics["image tokens"]
    assert planned.image[-1] == checked[-1] == max(expected)
    assert planned.image[0] == pytest.approx(checked[0], abs=1)


# name, (width, height), resized, tokens: worked out by hand from each rule
BY_HAND = [
    ("qwen2_5_vl", (28, 28), (56, 56), 4),
    ("qwen2_5_vl", (56, 56), (56, 56), 4),
    ("qwen2_5_vl", (42, 70), (56, 56), 4),
    ("qwen2_5_vl", (640, 480), (644, 476), 391),
    ("qwen2_vl", (1920, 1080), (1932, 1092), 2691),
    ("qwen2_vl", (8000, 6000), (4116, 3080), 16170),
    ("qwen3_vl", (256, 256), (256, 256), 64),
    ("qwen3_vl", (64, 64), (256, 256), 64),
    ("qwen3_vl", (1920, 1080), (1920, 1088), 2040),
    ("internvl", (100, 100), (448, 448), 256),
    ("internvl", (1000, 500), (896, 448), 768),
    ("internvl", (2000, 1000), (1792, 896), 2304),
]


@pytest.mark.parametrize(("name", "size", "resized", "tokens"), BY_HAND, ids=str)
def test_sizes_by_hand(name: str, size: tuple[int, int], resized: tuple[int, int], tokens: int) -> None:
    assert get_family(name).resized_size(*size) == resized
    assert get_family(name).image_tokens(*size) == tokens


@pytest.mark.parametrize("size", [(1, 201), (4000, 19), (0, 10), (10, 0), (-5, 10)], ids=str)
def test_sizes_that_the_processor_refuses(size: tuple[int, int]) -> None:
    with pytest.raises(ImageSizeError, match=str(size[0])):
        get_family("qwen2_5_vl").resized_size(*size)


def test_smart_resize_rounds_halves_to_even() -> None:
    assert smart_resize(42, 70, 28, 1, 10**7) == (56, 56)  # 1.5 and 2.5 tokens


def processor_size(name: str, width: int, height: int) -> tuple[int, int]:
    """(width, height) of what the family's own processor makes of a picture, by its own code."""
    if name == "internvl":
        from transformers.models.got_ocr2.image_processing_got_ocr2 import get_optimal_tiled_canvas

        columns, rows = get_optimal_tiled_canvas((height, width), (448, 448), 1, 12)
        return 448 * columns, 448 * rows
    from transformers.models.qwen2_vl.image_processing_qwen2_vl import smart_resize as reference

    processor = qwen_processor(name)
    limits = processor.size["shortest_edge"], processor.size["longest_edge"]
    return reference(height, width, processor.patch_size * processor.merge_size, *limits)[::-1]


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("frame", ["own", *FRAMES])
def test_gold_box_goes_through_the_frame_and_back(name: str, frame: str) -> None:
    """A gold box, drawn into the frame after the processor's own resize and written down, keeps an IoU of 0.99."""
    family = get_family(name)
    frame = family.box_frame if frame == "own" else frame
    draw = random.Random(name + frame)
    for width, height in random_sizes():
        x1, y1 = draw.uniform(0, width * 0.5), draw.uniform(0, height * 0.5)
        gold = Box(x1, y1, draw.uniform(x1 + width * 0.2, width), draw.uniform(y1 + height * 0.2, height))
        full = {"pixel": (width, height), "norm1": (1, 1), "norm1000": (1000, 1000)}
        across, down = full.get(frame) or processor_size(name, width, height)
        box = rescale(gold, (across / width, down / height))
        digits = 6 if frame == "norm1" else 3
        answer = str([round(number, digits) for number in box[:4]])
        config = IoUConfig(family=name)
        verdict = iou_reward(answer, str([list(gold[:4])]), width=width, height=height, box_frame=frame, config=config)
        assert verdict.acc >= 0.99, (width, height, gold, answer)


@pytest.mark.parametrize("name", FAMILIES)
def test_whole_numbers_are_enough_for_boxes_of_some_size(name: str) -> None:
    """The families answer with whole numbers: boxes of at least 250 units of the frame keep an IoU of 0.99."""
    family = get_family(name)
    draw = random.Random(name)
    for width, height in random_sizes():
        scale = frame_scale(family.box_frame, width, height, family=name)
        full = (1000.0, 1000.0) if family.box_frame == "norm1000" else family.resized_size(width, height)
        if min(full) < 250:
            continue
        x1, y1 = draw.uniform(0, full[0] - 250), draw.uniform(0, full[1] - 250)
        box = Box(x1, y1, draw.uniform(x1 + 250, full[0]), draw.uniform(y1 + 250, full[1]))
        gold = rescale(box, scale)
        answer = str([round(number) for number in box[:4]])
        verdict = iou_reward(
            answer,
            str([list(gold[:4])]),
            width=width,
            height=height,
            box_frame=family.box_frame,
            config=IoUConfig(family=name),
        )
        assert verdict.acc >= 0.99, (width, height, gold, answer)


def test_qwen2_5_pixels_are_not_those_of_the_file() -> None:
    """The mistake that users report upstream: reading resized pixels as pixels of the file."""
    size = {"width": 4000, "height": 3000}
    limits = IoUConfig(family="qwen2_5_vl", max_pixels=1280 * 28 * 28)
    resized = get_family("qwen2_5_vl").limited(max_pixels=1280 * 28 * 28).resized_size(4000, 3000)
    assert resized == (1148, 840)
    answer, gold = "[0, 0, 574, 420]", "[[0, 0, 2000, 1500]]"
    assert iou_reward(answer, gold, box_frame="resized", config=limits, **size).acc == 1.0
    assert iou_reward(answer, gold, box_frame="pixel", config=limits, **size).acc < 0.1


@pytest.mark.parametrize(
    ("name", "frame"),
    [("qwen2_vl", "norm1000"), ("qwen2_5_vl", "resized"), ("qwen3_vl", "norm1000"), ("internvl", "norm1000")],
)
def test_box_frames(name: str, frame: str) -> None:
    assert get_family(name).box_frame == frame


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Qwen2.5-VL", "qwen2_5_vl"),
        ("qwen2_5_vl", "qwen2_5_vl"),
        ("Qwen25-VL", "qwen2_5_vl"),
        ("qwen3_vl_moe", "qwen3_vl"),
        ("InternVL3.5", "internvl"),
        ("internvl", "internvl"),
        (" Qwen2-VL ", "qwen2_vl"),
    ],
)
def test_names(name: str, key: str) -> None:
    assert get_family(name) is FAMILIES[key]


@pytest.mark.parametrize("name", ["", "llava", "qwen", "qwen2_5_omni"])
def test_unknown_names_say_what_is_known(name: str) -> None:
    with pytest.raises(UnknownFamilyError, match="known: qwen2_vl, qwen2_5_vl, qwen3_vl, internvl"):
        get_family(name)


def test_keys_are_hugging_face_model_types() -> None:
    from transformers import CONFIG_MAPPING

    assert all(name in CONFIG_MAPPING for name in FAMILIES)


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, mixed_r1_verl.core.families; sys.exit(bool({'torch', 'transformers', 'numpy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
