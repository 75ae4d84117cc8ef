"""At most so many rows of a source and of a reward."""

from collections import Counter
from collections.abc import Callable

import pyarrow as pa

from mixed_r1_verl.engine.config import QuotaConfig
from mixed_r1_verl.engine.quotas import apply_quotas, shortfalls
from mixed_r1_verl.engine.rows import staying


def test_sources_first_then_rewards(table_of: Callable[..., pa.Table]) -> None:
    rows = [{"source": "ab"[number % 2], "reward": ("chart", "iou")[number % 3 == 0]} for number in range(60)]
    config = QuotaConfig(sources={"b": 12}, rewards={"chart": 20, "iou": 500})
    outcome = apply_quotas(table_of(*rows), config, 0)
    left = staying(outcome).to_pylist()
    assert sum(row["source"] == "b" for row in left) <= 12
    assert Counter(row["reward"] for row in left)["chart"] == 20
    assert outcome.num_rows == 60
    assert Counter(outcome["reason"].to_pylist())["source_quota"] == 18
    lines = shortfalls(staying(outcome), config)
    iou = sum(row["reward"] == "iou" for row in left)
    assert f"reward iou: 500 rows asked for, {iou} are left" in lines


def test_a_row_is_drawn_by_its_id_alone(table_of: Callable[..., pa.Table]) -> None:
    rows = [{"id": f"r{number}", "source": "a"} for number in range(30)]
    kept = [
        set(staying(apply_quotas(table_of(*order), QuotaConfig(sources={"a": 7}), 0))["id"].to_pylist())
        for order in (rows, rows[::-1])
    ]
    assert kept[0] == kept[1] and len(kept[0]) == 7
