"""`mixed-r1 score`: what it reads, what it refuses and why, and that it says what `compute_score` says."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import Result
from report_run import make_run
from typer.testing import CliRunner

from mixed_r1_verl import compute_score
from mixed_r1_verl.cli import app
from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.responses.answers import answer_row, score_responses
from mixed_r1_verl.responses.read import Response, Unreadable, read_responses
from mixed_r1_verl.responses.summary import Summary
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.mixed import MixedReward


def respond(answer: str) -> str:
    return f"<think>I looked.</think><answer>{answer}</answer>"


def row(reward: str, truth: str, answer: str, source: str = "demo", **info: Any) -> dict[str, Any]:
    return {
        "data_source": source,
        "reward_model": {"style": "rule", "ground_truth": truth},
        "extra_info": {"id": f"{source}/{answer}", "reward": reward, **info},
        "response": respond(answer),
    }


ROWS = [
    row("matching", "B", "B", choices=["cat", "dog"]),
    row("matching", "B", "the cat", choices=["cat", "dog"]),
    row("matching", "yes", "no", source="pope"),
    row("chart", "41", "41%"),
    row("iou", "[[0, 0, 500, 500]]", "[0, 0, 500, 250]", width=1000, height=1000, box_frame="norm1000"),
    row("open_ended", "A red circle.", "A red circle."),
    {**row("matching", "B", ""), "response": "It is B."},
    row("iou", "no boxes", "[1, 2, 3, 4]"),
]


def write_lines(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join((r if isinstance(r, str) else json.dumps(r)) + "\n" for r in rows), encoding="utf-8")
    return path


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["score", *map(str, arguments)], env={"COLUMNS": "160"})


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A folder with the rows as JSONL, and what scoring them with both kinds of output gave."""
    folder = tmp_path_factory.mktemp("score")
    file = write_lines(folder / "rows.jsonl", ROWS)
    return folder, run(file, "--output", folder / "scored.jsonl", "--format", "json")


