"""ANLS over several accepted answers: the benchmarks' formula, what commits to one text, and broken rows."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixed_r1_verl.rewards.kinds.anls import AnlsConfig, anls, anls_reward, parse_ground_truth
from mixed_r1_verl.rewards.verdict import GroundTruthError

NOKIA = '["Nokia", "Nokia Corp"]'

RIGHT = [  # answer, ground truth
    ("nokia", NOKIA),
    ("Nokia Corp.", NOKIA),
    ("The brand is Nokia.", NOKIA),
    (r"\boxed{Nokia}", NOKIA),
    ("ITC limited", "itc limited"),
    ("$1,200", "1200"),
    ("41", '["41%", "41"]'),
    ("12 June 1998", "June 12, 1998"),
    ("three", '["3"]'),
    ("B", "B"),
    ("yes", "Yes"),
    ("John Smith & Sons", "John Smith and Sons"),
    ("1600 Pennsylvania Ave, Washington DC", "1600 Pennsylvania Ave Washington DC"),
]
WRONG = [
    ("Samsung", NOKIA),
    ("Nokia or Nokia Corp", NOKIA),
    ("Nokia / Nokia Corp", NOKIA),
    ("Nokia, Nokia Corp", NOKIA),
    ("Nokia Nokia Corp", NOKIA),
    ("Nokia\nNokia Corp", NOKIA),
    ("Nokla or Nokla Corp", NOKIA),
    ("Nokia or Samsung", NOKIA),
    ("not Nokia", NOKIA),
    ("Nokia?", NOKIA),
    ("The answer is not Nokia", NOKIA),
    ("elephant cat", "elephant"),
    ("elephantt, cat", "elephant"),
    ("1950", "1960"),
    ("June 13, 1998", "June 12, 1998"),
    ("Flight 208", "Flight 203"),
    ("12 or 13", '["12", "twelve people"]'),
    ("Nokia - 987654", NOKIA),
    ("Nokia Nok", NOKIA),
    (r"\boxed{Nokia} 1960", NOKIA),
    ("Nokia which is 1960", NOKIA),
    ("The answer is 41%. The answer is Nokia.", "41%"),
    ("June 12, 1998 - Nokia", "June 12, 1998"),
    ("yes - Nokia", "yes"),
    ("Acme 12%", '["Acme", "12%"]'),
    ("no", "Yes"),
    ("", NOKIA),
    ("Nokia " * 1000, NOKIA),
]


@pytest.mark.parametrize(("answer", "truth"), RIGHT)
def test_an_accepted_text_earns_all(answer: str, truth: str) -> None:
    assert anls_reward(answer, truth).acc == 1


@pytest.mark.parametrize(("answer", "truth"), WRONG)
def test_several_texts_and_other_values_earn_nothing(answer: str, truth: str) -> None:
    assert anls_reward(answer, truth).acc == 0


def test_the_best_of_the_accepted_texts_counts() -> None:
    assert anls_reward("Nokla", "Nokia").acc == pytest.approx(anls("Nokla", "Nokia")) == 0.8
    assert anls_reward("Nokia Corq", NOKIA).acc == pytest.approx(0.9)
    assert anls_reward("The brand is Nokia Corq.", NOKIA).acc == pytest.approx(0.9)


def test_the_threshold() -> None:
    assert anls_reward("Nokla", NOKIA, config=AnlsConfig(threshold=0.8)).acc == pytest.approx(0.8)
    assert anls_reward("Nokla", NOKIA, config=AnlsConfig(threshold=0.81)).acc == 0


@pytest.mark.parametrize("truth", ["", "  ", "[]", '["Nokia", ""]', '["..."]', "[3, 4]"])
def test_broken_rows_are_refused(truth: str) -> None:
    with pytest.raises(GroundTruthError):
        parse_ground_truth(truth)


WORDS = st.lists(
    st.sampled_from("acme corp ltd nokia samsung red 12 1960 street new york inc".split()), min_size=1, max_size=3
)


@given(
    st.lists(WORDS.map(" ".join), min_size=2, max_size=4, unique=True),
    st.sampled_from([" or ", ", ", " / ", "; ", "\n"]),
)
def test_joined_answers_never_earn(texts: list[str], joint: str) -> None:
    truth = json.dumps(texts)
    assert all(anls_reward(text, truth).acc == 1 for text in texts)
    assert anls_reward(joint.join(texts), truth).acc == 0


def test_accepted_texts_that_are_made_of_others() -> None:
    truth = '["acme", "corp", "acme corp"]'
    assert [anls_reward(text, truth).acc for text in ("acme", "acme corp", "acme, corp", "corp acme")] == [1, 1, 0, 0]
