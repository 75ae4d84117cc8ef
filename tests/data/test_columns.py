"""Faults of types and small columns, counted: `quick_check`, which training runs before it starts."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sound_rows import SOUND, changed, png, retyped, sound, write

from mixed_r1_verl.data.columns import quick_check
from mixed_r1_verl.data.schema import rows_to_table
from mixed_r1_verl.rewards.kinds import KINDS

NO_TRUTH = "1 of 3 rows: reward_model.ground_truth: is empty (row 1)"
NO_REWARD = "1 of 3 rows: extra_info.reward: is empty, and data_source 'toy' has no route (row 1)"


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            changed("reward_model", "ground_truth", value=None),
            NO_TRUTH,
        ),
        (
            changed("reward_model", "ground_truth", value="  "),
            NO_TRUTH,
        ),
        (changed("reward_model", value=None), NO_TRUTH),
        (changed("extra_info", "reward", value="nope"), "1 of 3 rows: extra_info.reward: 'nope' is none of "),
        (
            changed("extra_info", "reward", value=None),
            NO_REWARD,
        ),
        (
            changed("extra_info", value=None),
            NO_REWARD,
        ),
        (changed("images", value=[]), "1 of 3 rows: prompt: 1 <image> markers for 0 images (row 1)"),
    ],
)
def test_quick_check_counts_faults(tmp_path, row, message):
    path = write(tmp_path / "a.parquet", [SOUND[1], row, SOUND[2]])
    (line,) = quick_check([path], KINDS)
    assert line.startswith(f"{path}: {message}")


def test_quick_check_knows_routes_and_custom_rewards(tmp_path):
    path = write(
        tmp_path / "a.parquet",
        [changed("extra_info", "reward", value=None), changed("extra_info", "reward", value="mine")],
    )
    assert quick_check([path], [*KINDS, "mine"], routes={"toy": "chart"}) == []
    assert len(quick_check([path], KINDS)) == 2


def test_quick_check_shows_three_rows_of_many(tmp_path):
    rows = [changed("extra_info", "reward", value="nope") for _ in range(9)]
    (line,) = quick_check([write(tmp_path / "a.parquet", rows)], KINDS)
    assert "9 of 9 rows" in line and line.endswith("(row 0, 1, 2, …)")


def test_quick_check_of_ground_truths_that_are_numbers(tmp_path):
    table = rows_to_table(SOUND[:1])
    pq.write_table(
        retyped(table, "reward_model", pa.array([{"style": "rule", "ground_truth": 3}])), tmp_path / "a.parquet"
    )
    (line,) = quick_check([tmp_path / "a.parquet"], KINDS)
    assert "reward_model.ground_truth: is a int, not text" in line


def test_quick_check_of_paths(tmp_path):
    for name in "ab":
        write(tmp_path / f"{name}.parquet", [sound(name)])
    assert quick_check([str(tmp_path / "*.parquet"), "hdfs://host/x.parquet", "rows.jsonl"], KINDS) == []
    assert quick_check([tmp_path / "c.parquet"], KINDS) == [f"{tmp_path / 'c.parquet'} is not there"]
    (line,) = quick_check([str(tmp_path / "c*.parquet")], KINDS)
    assert "is not there" in line


def test_quick_check_reads_no_pictures(tmp_path):
    """Pictures of another machine's parquet may be gigabytes; a start-up check must not touch them."""
    big = [sound(str(i), images=[{"bytes": png() + b"\0" * 4_000_000, "path": ""}]) for i in range(8)]
    path = write(tmp_path / "a.parquet", big)
    before = pa.total_allocated_bytes()
    pool = pa.default_memory_pool()
    peak = pool.max_memory() or 0
    assert quick_check([path], KINDS) == []
    assert pa.total_allocated_bytes() - before < 4_000_000
    assert (pool.max_memory() or 0) - peak < 8_000_000


@pytest.mark.parametrize("compliant", [True, False], ids=["list.element", "list.item"])
def test_leaves_whatever_lists_call_their_members(tmp_path, compliant):
    """pyarrow before 15, Spark and others call them `item` or `array`; a KeyError would skip the whole check."""
    path = tmp_path / "a.parquet"
    rows = [SOUND[1], changed("images", value=[])]
    pq.write_table(rows_to_table(rows), path, use_compliant_nested_type=compliant)
    leaves = {pq.ParquetFile(path).schema.column(n).path for n in range(len(pq.ParquetFile(path).schema))}
    assert f"images.list.{'element' if compliant else 'item'}.path" in leaves
    (line,) = quick_check([path], KINDS)
    assert line == f"{path}: 1 of 2 rows: prompt: 1 <image> markers for 0 images (row 1)"