def test_rows_are_scored_in_order_and_as_compute_score_does(scored: tuple[Path, Result]) -> None:
    folder, _ = scored
    lines = [json.loads(line) for line in (folder / "scored.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["row"] for line in lines] == list(range(1, len(ROWS) + 1))
    for line, given in zip(lines, ROWS, strict=True):
        truth = given["reward_model"]["ground_truth"]
        expected = compute_score(given["data_source"], given["response"], truth, given["extra_info"])
        assert {key: line[key] for key in expected} == expected
        assert (line["response"], line["ground_truth"]) == (given["response"], truth)
        assert line["id"] == given["extra_info"]["id"]


def test_report_by_source_and_reward(scored: tuple[Path, Result]) -> None:
    _, result = scored
    report = json.loads(result.stdout)
    groups = {(group["data_source"], group["reward"]): group for group in report["groups"]}
    assert list(groups) == [
        ("demo", "chart"),
        ("demo", "iou"),
        ("demo", "matching"),
        ("demo", "open_ended"),
        ("pope", "matching"),
    ]
    matching = groups["demo", "matching"]
    assert matching["rows"] == 3
    assert matching["acc"] == pytest.approx(1 / 3)
    assert matching["format"] == pytest.approx(2 / 3)
    assert matching["score"] == pytest.approx((1 + 0.1 + 0) / 3)
    assert (matching["error"], matching["malformed"]) == (0, pytest.approx(1 / 3))
    assert matching["reasons"] == {"wrong": 1, "no_answer": 1}
    iou = groups["demo", "iou"]
    assert (iou["rows"], iou["error"], iou["acc"]) == (2, 0.5, pytest.approx(0.25))
    assert report["total"]["rows"] == len(ROWS) and report["rejected"] == 0


def test_a_row_that_cannot_be_scored_is_named_and_fails_the_run(scored: tuple[Path, Result]) -> None:
    _, result = scored
    assert result.exit_code == 1
    assert "1 rows could not be scored" in result.stderr
    assert "the ground truth is not JSON" in result.stderr


def test_parquet_in_table_and_parquet_out(tmp_path: Path) -> None:
    rows = [{**r, "extra_info": {"box_frame": None, "width": None, "height": None, **r["extra_info"]}} for r in ROWS]
    pq.write_table(pa.Table.from_pylist(rows[:6]), tmp_path / "rows.parquet")
    result = run(tmp_path / "rows.parquet", "--output", tmp_path / "out.parquet")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["source", "reward", "rows", "score", "acc", "format", "error", "malformed"]
    assert lines[-1].split() == ["all", "6", "0.6250", "0.5833", "1.0000", "0.0000", "0.0000"]
    written = pq.read_table(tmp_path / "out.parquet").to_pylist()
    assert [r["acc"] for r in written] == [1.0, 0.0, 0.0, 1.0, pytest.approx(0.5), pytest.approx(1.0)]
    assert [r["row"] for r in written] == list(range(6))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parquet", "rows.parquet"]


def dump(answer: str, truth: str, **more: Any) -> dict[str, Any]:
    """A line of the JSONL that verl writes at validation; `reward` is the number that the response earned."""
    return {"input": "…", "output": respond(answer), "gts": truth, "score": 0.1, "step": 5, "reward": 0.1, **more}


@pytest.mark.parametrize(
    ("record", "options", "expected"),
    [
        (dump("B", "B", reward_kind="matching"), {}, ("", "matching", "B")),
        (dump("7", "7"), {"kind": "chart"}, ("", "chart", "7")),
        ({**dump("7", "7"), "data_source": "chartqa"}, {}, ("chartqa", "chart", "7")),
        ({"response": "x", "ground_truth": "yes", "reward": "matching"}, {}, ("", "matching", "yes")),
        (
            {"solution_str": "x", "ground_truth": "yes", "extra_info": {"reward": "matching"}},
            {},
            ("", "matching", "yes"),
        ),
        ({"text": "x", "gts": "1", "reward": "math"}, {"response_column": "text"}, ("", "math", "1")),
    ],
    ids=[
        "validation dump",
        "--reward",
        "route of the source",
        "flat row",
        "compute_score's names",
        "--response-column",
    ],
)
def test_forms_of_rows(tmp_path: Path, record: dict, options: dict, expected: tuple) -> None:
    file = write_lines(tmp_path / "x.jsonl", [record])
    reward = MixedReward(MixedRewardConfig(routes={"chartqa": "chart"}))
    (item,) = read_responses(file, reward, **options)
    assert isinstance(item, Response)
    scored = item.scored
    assert (scored.data_source, scored.extra_info["reward"], scored.ground_truth) == expected


def test_a_dump_of_training_is_scored_with_the_rows_that_it_answers(tmp_path: Path) -> None:
    """verl dumps neither reward nor source nor options nor sizes of a training rollout; `--data` has them all."""
    folder = make_run(tmp_path)
    dump = folder / "rollouts" / "1.jsonl"
    untold = run(dump, "--format", "json", "--rejects", tmp_path / "rejects.jsonl")
    assert untold.exit_code == 1 and json.loads(untold.stdout)["rejected"] == 10
    told = run(dump, "--data", folder / "train.parquet", "--output", tmp_path / "scored.jsonl", "--format", "json")
    assert told.exit_code == 0 and "0 of 10 responses were not found in the data" in told.stderr
    recorded = [json.loads(line)["score"] for line in dump.read_text().splitlines()]
    scored = [json.loads(line) for line in (tmp_path / "scored.jsonl").read_text().splitlines()]
    assert [one["score"] for one in scored] == pytest.approx(recorded)
    assert {one["reward_kind"] for one in scored} == {"matching", "chart", "iou", "open_ended"}


def test_several_responses_in_a_row(tmp_path: Path) -> None:
    record = {"responses": [respond("yes"), respond("no")], "ground_truth": "yes", "reward": "matching"}
    items = list(read_responses(write_lines(tmp_path / "x.jsonl", [record])))
    assert [(item.row.number, item.sample) for item in items if isinstance(item, Response)] == [(1, 0), (1, 1)]
    assert [item.scored.solution_str for item in items if isinstance(item, Response)] == record["responses"]


GOOD = {"response": respond("yes"), "ground_truth": "yes", "reward": "matching"}


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("{", "not JSON"),
        ("[1]", "not a JSON object: list [1]"),
        ({**GOOD, "response": 7}, "response or solution_str or output or responses: must be a string"),
        ({**GOOD, "response": None}, "must be a string or a list of strings, not NoneType"),
        ({**GOOD, "ground_truth": 41}, "ground_truth: must be a string, not int 41"),
        ({**GOOD, "ground_truth": None}, "there is no reward_model.ground_truth, ground_truth, gts"),
        ({**GOOD, "reward": "mathcing"}, "unknown reward 'mathcing'"),
        ({**GOOD, "reward": None}, "extra_info names no reward"),
        ({**GOOD, "data_source": 3}, "data_source: must be a string, not int 3"),
        ({**GOOD, "extra_info": "x"}, "extra_info: must be an object, not str 'x'"),
        ({**GOOD, "choices": "A"}, "choices: must be a list of strings"),
        ({**GOOD, "width": "640"}, "width: must be a number, not str '640'"),
    ],
)
def test_rows_that_cannot_be_read_are_rejected_with_the_reason(tmp_path: Path, line: Any, reason: str) -> None:
    file = write_lines(tmp_path / "x.jsonl", [GOOD, "", line, GOOD])
    items = list(read_responses(file))
    assert [type(item) for item in items] == [Response, Unreadable, Response]
    reject = items[1]
    assert isinstance(reject, Unreadable) and reason in reject.reason
    assert (reject.file, reject.row) == (str(file), 3)


