"""No picture and no group stands on both sides."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from mixed_r1_verl.engine.mix import tied_groups, validation_rows

Make = Callable[..., pa.Table]
row = st.fixed_dictionaries(
    {
        "reward": st.sampled_from(["matching", "iou"]),
        "pictures": st.lists(st.integers(0, 12), max_size=2),
        "group": st.sampled_from([None, None, None, "a", "b"]),
    }
).map(lambda value: {**value, "phash": [1000 + p for p in value["pictures"]], "colour": [0] * len(value["pictures"])})


@settings(deadline=None)
@given(rows=st.lists(row, min_size=1, max_size=50), seed=st.integers(0, 3))
def test_what_is_tied_goes_to_one_side(table_of: Make, rows: list[dict[str, Any]], seed: int) -> None:
    table = table_of(*rows)
    chosen = validation_rows(table, 0.3, seed)
    for key in ("pictures", "group"):
        sides = []
        for side in (True, False):
            values = [r[key] for r, is_chosen in zip(rows, chosen, strict=True) if is_chosen == side]
            flat = [v for value in values for v in (value if isinstance(value, list) else [value])]
            sides.append({value for value in flat if value is not None})
        assert not sides[0] & sides[1]
    for reward in ("matching", "iou"):
        of_kind = np.array([r["reward"] == reward for r in rows])
        assert chosen[of_kind].sum() <= round(0.3 * of_kind.sum())


def test_near_and_far_pictures(table_of: Make) -> None:
    groups = tied_groups(
        table_of(
            {"pictures": [1], "phash": [5], "colour": [0x101010]},
            {"pictures": [2], "phash": [5], "colour": [0x0F0F0F]},  # the same look in other bytes, on a colour step
            {"pictures": [3], "phash": [5], "colour": [0xF00000]},  # another colour
            {"pictures": [2, 4], "phash": [5, 9], "colour": [0x0F0F0F, 0]},  # ties the first two to a fourth picture
            {"pictures": [4], "phash": [9], "colour": [0]},
        )
    )
    assert len({groups[number] for number in (0, 1, 3, 4)}) == 1
    assert groups[2] != groups[0]


def test_groups_are_of_a_source(table_of: Make) -> None:
    rows = [{"pictures": [n], "phash": [1 << n], "group": "1", "source": "ab"[n % 2]} for n in range(4)]
    groups = tied_groups(table_of(*rows)).tolist()
    assert groups[0] == groups[2] != groups[1] == groups[3]


def test_the_share_is_met_where_pictures_are_single(table_of: Make) -> None:
    rows = [{"pictures": [n], "phash": [n], "colour": [0x100000 * (n % 16)]} for n in range(200)]
    table = table_of(*rows)
    assert validation_rows(table, 0.1, 0).sum() == 20
    assert (validation_rows(table, 0.1, 0) != validation_rows(table, 0.1, 1)).any()
    assert validation_rows(table, 0.0, 0).sum() == 0
