"""The chart reward: what the question decides, its settings, broken rows, real data, properties, hostile answers."""

import json
import math
import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.rewards.answer.numbers import parse_number
from mixed_r1_verl.rewards.answer.text import text_key
from mixed_r1_verl.rewards.kinds.chart import ChartConfig, chart_reward, parse_ground_truth
from mixed_r1_verl.rewards.verdict import GroundTruthError

# --- what the question decides ----------------------------------------------------------------------------------------

QUESTIONS = [
    ("1650", "1680", "How many cars did Renault sell?", 1),
    ("1650", "1680", "In which year was the plague?", 0),
    ("1650", "1680", "", 0),
    ("2000", "2010", "What is the total number of visitors in 2005?", 1),
    ("2000", "2010", "In which year is the number of visitors the highest?", 0),
    ("2000", "2010", "When did the line peak?", 0),
    ("2000", "2010", "What two years have the same value?", 0),
    ("2000", "2010", "Which year(s) recorded the maximum?", 0),
    ("1067", "1066", "When was the battle?", 0),
    ("1067", "1066", "", 1),
    ("5 million", "5", "How many people, in millions, live there?", 1),
    ("5", "5 million", "How many million people live there?", 1),
    ("5 billion", "5", "How many people, in millions, live there?", 0),
    ("5 million", "5", "How many people live there?", 0),
]


@pytest.mark.parametrize(("answer", "gold", "question", "acc"), QUESTIONS)
def test_question(answer: str, gold: str, question: str, acc: int) -> None:
    assert chart_reward(answer, gold, question=question).acc == acc


# --- configuration ----------------------------------------------------------------------------------------------------


def test_tolerance_is_configurable() -> None:
    assert chart_reward("110", "100", config=ChartConfig(tolerance=0.1)).acc == 1
    assert chart_reward("101", "100", config=ChartConfig(tolerance=0.0)).acc == 0
    assert chart_reward("100.0", "100", config=ChartConfig(tolerance=0.0)).acc == 1


@pytest.mark.parametrize(
    "options",
    [{"tolerance": -1}, {"tolerance": 1}, {"tolerance": math.nan}, {"anls_threshold": 7}, {"anls_threshold": -0.1}],
)
def test_settings_out_of_range_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=rf"chart\.{next(iter(options))} is {next(iter(options.values()))}"):
        ChartConfig(**options)


def test_anls_pays_near_misses_of_labels_only() -> None:
    config = ChartConfig(anls_threshold=0.5)
    assert chart_reward("Won't", "Don't", config=config).acc == pytest.approx(0.8)
    assert chart_reward("The answer is Indonesi", "Indonesia", config=config).acc == pytest.approx(1 - 1 / 9)
    assert chart_reward("China", "Indonesia", config=config).acc == 0
    assert chart_reward("94%", "100%", config=config).acc == 0
    assert chart_reward("2009", "2008", config=config).acc == 0
    assert chart_reward("Slovenia, Turkye", "[Slovenia, Turkey]", config=config).acc == pytest.approx((1 + 4 / 6) / 2)
    assert chart_reward("Slovenia, Chile", "[Slovenia, Turkey]", config=config).acc == 0


# --- broken rows ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gold", ["", "   ", "...", "[]", '"', "\u200b"])
def test_broken_rows_are_refused(gold: str) -> None:
    with pytest.raises(GroundTruthError):
        parse_ground_truth(gold)
    with pytest.raises(GroundTruthError):
        chart_reward("5", gold)


# --- real data --------------------------------------------------------------------------------------------------------


def _real_rows(raw: Path) -> list[tuple[str, str]]:
    rows: list[tuple[str, str]] = []
    for path in sorted(raw.glob("chartqa_split/dataset/*/*.json")):
        rows += [(row["label"], row["query"]) for row in json.loads(path.read_text(encoding="utf-8"))]
    for path in sorted(raw.glob("tabmwp/data/tabmwp/problems_*.json")):
        values = json.loads(path.read_text(encoding="utf-8")).values()
        rows += [(row["answer"], row["question"]) for row in values]
        rows += [(f"{row['answer']} {row['unit']}", row["question"]) for row in values if row["unit"]]
    for path in sorted(raw.glob("multi_chart_qa/data/*/*.json")):
        rows += [(row["answer"], row["question"]) for row in json.loads(path.read_text(encoding="utf-8"))]
    return rows


def test_every_real_gold_scores_1_for_itself(raw: Path) -> None:
    rows = _real_rows(raw)
    assert len(rows) > 400
    for gold, question in rows:
        for answer in (gold, f"The answer is {gold}.", f"**{gold}**", rf"\boxed{{{gold}}}", f" {gold}\n"):
            assert chart_reward(answer, gold, question=question).acc == 1, (answer, gold)


