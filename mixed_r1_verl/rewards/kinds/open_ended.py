"""Open-ended reward: similarity of an answer to reference texts by token embeddings, in both directions."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from annotated_types import Ge, Gt

from mixed_r1_verl.core.config import ConfigError, check_bounds
from mixed_r1_verl.rewards.kind import Gold, RewardKind, Scoring, letter_or, plain_gold
from mixed_r1_verl.rewards.similarity.table import EmbeddingTable
from mixed_r1_verl.rewards.similarity.variants import VARIANTS, Similarity, encoder_cosine
from mixed_r1_verl.rewards.similarity.words import split_words
from mixed_r1_verl.rewards.verdict import GroundTruthError, Verdict

if TYPE_CHECKING:
    from mixed_r1_verl.rewards.config import MixedRewardConfig


@dataclass(frozen=True)
class JudgeConfig:
    """The judge of the open-ended variant `judge`.

    Attributes:
        address: `host:port` or URL of a server of the OpenAI chat protocol; None is verl's reward router, when
            `reward.reward_model.enable` is set.
        model: the name under which the server knows the judge; None is verl's `reward.reward_model.model_path`, or the
            first model that the server names.
        timeout_s: seconds that the server may take to reply; a sample whose judge is late has `error` 1.
    """

    address: str | None = None
    model: str | None = None
    timeout_s: Annotated[float, Gt(0)] = 8.0

    def __post_init__(self) -> None:
        check_bounds(self, "open_ended.judge")


@dataclass(frozen=True)
class OpenEndedConfig:
    """Open-ended reward.

    Attributes:
        variant: the similarity. `robust` (default) matches words in both directions and cannot be gamed cheaply; `bmas`
            is the paper's as reconstructed from its name, `bmas_f1` its harmonic form. For ablation: `rouge_l` and
            `bleu` need the packages rouge-score and sacrebleu, `encoder` is the cosine of sentence vectors, `judge` the
            mark of a language model. See docs/rewards-open-ended.md.
        references: how several references combine: the best one, or their mean.
        max_tokens: tokens of a text that are read; a longer answer is cut there and pays for its length.
        encoder: directory or hub id of the Hugging Face encoder of the variant `encoder`.
        judge: the judge of the variant `judge`.
    """

    variant: Literal["robust", "bmas", "bmas_f1", "rouge_l", "bleu", "encoder", "judge"] = "robust"
    references: Literal["max", "mean"] = "max"
    max_tokens: Annotated[int, Ge(1)] = 1024
    encoder: str | None = None
    judge: JudgeConfig = field(default_factory=JudgeConfig)

    def __post_init__(self) -> None:
        check_bounds(self, "open_ended")
        if self.variant == "encoder" and not self.encoder:
            raise ConfigError("open_ended.variant is encoder; open_ended.encoder must name a model directory or hub id")

    def check_with(self, config: "MixedRewardConfig") -> None:
        """Refuse a judge that may take longer than a sample."""
        if self.variant == "judge" and self.judge.timeout_s >= config.time_limit_s:
            raise ConfigError(
                f"open_ended.judge.timeout_s is {self.judge.timeout_s}; it must lie between 0 and time_limit_s "
                f"({config.time_limit_s}), after which the sample is given up"
            )


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


def _parse(ground_truth: str, extra_info: Mapping[str, Any], scoring: Scoring) -> Gold:
    references = parse_ground_truth(ground_truth)

    def judge(answer: str) -> Verdict:
        return open_ended_reward(answer, ground_truth, table=scoring.load_table(), config=scoring.options)

    return plain_gold(references[0], judge, references=references)


def _prepare(scoring: Scoring) -> None:
    """Build or map the embedding table, load the encoder."""
    scoring.load_table()
    options: OpenEndedConfig = scoring.options
    if options.variant == "encoder" and options.encoder:
        from mixed_r1_verl.rewards.similarity.variants import load_encoder

        load_encoder(options.encoder)


def with_router(config: "MixedRewardConfig", address: str | None, model: str | None = None) -> "MixedRewardConfig":
    """The configuration whose judge is served at verl's reward router, unless it names an address of its own."""
    options: OpenEndedConfig = config.of("open_ended")
    if not address or options.judge.address:
        return config
    judge = replace(options.judge, address=address, model=options.judge.model or model)
    return replace(config, options={**config.options, "open_ended": replace(options, judge=judge)})


_instruction = partial(letter_or, "Answer with a description.")

KIND = RewardKind("open_ended", _parse, _instruction, config=OpenEndedConfig, answers="text", prepare=_prepare)
