"""Open-ended reward: similarity of an answer to reference texts by token embeddings, in both directions."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal

from mixed_r1_verl.core.config import ConfigError, Interval, check_bounds
from mixed_r1_verl.rewards.cheats import STOP_WORDS, say
from mixed_r1_verl.rewards.kind import Gold, RewardKind, Scoring, letter_or, references_of
from mixed_r1_verl.rewards.similarity.words import ENGLISH, beyond_question, split_words, values_in
from mixed_r1_verl.rewards.verdict import GroundTruthError, Verdict

# The table and the similarities bring numpy, SciPy and tokenizers, which a run without open-ended rows does not need.
if TYPE_CHECKING:
    from mixed_r1_verl.rewards.config import MixedRewardConfig
    from mixed_r1_verl.rewards.similarity.table import EmbeddingTable
    from mixed_r1_verl.rewards.similarity.variants import Similarity

__all__ = [
    "KIND",
    "JudgeConfig",
    "OpenEndedConfig",
    "TextGold",
    "open_ended_reward",
    "parse_ground_truth",
    "similarity_of",
    "with_router",
]

# Words' worth of text in which a reference must show its first word.
REFERENCE_PROBE = 64
# A reference of at most so many words whose question asks for a number, a colour, or yes or no, decides by it:
# the right value earns this share at least, any other this share of its similarity at most.
SHORT_REFERENCE = 20
RIGHT_VALUE, WRONG_VALUE = 0.5, 0.2


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
    timeout_s: Annotated[float, Interval(gt=0)] = 8.0

    def __post_init__(self) -> None:
        check_bounds(self, "open_ended.judge")


@dataclass(frozen=True)
class OpenEndedConfig:
    """Open-ended reward."""

    # the similarity. `robust` (default) matches words in both directions and cannot be gamed cheaply; `bmas` is the
    # paper's as reconstructed from its name, `bmas_f1` its harmonic form. For ablation: `rouge_l` and `bleu` need the
    # packages rouge-score and sacrebleu, `encoder` is the cosine of sentence vectors, `judge` the mark of a language
    # model. See docs/rewards-open-ended.md.
    variant: Literal["robust", "bmas", "bmas_f1", "rouge_l", "bleu", "encoder", "judge"] = "robust"
    references: Literal["max", "mean"] = "max"  # how several references combine: the best one, or their mean
    # tokens of a text that are read; a longer answer is cut there and pays for its length
    max_tokens: Annotated[int, Interval(ge=1)] = 1024
    encoder: str | None = None  # directory or hub id of the Hugging Face encoder of the variant `encoder`
    judge: JudgeConfig = field(default_factory=JudgeConfig)  # the judge of the variant `judge`

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


@dataclass(frozen=True)
class TextGold(Gold):
    """The reference texts of a row."""

    options: OpenEndedConfig  # which similarity, and how several references combine
    load_table: "Callable[[], EmbeddingTable]"  # gives the embeddings of tokens and words
    references: tuple[str, ...]  # at least one, each with a word in it
    question: str = ""  # of the row; what its own words match is not paid, and the value that it asks for decides

    @property
    def honest(self) -> str:  # type: ignore[override]
        return self.references[0]

    def score(self, answer: str) -> Verdict:
        """The similarity, cut to [0, 1]; an answer without a word scores 0."""
        if not answer.strip():
            return Verdict(0.0, "", "empty")
        scores = [self._similarity(answer, reference) for reference in self.references]
        combined = max(scores) if self.options.references == "max" else sum(scores) / len(scores)
        return Verdict(min(1.0, max(0.0, combined)), answer.strip())

    def _similarity(self, answer: str, reference: str) -> float:
        table, limit = self.load_table(), self.options.max_tokens
        similarity, question = similarity_of(self.options), self.question
        if not question or self.options.variant != "robust":
            return similarity(answer, reference, table, limit)
        new = beyond_question(reference, question, limit)
        given = beyond_question(answer, question, limit) if new else answer
        score = similarity(given, new or reference, table, limit)
        right, value = (values_in(question, text, limit) for text in (reference, answer))
        if not right or len(split_words(reference, SHORT_REFERENCE + 1)) > SHORT_REFERENCE:
            return score
        return RIGHT_VALUE + (1 - RIGHT_VALUE) * score if value == right else WRONG_VALUE * score


def open_ended_reward(
    answer: str,
    ground_truth: str,
    *,
    table: "EmbeddingTable",
    config: OpenEndedConfig = DEFAULT_CONFIG,
    question: str = "",
) -> Verdict:
    """Scores a free text against one or several reference texts.

    Args:
        answer: the text inside `<answer>`.
        ground_truth: the reference, or a JSON list of references.
        table, config, question: see `TextGold`.

    Returns:
        A verdict with `acc` in [0, 1], always finite; an answer without a word scores 0.

    Raises:
        GroundTruthError: the ground truth holds no reference with a word in it.
        ValueError, ImportError, JudgeError: `config.variant` is unknown, needs a package that is not installed, or its
            judge gave no mark.

    >>> from mixed_r1_verl.rewards.similarity.table import EmbeddingTable
    >>> table = EmbeddingTable.load(None)  # hashed letters, for trials
    >>> round(open_ended_reward("The dog is running through snow.", "A dog runs in the snow.", table=table).acc, 2)
    0.96
    """
    return TextGold(config, lambda: table, parse_ground_truth(ground_truth), question).score(answer)


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
    references = references_of(ground_truth, "open-ended ground truth")
    if not references or not all(split_words(reference, REFERENCE_PROBE) for reference in references):
        raise GroundTruthError(f"open-ended ground truth holds an empty reference: {ground_truth.strip()[:80]!r}")
    return references


def similarity_of(config: OpenEndedConfig) -> "Similarity":
    """The similarity that a configuration asks for.

    Raises:
        ValueError: `config.variant` is unknown.
    """
    from mixed_r1_verl.rewards.similarity.variants import VARIANTS, encoder_cosine, judge_mark

    if config.variant == "encoder" and config.encoder:
        return partial(encoder_cosine, model=config.encoder)
    if config.variant == "judge":
        return partial(judge_mark, **asdict(config.judge))
    if config.variant not in VARIANTS:
        raise ValueError(f"unknown open-ended variant {config.variant!r}; known: {', '.join(VARIANTS)}, encoder, judge")
    return VARIANTS[config.variant]


def _parse(ground_truth: str, extra_info: Mapping[str, Any], scoring: Scoring) -> TextGold:
    question = str(extra_info.get("question") or "")
    return TextGold(scoring.options, scoring.load_table, parse_ground_truth(ground_truth), question)


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


# What a policy might try in place of looking.
_COMMON_WORDS, _NOUNS, _ADJECTIVES, _VERBS = (
    " ".join(ENGLISH[name]) for name in ("frequent", "nouns", "adjectives", "verbs")
)
_CHEATS = (
    say("generic_caption", "A group of people standing outside in front of a building."),
    say(
        "generic_scene",
        "The image shows a scene with several objects and people. There are different colors and shapes in the "
        "foreground and in the background, and the overall composition is balanced and detailed.",
    ),
    say("common_words", _COMMON_WORDS),
    say("noun_list", _NOUNS),
    say("adjective_list", _ADJECTIVES),
    say("dictionary_dump", " ".join((_COMMON_WORDS, _NOUNS, _ADJECTIVES, _VERBS, STOP_WORDS))),
    say("one_noun", "man"),
    say("repeated_word", "man " * 50),
    # Close to what most captions of photographs of people say: as good a guess as one can make without looking.
    say("likely_caption_short", "A man in a shirt.", sort="fitted"),
    say("likely_caption", "A man and a woman are standing on a street.", sort="fitted"),
    say(
        "likely_caption_long",
        "A man in a blue shirt is standing in front of a building with other people.",
        sort="fitted",
    ),
    say("10_frequent_words", lambda target: " ".join(target.frequent[:10]), sort="fitted"),
    say("20_frequent_words", lambda target: " ".join(target.frequent[:20]), sort="fitted"),
    say("40_frequent_words", lambda target: " ".join(target.frequent[:40]), sort="fitted"),
    say("unrelated_three_times", lambda target: " ".join([target.unrelated] * 3)),
    say("letters", "a b c d e f g h i j k l m n o p q r s t u v w x y z"),
    say("honest_five_times", lambda target: " ".join([target.honest] * 5), sort="padded"),
    say("honest_and_dump", lambda target: f"{target.honest} {' '.join(_NOUNS.split()[:40])}", sort="padded"),
    say("honest_and_unrelated", lambda target: f"{target.honest} {target.unrelated}", sort="padded"),
)

KIND = RewardKind(
    "open_ended",
    _parse,
    partial(letter_or, "Answer with a description."),
    columns=("question",),
    config=OpenEndedConfig,
    answers="text",
    cheats=_CHEATS,
    prepare=_prepare,
)
