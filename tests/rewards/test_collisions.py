"""No answer is paid that only resembles the ground truth, and none is paid for two ground truths.

Each property changes a right answer by what a policy might try: a dot, a space, a sign, a letter, a bracket, a unit, a
year, another candidate, a question mark, a denial, a condition. `test_collisions_at_length` tries 100,000 of each kind.
"""

import random
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixed_r1_verl.rewards.kinds.chart import chart_reward
from mixed_r1_verl.rewards.kinds.matching import matching_reward
from mixed_r1_verl.rewards.kinds.math import math_reward

ANIMALS = ("cat", "dog", "bird", "fish")
NAMES = (
    "Chile",
    "Peru",
    "New Zealand",
    "Vitamin A",
    "St. Lucia",
    "AB+",
    "O-",
    "Rock and Roll",
    "Class C shares",
    "Oslo",
)
WORDS = ("circle", "square", "red", "kitchen", "rubber", "table", "blue", "metal")

JOINS = (
    "{0} or {1}", "{0} and {1}", "{0}, {1}", "{0}; {1}", "{0} / {1}", "{0}. {1}.", "{0}\n{1}", "{0} as well as {1}",
    "{0} (or {1})", "{0} - {1}", "{0} vs {1}", "either {0} or {1}", "both {0} and {1}", "{0}, possibly {1}",
    "{0}? {1}!",
    "{0}. It could also be {1}.", "The answer is {0}. The answer is {1}.", "\\boxed{{{0}}} \\boxed{{{1}}}",
    "\\boxed{{{0}}} or {1}", "{0}, although it may be {1}", "{0} plus {1}", "{0} | {1}", "It is {0}. It is {1}.",
)  # fmt: skip
"""Ways to join two answers, neither of which may then be paid."""
SPOILERS = (
    "{0}?", "not {0}", "The answer is not {0}", "maybe {0}", "{0}, maybe", "If it is red, {0}", "{0} if it is red",
    "{0} is wrong", "{0}, which is incorrect", "It could be {0}", "I doubt it is {0}", "not \\boxed{{{0}}}",
    "\\boxed{{{0}}}?", "neither {0}", "{0} unless it is red", "anything but {0}",
)  # fmt: skip


def _choice(generator: random.Random) -> Iterator[tuple[str, Callable[[str], float], Callable[[str], float], str, str]]:
    one, other = generator.sample(range(4), 2)
    written = [generator.choice(("ABCD"[place], f"({'ABCD'[place]})", ANIMALS[place])) for place in (one, other)]
    yield (
        "choice",
        lambda answer: matching_reward(answer, "ABCD"[one], choices=ANIMALS).acc,
        lambda answer: matching_reward(answer, "ABCD"[other], choices=ANIMALS).acc,
        *written,
    )


def _pairs(generator: random.Random, kind: str) -> tuple[Callable[[str], float], Callable[[str], float], str, str]:
    """Two rewards for two ground truths of a kind, and an answer that is right for each."""
    if kind == "choice":
        [(_, first, second, one, other)] = _choice(generator)
        return first, second, one, other
    if kind == "polar":
        one, other = generator.sample(("yes", "no"), 2)
    elif kind in ("word", "label"):
        one, other = generator.sample(WORDS if kind == "word" else NAMES, 2)
    elif kind == "year":
        one, other = (str(year) for year in generator.sample(range(1900, 2050), 2))
    else:
        one, other = (str(number) for number in generator.sample((2, 7, 13, 42, 60, 105, 512, 4100, 17.5, 0.25), 2))
    reward = {"polar": matching_reward, "word": matching_reward, "count": matching_reward, "math": math_reward}.get(
        kind, chart_reward
    )
    return lambda answer: reward(answer, one).acc, lambda answer: reward(answer, other).acc, one, other


KINDS = ("choice", "polar", "word", "label", "year", "number", "count", "math")


def _joined(generator: random.Random, kind: str) -> None:
    first, second, one, other = _pairs(generator, kind)
    assert first(one) == second(other) == 1, (one, other)
    answer = generator.choice(JOINS).format(one, other)
    assert first(answer) == 0 or (kind == "math" and "=" in answer), (answer, one)
    assert second(answer) == 0, (answer, other)


def _spoiled(generator: random.Random, kind: str) -> None:
    first, _, one, _ = _pairs(generator, kind)
    answer = generator.choice(SPOILERS).format(one)
    assert first(answer) == 0, (answer, one)


_SIGNS = ("π", "x", "^2", "!", "°C", "%", " million", "k", "e5", "\\pi", "+", " or more", "-60", "/7", " to 61")


def _changed(generator: random.Random, kind: str) -> None:
    """One character more or less, a letter or unit more, another year or digit."""
    first, _, one, _ = _pairs(generator, kind)
    place = generator.randrange(len(one) + 1)
    if kind == "year":
        answer = generator.choice(
            (str(int(one) + generator.choice((-10, -1, 1, 10))), f"{one}0s", f"{one}-{int(one) + 1}")
        )
    elif kind in ("number", "count", "math"):
        sign = generator.choice(_SIGNS[:1] + _SIGNS[1:3] + _SIGNS[6:] if kind != "math" else _SIGNS[:3] + _SIGNS[9:])
        answer = generator.choice((f"-{one}", f"{one}{sign}", f"{generator.randrange(1, 10)}{one}", f">{one}"))
    else:
        letter = generator.choice("fghjkmpqrtvwz+#0123456789")
        answer = one[:place] + letter + one[place:]
    assert first(answer) == 0, (answer, one)


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32))
def test_no_collision(kind: str, seed: int) -> None:
    generator = random.Random(seed)
    for attempt in (_joined, _spoiled, _changed):
        attempt(generator, kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_collisions_at_length(kind: str) -> None:
    generator = random.Random(kind)
    for _ in range(34_000):
        for attempt in (_joined, _spoiled, _changed):
            attempt(generator, kind)


PIECES = (
    *"ABCD .,?;()-:=%\n",
    *ANIMALS,
    *"yes no 42 2008 Chile Peru circle is or and not so because which while maybe if also it a".split(),
    *("the answer is", "it is", "\\boxed{", "}", "the tallest bar is", "答案是"),
)
RIVALS = {
    "letters": [(matching_reward, truth, {"choices": ANIMALS}) for truth in "ABCD"],
    "polar": [(matching_reward, truth, {}) for truth in ("yes", "no")],
    "words": [(matching_reward, truth, {}) for truth in ("circle", "dog", "cat")],
    "numbers": [(chart_reward, truth, {}) for truth in ("42", "60", "7")],
    "years": [(chart_reward, truth, {"question": "When was it?"}) for truth in ("2008", "2010")],
    "labels": [(chart_reward, truth, {}) for truth in ("Chile", "Peru")],
    "lists": [(chart_reward, truth, {}) for truth in ("[Chile, Peru]", "[Chile, Oslo]", "[Peru, Oslo]")],
}


@pytest.mark.parametrize("rivals", RIVALS)
@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=10).map(" ".join))
def test_no_answer_pays_for_two_ground_truths(rivals: str, answer: str) -> None:
    assert sum(reward(answer, truth, **extra).acc for reward, truth, extra in RIVALS[rivals]) <= 1
