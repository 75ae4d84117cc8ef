"""A Qwen2.5-VL of about two and a half million parameters, with its own tokenizer and processor.

The classes are the real ones (`Qwen2_5_VLForConditionalGeneration`, `Qwen2_5_VLProcessor`), so that a saved directory
is loaded by transformers, vLLM and verl exactly like `Qwen/Qwen2.5-VL-3B-Instruct`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from mixed_r1_verl.data.scenes import GRID, SIZE
from mixed_r1_verl.tiny.tokenizer import VOCAB_SIZE, build_tokenizer

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

# Order and meaning as in Qwen2.5-VL.
SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)

# Qwen2.5-VL's template without its default system message, which would be a tenth of every prompt here.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}"
    "<|vision_start|><|image_pad|><|vision_end|>"
    "{% elif content['type'] == 'video' or 'video' in content %}"
    "<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif 'text' in content %}{{ content['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
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

    token = processor.tokenizer.convert_tokens_to_ids
    depth = 3
    return Qwen2_5_VLConfig(
        architectures=["Qwen2_5_VLForConditionalGeneration"],
        text_config={
            "vocab_size": VOCAB_SIZE,
            "hidden_size": 192,
            "intermediate_size": 512,
            "num_hidden_layers": 4,
            "num_attention_heads": 6,  # 32 each, the smallest head that vLLM's CPU attention takes
            "num_key_value_heads": 2,
            "max_position_embeddings": 4096,
            "rms_norm_eps": 1e-6,
            "initializer_range": 0.06,  # near 1/sqrt(width); with 0.02 attention stays flat for hundreds of steps
            # Sections for time, height and width add up to half a head.
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 6, 6]},
            "tie_word_embeddings": True,
            "bos_token_id": token("<|endoftext|>"),
            "eos_token_id": token("<|im_end|>"),
            "pad_token_id": token("<|endoftext|>"),
        },
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
        image_token_id=token("<|image_pad|>"),
        video_token_id=token("<|video_pad|>"),
        vision_start_token_id=token("<|vision_start|>"),
        vision_end_token_id=token("<|vision_end|>"),
        tie_word_embeddings=True,
    )


def build_model(processor: "Qwen2_5_VLProcessor", *, seed: int = 0) -> "Qwen2_5_VLForConditionalGeneration":
    """A float32 model with random weights; the same seed gives the same weights."""
    import torch
    from transformers import GenerationConfig, Qwen2_5_VLForConditionalGeneration

    config = build_config(processor)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2_5_VLForConditionalGeneration._from_config(config, dtype=torch.float32)
    end, padding = processor.tokenizer.eos_token_id, processor.tokenizer.pad_token_id
    model.generation_config = GenerationConfig(bos_token_id=padding, eos_token_id=[end, padding], pad_token_id=padding)
    return model


def build(output: Path, *, seed: int = 0) -> Path:
    """Writes a model with random weights and its processor into a directory, and returns the directory."""
    processor = build_processor()
    model = build_model(processor, seed=seed)
    model.save_pretrained(output)
    processor.save_pretrained(output)
    return output
