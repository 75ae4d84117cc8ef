"""Which rows stay, by the scores of their responses."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.engine.card import histograms
from mixed_r1_verl.engine.config import BuildConfig, DifficultyConfig, SourceConfig
from mixed_r1_verl.engine.difficulty import drop_by_difficulty
from mixed_r1_verl.engine.policy import RESPONSES, reward_block

CONFIG = DifficultyConfig("m", samples=4, min_mean=0.2, max_mean=0.8, min_spread=0.1)
CASES = [
    ([0.0, 0.0, 0.1, 0.1], 0, "", "too_hard"),
    ([1.0, 1.0, 1.0, 0.9], 0, "", "too_easy"),
    ([0.5, 0.5, 0.5, 0.5], 0, "", "no_spread"),
    ([0.5, 0.5, 0.5, 0.6], 0, "", None),
    ([0.0, 0.0, 0.0, 0.8], 0, "", None),  # a mean on the bound stays
    ([0.8, 0.8, 0.9, 0.7], 0, "", None),
    ([0.0, 1.0, 0.0, 1.0], 1, "", "unscorable"),
    ([], 0, "the prompt is too long", "no_response"),
]


def write_chunks(folder: Path, cases: list[Any], ids: list[str]) -> list[Path]:
    """Two files, as the policy writes them."""
    rows = [
        {
            "id": identity,
            "error": error,
            "responses": ["x"] * len(scores),
            "score": scores,
            "acc": scores,
            "unscored": unscored,
        }
        for identity, (scores, unscored, error, _) in zip(ids, cases, strict=True)
    ]
    paths = []
    for number, part in enumerate((rows[:3], rows[3:])):
        paths.append(folder / f"{number}.parquet")
        pq.write_table(pa.Table.from_pylist(part, schema=RESPONSES), paths[-1])
    return paths


def test_bounds(tmp_path: Path, table_of: Callable[..., pa.Table]) -> None:
    table = table_of(*({} for _ in CASES))
    chunks = write_chunks(tmp_path, CASES, table["id"].to_pylist())
    outcome = drop_by_difficulty(table, chunks, CONFIG)
    assert outcome["mean"].to_pylist() == [0.05, 0.975, 0.5, 0.525, 0.2, 0.8, None, None]
    assert outcome["reason"].to_pylist() == [reason for *_, reason in CASES]
    found = histograms(outcome)["histograms"]["matching"]
    assert (sum(found["measured"]), sum(found["kept"])) == (6, 3)
    assert found["kept"] == [0, 0, 1, 0, 0, 1, 0, 0, 1, 0]


def test_responses_of_other_rows_are_refused(tmp_path: Path, table_of: Callable[..., pa.Table]) -> None:
    table = table_of(*({} for _ in CASES))
    chunks = write_chunks(tmp_path, CASES, table["id"].to_pylist()[::-1])
    with pytest.raises(AssertionError, match="not the same rows"):
        drop_by_difficulty(table, chunks, CONFIG)


@pytest.mark.verl
def test_the_reward_block_is_the_recipes() -> None:
    def block(**changes: Any) -> dict[str, Any]:
        difficulty = DifficultyConfig("some/model", **changes)
        return reward_block(BuildConfig((SourceConfig("chartqa"),), difficulty=difficulty, reward={"max_chars": 99}))

    found = block(recipe="mixed_r1", reward={"format_weight": 0.3})
    assert found["embedding_model"] == "some/model"
    assert (found["format_weight"], found["iou"]["box_frame"], found["max_chars"]) == (0.3, "resized", 99)
    with pytest.raises(DataError, match=r"difficulty.recipe.*mixed_r2"):
        block(recipe="mixed_r2")
    with pytest.raises(DataError, match=r"difficulty\.reward: unknown key 'fromat_weight'"):
        block(reward={"fromat_weight": 0.3})
