"""Open-ended reward: similarity of an answer to reference texts by token embeddings, in both directions."""

import json
from collections import Counter
from collections.abc import Callable
from functools import partial

import numpy as np

from mixed_r1_verl.rewards.config import OpenEndedConfig
from mixed_r1_verl.rewards.similarity import lexical
from mixed_r1_verl.rewards.similarity.robust import robust
from mixed_r1_verl.rewards.similarity.table import EmbeddingTable
from mixed_r1_verl.rewards.similarity.words import split_words
from mixed_r1_verl.rewards.verdict import GroundTruthError, Verdict

DEFAULT_CONFIG = OpenEndedConfig()

# Words' worth of text in which a reference must show its first word.
REFERENCE_PROBE = 64

Similarity = Callable[[str, str, EmbeddingTable, int], float]


def open_ended_reward(
    answer: str, ground_truth: str, *, table: EmbeddingTable, config: OpenEndedConfig = DEFAULT_CONFIG
) -> Verdict:
    """Scores a free text against one or several reference texts.

    Args:
        answer: the text inside `<answer>`.
        ground_truth: the reference, or a JSON list of references.
        table: embeddings of tokens and words.
        config: which similarity, and how several references combine.

    Returns:
        A verdict with `acc` in [0, 1], always finite; an answer without a word scores 0.

    Raises:
        GroundTruthError: the ground truth holds no reference with a word in it.
        ValueError: `config.variant` is unknown.
        ImportError: the variant needs a package that is not installed.
        JudgeError: the judge gave no mark.
    """
    references = parse_ground_truth(ground_truth)
    similarity = similarity_of(config)
    if not answer.strip():
        return Verdict(0.0, "", "empty")
    scores = [similarity(answer, reference, table, config.max_tokens) for reference in references]
    combined = max(scores) if config.references == "max" else sum(scores) / len(scores)
    return Verdict(min(1.0, max(0.0, combined)), answer.strip())


def parse_ground_truth(ground_truth: str) -> tuple[str, ...]:
    """The references of a row.

    A text that is a JSON list of strings is read as such; any other text is itself the one reference.

    >>> parse_ground_truth("A dog runs.")
    ('A dog runs.',)
    >>> parse_ground_truth('["A dog runs.", "A brown dog."]')
    ('A dog runs.', 'A brown dog.')

    Raises:
        GroundTruthError: no reference, or one without a single word.
    """
    text = ground_truth.strip()
    references: list[str] = [text]
    if text.startswith("[") and text.endswith("]"):
        try:
            parsed = json.loads(text)
        except (ValueError, RecursionError):
            parsed = None  # prose in brackets
        if parsed is not None:
            if not isinstance(parsed, list) or not all(isinstance(item, str) for item in parsed):
                raise GroundTruthError(f"open-ended ground truth must be a text or a JSON list of texts: {text[:80]!r}")
            references = [item.strip() for item in parsed]
    if not references or not all(split_words(reference, REFERENCE_PROBE) for reference in references):
        raise GroundTruthError(f"open-ended ground truth holds an empty reference: {text[:80]!r}")
    return tuple(references)


def _best_matches(answer: str, reference: str, table: EmbeddingTable, limit: int) -> tuple[float, float]:
    """Mean best cosine of the answer's tokens (P) and of the reference's (R)."""
    # Each distinct token is compared once and counted as often as it occurs.
    counted = Counter(table.tokens(answer, limit))
    cosines, reference_weights = table.cosines(list(counted), reference, limit)
    if not cosines.size:
        return 0.0, 0.0
    answer_counts = np.fromiter(counted.values(), np.float32, len(counted))
    precision = np.maximum.reduce(cosines, axis=1) @ answer_counts / counted.total()
    recall = np.maximum.reduce(cosines, axis=0) @ reference_weights
    return float(precision), float(recall)


def bmas(answer: str, reference: str, table: EmbeddingTable, limit: int) -> float:
    """Bidirectional Max-Average Similarity as reconstructed from its name: the mean of P and R.

    P is the mean over the answer's tokens of their best cosine with a token of the reference, R the mean over the
    reference's tokens of their best cosine with a token of the answer; repeated tokens count each time.
    """
    precision, recall = _best_matches(answer, reference, table, limit)
    return (precision + recall) / 2


def bmas_f1(answer: str, reference: str, table: EmbeddingTable, limit: int) -> float:
    """The harmonic mean of the same P and R (as BERTScore combines them)."""
    return harmonic_mean(*_best_matches(answer, reference, table, limit))


def harmonic_mean(precision: float, recall: float) -> float:
    if precision <= 0 or recall <= 0:
        return 0.0
    return 2 * precision * recall / (precision + recall)


VARIANTS: dict[str, Similarity] = {
    "robust": robust,
    "bmas": bmas,
    "bmas_f1": bmas_f1,
    "rouge_l": lexical.rouge_l,
    "bleu": lexical.bleu,
}


def similarity_of(config: OpenEndedConfig) -> Similarity:
    """The similarity that a configuration asks for.

    Raises:
        ValueError: `config.variant` is unknown.
    """
    if config.variant == "encoder" and config.encoder:
        from mixed_r1_verl.rewards.similarity.encoder import encoder_cosine

        return partial(encoder_cosine, model=config.encoder)
    if config.variant == "judge":
        from mixed_r1_verl.rewards.similarity.judge import judge_mark

        return partial(judge_mark, config=config.judge)
    if config.variant not in VARIANTS:
        raise ValueError(f"unknown open-ended variant {config.variant!r}; known: {', '.join(VARIANTS)}, encoder, judge")
    return VARIANTS[config.variant]
