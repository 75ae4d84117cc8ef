"""Tokens of a prompt and of its pictures, as verl's dataset and the model's own processor make them."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mixed_r1_verl.core.families import ModelFamily, get_family
from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.data.prompt import IMAGE_MARKER

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TEMPLATE_TOKENS = 32
"""Role names, turn ends and the like that a chat template adds to a one-turn prompt, with a default system message."""

ENGLISH_CHARS_PER_TOKEN = 3.0
"""Characters of English text in one token, on the low side; used where the model's tokenizer is not at hand."""


@dataclass(frozen=True)
class TokenCounter:
    """Counts tokens for one model."""

    family: ModelFamily  # the model's, with the pixel limits of its own processor
    tokenizer: "Tokenizer | None" = None  # the model's; None: text is estimated

    @classmethod
    def of(cls, family: str, model: Path | None = None) -> "TokenCounter":
        """For a family by name; with a model directory, its processor's limits and its `tokenizer.json` are taken.

        Args:
            family: as `get_family` takes it.
            model: the directory, or a tokenizer's file, whatever its name.

        Raises:
            UnknownFamilyError: no such family.
            DataError: there is a tokenizer, but it cannot be read.
        """
        if model is None:
            return cls(get_family(family))
        folder, file = (model.parent, model) if model.is_file() else (model, model / "tokenizer.json")
        limited = get_family(family).limited(*processor_limits(folder))
        if not file.is_file():
            return cls(limited)
        from tokenizers import Tokenizer

        try:
            return cls(limited, Tokenizer.from_file(str(file)))
        except Exception as error:  # the Rust side raises plain Exception
            raise DataError(f"{file} is not a tokenizer: {error}") from None

    def picture(self, size: tuple[int, int], cell: Any = None) -> int:
        """Image tokens of a picture of (width, height) pixels, whose cell may bring pixel limits of its own.

        Raises:
            ImageSizeError: the processor refuses it.
            TypeError: a limit that is no number.

        >>> TokenCounter.of("qwen2_5_vl").picture((640, 480)), TokenCounter.of("qwen2_5_vl").picture((28, 28))
        (391, 4)
        """
        own = cell if isinstance(cell, Mapping) else {}
        limits = {name: own[name] for name in ("min_pixels", "max_pixels") if own.get(name)}
        return self.family.verl_image_tokens(*size, **limits)

    def prompt(self, text: str, pictures: Sequence[int]) -> int:
        """Tokens of a whole prompt: its text, the image tokens of its pictures, their markers and the chat template.

        >>> TokenCounter.of("qwen2_5_vl").prompt("<image>What is it?", [391])
        429
        """
        text = text.replace(IMAGE_MARKER, "")
        if self.tokenizer is None:
            words = math.ceil(len(text) / ENGLISH_CHARS_PER_TOKEN)
        else:
            words = len(self.tokenizer.encode(text, add_special_tokens=False).ids)
        return words + sum(pictures) + 2 * len(pictures) + TEMPLATE_TOKENS


def processor_limits(folder: Path) -> tuple[int, int] | tuple[()]:
    """The least and the largest area in pixels that a model directory's own processor sets.

    Empty where the directory holds no processor file, or that of a tiled family.
    """
    for name in ("processor_config.json", "preprocessor_config.json"):
        try:
            found = json.loads((folder / name).read_text(encoding="utf-8"))
            size = (found.get("image_processor") or found).get("size") or {}
            return int(size["shortest_edge"]), int(size["longest_edge"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return ()
