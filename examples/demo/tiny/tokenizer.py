"""A small byte-level BPE tokenizer, trained on the prompts and responses of the rendered scenes."""

import json
import random
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from examples.demo.scenes import make_scene
from examples.demo.tiny.teacher import NO_HABITS, respond
from mixed_r1_verl.data.prompt import build_prompt

if TYPE_CHECKING:
    from transformers import Qwen2Tokenizer

BPE_SIZE = 560
VOCAB_SIZE = 576  # rows of the embedding table; the rest of the rows is for special tokens

# Qwen2.5's own pattern: words with one leading character, single digits, runs of punctuation, white space.
_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_SCENES_PER_REWARD = 400

# What a model must be able to read and write beyond the rendered scenes: the phrases of easy-VQA, other instructions of
# the prompt template and the words of the chat.
_PHRASES = (
    "is there a shape in the image?",
    "is there not a shape in the image?",
    "is there a black shape present?",
    "is a teal shape present?",
    "is no brown shape present?",
    "does the image contain a circle?",
    "does the image not contain a triangle?",
    "does the image contain a rectangle?",
    "what color is the shape?",
    "what is the color of the shape?",
    "what is the color of the circle?",
    "what shape is present?",
    "what shape is in the image?",
    "what shape does the image contain?",
    "what is the blue shape?",
    "red green blue yellow teal brown gray black circle rectangle triangle yes no",
    "system\nYou are a helpful assistant.",
    "user\nWhat is it?",
    "assistant\nIt is",
)


def corpus() -> Iterator[str]:
    """The texts on which the tokenizer is trained, always the same."""
    for reward in ("matching", "chart", "iou", "open_ended"):
        for index in range(_SCENES_PER_REWARD):
            scene = make_scene(reward, f"tokenizer-{index}")
            question = scene.question
            prompt = build_prompt(question.text, reward, choices=question.choices, answer=question.answer)
            yield str(prompt[0]["content"])
            yield respond(scene, random.Random(index), NO_HABITS)
    for phrase in _PHRASES:
        for _ in range(4):
            yield phrase
            yield build_prompt(phrase, "matching", answer="true")[0]["content"]
            yield build_prompt(phrase, "matching")[0]["content"]
            yield build_prompt(phrase, "math")[0]["content"]


def train_bpe(size: int = BPE_SIZE) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Trains byte-level BPE on `corpus()`.

    Returns:
        Vocabulary (token to id, ids from 0, at most `size` of them) and merges in order.
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_PATTERN), behavior="isolated", invert=False),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
        special_tokens=[],
    )
    tokenizer.train_from_iterator(corpus(), trainer)
    model = json.loads(tokenizer.to_str())["model"]
    return dict(model["vocab"]), [(left, right) for left, right in model["merges"]]


def build_tokenizer(special_tokens: Sequence[str], chat_template: str, **names: str) -> "Qwen2Tokenizer":
    """A tokenizer of Qwen2's class.

    Args:
        special_tokens: added after the BPE vocabulary, in this order; the first is the padding token and the third
            (`<|im_end|>`) ends a response, as in Qwen2.5.
        chat_template: Jinja text.
        names: further named special tokens (`image_token="…"`), which become attributes of the tokenizer.

    Raises:
        ValueError: more tokens than the embedding table has rows.
    """
    from tokenizers import AddedToken
    from transformers import Qwen2Tokenizer

    vocab, merges = train_bpe()
    # Listed in the vocabulary, so that their ids follow this order and not the order in which roles are assigned.
    vocab |= {token: len(vocab) + index for index, token in enumerate(special_tokens)}
    if len(vocab) > VOCAB_SIZE:
        raise ValueError(f"{len(vocab)} tokens do not fit into {VOCAB_SIZE} rows")
    tokenizer = Qwen2Tokenizer(
        vocab=vocab,
        merges=merges,  # type: ignore[arg-type] # pairs are what the BPE model behind it takes
        unk_token=special_tokens[0],
        pad_token=special_tokens[0],
        eos_token=special_tokens[2],
        extra_special_tokens=names,
        model_max_length=4096,
        padding_side="left",
    )
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in special_tokens])
    tokenizer.chat_template = chat_template
    return tokenizer
