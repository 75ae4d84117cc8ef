"""Open-ended reward: several references, broken rows, configuration, anything at all as a text."""

import statistics
import subprocess
import sys
import time
from math import inf, nan

import numpy as np
import pytest
from described_pictures import LIMIT, PICTURES, TABLE
from hypothesis import given, settings
from hypothesis import strategies as st

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.kinds.open_ended import OpenEndedConfig, open_ended_reward, parse_ground_truth
from mixed_r1_verl.rewards.mixed import MixedReward
from mixed_r1_verl.rewards.similarity.robust import robust
from mixed_r1_verl.rewards.similarity.variants import VARIANTS
from mixed_r1_verl.rewards.verdict import GroundTruthError

OWN = ("robust", "bmas", "bmas_f1")


def test_several_references() -> None:
    answer = PICTURES[0][0]
    truth = '["A dog runs after a ball in the grass.", "A cat sleeps."]'
    best = open_ended_reward(answer, truth, table=TABLE)
    mean = open_ended_reward(answer, truth, table=TABLE, config=OpenEndedConfig(references="mean"))
    singles = [robust(answer, reference, TABLE, LIMIT) for reference in parse_ground_truth(truth)]
    assert best.acc == pytest.approx(max(singles))
    assert mean.acc == pytest.approx(statistics.fmean(singles))


@pytest.mark.parametrize(
    ("ground_truth", "references"),
    [
        ("A dog.", ("A dog.",)),
        (' ["A dog.", " A cat. "] ', ("A dog.", "A cat.")),
        ("[laughs] A dog. [ends]", ("[laughs] A dog. [ends]",)),  # prose, not JSON
        ("[sic]", ("[sic]",)),
        ("42", ("42",)),
        ("* " * 50 + "A dog.", ("* " * 50 + "A dog.",)),  # words after much mark-up
        ('{"a": 1}', ('{"a": 1}',)),
    ],
)
def test_ground_truth_is_read(ground_truth: str, references: tuple[str, ...]) -> None:
    assert parse_ground_truth(ground_truth) == references
    gold = MixedReward().parse("open_ended", ground_truth, {})
    assert (gold.references, gold.honest) == (references, references[0])
    assert gold.score(gold.honest).acc == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    "ground_truth", ["", "  \n", "...", "[]", '[""]', '["A dog.", "  "]', "[1, 2]", '[["A dog."]]', "[null]", "🐶"]
)
def test_unreadable_ground_truth_is_refused(ground_truth: str) -> None:
    with pytest.raises(GroundTruthError, match="open-ended ground truth"):
        open_ended_reward("A dog.", ground_truth, table=TABLE)


