"""The chart reward, in tables named after where the cases come from; the rules are in the module's docstring."""

import json
import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixed_r1_verl.rewards.answer.numbers import Number, parse_number
from mixed_r1_verl.rewards.answer.text import text_key
from mixed_r1_verl.rewards.chart import anls, chart_reward, is_year, parse_ground_truth
from mixed_r1_verl.rewards.config import ChartConfig
from mixed_r1_verl.rewards.verdict import GroundTruthError

Case = tuple[str, str, int]  # answer, gold, acc

# --- pix2struct's own eight pairs (Apache-2.0): relaxed accuracy 62.5, ANLS 47.5 --------------------------------------

PIX2STRUCT: list[Case] = [
    ("abc", "abc", 1),
    ("abc", "Abc", 1),
    ("Abc", "abc", 1),
    ("100%", "96%", 1),
    ("100%", "94%", 0),
    ("100%", "0.96", 1),
    ("100%", "0.94", 0),
    ("Don't", "Won't", 0),
]


def test_pix2struct_means() -> None:
    relaxed = [chart_reward(answer, gold).acc for answer, gold, _ in PIX2STRUCT]
    assert 100 * sum(relaxed) / 8 == 62.5
    similarity = [anls(answer, gold) for answer, gold, _ in PIX2STRUCT]
    assert 100 * sum(similarity) / 8 == pytest.approx(47.5)


# --- peers' defect table: each row that concerns charts ---------------------------------------------------------------

