"""No value occurs much more often than its even share, and options move only where they may."""

from collections import Counter
from collections.abc import Callable

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixed_r1_verl.engine.balance import drop_surplus, largest_cap
from mixed_r1_verl.engine.config import BalanceConfig
from mixed_r1_verl.engine.rows import leaving, staying

Make = Callable[..., pa.Table]
OFF = {"letters": None, "yes_no": None, "move_answers": False}


@settings(deadline=None)
@given(
    counts=st.dictionaries(st.sampled_from("abcd"), st.integers(1, 200), min_size=1),
    share=st.floats(0.2, 1.0),
)
def test_the_largest_cap(counts: dict[str, int], share: float) -> None:
    def fits(cap: int) -> bool:
        left = [min(count, cap) for count in counts.values()]
        return max(left) <= share * sum(left) + 1e-9

    cap = largest_cap(counts, share)
    possible = [number for number in range(1, max(counts.values()) + 1) if fits(number)]
    assert cap == (possible[-1] if possible else max(counts.values()))


@pytest.mark.parametrize("answers", [("yes", "no"), ("true", "false")])
def test_yes_and_no(table_of: Make, answers: tuple[str, str]) -> None:
    table = table_of(*({"answer": answers[number % 10 == 0]} for number in range(100)), {"reward": "chart"})
    outcome = drop_surplus(table, BalanceConfig(**{**OFF, "yes_no": 1.2}), 0)
    left = Counter(staying(outcome)["answer"].to_pylist())
    assert left == {answers[0]: 15, answers[1]: 10, "": 1}  # 15 of 25 are 1.2 halves
    assert set(leaving(outcome, "balance")["reason"].to_pylist()) == {"answer"}
    again = drop_surplus(table, BalanceConfig(**{**OFF, "yes_no": 1.2}), 0)
    assert staying(again).equals(staying(outcome))
    assert not staying(drop_surplus(table, BalanceConfig(**{**OFF, "yes_no": 1.2}), 1)).equals(staying(outcome))


def test_options_move_until_letters_are_even(table_of: Make) -> None:
    table = table_of(*({"answer": "A", "choices": 4, "movable": number >= 10} for number in range(40)))
    outcome = drop_surplus(table, BalanceConfig(letters=1.0, yes_no=None), 0)
    assert leaving(outcome, "balance").num_rows == 0
    assert Counter(staying(outcome)["answer"].to_pylist()) == dict.fromkeys("ABCD", 10)
    for row in staying(outcome).to_pylist():
        assert row["swap"] == (None if row["answer"] == "A" else "ABCD".index(row["answer"]))
        assert row["movable"] or row["swap"] is None


def test_letters_are_counted_for_each_number_of_options(table_of: Make) -> None:
    rows = [{"answer": "A", "choices": 2}] * 10 + [{"answer": "B", "choices": 2}] * 10
    rows += [{"answer": letter, "choices": 3} for letter in "AAAAAAABC"]
    outcome = drop_surplus(table_of(*rows), BalanceConfig(letters=1.5, yes_no=None), 0)
    left = Counter((row["choices"], row["answer"]) for row in staying(outcome).to_pylist())
    assert left == {(2, "A"): 10, (2, "B"): 10, (3, "A"): 2, (3, "B"): 1, (3, "C"): 1}


def test_sources_and_difficulty_within_a_reward(table_of: Make) -> None:
    rows = [{"source": "ab"[number < 30], "mean": 0.05 if number % 4 else 0.95} for number in range(40)]
    table = table_of(*rows, {"reward": "chart", "mean": 0.5, "source": "b"})
    outcome = drop_surplus(table, BalanceConfig(**OFF, sources=1.0), 0)
    assert Counter(staying(outcome)["source"].to_pylist()) == {"a": 10, "b": 11}
    outcome = drop_surplus(table, BalanceConfig(**OFF, difficulty=1.0), 0)
    assert Counter(staying(outcome)["mean"].to_pylist()) == {0.05: 10, 0.95: 10, 0.5: 1}
    assert set(leaving(outcome, "balance")["reason"].to_pylist()) == {"difficulty"}
