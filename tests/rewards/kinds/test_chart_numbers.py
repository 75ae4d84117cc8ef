"""The chart reward on numbers, in tables named after where the cases come from."""

import pytest

from mixed_r1_verl.rewards.kinds.anls import anls
from mixed_r1_verl.rewards.kinds.chart import chart_reward, parse_ground_truth

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
    ("5 pounds", "£5", 1),
    ("5 lb", "£5", 0),
    ("$10", "$10 per hour", 1),
    ("10 dollars an hour", "$10/hour", 1),
    ("10 euros per hour", "$10/hour", 0),
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
    ("0.75", "3 / 4", 1),
    ("3", "3 / 4", 0),
    ("nan", "5", 0),
    ("inf", "5", 0),
    ("1e400", "5", 0),
    ("5,5", "5.5", 0),
    ("1.234,5", "1234.5", 0),
]
RATIOS: list[Case] = [
    ("1:2", "1:2", 1),
    ("1/2", "1:2", 1),
    ("1 to 2", "1:2", 1),
    ("2:4", "1:2", 1),
    ("The ratio is 1:2.", "1:2", 1),
    ("2:1", "1:2", 0),
    ("1:3", "1:2", 0),
    ("1:2:3", "1:2", 0),
    ("12", "1:2", 0),
    ("1:2 or 2:1", "1:2", 0),
    ("1:2?", "1:2", 0),
    ("not 1:2", "1:2", 0),
    ("18-24", "18 to 24", 1),
    ("30 to 40", "18 to 24", 0),
    ("3:4", "18 to 24", 0),
    ("0.75", "18 to 24", 0),
    ("10 to 18", "5 to 9", 0),
]
# One committed number in prose counts, by the rules of the docstring.
PROSE: list[Case] = [
    ("The answer is 42.", "42", 1),
    ("Answer: 42", "42", 1),
    ("It is 42 million people.", "42000000", 1),
    ("There are 3 bars.", "3", 1),
    ("Probably 42", "42", 1),
    ("It is probably 42", "42", 1),
    ("not 60 but 42", "42", 1),
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
    ("60.31 which is 59", "59", 0),
    ("60.31 which is 59", "60.31", 0),
    ("x^2=41", "41", 0),
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
TABLES = {
    "pix2struct": PIX2STRUCT,
    "defects": DEFECTS,
    "tolerance": TOLERANCE,
    "zero_and_sign": ZERO_AND_SIGN,
    "years": YEARS,
    "percent_and_scale": PERCENT_AND_SCALE,
    "units": UNITS,
    "number_forms": NUMBER_FORMS,
    "ratios": RATIOS,
    "prose": PROSE,
    "several_numbers": SEVERAL_NUMBERS,
}


@pytest.mark.parametrize(
    ("answer", "gold", "acc"),
    [("41%", "41", 1), ("41", "41%", 1), ("41%", "0.41", 0), ("0.41", "41", 0), ("0.41%", "0.41", 1)],
)
def test_a_row_may_say_that_its_numbers_are_percent(answer: str, gold: str, acc: int) -> None:
    assert parse_ground_truth(gold, answer_type="percent").score(answer).acc == acc


@pytest.mark.parametrize(
    ("answer", "gold", "acc"),
    [pytest.param(*case, id=f"{name}:{case[0]!r}/{case[1]!r}") for name, table in TABLES.items() for case in table],
)
def test_case(answer: str, gold: str, acc: int) -> None:
    verdict = chart_reward(answer, gold)
    assert verdict.acc == acc
    assert (verdict.reason == "") == (acc == 1)
