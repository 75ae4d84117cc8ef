"""Rollouts find their rows by question and ground truth; where several rows share both, no picture is claimed."""

from pathlib import Path

from mixed_r1_verl.core.rows import DataRow
from mixed_r1_verl.report.run import find_run, read_dump
from mixed_r1_verl.responses.join import Candidate, Matcher, read_candidates
from mixed_r1_verl.responses.read import Response

COLUMNS = ("choices", "question", "width", "height", "box_frame")


def rollout(prompt: str, truth: str, split: str = "train", **info: str) -> Response:
    return Response(DataRow("", 0, "", truth, info), "response", prompt=prompt, split=split)


def attach(rows: list[Candidate], *rollouts: Response) -> Matcher:
    matcher = Matcher(rows)
    for one in rollouts:
        matcher.attach(one)
    return matcher


def data_row(number: int, question: str, truth: str, **extra: object) -> Candidate:
    return Candidate(DataRow("f", number, "source", truth, {"reward": "matching", **extra}), question)


def test_a_real_dump_is_joined(run_folder: Path) -> None:
    run = find_run(run_folder, trust_config=True)
    rows = read_candidates(run.data)
    rollouts = [one for split, path in run.dumps for one in read_dump(split, path, COLUMNS)]
    matcher = attach(rows, *rollouts)
    # Two rows of each file have the same question and answer: 2 of 5 prompts.
    assert matcher.counts == {"exact": 18, "several": 12}
    for one in rollouts:
        assert one.kind in one.row.data_source
        if one.found is not None:
            assert rows[one.found].row.ground_truth == one.row.ground_truth
            assert rows[one.found].split == one.split
            assert one.row.id == rows[one.found].row.id


def test_an_id_in_the_dump_decides() -> None:
    rows = [data_row(0, "Same?", "yes", id="a"), data_row(1, "Same?", "yes", id="b")]
    named, unnamed = rollout("user Same? assistant", "yes", id="b"), rollout("user Same? assistant", "yes")
    attach(rows, named, unnamed)
    assert (named.found, unnamed.found) == (1, None)


def test_the_longest_question_in_a_prompt_is_meant() -> None:
    rows = [data_row(0, "red?", "yes"), data_row(1, "isitred?", "yes")]
    one = rollout("user\nis it red? assistant", "yes")
    attach(rows, one)
    assert one.found == 1


def test_what_rows_alike_differ_in_is_not_taken_from_them() -> None:
    rows = [data_row(0, "Same?", "yes", width=10, height=7), data_row(1, "Same?", "yes", width=20, height=7)]
    one = rollout("Same?", "yes")
    attach(rows, one)
    assert one.row.extra_info == {"reward": "matching", "height": 7}
    assert one.kind == "matching"


def test_data_of_another_run_does_not_take_for_ever() -> None:
    rows = [data_row(i, f"question{i}", "yes") for i in range(2000)]
    matcher = attach(rows, *(rollout(f"something else {i}" * 20, "yes") for i in range(5000)))
    assert matcher.counts == {"missing": 5000}
