"""Rollouts find their rows by question and ground truth; where several rows share both, no picture is claimed."""

from pathlib import Path

from mixed_r1_verl.core.rows import DataRow
from mixed_r1_verl.report.join import Candidate, Matcher, read_candidates
from mixed_r1_verl.report.run import Rollout, find_run, read_dump

COLUMNS = ("choices", "question", "width", "height", "box_frame")


def rollout(prompt: str, truth: str, split: str = "train", **texts: str) -> Rollout:
    return Rollout(split, 1, "g", prompt, "response", truth, texts=dict(texts))


def data_row(number: int, question: str, truth: str, **extra: object) -> Candidate:
    return Candidate(DataRow("f", number, "source", truth, {"reward": "matching", **extra}), question)


def test_a_real_dump_is_joined(run_folder: Path) -> None:
    run = find_run(run_folder, trust_config=True)
    rows = read_candidates(run.data)
    rollouts = [one for split, path in run.dumps for one in read_dump(split, path, COLUMNS)]
    matcher = Matcher(rows)
    matcher.attach(rollouts)
    # Two rows of each file have the same question and answer: 2 of 5 prompts.
    assert (matcher.exact, matcher.several, matcher.missing) == (18, 12, 0)
    for one in rollouts:
        assert one.kind in one.source
        if one.row is not None:
            assert rows[one.row].row.ground_truth == one.ground_truth
            assert rows[one.row].split == one.split
            assert one.texts["id"] == rows[one.row].row.id


def test_an_id_in_the_dump_decides() -> None:
    rows = [data_row(0, "Same?", "yes", id="a"), data_row(1, "Same?", "yes", id="b")]
    named, unnamed = rollout("user Same? assistant", "yes", id="b"), rollout("user Same? assistant", "yes")
    Matcher(rows).attach([named, unnamed])
    assert (named.row, unnamed.row) == (1, None)


def test_the_longest_question_in_a_prompt_is_meant() -> None:
    rows = [data_row(0, "red?", "yes"), data_row(1, "isitred?", "yes")]
    one = rollout("user\nis it red? assistant", "yes")
    Matcher(rows).attach([one])
    assert one.row == 1


def test_what_rows_alike_differ_in_is_not_taken_from_them() -> None:
    rows = [data_row(0, "Same?", "yes", width=10, height=7), data_row(1, "Same?", "yes", width=20, height=7)]
    one = rollout("Same?", "yes")
    Matcher(rows).attach([one])
    assert one.extra == {"reward": "matching", "height": 7}
    assert one.kind == "matching"


def test_data_of_another_run_does_not_take_for_ever() -> None:
    rows = [data_row(i, f"question{i}", "yes") for i in range(2000)]
    matcher = Matcher(rows)
    matcher.attach(rollout(f"something else {i}" * 20, "yes") for i in range(5000))
    assert matcher.missing == 5000
