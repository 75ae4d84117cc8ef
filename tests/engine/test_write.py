"""Whole rows in their final order, from many files, within bounded memory; options that change places."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mixed_r1_verl.data.convert import parquet_writer
from mixed_r1_verl.data.schema import Example, build_row, row_schema, rows_to_table
from mixed_r1_verl.data.truth import gold_acc, reward_with
from mixed_r1_verl.engine import write
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.mixed import MixedReward


def whole_row(number: int, **changes: Any) -> dict[str, Any]:
    values = {"id": str(number), "question": "What is it?", "reward": "matching", "choices": ("cat", "dog", "owl")}
    images = [{"bytes": bytes([number % 256]) * 1000, "path": ""}]
    return build_row(
        Example(**{**values, **changes}),
        data_source="toy",
        split="train",
        index=number,
        images=images,
        width=9,
        height=9,
        ground_truth="B",
    )


@pytest.fixture
def files(tmp_path: Path) -> dict[str, list[Path]]:
    """Two sources of two files of two row groups of five rows."""
    found = {f"s{source}": [tmp_path / f"s{source}-{file}.parquet" for file in range(2)] for source in range(2)}
    for number, path in enumerate(path for paths in found.values() for path in paths):
        with parquet_writer(path, "bytes") as writer:
            for first in (number * 10, number * 10 + 5):
                writer.write_table(rows_to_table([whole_row(first + row) for row in range(5)]))
    return found


def places(table_of: Callable[..., pa.Table], numbers: list[int], **more: Any) -> pa.Table:
    return table_of(
        *(
            {
                "source": f"s{number // 20}",
                "file": number // 10 % 2,
                "row_group": number // 5 % 2,
                "row": number % 5,
                "id": f"toy/train/{number}",
                **more,
            }
            for number in numbers
        )
    )


def test_rows_come_in_the_order_asked_for(
    tmp_path: Path, table_of: Callable[..., pa.Table], files: dict[str, list[Path]]
) -> None:
    order = [(number * 7) % 40 for number in range(40) if number % 3]
    path = tmp_path / "out.parquet"
    write.write_file(places(table_of, order), files, MixedReward(), path)
    table = pq.read_table(path)
    assert table.schema.equals(row_schema("bytes"))
    rows = table.to_pylist()
    assert [row["extra_info"]["index"] for row in rows] == order
    assert [row["images"][0]["bytes"][0] for row in rows] == order
    assert [left.name for left in tmp_path.glob("*spill*")] == []


def test_swapped_options_are_the_same_question(
    tmp_path: Path, table_of: Callable[..., pa.Table], files: dict[str, list[Path]]
) -> None:
    path = tmp_path / "out.parquet"
    write.write_file(places(table_of, [3, 25], swap=2), files, MixedReward(), path)
    for row in pq.read_table(path).to_pylist():
        assert row["extra_info"]["choices"] == ["cat", "owl", "dog"]
        assert row["reward_model"]["ground_truth"] == "C"
        assert "A. cat\nB. owl\nC. dog\n" in row["prompt"][0]["content"]
        assert row["prompt"][0]["content"].count("<image>") == 1
        assert gold_acc(reward_with({}), "matching", "C", row["extra_info"]) == 1.0


def test_row_groups_are_small(
    tmp_path: Path, table_of: Callable[..., pa.Table], files: dict[str, list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write, "ROW_GROUP_ROWS", 8)
    path = tmp_path / "out.parquet"
    write.write_file(places(table_of, list(range(20))), files, MixedReward(), path)
    metadata = pq.read_metadata(path)
    assert [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)] == [8, 8, 4]


def test_options_of_a_custom_kind_change_places() -> None:
    reward = MixedReward(MixedRewardConfig(custom={"mine": "hostile_rewards:obey"}))
    row = whole_row(1) | {"extra_info": {**whole_row(1)["extra_info"], "reward": "mine"}}
    moved = write.swap_answer(row, 2, reward)
    assert (moved["reward_model"]["ground_truth"], moved["extra_info"]["choices"]) == ("C", ["cat", "owl", "dog"])
    assert reward.kinds["mine"].instruct("C", ["cat", "owl", "dog"]) in moved["prompt"][0]["content"]
