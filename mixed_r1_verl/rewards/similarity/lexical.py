"""Word-overlap metrics behind the interface of the open-ended reward, for ablation."""

import functools
from typing import Any

from mixed_r1_verl.rewards.similarity.table import EmbeddingTable
from mixed_r1_verl.rewards.similarity.words import CHARS_PER_WORD, split_words


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
    try:
        from rouge_score.rouge_scorer import RougeScorer
    except ImportError as error:
        raise ImportError("the open-ended variant rouge_l needs the package rouge-score") from error
    return RougeScorer(["rougeL"], use_stemmer=True)


@functools.cache
def _bleu_scorer() -> Any:
    try:
        from sacrebleu.metrics import BLEU
    except ImportError as error:
        raise ImportError("the open-ended variant bleu needs the package sacrebleu") from error
    return BLEU(effective_order=True, lowercase=True)
