"""Every batch mixes rewards as asked."""

from collections import Counter
from collections.abc import Callable

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from mixed_r1_verl.engine.config import MixConfig
from mixed_r1_verl.engine.mix import mix, take_turns
from mixed_r1_verl.engine.rows import leaving, staying

Make = Callable[..., pa.Table]
REWARDS = ["chart", "iou", "matching", "open_ended"]


@settings(deadline=None)
@given(st.lists(st.sampled_from([0.1, 0.25, 1, 2, 3.5, 7]), min_size=1, max_size=6))
def test_nobody_is_a_whole_row_ahead_or_behind(weights: list[float]) -> None:
    named = {str(number): weight for number, weight in enumerate(weights)}
    taken, total = Counter[str](), sum(weights)
    for turn, name in enumerate(take_turns(named, dict.fromkeys(named, 60)), 1):
        taken[name] += 1
        assert all(abs(taken[other] - weight / total * turn) < 1 for other, weight in named.items())


def test_batches_hold_exactly_what_was_asked_for(table_of: Make) -> None:
    table = table_of(*({"reward": REWARDS[number % 4]} for number in range(400)))
    weights = {"chart": 1, "iou": 2, "matching": 4, "open_ended": 1}
    outcome = mix(table, MixConfig(weights=weights), 0)
    order = staying(outcome)["reward"].to_pylist()
    for start in range(0, len(order) - 15, 16):
        assert Counter(order[start : start + 16]) == {"chart": 2, "iou": 4, "matching": 8, "open_ended": 2}
    assert order.count("matching") == 100  # it ran out; what the others have left is dropped
    assert outcome.num_rows == 400
    assert set(leaving(outcome, "mix")["reason"].to_pylist()) == {"surplus"}
    assert "matching ran out after" in leaving(outcome, "mix")["detail"][0].as_py()


def test_without_weights_nobody_is_dropped(table_of: Make) -> None:
    table = table_of(*({"reward": REWARDS[min(3, number // 30)]} for number in range(200)))
    outcome = mix(table, MixConfig(), 0)
    assert leaving(outcome, "mix").num_rows == 0
    assert sorted(staying(outcome)["id"].to_pylist()) == sorted(table["id"].to_pylist())


def test_a_reward_without_a_weight_is_left_out(table_of: Make) -> None:
    outcome = mix(table_of({"reward": "chart"}, {"reward": "iou"}), MixConfig(weights={"chart": 1}), 0)
    assert staying(outcome)["reward"].to_pylist() == ["chart"]
    assert leaving(outcome, "mix")["reason"].to_pylist() == ["no_weight"]


def test_the_order_depends_on_seed_and_ids_alone(table_of: Make) -> None:
    rows = [{"id": f"r{number}", "reward": REWARDS[number % 3]} for number in range(60)]
    orders = [
        mix(table_of(*given), MixConfig(), seed)["id"].to_pylist()
        for given, seed in ((rows, 0), (rows[::-1], 0), (rows, 1))
    ]
    assert orders[0] == orders[1] != orders[2]
