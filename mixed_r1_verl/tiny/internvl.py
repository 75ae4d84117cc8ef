"""An InternVL in Hugging Face format of about two and a half million parameters.

The classes are the real ones (`InternVLForConditionalGeneration`, `InternVLProcessor`), as in
`OpenGVLab/InternVL3-1B-hf`: a Qwen2 language model behind an InternVL vision tower.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from mixed_r1_verl.data.scenes import SIZE
from mixed_r1_verl.tiny.tokenizer import VOCAB_SIZE, build_tokenizer

if TYPE_CHECKING:
    from transformers import InternVLConfig, InternVLForConditionalGeneration, InternVLProcessor

# Order and meaning as in InternVL3.
SPECIAL_TOKENS = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<img>",
    "</img>",
    "<IMG_CONTEXT>",
    "<video>",
)

CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "<|im_start|>{{ message['role'] }}\n"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for content in message['content'] %}"
    "{% if content['type'] == 'image' %}<IMG_CONTEXT>\n"
    "{% elif content['type'] == 'video' %}<video>\n"
    "{% elif content['type'] == 'text' %}{{ content['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>\n"
    "{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

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

    token = processor.tokenizer.convert_tokens_to_ids
    return InternVLConfig(
        architectures=["InternVLForConditionalGeneration"],
        text_config={
            "model_type": "qwen2",
            "architectures": ["Qwen2ForCausalLM"],
            "vocab_size": VOCAB_SIZE,
            "hidden_size": 192,
            "intermediate_size": 512,
            "num_hidden_layers": 4,
            "num_attention_heads": 6,
            "num_key_value_heads": 2,
            "max_position_embeddings": 4096,
            "rms_norm_eps": 1e-6,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0},
            "tie_word_embeddings": True,
            "bos_token_id": token("<|endoftext|>"),
            "eos_token_id": token("<|im_end|>"),
            "pad_token_id": token("<|endoftext|>"),
        },
        vision_config={
            "hidden_size": 96,
            "intermediate_size": 256,
            "num_hidden_layers": 3,
            "num_attention_heads": 3,
            "attention_bias": True,
            "image_size": [SIZE, SIZE],
            "patch_size": [PATCH, PATCH],
        },
        image_token_id=token("<IMG_CONTEXT>"),
        image_seq_length=IMAGE_TOKENS,
        tie_word_embeddings=True,
    )


def build_model(processor: "InternVLProcessor", *, seed: int = 0) -> "InternVLForConditionalGeneration":
    """A float32 model with random weights; the same seed gives the same weights."""
    import torch
    from transformers import GenerationConfig, InternVLForConditionalGeneration

    config = build_config(processor)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = InternVLForConditionalGeneration._from_config(config, dtype=torch.float32)
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