def test_rejects_file(tmp_path: Path) -> None:
    file = write_lines(tmp_path / "x.jsonl", [GOOD, "{", GOOD])
    result = run(file, "--output", tmp_path / "out.jsonl")
    assert result.exit_code == 1
    assert "1 rows cannot be read" in result.stderr
    (reject,) = (json.loads(line) for line in (tmp_path / "out.rejects.jsonl").read_text().splitlines())
    assert (reject["row"], reject["file"]) == (2, str(file)) and "not JSON" in reject["reason"]
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.jsonl"], "nowhere.jsonl: no such file"),
        (["good.jsonl", "--response-column", "text"], "no column text; it has response, ground_truth, reward"),
        (["good.parquet"], "good.parquet: cannot be read as parquet"),
        (["good.jsonl", "--set", "fromat_weight=0.2"], "did you mean 'format_weight'"),
        (["good.jsonl", "--set", "x"], "is not KEY=VALUE"),
        (["good.jsonl", "--output", "good.jsonl"], "would overwrite a file that is to be scored"),
        (["good.jsonl", "--output", "none/x.jsonl"], "the folder none does not exist"),
        (["good.jsonl", "--embedding-model", "no/such-model"], "neither a directory nor a model in the local"),
    ],
)
def test_bad_usage_exits_with_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write_lines(tmp_path / "good.jsonl", [GOOD])
    write_lines(tmp_path / "good.parquet", [GOOD])
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.jsonl", "good.parquet"]


def test_settings_reach_the_reward(tmp_path: Path) -> None:
    file = write_lines(
        tmp_path / "x.jsonl", [{**GOOD, "reward": "chart", "ground_truth": "100", "response": respond("108")}]
    )
    (group,) = json.loads(run(file, "--set", "chart.tolerance=0.1", "--format", "json").stdout)["groups"]
    assert group["acc"] == 1.0


def test_nothing_to_score_fails(tmp_path: Path) -> None:
    result = run(write_lines(tmp_path / "x.jsonl", []))
    assert result.exit_code == 1 and "no response was scored" in result.stderr


def test_a_response_that_hangs_costs_only_itself(tmp_path: Path) -> None:
    rows = [{**GOOD, "reward": "hostile", "ground_truth": "hang" if i == 3 else "fine"} for i in range(8)]
    config = MixedRewardConfig(custom={"hostile": "hostile_rewards:obey"}, time_limit_s=1.0, processes=2)
    responses = read_responses(write_lines(tmp_path / "x.jsonl", rows), MixedReward(config))
    scored = [answer_row(*pair) for pair in score_responses(responses, config)]
    assert [row["error"] for row in scored] == [0, 0, 0, 1, 0, 0, 0, 0]
    assert Summary(scored).total.failures == {"timeout: scoring took more than 1 s": 1}


def test_text_that_no_file_can_hold(tmp_path: Path) -> None:
    """Half of a surrogate pair is valid in JSON, but not in UTF-8."""
    file = write_lines(tmp_path / "x.jsonl", [{**GOOD, "response": respond("\ud83d")}])
    for name in ("out.jsonl", "out.parquet"):
        assert run(file, "--output", tmp_path / name).exit_code == 0
        assert (tmp_path / name).stat().st_size


def test_a_file_that_breaks_off_leaves_no_output(tmp_path: Path) -> None:
    good, bad = write_lines(tmp_path / "a.jsonl", [GOOD]), write_lines(tmp_path / "b.jsonl", [{"x": 1}])
    (tmp_path / "out.jsonl").write_text("before")
    assert run(good, bad, "--output", tmp_path / "out.jsonl").exit_code == 2
    assert (tmp_path / "out.jsonl").read_text() == "before"
    assert len(list(tmp_path.iterdir())) == 3
    with pytest.raises(DataError, match="no column response"):
        list(read_responses(bad))
