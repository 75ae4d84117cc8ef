"""What the demo reads out of the rows that verl dumped."""

import pytest

from examples.demo.results import changes_by_reward, results_by_reward


def rows(kind: str, *acc: float) -> list[dict]:
    return [
        {"id": f"{kind}/{number}", "reward_kind": kind, "acc": value, "format": 1.0} for number, value in enumerate(acc)
    ]


def test_the_error_of_a_change_is_that_over_the_questions() -> None:
    """Every iou question gains 0.1: the change is certain, though the questions differ. verl dumps in any order."""
    before = rows("iou", 0.0, 0.4, 0.8) + rows("matching", 0.0, 1.0, 0.0, 1.0)
    after = rows("iou", 0.1, 0.5, 0.9)[::-1] + rows("matching", 1.0, 1.0, 1.0, 0.0)
    changes = changes_by_reward(before, after)
    assert changes["iou"] == {"acc": 0.1, "standard_error": 0.0}
    assert changes["matching"] == {"acc": 0.25, "standard_error": pytest.approx((11 / 12 / 4) ** 0.5, abs=1e-4)}
    assert results_by_reward(after)["iou"]["standard_error"] > 0.2
