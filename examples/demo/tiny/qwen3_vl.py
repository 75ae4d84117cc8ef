"""A Qwen3-VL of about three million parameters, with its own tokenizer and processor.

The classes are the real ones (`Qwen3VLForConditionalGeneration`, `Qwen3VLProcessor`), as in
`Qwen/Qwen3-VL-4B-Instruct`: patches of 16 pixels, learned vision positions, interleaved rotary sections, normalised
queries and keys, and features of earlier vision layers added to the first language layers (deepstack).
"""

from pathlib import Path
from typing import TYPE_CHECKING

from examples.demo.tiny.build import (
    CHAT_TOKENS,
    QWEN_VISION_TOKENS,
    chat_template,
    random_model,
    save,
    text_config,
    token_ids,
)
from examples.demo.tiny.tokenizer import build_tokenizer

if TYPE_CHECKING:
    from transformers import Qwen3VLConfig, Qwen3VLForConditionalGeneration, Qwen3VLProcessor

SPECIAL_TOKENS = (*CHAT_TOKENS, *QWEN_VISION_TOKENS)
CHAT_TEMPLATE = chat_template(
    "<|vision_start|><|image_pad|><|vision_end|>", "<|vision_start|><|video_pad|><|vision_end|>"
)

PATCH = 16
MERGE = 2
SIDE = 128  # a 112×112 picture of the rendered scenes becomes 128×128: 16 image tokens
MIN_PIXELS = SIDE * SIDE
MAX_PIXELS = 2 * SIDE * SIDE


def build_processor() -> "Qwen3VLProcessor":
    """Tokenizer, image processor and video processor in one; a 112×112 picture is 16 image tokens."""
    from transformers import Qwen2VLImageProcessor, Qwen3VLProcessor, Qwen3VLVideoProcessor

    size = {"shortest_edge": MIN_PIXELS, "longest_edge": MAX_PIXELS}
    mean = std = [0.5, 0.5, 0.5]
    return Qwen3VLProcessor(
        image_processor=Qwen2VLImageProcessor(
            size=dict(size), patch_size=PATCH, merge_size=MERGE, image_mean=mean, image_std=std
        ),
        tokenizer=build_tokenizer(SPECIAL_TOKENS, CHAT_TEMPLATE),
        video_processor=Qwen3VLVideoProcessor(size=dict(size), patch_size=PATCH, merge_size=MERGE),
        chat_template=CHAT_TEMPLATE,
    )


def build_config(processor: "Qwen3VLProcessor") -> "Qwen3VLConfig":
    """The configuration of the tiny model: text 4 layers of width 192, vision 3 layers of width 96."""
    from transformers import Qwen3VLConfig

    return Qwen3VLConfig(
        architectures=["Qwen3VLForConditionalGeneration"],
        text_config=text_config(
            processor,
            # time, height and width take turns and add up to half a head
            rope={"mrope_section": [6, 5, 5], "mrope_interleaved": True},
            head_dim=32,
        ),
        vision_config={
            "depth": 3,
            "hidden_size": 96,
            "intermediate_size": 256,
            "num_heads": 3,
            "out_hidden_size": 192,
            "patch_size": PATCH,
            "spatial_merge_size": MERGE,
            "temporal_patch_size": 2,
            "num_position_embeddings": (SIDE // PATCH) ** 2,
            "deepstack_visual_indexes": [0, 1],
        },
        tie_word_embeddings=True,
        **token_ids(
            processor,
            image_token_id="<|image_pad|>",
            video_token_id="<|video_pad|>",
            vision_start_token_id="<|vision_start|>",
            vision_end_token_id="<|vision_end|>",
        ),
    )


def build_model(processor: "Qwen3VLProcessor", *, seed: int = 0) -> "Qwen3VLForConditionalGeneration":
    """A float32 model with random weights; the same seed gives the same weights."""
    from transformers import Qwen3VLForConditionalGeneration

    return random_model(Qwen3VLForConditionalGeneration, build_config(processor), processor, seed)


def build(output: Path, *, seed: int = 0) -> Path:
    """Writes a model with random weights and its processor into a directory, and returns the directory."""
    processor = build_processor()
    return save(output, build_model(processor, seed=seed), processor)
