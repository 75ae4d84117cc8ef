"""What the tiny models of all families share: a text model of width 192, seeded weights, a checkpoint's files."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from examples.demo.tiny.tokenizer import VOCAB_SIZE

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin

# Order and meaning as in Qwen2.5, whose language models stand in all families.
CHAT_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
QWEN_VISION_TOKENS = ("<|vision_start|>", "<|vision_end|>", "<|vision_pad|>", "<|image_pad|>", "<|video_pad|>")


def chat_template(image: str, video: str) -> str:
    """The families' chat format, Jinja, without the default system message that some of them add.

    That message would be a tenth of every prompt here.

    Args:
        image: what stands for a picture before the processor expands it.
        video: what stands for a video.
    """
    return (
        "{% for message in messages %}"
        "<|im_start|>{{ message['role'] }}\n"
        "{% if message['content'] is string %}{{ message['content'] }}"
        "{% else %}{% for content in message['content'] %}"
        "{% if content['type'] == 'image' or 'image' in content or 'image_url' in content %}"
        f"{image}"
        "{% elif content['type'] == 'video' or 'video' in content %}"
        f"{video}"
        "{% elif 'text' in content %}{{ content['text'] }}{% endif %}"
        "{% endfor %}{% endif %}<|im_end|>\n"
        "{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )


def text_config(processor: "ProcessorMixin", rope: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """Configuration of a language model of 4 layers and width 192.

    Args:
        processor: gives the ids of the special tokens.
        rope: rotary parameters beyond the base, e.g. `mrope_section`.
        more: keys of the family's own.
    """
    token = processor.tokenizer.convert_tokens_to_ids
    return {
        "vocab_size": VOCAB_SIZE,
        "hidden_size": 192,
        "intermediate_size": 512,
        "num_hidden_layers": 4,
        "num_attention_heads": 6,  # 32 each, the smallest head that vLLM's CPU attention takes
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "rms_norm_eps": 1e-6,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, **(rope or {})},
        "tie_word_embeddings": True,
        "bos_token_id": token("<|endoftext|>"),
        "eos_token_id": token("<|im_end|>"),
        "pad_token_id": token("<|endoftext|>"),
        **more,
    }


def token_ids(processor: "ProcessorMixin", **names: str) -> dict[str, Any]:
    """Ids of tokens by the name of the configuration key."""
    return {key: processor.tokenizer.convert_tokens_to_ids(token) for key, token in names.items()}


def random_model(model_class: Any, config: Any, processor: "ProcessorMixin", seed: int) -> Any:
    """A float32 model with random weights that stops at either end token; the same seed gives the same weights."""
    import torch
    from transformers import GenerationConfig

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = model_class._from_config(config, dtype=torch.float32)
    end, padding = processor.tokenizer.eos_token_id, processor.tokenizer.pad_token_id
    model.generation_config = GenerationConfig(bos_token_id=padding, eos_token_id=[end, padding], pad_token_id=padding)
    return model


def save(output: Path, *parts: "PreTrainedModel | ProcessorMixin") -> Path:
    """Writes model and processor into one directory, as a checkpoint on the hub is laid out; returns the directory."""
    for part in parts:
        part.save_pretrained(output)
    return output
