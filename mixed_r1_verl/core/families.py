"""What the rewards, converters, checks and recipes must know of a model family: one entry a family.

The sizes are those of the family's own Hugging Face image processor (transformers 5.10) with the pixel limits that its
published checkpoints ship in `preprocessor_config.json`. Nothing here imports torch or transformers.

Box frames: Qwen2.5-VL answers in pixels of the *resized* image; Qwen2-VL, Qwen3-VL and InternVL answer in 0-1000.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

MAX_ASPECT_RATIO = 200  # Qwen's processors refuse a longer side of more than this many times the shorter one
LAYERS, MAX_LAYERS = ("num_hidden_layers", "depth"), 500
"""Fields of `config.json` that transformers counts to as it reads the file or builds the model: a file may say 2^62."""


class UnknownFamilyError(KeyError):
    """No model family of that name is known."""

    def __str__(self) -> str:
        return str(self.args[0])


class ImageSizeError(ValueError):
    """The family's processor refuses an image of this size."""


@dataclass(frozen=True)
class ModelFamily:
    """The image rules of one model family, and the frame of its boxes."""

    name: str  # key in `FAMILIES`, and the `model_type` of the family's Hugging Face configuration
    patch_size: int  # side of one vision patch in pixels
    min_pixels: int  # least area of the resized image; for a tiled family that of the least number of tiles
    max_pixels: int  # the same for the largest
    box_frame: str  # the frame in which the family answers with boxes, one of `mixed_r1_verl.core.boxes.FRAMES`
    merge_size: int = 2  # patches of a square of this side become one token of the language model
    tile_size: int | None = None  # side of a square tile in pixels, or None for a family that resizes instead of tiling

    @property
    def factor(self) -> int:
        """Pixels of the side of one language-model token; a resized side is a multiple of it."""
        return self.patch_size * self.merge_size

    def limited(self, min_pixels: int | None = None, max_pixels: int | None = None) -> "ModelFamily":
        """The same family with other least and largest areas; None leaves its own."""
        given = {"min_pixels": min_pixels, "max_pixels": max_pixels}
        return replace(self, **{name: area for name, area in given.items() if area is not None})  # type: ignore[arg-type]

    def resized_size(self, width: int, height: int) -> tuple[int, int]:
        """Size in pixels, (width, height), to which the family's processor resizes a picture of a width and height.

        For a tiled family this is the canvas of all tiles, without the thumbnail.

        Raises:
            ImageSizeError: if the processor itself would refuse the picture.

        >>> get_family("qwen3_vl").resized_size(100, 75)  # brought up to at least 65,536 pixels
        (320, 224)
        >>> get_family("internvl").resized_size(800, 600)
        (1792, 1344)
        """
        if width < 1 or height < 1:
            raise ImageSizeError(f"a picture of {width} x {height} pixels has no area")
        if self.tile_size is None:
            return smart_resize(width, height, self.factor, self.min_pixels, self.max_pixels)
        area = self.tile_size**2
        fewest, largest = math.ceil(self.min_pixels / area), max(1, self.max_pixels // area)
        columns, rows = tile_grid(width, height, self.tile_size, min(max(1, fewest), largest), largest)
        return columns * self.tile_size, rows * self.tile_size

    def image_tokens(self, width: int, height: int) -> int:
        """Image tokens of one picture in the prompt, a thumbnail included, without the two markers around them.

        >>> get_family("qwen2_vl").image_tokens(224, 224)
        64
        >>> get_family("internvl").image_tokens(800, 600)  # 4 x 3 tiles of 448 pixels and a thumbnail, 256 tokens each
        3328
        """
        columns, rows = self.resized_size(width, height)
        tokens = (columns // self.factor) * (rows // self.factor)
        tile = ((self.tile_size or 0) // self.factor) ** 2
        return tokens + tile if tokens > tile else tokens

    def verl_image_tokens(
        self, width: int, height: int, min_pixels: int | None = None, max_pixels: int | None = None
    ) -> int:
        """Image tokens of one picture in verl, which lets `qwen_vl_utils.fetch_image` resize it before the processor.

        Args:
            width, height: of the original picture in pixels.
            min_pixels, max_pixels: keys of the image's cell in the data file, if it has them.

        >>> get_family("qwen3_vl").verl_image_tokens(50, 60), get_family("qwen3_vl").image_tokens(50, 60)
        (64, 72)
        """
        return self.image_tokens(*fetched_size(width, height, self.factor, min_pixels, max_pixels))


def smart_resize(
    width: int, height: int, factor: int, min_pixels: int, max_pixels: int, *, least_side: int = 0
) -> tuple[int, int]:
    """Qwen's resize rule, as `transformers` 5.10 has it: (width, height) of the resized picture.

    Both sides become multiples of `factor`, the area is brought into [`min_pixels`, `max_pixels`], and the aspect ratio
    is kept as nearly as that allows. `round` is Python's, which rounds a half to the even neighbour; the processors
    rely on it.

    Args:
        width, height: of the picture in pixels.
        factor: pixels of the side of one image token.
        min_pixels, max_pixels: least and largest area.
        least_side: a side that rounds to less becomes this long before the area is looked at.

    Raises:
        ImageSizeError: if one side is more than 200 times the other.

    >>> smart_resize(4000, 3000, 28, 3136, 1003520)
    (1148, 840)
    """
    ratio = max(width, height) / min(width, height)
    if ratio > MAX_ASPECT_RATIO:
        raise ImageSizeError(
            f"a picture of {width} x {height} pixels is {ratio:.0f} times as long as wide; "
            f"the processor takes at most {MAX_ASPECT_RATIO}"
        )
    new_width, new_height = (max(least_side, round(side / factor) * factor) for side in (width, height))
    if new_width * new_height > max_pixels:
        shrink = math.sqrt((height * width) / max_pixels)
        new_width, new_height = (max(factor, math.floor(side / shrink / factor) * factor) for side in (width, height))
    elif new_width * new_height < min_pixels:
        grow = math.sqrt(min_pixels / (height * width))
        new_width, new_height = (math.ceil(side * grow / factor) * factor for side in (width, height))
    return new_width, new_height


def fetched_size(
    width: int, height: int, factor: int, min_pixels: int | None = None, max_pixels: int | None = None
) -> tuple[int, int]:
    """The resize of `qwen_vl_utils.fetch_image` 0.0.14, (width, height).

    The default limits are 4 and 16,384 tokens. It is `smart_resize` but for a side shorter than half a token, which it
    first lengthens to a whole one.

    >>> fetched_size(500, 10, 28), smart_resize(500, 10, 28, 3136, 12845056)
    ((504, 28), (420, 28))
    """
    least = 4 * factor**2 if min_pixels is None else min_pixels
    most = 16384 * factor**2 if max_pixels is None else max_pixels
    return smart_resize(width, height, factor, least, most, least_side=factor)


@lru_cache(maxsize=64)
def _grids(least: int, most: int) -> tuple[tuple[int, int], ...]:
    """All (columns, rows) of `least` to `most` tiles, fewest tiles first, narrow before wide."""
    grids = [(c, r) for c in range(1, most + 1) for r in range(1, most // c + 1) if c * r >= least]
    return tuple(sorted(grids, key=lambda grid: grid[0] * grid[1]))


def tile_grid(width: int, height: int, tile_size: int, least: int, most: int) -> tuple[int, int]:
    """InternVL's choice of tiles, (columns, rows): the grid whose aspect ratio is nearest to the picture's.

    Of grids that are equally near, the one with more tiles is taken while the picture has more than half of its area.

    >>> tile_grid(2000, 1000, 448, 1, 12), tile_grid(400, 200, 448, 1, 12)
    ((4, 2), (2, 1))
    """
    best, best_distance = (1, 1), math.inf
    for columns, rows in _grids(least, most):
        distance = abs(width / height - columns / rows)
        large = width * height > 0.5 * tile_size * tile_size * columns * rows
        if distance < best_distance or (distance == best_distance and large):
            best, best_distance = (columns, rows), distance
    return best


LANGUAGE_MODEL = ("model.language_model.", "lm_head.")
"""How names of the language model's parameters begin in transformers 5; the others are tower's and projector's."""

# verl does not know InternVL's processor and strips its placeholders: `mixed_r1_verl.plugin.internvl`.
FAMILIES: Mapping[str, ModelFamily] = {
    family.name: family
    for family in (
        ModelFamily("qwen2_vl", 14, 4 * 28 * 28, 16384 * 28 * 28, "norm1000"),
        ModelFamily("qwen2_5_vl", 14, 4 * 28 * 28, 16384 * 28 * 28, "resized"),
        ModelFamily("qwen3_vl", 16, 64 * 32 * 32, 16384 * 32 * 32, "norm1000"),
        ModelFamily("internvl", 14, 448 * 448, 12 * 448 * 448, "norm1000", tile_size=448),
    )
}

_ALIASES = {
    "qwen25_vl": "qwen2_5_vl",
    "qwen3_vl_moe": "qwen3_vl",
    "internvl3": "internvl",
    "internvl3_5": "internvl",
}


def get_family(name: str) -> ModelFamily:
    """The family of a name: a key of `FAMILIES`, a Hugging Face `model_type`, or the same with dots and dashes.

    Raises:
        UnknownFamilyError: naming the families that are known.

    >>> get_family("Qwen2.5-VL").name
    'qwen2_5_vl'
    >>> get_family("llava")
    Traceback (most recent call last):
    ...
    mixed_r1_verl.core.families.UnknownFamilyError: unknown model family 'llava'; known: qwen2_vl, qwen2_5_vl, ...
    """
    key = name.strip().lower().replace(".", "_").replace("-", "_")
    family = FAMILIES.get(_ALIASES.get(key, key))
    if family is None:
        raise UnknownFamilyError(f"unknown model family {name!r}; known: {', '.join(FAMILIES)}")
    return family