def test_deeply_nested_ground_truth_is_refused() -> None:
    with pytest.raises(GroundTruthError):
        open_ended_reward("x", "[" * 100_000 + "x" + "]" * 100_000, table=TABLE)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        *(({"max_tokens": value}, "open_ended.max_tokens") for value in (0, -1)),
        *(({"judge": {"timeout_s": value}}, "open_ended.judge.timeout_s") for value in (0, -1, nan, inf)),
        ({"variant": "judge", "judge": {"timeout_s": 10}}, "open_ended.judge.timeout_s"),
        ({"variant": "bmsa"}, "open_ended.variant is 'bmsa'; did you mean 'bmas'"),
        ({"references": "min"}, "open_ended.references"),
    ],
)
def test_options_that_cannot_work_are_refused(section: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        MixedRewardConfig.from_mapping({"open_ended": section})


def test_the_kind_is_known_without_what_only_scoring_needs() -> None:
    program = (
        "import sys; from mixed_r1_verl.rewards.kinds.open_ended import KIND, parse_ground_truth; "
        "parse_ground_truth('A dog.'); print(*{'numpy', 'scipy', 'tokenizers', 'torch', 'transformers', "
        "'snowballstemmer'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout.split() == []


@pytest.mark.parametrize("variant", list(VARIANTS))
@pytest.mark.parametrize("answer", ["", "   \n\t"])
def test_empty_answer_is_zero(variant: str, answer: str) -> None:
    verdict = open_ended_reward(answer, "A dog.", table=TABLE, config=OpenEndedConfig(variant=variant))
    assert (verdict.acc, verdict.reason) == (0, "empty")


def test_unknown_variant_is_named() -> None:
    with pytest.raises(ValueError, match=r"unknown open-ended variant 'bmsa'; known: robust, bmas"):
        open_ended_reward("A dog.", "A dog.", table=TABLE, config=OpenEndedConfig(variant="bmsa"))


# --- rows with a question

TWO = ("How many people are in the picture?", "There are two people in the picture.")
RED = ("What colour is the car?", "The car is red.")
HAT = ("Is the man wearing a hat?", "Yes, the man is wearing a hat.")


@pytest.mark.parametrize(
    ("row", "right", "wrong"),
    [
        (
            TWO,
            ("Two.", "2 people", "There are two people."),
            ("There are five people in the picture.", "2 or 3", "1 2 3"),
        ),
        (RED, ("Red.", "It is red."), ("The car is blue.", "The car is red and blue.", "Which colour?")),
        (HAT, ("Yes.", "Yes, a hat."), ("No.", "No, the man is wearing a hat.", "yes no", "The man has a hat.")),
    ],
)
def test_the_value_that_is_asked_for_decides(
    row: tuple[str, str], right: tuple[str, ...], wrong: tuple[str, ...]
) -> None:
    question, truth = row

    def acc(answer: str) -> float:
        return open_ended_reward(answer, truth, table=TABLE, question=question).acc

    assert min(map(acc, right)) >= 0.5
    assert max(map(acc, (question, *wrong))) <= 0.2


def test_the_words_of_the_question_are_not_paid() -> None:
    question, truth = "What is the man in the red shirt doing?", "The man in the red shirt is riding a horse."
    echo = open_ended_reward(question, truth, table=TABLE).acc
    known = open_ended_reward(question, truth, table=TABLE, question=question).acc
    assert known < 0.1 < echo
    assert open_ended_reward("Riding a horse.", truth, table=TABLE, question=question).acc > known + 0.2
    assert open_ended_reward(truth, truth, table=TABLE, question=question).acc == pytest.approx(1, abs=1e-5)
    # Plain BMAS is kept as the paper has it.
    plain = OpenEndedConfig(variant="bmas")
    assert open_ended_reward(question, truth, table=TABLE, question=question, config=plain).acc > 0.5


# --- anything at all

ANYTHING = st.one_of(
    st.text(max_size=200),
    st.text(st.characters(exclude_categories=()), max_size=60),  # lone surrogates too
    st.lists(st.sampled_from(["a", "the", "dog", "dogs", "red", "blue", "man", ".", "7", "狗", "\n"]), max_size=60).map(
        " ".join
    ),
)


@settings(max_examples=400, deadline=None)
@given(answer=ANYTHING, reference=ANYTHING)
def test_scores_are_finite_and_in_range(answer: str, reference: str) -> None:
    for variant in OWN:
        score = VARIANTS[variant](answer, reference, TABLE, LIMIT)
        assert np.isfinite(score)
        assert score <= 1 + 1e-5
        try:
            verdict = open_ended_reward(answer, reference, table=TABLE, config=OpenEndedConfig(variant=variant))
        except GroundTruthError:
            continue
        assert 0 <= verdict.acc <= 1


MEGABYTE = 1_000_000
HOSTILE = {
    "one letter": "a" * MEGABYTE,
    "one word": "dog " * (MEGABYTE // 4),
    "distinct words": " ".join(f"w{number}" for number in range(MEGABYTE // 7)),
    "spaces": " " * (MEGABYTE - 1) + "x",
    "apostrophes": "a'" * (MEGABYTE // 2),
    "digits": "1" * MEGABYTE,
    "digits and commas": "1," * (MEGABYTE // 2),
    "combining marks": "a" + "\u0301" * MEGABYTE,
    "ligatures that grow eighteenfold": "\ufdfa" * (MEGABYTE // 3),
    "Chinese": "狗" * (MEGABYTE // 3),
    "invisible": "\u200b" * (MEGABYTE // 3),
    "surrogates": "\ud800" * MEGABYTE,
    "brackets": "[" * MEGABYTE,
}


@pytest.mark.parametrize("variant", list(VARIANTS))
@pytest.mark.parametrize("shape", list(HOSTILE))
def test_a_megabyte_of_anything_takes_less_than_a_second(shape: str, variant: str) -> None:
    if variant in ("rouge_l", "bleu"):
        pytest.importorskip({"rouge_l": "rouge_score", "bleu": "sacrebleu"}[variant])
    config = OpenEndedConfig(variant=variant)
    reference = " ".join(word for pair in PICTURES for word in pair)
    open_ended_reward("A dog.", "A dog.", table=TABLE, config=config)  # imports what the variant needs
    start = time.thread_time()
    verdict = open_ended_reward(HOSTILE[shape], reference, table=TABLE, config=config)
    assert time.thread_time() - start < 1
    assert 0 <= verdict.acc < 0.25 if variant == "robust" else 0 <= verdict.acc <= 1
    start = time.thread_time()
    try:
        open_ended_reward(reference, HOSTILE[shape], table=TABLE, config=config)
    except GroundTruthError:
        assert shape in ("invisible", "surrogates", "brackets", "spaces", "combining marks")
    assert time.thread_time() - start < 1
