"""The similarities between which the open-ended reward chooses, beside its default: BMAS, and what others use.

Each takes an answer, a reference, the table and a limit, tokens or words of a text that are read, and returns a number
that is at most 1 and is 1 for a text and itself.
"""

import functools
import importlib
from collections import Counter
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import numpy as np

from mixed_r1_verl.rewards.similarity.checkpoint import resolve_model
from mixed_r1_verl.rewards.similarity.robust import robust
from mixed_r1_verl.rewards.similarity.table import EmbeddingTable
from mixed_r1_verl.rewards.similarity.words import CHARS_PER_WORD, split_words

Similarity = Callable[[str, str, EmbeddingTable, int], float]

# Texts whose vectors the encoder keeps: the responses of one prompt share their references.
REMEMBERED_TEXTS = 64


def bmas(answer: str, reference: str, table: EmbeddingTable, limit: int) -> float:
    """Bidirectional Max-Average Similarity as reconstructed from its name: the mean of P and R.

    P is the mean over the answer's tokens of their best cosine with a token of the reference, R the mean over the
    reference's tokens of their best cosine with a token of the answer; repeated tokens count each time.
    """
    precision, recall = _best_matches(answer, reference, table, limit)
    return (precision + recall) / 2


def bmas_f1(answer: str, reference: str, table: EmbeddingTable, limit: int) -> float:
    """The harmonic mean of the same P and R (as BERTScore combines them)."""
    precision, recall = _best_matches(answer, reference, table, limit)
    return 2 * precision * recall / (precision + recall) if precision > 0 and recall > 0 else 0.0


def _best_matches(answer: str, reference: str, table: EmbeddingTable, limit: int) -> tuple[float, float]:
    # Each distinct token is compared once and counted as often as it occurs.
    counted = Counter(table.tokens(answer, limit))
    cosines, reference_weights = table.cosines(list(counted), reference, limit)
    if not cosines.size:
        return 0.0, 0.0
    answer_counts = np.fromiter(counted.values(), np.float32, len(counted))
    precision = np.maximum.reduce(cosines, axis=1) @ answer_counts / counted.total()
    recall = np.maximum.reduce(cosines, axis=0) @ reference_weights
    return float(precision), float(recall)


def rouge_l(answer: str, reference: str, table: EmbeddingTable, limit: int) -> float:
    """ROUGE-L F1 of the rouge-score package, with stemming.

    Raises:
        ImportError: rouge-score is not installed.
    """
    scores = _rouge_scorer().score(" ".join(split_words(reference, limit)), " ".join(split_words(answer, limit)))
    return float(scores["rougeL"].fmeasure)


def bleu(answer: str, reference: str, table: EmbeddingTable, limit: int) -> float:
    """Sentence BLEU-4 of the sacrebleu package in [0, 1], exponentially smoothed, lower-cased, with effective order.

    Raises:
        ImportError: sacrebleu is not installed.
    """
    size = limit * CHARS_PER_WORD
    return float(_bleu_scorer().sentence_score(answer[:size], [reference[:size]]).score) / 100


@functools.cache
def _rouge_scorer() -> Any:
    return _package("rouge_l", "rouge_score.rouge_scorer", "rouge-score").RougeScorer(["rougeL"], use_stemmer=True)


@functools.cache
def _bleu_scorer() -> Any:
    return _package("bleu", "sacrebleu.metrics", "sacrebleu").BLEU(effective_order=True, lowercase=True)


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
    return max(0.0, float(_sentence_vector(answer, limit, model) @ _sentence_vector(reference, limit, model)))


@functools.lru_cache(REMEMBERED_TEXTS)
def _sentence_vector(text: str, limit: int, model: str) -> np.ndarray:
    torch, tokenizer, encoder = load_encoder(model)
    positions = getattr(encoder.config, "max_position_embeddings", limit)
    cut = text[: limit * CHARS_PER_WORD].encode("utf-8", "replace").decode("utf-8")
    inputs = tokenizer(cut, truncation=True, max_length=min(limit, positions), return_tensors="pt")
    with torch.inference_mode():
        mean = encoder(**inputs).last_hidden_state[0].mean(dim=0)
    return np.asarray(torch.nn.functional.normalize(mean, dim=0).numpy())


@functools.lru_cache(2)
def load_encoder(model: str) -> tuple[Any, Any, Any]:
    """torch, and a model's tokenizer and encoder, on the CPU in float32, for this process."""
    torch = _package("encoder", "torch", "torch")
    transformers = _package("encoder", "transformers", "transformers")
    directory = resolve_model(model)
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory, local_files_only=True)
    encoder = transformers.AutoModel.from_pretrained(directory, local_files_only=True, dtype=torch.float32)
    return torch, tokenizer, encoder.eval()


def _package(variant: str, module: str, package: str) -> ModuleType:
    """A module that only one variant needs; it may be imported by no other."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ImportError(f"the open-ended variant {variant} needs the package {package}") from error


# Those that need nothing but two texts and a table.
VARIANTS: Mapping[str, Similarity] = {
    "robust": robust,
    "bmas": bmas,
    "bmas_f1": bmas_f1,
    "rouge_l": rouge_l,
    "bleu": bleu,
}
