"""Responses out of every container, whatever stands in them."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mixed_r1_verl.core.rows import leaf
from mixed_r1_verl.responses.answers import Answers, answer_row, write_answers
from mixed_r1_verl.responses.read import Response, read_responses
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.mixed import MixedReward

SEPARATORS = "one\u2028two\u0085three\u2029four\x0bfive"
ROWS: list[dict[str, Any]] = [
    {
        "data_source": "toy",
        "response": f"<think>{SEPARATORS}</think><answer>{number}</answer>",
        "reward_model": {"ground_truth": SEPARATORS},
        "extra_info": {"id": f"{number}{SEPARATORS}", "reward": "open_ended", "choices": [], "question": SEPARATORS},
        "images": [{"bytes": None, "path": "a"}],
    }
    for number in range(3)
]


@pytest.mark.parametrize("container", ["jsonl", "json", "parquet element", "parquet item"])
def test_every_container_gives_the_same_responses(tmp_path: Path, container: str) -> None:
    """JSON lines end at a line feed, whatever else Unicode calls an end; lists may call their members as they do."""
    suffix, _, member = container.partition(" ")
    path = tmp_path / f"x.{suffix}"
    if member:
        pq.write_table(pa.Table.from_pylist(ROWS), path, use_compliant_nested_type=member == "element")
        assert f"images.list.{member}.path" in str(leaf(pq.ParquetFile(path), "images", "path"))
    elif suffix == "json":
        path.write_text(json.dumps(ROWS, ensure_ascii=False), encoding="utf-8")
    else:
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS), encoding="utf-8")
    responses = list(read_responses(path))
    assert [type(one) for one in responses] == [Response] * 3
    for response, row in zip(responses, ROWS, strict=True):
        assert isinstance(response, Response)
        assert (response.text, response.row.ground_truth) == (row["response"], SEPARATORS)
        assert response.row.extra_info["question"] == SEPARATORS and "response" not in response.row.extra_info


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_what_was_scored_can_be_read_and_scored_again(tmp_path: Path, suffix: str) -> None:
    source = tmp_path / "source.jsonl"
    source.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in ROWS), encoding="utf-8")
    result = {"score": 1.0, "acc": 1.0, "format": 1.0, "error": 0.0, "reward_kind": "open_ended"}
    rows = [answer_row(one, result | {"prediction": SEPARATORS, "reason": ""}) for one in read_responses(source)]
    write_answers(tmp_path / f"scored.{suffix}", rows)
    again = list(read_responses(tmp_path / f"scored.{suffix}"))
    assert [one.text for one in again] == [row["response"] for row in ROWS]
    assert {one.row.extra_info["reward"] for one in again} == {"open_ended"}


def test_an_evaluation_goes_on_whatever_stands_in_its_answers(tmp_path: Path) -> None:
    row = {"file": "v.parquet", "row": 0, "sample": 0, "score": 1.0, "acc": 1.0, "ground_truth": SEPARATORS}
    Answers(tmp_path / "eval.jsonl", {"n": 1}).add([row | {"response": SEPARATORS}])
    again = Answers(tmp_path / "eval.jsonl", {"n": 1})
    assert again.done("v.parquet", 0, SEPARATORS)
    assert again.rows() == [row | {"response": SEPARATORS}]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_columns_of_a_custom_kind_reach_it(tmp_path: Path, suffix: str) -> None:
    """They may stand beside the response as well as in `extra_info`."""
    record = {"response": "x", "ground_truth": "fine", "reward": "mine", "choices": ["a"], "elsewhere": 3}
    path = tmp_path / f"x.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist([record]), path)
    else:
        path.write_text(json.dumps(record), encoding="utf-8")
    (response,) = read_responses(path, MixedReward(MixedRewardConfig(custom={"mine": "hostile_rewards:obey"})))
    assert isinstance(response, Response) and response.row.extra_info["choices"] == ["a"]
