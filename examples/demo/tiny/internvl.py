"""An InternVL in Hugging Face format of about two and a half million parameters.

The classes are the real ones (`InternVLForConditionalGeneration`, `InternVLProcessor`), as in
`OpenGVLab/InternVL3-1B-hf`: a Qwen2 language model behind an InternVL vision tower.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from examples.demo.scenes import SIZE
from examples.demo.tiny.build import CHAT_TOKENS, chat_template, random_model, save, text_config, token_ids
from examples.demo.tiny.tokenizer import build_tokenizer

if TYPE_CHECKING:
    from transformers import InternVLConfig, InternVLForConditionalGeneration, InternVLProcessor

SPECIAL_TOKENS = (*CHAT_TOKENS, "<img>", "</img>", "<IMG_CONTEXT>", "<video>")
CHAT_TEMPLATE = chat_template("<IMG_CONTEXT>\n", "<video>\n")

PATCH = 14
# (112 / 14)² patches, four of which become one token.
IMAGE_TOKENS = (SIZE // PATCH) ** 2 // 4
MAX_TILES = 4


def build_processor() -> "InternVLProcessor":
    """Tokenizer, image processor and video processor in one; a square picture is one tile of 16 image tokens."""
    from transformers import GotOcr2ImageProcessor, InternVLProcessor, InternVLVideoProcessor

    size = {"height": SIZE, "width": SIZE}
    tokenizer = build_tokenizer(
        SPECIAL_TOKENS,
        CHAT_TEMPLATE,
        start_image_token="<img>",
        end_image_token="</img>",
        context_image_token="<IMG_CONTEXT>",
        video_token="<video>",
    )
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    return InternVLProcessor(
        image_processor=GotOcr2ImageProcessor(
            size=dict(size), crop_to_patches=True, min_patches=1, max_patches=MAX_TILES, image_mean=mean, image_std=std
        ),
        tokenizer=tokenizer,
        video_processor=InternVLVideoProcessor(size=dict(size), image_mean=mean, image_std=std),
        image_seq_length=IMAGE_TOKENS,
        chat_template=CHAT_TEMPLATE,
    )


def build_config(processor: "InternVLProcessor") -> "InternVLConfig":
    """The configuration of the tiny model: text 4 layers of width 192, vision 3 layers of width 96."""
    from transformers import InternVLConfig

    return InternVLConfig(
        architectures=["InternVLForConditionalGeneration"],
        text_config=text_config(processor, model_type="qwen2", architectures=["Qwen2ForCausalLM"]),
        vision_config={
            "hidden_size": 96,
            "intermediate_size": 256,
            "num_hidden_layers": 3,
            "num_attention_heads": 3,
            "attention_bias": True,
            "image_size": [SIZE, SIZE],
            "patch_size": [PATCH, PATCH],
        },
        image_seq_length=IMAGE_TOKENS,
        tie_word_embeddings=True,
        **token_ids(processor, image_token_id="<IMG_CONTEXT>"),
    )


def build_model(processor: "InternVLProcessor", *, seed: int = 0) -> "InternVLForConditionalGeneration":
    """A float32 model with random weights; the same seed gives the same weights."""
    from transformers import InternVLForConditionalGeneration

    return random_model(InternVLForConditionalGeneration, build_config(processor), processor, seed)


def build(output: Path, *, seed: int = 0) -> Path:
    """Writes a model with random weights and its processor into a directory, and returns the directory."""
    processor = build_processor()
    return save(output, build_model(processor, seed=seed), processor)
