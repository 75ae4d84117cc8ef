"""A Qwen2.5-VL with random weights, in the shape of a real one, with nothing to download.

The configuration is the published one; tokenizer and processor are those of the tiny models, with words added until the
special tokens stand where Qwen2.5 has them. Such a model never ends a response by itself, so every response is as long
as allowed: times and memory of a run are those of the worst case.
"""

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.demo.tiny.qwen2_5_vl import SPECIAL_TOKENS, build_processor
from mixed_r1_verl.plan.architecture import PUBLISHED

# Places from the first special token on, as in Qwen2.5: 151,643 is <|endoftext|>, 151,655 <|image_pad|>.
OFFSETS = (0, 1, 2, 9, 10, 11, 12, 13)
SPECIAL_ROWS = 293  # rows of the embedding table from the first special token on
QWEN_PIXELS = {"shortest_edge": 4 * 28 * 28, "longest_edge": 16384 * 28 * 28}


@dataclass(frozen=True)
class Size:
    """A shape to build.

    Attributes:
        published: the model in `PUBLISHED` that gives the configuration.
        text, vision: fields that differ from it.
        mrope: sections of the rotary embedding; they add up to half a head.
        real_pixels: the processor's pixel limits are Qwen's, not the tiny model's.
    """

    published: str
    text: dict[str, int]
    vision: dict[str, Any]
    mrope: tuple[int, int, int] = (16, 24, 24)
    real_pixels: bool = True


SIZES = {
    "3b": Size("Qwen/Qwen2.5-VL-3B-Instruct", {}, {}),
    "7b": Size("Qwen/Qwen2.5-VL-7B-Instruct", {}, {}),
    "tiny": Size(
        "Qwen/Qwen2.5-VL-3B-Instruct",
        {
            "vocab_size": 1024,
            "hidden_size": 192,
            "intermediate_size": 512,
            "num_hidden_layers": 4,
            "num_attention_heads": 6,
            "num_key_value_heads": 2,
        },
        {"depth": 3, "hidden_size": 96, "intermediate_size": 256, "num_heads": 3, "out_hidden_size": 192},
        mrope=(4, 6, 6),
        real_pixels=False,
    ),
}


def build(folder: Path, size: Size, seed: int = 0) -> Path:
    """Writes model, tokenizer and processor into a folder and returns it; 2 bytes of disk per parameter."""
    import torch
    from transformers import AutoProcessor, GenerationConfig, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

    fields = copy.deepcopy(dict(PUBLISHED[size.published]))
    fields["text_config"].update(size.text)
    fields["vision_config"].update(size.vision)
    build_processor().save_pretrained(folder)
    special = move_special_tokens(folder / "tokenizer.json", fields["text_config"]["vocab_size"] - SPECIAL_ROWS)
    if size.real_pixels:
        set_pixels(folder / "processor_config.json")
    end, padding = special["<|im_end|>"], special["<|endoftext|>"]
    fields["text_config"].update(
        rope_parameters={"rope_type": "default", "rope_theta": 1e6, "mrope_section": list(size.mrope)},
        max_position_embeddings=32768,
        bos_token_id=padding,
        eos_token_id=end,
        pad_token_id=padding,
        tie_word_embeddings=fields["tie_word_embeddings"],
    )
    config = Qwen2_5_VLConfig(
        **fields,
        architectures=["Qwen2_5_VLForConditionalGeneration"],
        image_token_id=special["<|image_pad|>"],
        video_token_id=special["<|video_pad|>"],
        vision_start_token_id=special["<|vision_start|>"],
        vision_end_token_id=special["<|vision_end|>"],
    )
    torch.manual_seed(seed)
    with torch.device("cuda" if torch.cuda.is_available() else "cpu"):
        model = Qwen2_5_VLForConditionalGeneration._from_config(config, dtype=torch.bfloat16)
    model.generation_config = GenerationConfig(bos_token_id=padding, eos_token_id=[end, padding], pad_token_id=padding)
    model.save_pretrained(folder)
    AutoProcessor.from_pretrained(folder)  # what verl and vLLM will do
    return folder


def move_special_tokens(file: Path, first: int) -> dict[str, int]:
    """Gives the special tokens of a `tokenizer.json` Qwen2.5's places from id `first` on, and fills up with words."""
    tokenizer = json.loads(file.read_text(encoding="utf-8"))
    ids = {token: first + offset for token, offset in zip(SPECIAL_TOKENS, OFFSETS, strict=True)}
    words = {token: number for token, number in tokenizer["model"]["vocab"].items() if token not in ids}
    if len(words) > first:
        raise ValueError(f"{len(words)} tokens do not fit before id {first}")
    fillers = {f"Ġw{number:x}": number for number in range(len(words), first)}
    tokenizer["model"]["vocab"] = words | fillers | ids
    for token in tokenizer["added_tokens"]:
        token["id"] = ids[token["content"]]
    tokenizer["added_tokens"].sort(key=lambda token: token["id"])
    file.write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")
    return ids


def set_pixels(file: Path) -> None:
    """Sets Qwen2.5-VL's own pixel limits in a `processor_config.json`."""
    config = json.loads(file.read_text(encoding="utf-8"))
    for name in ("image_processor", "video_processor"):
        config[name]["size"] = dict(QWEN_PIXELS)
    file.write_text(json.dumps(config, indent=2), encoding="utf-8")
