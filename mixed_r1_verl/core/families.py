"""What the rewards, converters, checks and recipes must know of a model family: one entry a family.

The sizes are those of the family's own Hugging Face image processor (transformers 5.10) with the pixel limits that its
published checkpoints ship in `preprocessor_config.json`. Nothing here imports torch or transformers.

Box frames: Qwen2.5-VL answers in pixels of the *resized* image; Qwen2-VL, Qwen3-VL and InternVL answer in 0-1000.

Example:
    >>> qwen = get_family("qwen2_5_vl")
    >>> qwen.resized_size(640, 480)
    (644, 476)
    >>> qwen.image_tokens(640, 480)
    391
    >>> get_family("internvl").image_tokens(800, 600)  # 4 x 3 tiles of 448 pixels and a thumbnail, 256 tokens each
    3328
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType

MAX_ASPECT_RATIO = 200
"""Qwen's processors refuse a longer side of more than this many times the shorter one."""


class UnknownFamilyError(KeyError):
    """No model family of that name is known."""

    def __str__(self) -> str:
        return str(self.args[0])


class ImageSizeError(ValueError):
    """The family's processor refuses an image of this size."""


@dataclass(frozen=True)
class ModelFamily:
    """The image rules and text conventions of one model family.

    Attributes:
        name: key in `FAMILIES`, and the `model_type` of the family's Hugging Face configuration.
        patch_size: side of one vision patch in pixels.
        merge_size: patches of a square of this side become one token of the language model.
        min_pixels: least area of the resized image; for a tiled family the least number of tiles times a tile's area.
        max_pixels: largest area of the resized image; for a tiled family the largest number of tiles times a tile's
            area.
        tile_size: side of a square tile in pixels, or None for a family that resizes instead of tiling.
        box_frame: the frame in which the family answers with boxes, one of `mixed_r1_verl.core.boxes.FRAMES`.
        image_token: the text of one image token in the expanded prompt.
        image_start: marker before the image tokens of one picture.
        image_end: marker after them.
        end_tokens: special tokens that may stand at the end of a decoded response.
        box_tokens: the markers that the family writes around a box, and around the phrase that the box is for.
        default_system: the system message that the chat template adds to a prompt without one; None if it adds none.
        vision_modules: regular expression of the modules that LoRA leaves alone: the vision tower and what connects it,
            because vLLM takes adapters of the language model only.
    """

    name: str
    patch_size: int
    merge_size: int
    min_pixels: int
    max_pixels: int
    box_frame: str
    image_token: str
    image_start: str
    image_end: str
    end_tokens: tuple[str, ...]
    box_tokens: tuple[str, ...]
    vision_modules: str
    default_system: str | None = None
    tile_size: int | None = None

    @property
    def factor(self) -> int:
        """Pixels of the side of one language-model token; a resized side is a multiple of it."""
        return self.patch_size * self.merge_size

    def resized_size(
        self, width: int, height: int, min_pixels: int | None = None, max_pixels: int | None = None
    ) -> tuple[int, int]:
        """Size in pixels, (width, height), to which the family's processor resizes a picture.

        For a tiled family this is the canvas of all tiles, without the thumbnail.

        Args:
            width: width of the original picture in pixels.
            height: height of the original picture in pixels.
            min_pixels: least area instead of the family's default.
            max_pixels: largest area instead of the family's default.

        Raises:
            ImageSizeError: if the processor itself would refuse the picture.

        Example:
            >>> get_family("qwen3_vl").resized_size(100, 75)  # brought up to at least 65,536 pixels
            (320, 224)
            >>> get_family("internvl").resized_size(800, 600)
            (1792, 1344)
        """
        if width < 1 or height < 1:
            raise ImageSizeError(f"a picture of {width} x {height} pixels has no area")
        least = self.min_pixels if min_pixels is None else min_pixels
        most = self.max_pixels if max_pixels is None else max_pixels
        if self.tile_size is None:
            return smart_resize(width, height, self.factor, least, most)
        columns, rows = self._grid(width, height, least, most)
        return columns * self.tile_size, rows * self.tile_size

    def image_patches(
        self, width: int, height: int, min_pixels: int | None = None, max_pixels: int | None = None
    ) -> int:
        """Vision patches of one picture, the thumbnail of a tiled family included.

        Example:
            >>> get_family("qwen2_5_vl").image_patches(640, 480)
            1564
        """
        resized_width, resized_height = self.resized_size(width, height, min_pixels, max_pixels)
        patches = (resized_width // self.patch_size) * (resized_height // self.patch_size)
        if self.tile_size is not None:
            tile = (self.tile_size // self.patch_size) ** 2
            if patches > tile:
                patches += tile
        return patches

    def image_tokens(
        self, width: int, height: int, min_pixels: int | None = None, max_pixels: int | None = None
    ) -> int:
        """Image tokens of one picture in the prompt, without the two markers around them.

        Example:
            >>> get_family("qwen2_vl").image_tokens(224, 224)
            64
        """
        return self.image_patches(width, height, min_pixels, max_pixels) // self.merge_size**2

    def verl_image_tokens(
        self, width: int, height: int, min_pixels: int | None = None, max_pixels: int | None = None
    ) -> int:
        """Image tokens of one picture in verl, which lets `qwen_vl_utils.fetch_image` resize it before the processor.

        Args:
            width: width of the original picture in pixels.
            height: height of the original picture in pixels.
            min_pixels: the key `min_pixels` of the image's cell in the data file, if it has one.
            max_pixels: its key `max_pixels`, if it has one.

        Example:
            >>> get_family("qwen3_vl").verl_image_tokens(50, 60)
            64
            >>> get_family("qwen3_vl").image_tokens(50, 60)
            72
        """
        return self.image_tokens(*fetched_size(width, height, self.factor, min_pixels, max_pixels))

    def _grid(self, width: int, height: int, min_pixels: int, max_pixels: int) -> tuple[int, int]:
        assert self.tile_size is not None
        area = self.tile_size**2
        most = max(1, max_pixels // area)
        least = min(max(1, math.ceil(min_pixels / area)), most)
        return tile_grid(width, height, self.tile_size, least, most)


def smart_resize(
    width: int, height: int, factor: int, min_pixels: int, max_pixels: int, *, least_side: int = 0
) -> tuple[int, int]:
    """Qwen's resize rule, as `transformers` 5.10 has it: (width, height) of the resized picture.

    Both sides become multiples of `factor`, the area is brought into [`min_pixels`, `max_pixels`], and the aspect ratio
    is kept as nearly as that allows. `round` is Python's, which rounds a half to the even neighbour; the processors
    rely on it.

    Args:
        width: of the picture in pixels.
        height: of the picture in pixels.
        factor: pixels of the side of one image token.
        min_pixels: least area.
        max_pixels: largest area.
        least_side: a side that rounds to less becomes this long before the area is looked at.

    Raises:
        ImageSizeError: if one side is more than 200 times the other.

    Example:
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

    Example:
        >>> fetched_size(500, 10, 28)
        (504, 28)
        >>> smart_resize(500, 10, 28, 3136, 12845056)
        (420, 28)
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

    Example:
        >>> tile_grid(2000, 1000, 448, 1, 12)
        (4, 2)
        >>> tile_grid(400, 200, 448, 1, 12)
        (2, 1)
    """
    ratio = width / height
    area = width * height
    best = (1, 1)
    best_distance = math.inf
    for columns, rows in _grids(least, most):
        distance = abs(ratio - columns / rows)
        if distance < best_distance:
            best_distance, best = distance, (columns, rows)
        elif distance == best_distance and area > 0.5 * tile_size * tile_size * columns * rows:
            best = (columns, rows)
    return best


_END_TOKENS = ("<|im_end|>", "<|endoftext|>")

_QWEN2_VL = ModelFamily(
    name="qwen2_vl",
    patch_size=14,
    merge_size=2,
    min_pixels=4 * 28 * 28,
    max_pixels=16384 * 28 * 28,
    box_frame="norm1000",
    image_token="<|image_pad|>",
    image_start="<|vision_start|>",
    image_end="<|vision_end|>",
    end_tokens=_END_TOKENS,
    box_tokens=("<|object_ref_start|>", "<|object_ref_end|>", "<|box_start|>", "<|box_end|>"),
    vision_modules=".*visual.*",
    default_system="You are a helpful assistant.",
)
_QWEN2_5_VL = replace(_QWEN2_VL, name="qwen2_5_vl", box_frame="resized")
_QWEN3_VL = replace(
    _QWEN2_VL,
    name="qwen3_vl",
    patch_size=16,
    min_pixels=64 * 32 * 32,
    max_pixels=16384 * 32 * 32,
    default_system=None,
)
# verl does not know its processor and strips its placeholders: `mixed_r1_verl.plugin.internvl`.
_INTERNVL = ModelFamily(
    name="internvl",
    patch_size=14,
    merge_size=2,
    min_pixels=448 * 448,
    max_pixels=12 * 448 * 448,
    box_frame="norm1000",
    image_token="<IMG_CONTEXT>",
    image_start="<img>",
    image_end="</img>",
    end_tokens=_END_TOKENS,
    box_tokens=("<ref>", "</ref>", "<box>", "</box>"),
    vision_modules=".*(vision_tower|multi_modal_projector).*",
    tile_size=448,
)

FAMILIES: Mapping[str, ModelFamily] = MappingProxyType(
    {family.name: family for family in (_QWEN2_VL, _QWEN2_5_VL, _QWEN3_VL, _INTERNVL)}
)

_ALIASES: Mapping[str, str] = MappingProxyType(
    {
        "qwen25_vl": "qwen2_5_vl",
        "qwen3_vl_moe": "qwen3_vl",
        "internvl3": "internvl",
        "internvl3_5": "internvl",
    }
)


def get_family(name: str) -> ModelFamily:
    """The family of a name: a key of `FAMILIES`, a Hugging Face `model_type`, or the same with dots and dashes.

    Raises:
        UnknownFamilyError: naming the families that are known.

    Example:
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
