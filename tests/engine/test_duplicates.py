"""Which of rows that ask the same of the same picture stays."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from mixed_r1_verl.engine.config import NearConfig
from mixed_r1_verl.engine.duplicates import drop_duplicates, same_colour
from mixed_r1_verl.engine.rows import leaving, staying

NEAR = NearConfig()
Make = Callable[..., pa.Table]


def dropped(table: pa.Table) -> dict[str, str]:
    outcome = drop_duplicates(table, NEAR)
    assert outcome.num_rows == table.num_rows
    return {row["id"]: row["reason"] for row in outcome.to_pylist() if row["reason"]}


def test_the_first_stays_across_sources(table_of: Make) -> None:
    table = table_of(
        {"phash": [0b1]}, {"source": "second", "phash": [0b111]}, {"source": "second", "phash": [0b111], "question": 2}
    )
    outcome = drop_duplicates(table, NEAR)
    assert staying(outcome)["id"].to_pylist() == ["r0", "r2"]
    assert leaving(outcome, "duplicates").to_pylist() == [
        {
            "source": "second",
            "row": "r1",
            "stage": "duplicates",
            "reason": "duplicate",
            "detail": "of r0, 2 of 64 bits differ",
        }
    ]


def test_other_colour_or_number_of_pictures_is_another_row(table_of: Make) -> None:
    two = {"phash": [0, 0], "colour": [0, 0], "pictures": [1, 2]}
    assert dropped(table_of({}, {"colour": [0x400000]}, two)) == {}
    assert dropped(table_of(two, {**two, "phash": [0, 0xFF]}, {**two, "phash": [1, 1]})) == {"r2": "duplicate"}


def test_another_answer_needs_an_equal_hash(table_of: Make) -> None:
    rows = table_of({}, {"truth": 2, "phash": [1]}, {"truth": 3})
    assert dropped(rows) == {"r2": "contradiction"}


def test_rows_without_pictures_and_repeated_ids(table_of: Make) -> None:
    text = {"phash": [], "colour": [], "pictures": []}
    assert dropped(table_of(text, {**text, "question": 2}, text)) == {"r2": "duplicate"}
    twice = table_of({"id": "x"}, {"id": "x", "question": 2, "source": "second"}, {"id": "x", "question": 3})
    assert drop_duplicates(twice, NEAR)["reason"].to_pylist() == [None, "duplicate_id", "duplicate_id"]


def test_a_chain_of_small_changes_is_not_one_picture(table_of: Make) -> None:
    rows = table_of({"phash": [0]}, {"phash": [0b1111]}, {"phash": [0b11111111]})
    assert dropped(rows) == {"r1": "duplicate"}  # the third is 8 bits from the first, which stayed


small = st.fixed_dictionaries(
    {
        "question": st.integers(0, 2),
        "truth": st.integers(0, 1),
        "phash": st.sampled_from([0, 1, 3, 31, 255, 1 << 63, (1 << 63) + 7]).map(lambda value: [value]),
        "colour": st.sampled_from([0, 0x040404, 0x0C0C0C]).map(lambda value: [value]),
    }
)


@settings(deadline=None)
@given(rows=st.lists(small, max_size=40))
def test_against_comparing_each_row_with_all_that_stay(table_of: Make, rows: list[dict[str, Any]]) -> None:
    stay: list[int] = []
    for number, row in enumerate(rows):
        for first in stay:
            other = rows[first]
            bits = 4 if row["truth"] == other["truth"] else 0
            if (
                row["question"] == other["question"]
                and (row["phash"][0] ^ other["phash"][0]).bit_count() <= bits
                and same_colour(row["colour"][0], other["colour"][0], 8)
            ):
                break
        else:
            stay.append(number)
    table = table_of(*rows)
    kept = staying(drop_duplicates(table, NEAR))["id"].to_pylist()
    assert kept == [f"r{number}" for number in stay]
