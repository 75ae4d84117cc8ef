"""The file of answers survives being killed, and refuses what would mix two runs."""

import json
from pathlib import Path

import pytest

from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.responses.answers import Answers

SETTINGS = {"model": "m", "n": 2, "temperature": 1.0}


def rows(number: int, truth: str = "yes") -> list[dict]:
    return [
        {"file": "val.parquet", "row": number, "sample": sample, "score": 1.0, "acc": 1.0, "ground_truth": truth}
        for sample in range(2)
    ]


def test_answers_are_found_again_and_end_in_order(tmp_path: Path) -> None:
    path = tmp_path / "eval.jsonl"
    first = Answers(path, SETTINGS)
    first.add(rows(5))
    again = Answers(path, SETTINGS)  # the first was killed: never finished
    assert again.done("val.parquet", 5, "yes") and not again.done("val.parquet", 4, "yes")
    again.add(rows(4))
    again.finish()
    written = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(row["row"], row["sample"]) for row in written] == [(4, 0), (4, 1), (5, 0), (5, 1)]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["eval.jsonl", "eval.settings.json"]


@pytest.mark.parametrize("cut", range(1, 260, 37))
def test_a_kill_at_any_byte_leaves_whole_rows_only(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "eval.jsonl"
    answers = Answers(path, SETTINGS)
    answers.add(rows(0))
    answers.add(rows(1))
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    again = Answers(path, SETTINGS)
    lines = len(rows(0)) * (again.done("val.parquet", 0, "yes") + again.done("val.parquet", 1, "yes"))
    assert not again.done("val.parquet", 1, "yes")
    assert again.done("val.parquet", 0, "yes") is (cut < len(whole) / 2)
    for number in (0, 1):
        if not again.done("val.parquet", number, "yes"):
            again.add(rows(number))
    again.finish()
    assert path.read_bytes() == whole
    assert lines in (0, 2)


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "eval.jsonl"
    Answers(path, SETTINGS).finish()
    with pytest.raises(DataError, match=r"temperature was 1\.0 and is now 0"):
        Answers(path, SETTINGS | {"temperature": 0})


def test_another_row_under_the_same_number_is_refused(tmp_path: Path) -> None:
    answers = Answers(tmp_path / "eval.jsonl", SETTINGS)
    answers.add(rows(0))
    with pytest.raises(DataError, match='ground truth was "yes" and is now "no"'):
        answers.done("val.parquet", 0, "no")


def test_a_file_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_text("mine\n")
    with pytest.raises(DataError, match="exists"):
        Answers(path, SETTINGS)
    assert path.read_text() == "mine\n"
