"""Sentence-encoder similarity behind the interface of the open-ended reward, for ablation."""

import functools
from typing import Any

import numpy as np

from mixed_r1_verl.rewards.similarity.model_table import resolve_model
from mixed_r1_verl.rewards.similarity.table import EmbeddingTable
from mixed_r1_verl.rewards.similarity.words import CHARS_PER_WORD

# Texts whose vectors are kept: the responses of one prompt share their references.
REMEMBERED_TEXTS = 64


def encoder_cosine(answer: str, reference: str, table: EmbeddingTable, limit: int, *, model: str) -> float:
    """Cosine of the mean-pooled last hidden states of two texts under a Hugging Face encoder, cut to [0, 1].

    Args:
        answer, reference: the texts; at most `limit` tokens, and no more than the encoder has positions, are read.
        table: not used.
        limit: tokens.
        model: directory or hub id (in the local cache) of an encoder, e.g. all-MiniLM-L6-v2.

    Raises:
        ImportError: torch or transformers is not installed.
        FileNotFoundError: no such model on this machine.
    """
    return max(0.0, float(_vector(answer, limit, model) @ _vector(reference, limit, model)))


@functools.lru_cache(REMEMBERED_TEXTS)
def _vector(text: str, limit: int, model: str) -> np.ndarray:
    import torch

    tokenizer, encoder = load_encoder(model)
    positions = getattr(encoder.config, "max_position_embeddings", limit)
    cut = text[: limit * CHARS_PER_WORD].encode("utf-8", "replace").decode("utf-8")
    inputs = tokenizer(cut, truncation=True, max_length=min(limit, positions), return_tensors="pt")
    with torch.inference_mode():
        mean = encoder(**inputs).last_hidden_state[0].mean(dim=0)
    return torch.nn.functional.normalize(mean, dim=0).numpy()


@functools.lru_cache(2)
def load_encoder(model: str) -> tuple[Any, Any]:
    """Tokenizer and encoder, on the CPU in float32, for this process."""
    try:
        import torch
    except ImportError as error:
        raise ImportError("the open-ended variant encoder needs the package torch") from error
    try:
        from transformers import AutoModel, AutoTokenizer
    except ImportError as error:
        raise ImportError("the open-ended variant encoder needs the package transformers") from error
    directory = resolve_model(model)
    tokenizer = AutoTokenizer.from_pretrained(directory, local_files_only=True)
    return tokenizer, AutoModel.from_pretrained(directory, local_files_only=True, dtype=torch.float32).eval()
