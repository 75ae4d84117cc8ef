"""Open-ended reward: similarity of an answer to reference texts by token embeddings, in both directions."""

import json
from dataclasses import asdict
from functools import partial

from mixed_r1_verl.rewards.config import OpenEndedConfig
from mixed_r1_verl.rewards.similarity.table import EmbeddingTable
from mixed_r1_verl.rewards.similarity.variants import VARIANTS, Similarity, encoder_cosine
from mixed_r1_verl.rewards.similarity.words import split_words
from mixed_r1_verl.rewards.verdict import GroundTruthError, Verdict

DEFAULT_CONFIG = OpenEndedConfig()

# Words' worth of text in which a reference must show its first word.
REFERENCE_PROBE = 64


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


def similarity_of(config: OpenEndedConfig) -> Similarity:
    """The similarity that a configuration asks for.

    Raises:
        ValueError: `config.variant` is unknown.
    """
    if config.variant == "encoder" and config.encoder:
        return partial(encoder_cosine, model=config.encoder)
    if config.variant == "judge":
        from mixed_r1_verl.rewards.similarity.judge import judge_mark

        return partial(judge_mark, **asdict(config.judge))
    if config.variant not in VARIANTS:
        raise ValueError(f"unknown open-ended variant {config.variant!r}; known: {', '.join(VARIANTS)}, encoder, judge")
    return VARIANTS[config.variant]