def test_real_opencqa_summaries_are_labels_that_score_1_for_themselves(raw: Path) -> None:
    rows = json.loads((raw / "opencqa/etc/data/val.json").read_text(encoding="utf-8"))
    golds = [fields[4] for _, fields in rows] if isinstance(rows, list) else [fields[4] for fields in rows.values()]
    assert len(golds) > 50
    for gold in golds:
        assert chart_reward(gold, gold).acc == 1
        assert chart_reward(gold.split()[0], gold).acc == 0


def test_a_real_gold_scores_for_another_only_within_the_tolerance(raw: Path) -> None:
    """Over 10,000 random pairs: what is paid is a number within 5 %, an equal fraction, or yes within a longer yes."""
    rows = _real_rows(raw)
    generator = random.Random(0)
    for _ in range(10_000):
        (gold, question), (answer, _) = generator.choice(rows), generator.choice(rows)
        if chart_reward(answer, gold, question=question).acc and text_key(answer) != text_key(gold):
            ours, theirs = parse_number(answer), parse_number(gold)
            if ours is not None and theirs is not None:
                assert abs(ours.value - theirs.value) <= 0.0501 * abs(theirs.value)
            else:
                assert (answer, gold) in {("No, but I plan to soon", "No")}


# --- properties -------------------------------------------------------------------------------------------------------

_WORDS = (
    "42 2008 1,200 5% $5 million Chile and or not The answer is because May 10 1:15 P.M. yes no B 3/20 km in more than"
)
_SIGNS = ". , ; : / \n - [ ] ( ) { } $ % ** \\boxed{42} \\frac \\ = + ~ ` Ｂ ４２ 万 \u200b ^ \ud800"
_PIECES = st.sampled_from([*_WORDS.split(" "), *_SIGNS.split(" ")])
_ANSWERS = (
    st.lists(_PIECES, max_size=12).map(" ".join) | st.lists(_PIECES, max_size=12).map("".join) | st.text(max_size=60)
)
_GOLDS = ["42", "2008", "0", "-5%", "$1,200", "Chile", "[2013, 2016]", "0; Cubic; 200", "Yes", "May", "1:15 P.M.", "B"]


@settings(max_examples=500, deadline=None)
@given(_ANSWERS, st.sampled_from(_GOLDS))
def test_any_answer_is_judged(answer: str, gold: str) -> None:
    verdict = chart_reward(answer, gold)
    assert verdict.acc in (0.0, 1.0)
    assert (verdict.reason == "") == (verdict.acc == 1.0)
    assert chart_reward(f"\n{answer} ", gold).acc == verdict.acc


@settings(max_examples=300, deadline=None)
@given(_ANSWERS, st.sampled_from(_GOLDS), st.sampled_from([0.3, 0.5, 0.8]))
def test_similarity_stays_in_range_and_never_takes_away(answer: str, gold: str, threshold: float) -> None:
    strict = chart_reward(answer, gold).acc
    assert strict <= chart_reward(answer, gold, config=ChartConfig(anls_threshold=threshold)).acc <= 1


@given(st.text(min_size=1, max_size=40))
def test_a_gold_that_can_be_read_scores_1_for_itself(gold: str) -> None:
    try:
        parse_ground_truth(gold)
    except GroundTruthError:
        return
    assert chart_reward(gold, gold).acc == 1


@given(st.floats(-1e9, 1e9).filter(lambda x: abs(x) > 1e-3), st.floats(-0.2, 0.2))
def test_the_tolerance_is_relative_to_the_gold(value: float, change: float) -> None:
    gold = f"{value:.3f}"
    written = f"{float(gold) * (1 + change):.9f}"
    error = abs(float(written) - float(gold))
    bound = 0.05 * abs(float(gold))
    if abs(error - bound) > 1e-6 * bound:
        assert chart_reward(written, gold).acc == (error < bound)


HOSTILE = [
    "1",
    "1,",
    "1 ",
    "1/",
    "-",
    "$1",
    "\n",
    ". ",
    "[",
    "[1,",
    "; ",
    "1; ",
    "Apr 1, ",
    "1:1",
    "the answer is ",
    "is ",
]
HOSTILE += [
    "or ",
    "of the ",
    "in 2008 ",
    "1+1=",
    "1 million ",
    "one ",
    "\\boxed{",
    "\\frac{",
    "{",
    "万",
    "\u200b",
    "a, ",
    "(",
    "1 in ",
]


@pytest.mark.parametrize("shape", HOSTILE)
def test_hostile_answers_are_fast(shape: str) -> None:
    for size in (1_900, 1_000_000):
        text = (shape * size)[:size]
        start = time.thread_time()
        for gold in (*_GOLDS, "; ".join(str(number) for number in range(50))):
            chart_reward(text, gold)
        assert time.thread_time() - start < 1.0