DEFECTS: list[Case] = [
    ("2010", "2008", 0),
    ("2008", "2008", 1),
    ("0.0", "0", 1),
    ("0", "0.0", 1),
    ("1,200", "1200", 1),
    ("1200", "1,200", 1),
    ("$5", "5", 1),
    ("5", "$5", 1),
    ("100%", "100", 1),
    ("100", "100%", 1),
    ("I cannot tell", "No", 0),
    ("", "5", 0),
]
TOLERANCE: list[Case] = [
    ("105", "100", 1),
    ("95", "100", 1),
    ("105.01", "100", 0),
    ("94.99", "100", 0),
    ("3.1", "3", 1),
    ("2.8", "3", 0),
    ("-105", "-100", 1),
    ("-94", "-100", 0),
    ("0.105", "0.1", 1),
    ("1050000", "1000000", 1),
    ("49", "50", 1),
    ("47", "50", 0),
    ("21.5", "21.5", 1),
    ("0.275", "0.27", 1),
]
ZERO_AND_SIGN: list[Case] = [
    ("0", "0", 1),
    ("-0", "0", 1),
    ("0%", "0", 1),
    ("zero", "0", 1),
    ("0.001", "0", 0),
    ("1e-9", "0", 0),
    ("none", "0", 0),
    ("5", "-5", 0),
    ("-5", "5", 0),
    ("−5", "-5", 1),
    ("- 5", "-5", 1),
    ("minus 5", "-5", 1),
    ("-5%", "-5", 1),
    ("-$5", "-5", 1),
]
YEARS: list[Case] = [
    ("2009", "2008", 0),
    ("2008.0", "2008", 1),
    ("in 2008", "2008", 1),
    ("the year 2008", "2008", 1),
    ("The year was 2008.", "2008", 1),
    ("It was 2008.", "2008", 1),
    ("2008 (highest)", "2008", 1),
    ("2008 and 2010", "2008", 0),
    ("2008, 2009", "2008", 0),
    ("2008%", "2008", 0),
    ("$2008", "2008", 0),
    ("1989", "1990", 0),
    ("2616", "2600", 1),  # no year: beyond 2100
    ("1250", "1200", 1),  # nor this, before 1500, where no year is asked
    ("2,000", "2,040", 1),  # a thousands sign is no year
]
PERCENT_AND_SCALE: list[Case] = [
    ("41%", "41", 1),
    ("41 percent", "41", 1),
    ("41 per cent", "41%", 1),
    ("41%", "0.41", 1),
    ("0.41", "41%", 1),
    ("0.41", "41", 0),
    ("41", "0.41", 0),
    ("forty-two percent", "42", 1),
    ("5 million", "5000000", 1),
    ("5M", "5,000,000", 1),
    ("5k", "5000", 1),
    ("5 thousand", "5 million", 0),
    ("2500 thousand", "2.5 million", 1),
    ("1200000", "1.2 million", 1),
    ("1.25 million", "1.2 million", 1),
    ("1.3 million", "1.2 million", 0),
    ("$2.5 billion", "2500000000", 1),
    ("5 million", "5", 0),
    ("5", "5 million", 0),
    ("1.2e6", "1200000", 1),
    (r"1.2 \times 10^6", "1200000", 1),
    ("3万", "30000", 1),
]
UNITS: list[Case] = [
    ("42 km", "42", 1),
    ("42", "42 km", 1),
    ("42000 m", "42 km", 1),
    ("42 km", "42 m", 0),
    ("42 miles", "42 km", 0),
    ("15 min", "15 minutes", 1),
    ("0.25 hours", "15 minutes", 1),
    ("15 seconds", "15 minutes", 0),
    ("1.5 hours", "90 minutes", 1),
    ("165 minutes", "2 hours and 45 minutes", 1),
    ("2 hours and 45 minutes", "2 hours and 45 minutes", 1),
    ("2 hours and 40 minutes", "2 hours and 45 minutes", 0),
    ("$42", "42€", 0),
    ("$12", "£12", 0),
    ("12 USD", "$12", 1),
    ("¥100", "100", 1),
    ("42 apples", "42 oranges", 0),
    ("42 apples", "42", 1),
    ("808 articles", "808 science articles", 1),
    ("12 people", "12%", 0),
    ("$12", "12%", 0),
    ("4,727 listeners", "4,727", 1),
    ("5米", "5", 1),
]
NUMBER_FORMS: list[Case] = [
    ("3/20", "0.15", 1),
    ("0.15", "3/20", 1),
    (r"\frac{3}{20}", "3/20", 1),
    ("7/41", "7/41", 1),
    ("8/41", "7/41", 0),
    ("five", "5", 1),
    ("Five people", "5", 1),
    ("one hundred and five", "105", 1),
    ("(42)", "42", 1),
    ("[42]", "42", 1),
    ("42.", "42", 1),
    ("**42**", "42", 1),
    (r"\boxed{42}", "42", 1),
    ("$42$", "42", 1),
    ("```\n42\n```", "42", 1),
    ("４２", "42", 1),
    ("about 42", "42", 1),
    ("~42", "42", 1),
    ("1 200", "1200", 1),
    ("2.72", "2.72 / 2720", 1),
    ("2720", "2.72 / 2720", 1),
    ("272", "2.72 / 2720", 0),
    ("nan", "5", 0),
    ("inf", "5", 0),
    ("1e400", "5", 0),
    ("5,5", "5.5", 0),
    ("1.234,5", "1234.5", 0),
]
# One committed number in prose counts, by the rules of the docstring.
PROSE: list[Case] = [
    ("The answer is 42.", "42", 1),
    ("Answer: 42", "42", 1),
    ("It is 42 million people.", "42000000", 1),
    ("There are 3 bars.", "3", 1),
    ("42 because the bar ends there", "42", 1),
    ("5 because 3+2=5", "5", 1),
    ("12, since 54-42=12", "12", 1),
    ("In 2008 the value was 42", "42", 1),
    ("The value was 42 in 2008.", "42", 1),
    ("In May the value was 42.", "42", 1),
    ("The bar for Chile shows 42", "42", 1),
    ("12 + 30 = 42", "42", 1),
    ("The answer is 54 - 12 = 42.", "42", 1),
    ("The difference is 12 (54 - 42).", "12", 1),
    ("5 is the answer", "5", 1),
    ("The answer is 42, not 60", "42", 1),
    ("42 and 42", "42", 1),
    ("42\n\nThe bar for 2008 ends at 42.", "42", 1),
    ("The value for 2019 is 42 and for 2020 is 60", "42", 0),
    ("10+20=30=42", "42", 0),
    ("The answer is 60, not 42", "42", 0),
    ("not 42", "42", 0),
    ("The answer is not 42", "42", 0),
    ("It is not 42", "42", 0),
    ("It may be 42", "42", 0),
    ("42?", "42", 0),
    ("more than 42", "42", 0),
    ("at least 42", "42", 0),
    ("42 or more", "42", 0),
    ("4 out of 10", "4", 0),
    ("COVID-19", "19", 0),
    ("Q3", "3", 0),
    ("the 3rd", "3", 0),
]
SEVERAL_NUMBERS: list[Case] = [
    ("40 or 42", "42", 0),
    ("42 or 60", "42", 0),
    ("42, 60", "42", 0),
    ("42; 60", "42", 0),
    ("42 60", "42", 0),
    ("42/60/80", "42", 0),
    ("42 (or 60)", "42", 0),
    ("42 and 60", "42", 0),
    ("42\n60", "42", 0),
    ("between 40 and 44", "42", 0),
    ("40-44", "42", 0),
    ("40–44", "42", 0),
    ("40 to 44", "42", 0),
    ("$40-$44", "42", 0),
    ("1 2 3 4 5", "3", 0),
    ("1,2,3,4,5", "3", 0),
    ("0 1 2 3 4 5 6 7 8 9", "5", 0),
    ("49 50 51", "50", 0),
    ("The answer is 42. The answer is 60.", "42", 0),
    (r"\boxed{42} \boxed{60}", "42", 0),
    ("[40, 42]", "42", 0),
]
LISTS: list[Case] = [
    ("[Slovenia, Turkey]", "[Slovenia, Turkey]", 1),
    ("Turkey, Slovenia", "[Slovenia, Turkey]", 1),
    ("Slovenia and Turkey", "[Slovenia, Turkey]", 1),
    ("Slovenia & Turkey", "[Slovenia, Turkey]", 1),
    ("Slovenia; Turkey", "[Slovenia, Turkey]", 1),
    ("Slovenia / Turkey", "[Slovenia, Turkey]", 1),
    ("- Slovenia\n- Turkey", "[Slovenia, Turkey]", 1),
    ("1. Slovenia\n2. Turkey", "[Slovenia, Turkey]", 1),
    ('["Slovenia", "Turkey"]', "[Slovenia, Turkey]", 1),
    ("['Slovenia', 'Turkey']", "[Slovenia, Turkey]", 1),
    ("The two countries are Slovenia and Turkey.", "[Slovenia, Turkey]", 1),
    ("The answer is Slovenia and Turkey.", "[Slovenia, Turkey]", 1),
    (r"\boxed{Slovenia, Turkey}", "[Slovenia, Turkey]", 1),
    ("Germany, Bolivia, and the Dominican Republic", "[Germany, Bolivia, Dominican Republic]", 1),
    ("Slovenia", "[Slovenia, Turkey]", 0),
    ("Slovenia, Chile", "[Slovenia, Turkey]", 0),
    ("Slovenia, Turkey, Chile", "[Slovenia, Turkey]", 0),
    ("Slovenia, Slovenia", "[Slovenia, Turkey]", 0),
    ("Slovenia or Turkey", "[Slovenia, Turkey]", 0),
    ("not Slovenia, Turkey", "[Slovenia, Turkey]", 0),
    ("2013, 2016", "[2013, 2016]", 1),
    ("2016 and 2013", "[2013, 2016]", 1),
    ("2013,2016", "[2013, 2016]", 1),
    ("In 2013 and 2016", "[2013, 2016]", 1),
    ("2013, 2017", "[2013, 2016]", 0),
    ("2013", "[2013, 2016]", 0),
    ("2013-2016", "[2013, 2016]", 0),
    ("2013, 2014, 2015, 2016", "[2013, 2016]", 0),
    ("1,200 and 3,400", "[1200, 3400]", 1),
    ("0; Cubic Rewards; 200", "0; Cubic Rewards; 200", 1),
    ("Cubic Rewards, 0, 200", "0; Cubic Rewards; 200", 1),
    ("200\n0\nCubic Rewards", "0; Cubic Rewards; 200", 1),
    ("1. 0\n2. Cubic Rewards\n3. 200", "0; Cubic Rewards; 200", 1),
    ("0; Cubic Rewards", "0; Cubic Rewards; 200", 0),
    ("0; Cubic; 200", "0; Cubic Rewards; 200", 0),
    ("0, 1, 100", "100; 0; 1", 1),
    ("0, 1, 90", "100; 0; 1", 0),
    ("-1; -1", "-1; -1", 1),
    ("-1", "-1; -1", 0),
    ("1; -1", "-1; -1", 0),
    ("April 10, 2020; D", "D; Apr 10, 2020", 1),
    ("B and C", "B; C", 1),
    ("B and D", "B; C", 0),
    ("Trinidad and Tobago, Chile", "[Trinidad and Tobago, Chile]", 1),
    ("Chile and Trinidad and Tobago", "[Trinidad and Tobago, Chile]", 1),
    ("Chile and Trinidad", "[Trinidad and Tobago, Chile]", 0),
    ("Should, Should not", "[Should not, Should]", 1),
    ("3; Dem/lean Dem, Rep/lean Rep", "3; Rep/lean Rep, Dem/lean Dem", 1),
    ("3.36; Santa Clara County, CA (30%)", "3.36; Santa Clara County, CA (30%)", 1),
    ("2013", "[2013]", 1),
    ("[2013]", "2013", 1),
]
YES_NO: list[Case] = [
    ("Yes", "Yes", 1),
    ("yes.", "Yes", 1),
    ("No, it is not", "No", 1),
    ("The answer is Yes.", "Yes", 1),
    ("Yes and no", "Yes", 0),
    ("No", "Yes", 0),
    ("I do not know", "No", 0),
    ("No, but I plan to soon", "No, but I plan to soon", 1),
    ("No", "No, but I plan to soon", 0),
    ("I do not know", "I do not know", 1),
]
DATES_AND_TIMES: list[Case] = [
    ("April 10, 2020", "Apr 10, 2020", 1),
    ("10 April 2020", "Apr 10, 2020", 1),
    ("10th of April 2020", "Apr 10, 2020", 1),
    ("2020-04-10", "Apr 10, 2020", 1),
    ("04/10/2020", "Apr 10, 2020", 1),
    ("10.04.2020", "Apr 10, 2020", 1),
    ("2020年4月10日", "Apr 10, 2020", 1),
    ("Friday, April 10, 2020", "Apr 10, 2020", 1),
    ("It was April 10, 2020.", "Apr 10, 2020", 1),
    ("Apr 11, 2020", "Apr 10, 2020", 0),
    ("Apr 10, 2021", "Apr 10, 2020", 0),
    ("April 2020", "Apr 10, 2020", 0),
    ("Apr 10", "Apr 10, 2020", 0),
    ("Mar", "March", 1),
    ("It was in March.", "March", 1),
    ("in March", "March", 1),
    ("April", "March", 0),
    ("March or April", "March", 0),
    ("March 2015", "Mar-15", 1),
    ("January", "Jan 2015", 0),
    ("May", "May", 1),
    ("June", "May", 0),
    ("Wed", "Wednesday", 1),
    ("Thursday", "Wednesday", 0),
    ("2011-12", "2011-12", 1),
    ("Dec 2011", "2011-12", 0),
    ("1:15 PM", "1:15 P.M.", 1),
    ("1:15 p.m.", "1:15 P.M.", 1),
    ("13:15", "1:15 P.M.", 1),
    ("1:15", "1:15 P.M.", 1),
    ("The answer is 1:15 P.M.", "1:15 P.M.", 1),
    ("1:15 A.M.", "1:15 P.M.", 0),
    ("13:15", "1:15 A.M.", 0),
    ("1:45 P.M.", "1:15 P.M.", 0),
    ("12:45", "12:45 P.M.", 1),
    ("1:15 or 1:45 P.M.", "1:15 P.M.", 0),
]
LABELS: list[Case] = [
    ("Indonesia.", "Indonesia", 1),
    ("INDONESIA", "Indonesia", 1),
    ("The answer is Indonesia", "Indonesia", 1),
    ("It is Indonesia, because its bar is longest", "Indonesia", 1),
    ("Indonesia (7.6 million)", "Indonesia", 1),
    ("Indonesia is the answer", "Indonesia", 1),
    (r"\text{Indonesia}", "Indonesia", 1),
    ("**Indonesia**", "Indonesia", 1),
    ("Indonesia. Its bar is the longest.", "Indonesia", 1),
    ("China", "Indonesia", 0),
    ("Indonesia or China", "Indonesia", 0),
    ("Indonesia, China", "Indonesia", 0),
    ("Indonesia. China.", "Indonesia", 0),
    ("not Indonesia", "Indonesia", 0),
    ("It is not Indonesia", "Indonesia", 0),
    ("Is it Indonesia?", "Indonesia", 0),
    ("Indonesian", "Indonesia", 0),
    ("The chart shows Indonesia and others", "Indonesia", 0),
    ("light blue", "Light Blue", 1),
    ("light-blue", "Light Blue", 1),
    ("blue", "light blue", 0),
    ("light blue", "blue", 0),
    ("grey", "Gray", 1),
    ("the Media Workers", "Media workers", 1),
    ("18–29", "18-29", 1),
    ("18 to 29", "18-29", 1),
    ("18-30", "18-29", 0),
    ("third", "Third", 1),
    ("3rd", "Third", 1),
    ("Second", "Third", 0),
    ("Child", "Child (before age 5)", 0),
    ("Other adults, Sandwich generation", "Sandwich generation, Other adults", 1),
    ("(B)", "B", 1),
    ("B. Percentage of people", "B", 1),
    ("A or B", "B", 0),
    ("A", "B", 0),
]
TABLES = {
    "pix2struct": PIX2STRUCT,
    "defects": DEFECTS,
    "tolerance": TOLERANCE,
    "zero_and_sign": ZERO_AND_SIGN,
    "years": YEARS,
    "percent_and_scale": PERCENT_AND_SCALE,
    "units": UNITS,
    "number_forms": NUMBER_FORMS,
    "prose": PROSE,
    "several_numbers": SEVERAL_NUMBERS,
    "lists": LISTS,
    "yes_no": YES_NO,
    "dates_and_times": DATES_AND_TIMES,
    "labels": LABELS,
}


@pytest.mark.parametrize(
    ("answer", "gold", "acc"),
    [pytest.param(*case, id=f"{name}:{case[0]!r}/{case[1]!r}") for name, table in TABLES.items() for case in table],
)
def test_case(answer: str, gold: str, acc: int) -> None:
    verdict = chart_reward(answer, gold)
    assert verdict.acc == acc
    assert (verdict.reason == "") == (acc == 1)


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


def test_years_need_plain_digits() -> None:
    assert is_year(Number(2008.0, plain=True), "")
    assert not is_year(Number(2008.0, plain=False), "")
    assert not is_year(Number(2008.0, plain=True), "How many cars were sold?")


# --- configuration ----------------------------------------------------------------------------------------------------


def test_tolerance_is_configurable() -> None:
    assert chart_reward("110", "100", config=ChartConfig(tolerance=0.1)).acc == 1
    assert chart_reward("101", "100", config=ChartConfig(tolerance=0.0)).acc == 0
    assert chart_reward("100.0", "100", config=ChartConfig(tolerance=0.0)).acc == 1


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
        start = time.perf_counter()
        for gold in (*_GOLDS, "; ".join(str(number) for number in range(50))):
            chart_reward(text, gold)
        assert time.perf_counter() - start < 1.0
