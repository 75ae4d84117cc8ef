"""Accuracy of a model by reward kind, measured with transformers alone: no verl, no vLLM."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from PIL import Image

from mixed_r1_verl.rewards.mixed import MixedReward

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin

MAX_NEW_TOKENS = 96


def evaluate(
    model: "PreTrainedModel",
    processor: "ProcessorMixin",
    rows: Sequence[Mapping[str, Any]],
    *,
    reward: MixedReward,
    samples: int = 1,
    temperature: float = 0.0,
    seed: int = 0,
    batch_size: int = 64,
) -> list[list[dict[str, Any]]]:
    """Answers and scores every row.

    Args:
        model: an image-text-to-text model.
        processor: its processor.
        rows: each with `image` (PIL), `prompt` (the user message with its `<image>` marker first), `kind`,
            `ground_truth` and `extra_info`.
        reward: scores the responses.
        samples: responses for each row.
        temperature: 0 is greedy.
        seed: of the sampling.
        batch_size: rows answered at once.

    Returns:
        For each row, for each sample: the result of `MixedReward.score` and the `response`, and where they belong: all
        that `mixed_r1_verl.responses.summary` sums up.
    """
    import torch

    torch.manual_seed(seed)
    sampling: dict[str, Any] = {"do_sample": False}
    if temperature:
        sampling = {"do_sample": True, "temperature": temperature, "top_k": 0, "top_p": 1.0}
    generate: Callable[..., Any] = model.generate  # type: ignore[assignment] # typed as a tensor by torch
    results: list[list[dict[str, Any]]] = []
    model.eval()
    for start in range(0, len(rows), batch_size):
        chunk = rows[start : start + batch_size]
        images: list[Image.Image] = [row["image"] for row in chunk]
        texts = [_chat_text(processor, row["prompt"]) for row in chunk]
        inputs = processor(text=texts, images=images, return_tensors="pt", padding=True, padding_side="left")
        with torch.no_grad():
            output = generate(**inputs, max_new_tokens=MAX_NEW_TOKENS, num_return_sequences=samples, **sampling)
        decoded = processor.batch_decode(output[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        for index, row in enumerate(chunk):
            place = {"file": "", "row": start + index, "data_source": "tiny"}
            results.append(
                [
                    place | reward.score("tiny", text, row["ground_truth"], row["extra_info"]) | {"response": text}
                    for text in decoded[index * samples : (index + 1) * samples]
                ]
            )
    return results


def _chat_text(processor: "ProcessorMixin", prompt: str) -> str:
    content: Any = [{"type": "image"}, {"type": "text", "text": prompt.removeprefix("<image>")}]
    return str(
        processor.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )
    )
