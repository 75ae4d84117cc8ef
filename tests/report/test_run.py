"""What is found in a run's folder, and what its dumps are read as."""

from pathlib import Path

import pytest

from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.core.verl_config import RunError
from mixed_r1_verl.report.run import find_run, read_dump

COLUMNS = ("choices", "question", "width", "height", "box_frame")


def test_a_folder_is_read_with_its_configuration(run_folder: Path) -> None:
    run = find_run(run_folder, trust_config=True)
    assert run.name == "demo"
    assert [(split, path.name) for split, path in run.dumps] == [
        ("train", "1.jsonl"),
        ("train", "2.jsonl"),
        ("validation", "0.jsonl"),
        ("validation", "2.jsonl"),
    ]
    assert {path.name: split for path, split in run.data.items()} == {
        "train.parquet": "train",
        "val.parquet": "validation",
    }
    assert run.rewards == {"format_weight": 0.1, "embedding_model": None}


def test_dumps_are_found_where_the_configuration_says(tmp_path: Path) -> None:
    (tmp_path / "run" / ".hydra").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "3.jsonl").write_text("")
    (tmp_path / "run" / ".hydra" / "config.yaml").write_text(f"trainer: {{rollout_data_dir: {tmp_path}/elsewhere}}\n")
    assert find_run(tmp_path / "run", trust_config=True).dumps == [("train", tmp_path / "elsewhere" / "3.jsonl")]


def test_a_file_of_mixed_r1_eval_is_a_run(tmp_path: Path) -> None:
    path = tmp_path / "after.jsonl"
    path.write_text(
        '{"file": "val.parquet", "row": 3, "sample": 0, "id": "a/3", "data_source": "a", "score": 1.0, "acc": 1.0, '
        '"reward_kind": "iou", "truncated": false, "ground_truth": "[[1,2,3,4]]", "response": "r", "input": "p", '
        '"width": 9, "height": 8, "question": "q?"}\n'
    )
    (split, file), *_ = find_run(path).dumps
    (rollout,) = read_dump(split, file, COLUMNS)
    assert (rollout.split, rollout.group, rollout.kind) == ("validation", "val.parquet:3", "iou")
    assert rollout.values == {"score": 1.0, "acc": 1.0, "truncated": 0.0}
    assert (rollout.row.data_source, rollout.row.id) == ("a", "a/3")
    assert {"width": 9, "height": 8, "question": "q?"}.items() <= rollout.row.extra_info.items()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense\n", "line 1: not a dumped rollout"),
        ('{"input": "p"}\n', "line 1: not a dumped rollout"),
        ('{"output": 3, "gts": "x"}\n', "must be a string or a list of strings, not int 3"),
        ('{"output": "a", "gts": "x", "step": "abc"}\n', "step: must be a whole number, not str 'abc'"),
        ('{"output": "a", "gts": "x", "step": 1' + "0" * 400 + "}\n", "step: must be a whole number"),
        ('{"output": "a", "gts": "x", "width": "abc"}\n', "width: must be a number, not str 'abc'"),
        ('{"output": "a", "gts": "x", "choices": "abc"}\n', "choices: must be a list of strings, not str 'abc'"),
        ("[" * 5000 + "\n", "1.jsonl: not a JSON list"),
        ('{"a": ' + "[" * 5000 + "\n", "line 1: not a dumped rollout"),
    ],
)
def test_what_is_no_dump_is_refused_by_line(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "1.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        list(read_dump("train", path, COLUMNS))


def test_a_line_that_is_still_being_written_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "1.jsonl"
    path.write_text('{"output": "a", "gts": "x", "score": 1}\n{"output": "b", "g')
    assert [rollout.text for rollout in read_dump("train", path, COLUMNS)] == ["a"]


def test_line_separators_are_text_and_end_no_line(tmp_path: Path) -> None:
    path = tmp_path / "1.jsonl"
    path.write_text('{"output": "a\u2028b\u0085c", "gts": "x\u2028y"}\n{"output": "d", "gts": "z"}\n', encoding="utf-8")
    rollouts = list(read_dump("train", path, COLUMNS))
    assert [(one.text, one.row.ground_truth) for one in rollouts] == [("a\u2028b\u0085c", "x\u2028y"), ("d", "z")]


def test_columns_that_rewards_read_are_of_the_row_and_no_components(tmp_path: Path) -> None:
    path = tmp_path / "1.jsonl"
    path.write_text('{"output": "a", "gts": "x", "score": 1, "unit": "cm", "tolerance": 0.5, "judge": 0.25}\n')
    (rollout,) = read_dump("train", path, ("unit", "tolerance"))
    assert {"unit": "cm", "tolerance": 0.5}.items() <= rollout.row.extra_info.items()
    assert rollout.values == {"score": 1.0, "judge": 0.25}


def test_an_empty_folder_says_what_a_run_needs(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"trainer\.rollout_data_dir"):
        find_run(tmp_path)


def test_nothing_that_a_configuration_names_is_read_unless_it_is_trusted(run_folder: Path) -> None:
    """The run may be somebody else's, and the page may be sent back."""
    run = find_run(run_folder)
    assert (run.data, run.rewards) == ({}, {})
    assert len(run.dumps) == 4
