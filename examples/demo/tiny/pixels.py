"""Pictures to model inputs for the warm start, without the image processor's work for each picture.

All pictures here are 112×112, so what the processor does is one normalisation and one permutation; a test holds the two
equal. Likewise every prompt begins with the same tokens and one picture, so positions follow from the length alone.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from examples.demo.scenes import SIZE
from examples.demo.tiny.qwen2_5_vl import MERGE, PATCH

if TYPE_CHECKING:
    from torch import Tensor

GRID = SIZE // PATCH  # 8 patches a side
CELLS = (GRID // MERGE) ** 2  # 16 image tokens
BEFORE_IMAGE = 4  # <|im_start|>, user, newline, <|vision_start|>


def to_patches(images: Sequence[Image.Image], mean: Sequence[float], std: Sequence[float]) -> "Tensor":
    """Normalised patches in Qwen2.5-VL's order.

    Args:
        images: n RGB pictures of 112×112.
        mean, std: of the image processor, by channel.

    Returns:
        float32 [n · 64, 1176]: patches row by row within merged cells, each 3 channels × 2 frames × 14 × 14.
    """
    import torch

    pixels = torch.from_numpy(np.stack([np.asarray(image, dtype=np.float32) for image in images])) / 255
    pixels = (pixels - torch.tensor(mean, dtype=torch.float32)) / torch.tensor(std, dtype=torch.float32)
    cells = GRID // MERGE
    pixels = pixels.reshape(len(images), cells, MERGE, PATCH, cells, MERGE, PATCH, 3)
    # n, cell row, cell column, patch row, patch column, channel, row, column
    patches = pixels.permute(0, 1, 4, 2, 5, 7, 3, 6).unsqueeze(6)
    # A still picture is given as two equal frames.
    return patches.expand(-1, -1, -1, -1, -1, -1, 2, -1, -1).reshape(len(images) * GRID * GRID, -1)


def positions(length: int) -> "Tensor":
    """Time, height and width positions of a sequence with one picture after four tokens: int64 [3, length]."""
    import torch

    side = GRID // MERGE
    cell = torch.arange(CELLS)
    result = torch.empty(3, length, dtype=torch.long)
    result[:, :BEFORE_IMAGE] = torch.arange(BEFORE_IMAGE)
    image = slice(BEFORE_IMAGE, BEFORE_IMAGE + CELLS)
    result[0, image] = BEFORE_IMAGE
    result[1, image] = BEFORE_IMAGE + cell // side
    result[2, image] = BEFORE_IMAGE + cell % side
    result[:, BEFORE_IMAGE + CELLS :] = torch.arange(length - BEFORE_IMAGE - CELLS) + BEFORE_IMAGE + side
    return result
