"""A Qwen2.5-VL of about two and a half million parameters, with its own tokenizer and processor.

The classes are the real ones (`Qwen2_5_VLForConditionalGeneration`, `Qwen2_5_VLProcessor`), so that a saved directory
is loaded by transformers, vLLM and verl exactly like `Qwen/Qwen2.5-VL-3B-Instruct`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from examples.demo.scenes import GRID, SIZE
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
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

SPECIAL_TOKENS = (*CHAT_TOKENS, *QWEN_VISION_TOKENS)
CHAT_TEMPLATE = chat_template(
    "<|vision_start|><|image_pad|><|vision_end|>", "<|vision_start|><|video_pad|><|vision_end|>"
)

PATCH = GRID
MERGE = 2
# 64×64 pictures (easy-VQA) are enlarged to 112×112, larger ones reduced to about twice that area.
MIN_PIXELS = SIZE * SIZE
MAX_PIXELS = 2 * SIZE * SIZE


def build_processor() -> "Qwen2_5_VLProcessor":
    """Tokenizer, image processor and video processor in one; a 112×112 picture is 16 image tokens."""
    from transformers import Qwen2_5_VLProcessor, Qwen2VLImageProcessor
    from transformers.models.qwen2_vl.video_processing_qwen2_vl import Qwen2VLVideoProcessor

    size = {"shortest_edge": MIN_PIXELS, "longest_edge": MAX_PIXELS}
    tokenizer = build_tokenizer(SPECIAL_TOKENS, CHAT_TEMPLATE)
    return Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=dict(size), patch_size=PATCH, merge_size=MERGE),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(size=dict(size), patch_size=PATCH, merge_size=MERGE),
        chat_template=CHAT_TEMPLATE,
    )


def build_config(processor: "Qwen2_5_VLProcessor") -> "Qwen2_5_VLConfig":
    """The configuration of the tiny model: text 4 layers of width 192, vision 3 layers of width 96."""
    from transformers import Qwen2_5_VLConfig

    depth = 3
    return Qwen2_5_VLConfig(
        architectures=["Qwen2_5_VLForConditionalGeneration"],
        text_config=text_config(
            processor,
            rope={"mrope_section": [4, 6, 6]},  # time, height and width add up to half a head
            initializer_range=0.06,  # near 1/sqrt(width); with 0.02 attention stays flat for hundreds of steps
        ),
        vision_config={
            "depth": depth,
            "hidden_size": 96,
            "intermediate_size": 256,
            "num_heads": 3,
            "out_hidden_size": 192,
            "patch_size": PATCH,
            "spatial_patch_size": PATCH,
            "spatial_merge_size": MERGE,
            "temporal_patch_size": 2,
            "window_size": SIZE,
            "fullatt_block_indexes": list(range(depth)),
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


def build_model(processor: "Qwen2_5_VLProcessor", *, seed: int = 0) -> "Qwen2_5_VLForConditionalGeneration":
    """A float32 model with random weights; the same seed gives the same weights."""
    from transformers import Qwen2_5_VLForConditionalGeneration

    return random_model(Qwen2_5_VLForConditionalGeneration, build_config(processor), processor, seed)


def build(output: Path, *, seed: int = 0) -> Path:
    """Writes a model with random weights and its processor into a directory, and returns the directory."""
    processor = build_processor()
    return save(output, build_model(processor, seed=seed), processor)
