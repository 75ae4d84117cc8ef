"""`mixed-r1 eval`: what it refuses before anything is loaded, and a whole evaluation through vLLM."""

import json
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import Result
from typer.testing import CliRunner

from examples.demo.data import build_demo
from mixed_r1_verl.cli import app
from mixed_r1_verl.core.rows import DataRow
from mixed_r1_verl.data.schema import row_schema
from mixed_r1_verl.plugin.rollout import Prompt
from mixed_r1_verl.responses.eval import answer_rows
from mixed_r1_verl.responses.generate import Answered, Question, response_to
from mixed_r1_verl.rewards.config import MixedRewardConfig


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["eval", *map(str, arguments)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{model}", "no.parquet"], "no.parquet: no such file"),
        (["no-model", "{file}"], "no-model: neither a directory nor a hub id"),
        (["{model}", "{file}", "{file}"], "the same name"),
        (["{model}", "{file}", "--n", "4"], "all the same at --temperature 0"),
        (["{model}", "{file}", "--set", "chart.tolerence=1"], "unknown key 'chart.tolerence'; did you mean"),
        (["{model}", "{file}", "--config", "bad.parquet", "--trust-config"], "cannot be read as a configuration"),
        (
            ["{model}", "{file}", "--config", "bad.parquet"],
            "may name code that is imported and addresses that are called",
        ),
        (["{model}", "{file}", "--output", "/no/such/folder/eval.jsonl"], "does not exist"),
        (["{model}", "other.parquet"], "no column data_source, extra_info, reward_model"),
        (["{model}", "bad.parquet"], "bad.parquet: cannot be read as parquet"),
    ],
)
def test_bad_usage_is_one_clear_line(
    tmp_path: Path, warm_model: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "val.parquet"
    pq.write_table(pa.Table.from_pylist([], schema=row_schema("bytes")), file)
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 nothing of the kind \xff")
    pq.write_table(pa.table({"prompt": ["text"]}), tmp_path / "other.parquet")
    ran = run(*(argument.format(model=warm_model, file=file) for argument in arguments))
    assert ran.exit_code == 2, ran.output
    assert message in ran.output
    assert not list(tmp_path.glob("eval*"))


def test_a_prompt_that_vllm_refuses_counts_as_an_error() -> None:
    row = DataRow("f", 3, "source", "yes", {"id": "id", "reward": "matching", "width": 9})
    question = Question(row, Prompt("text", []), 0)
    said = [response_to(question, sample, "<think>I see.</think><answer>yes</answer>", 7) for sample in range(2)]
    rows = list(answer_rows([Answered(question, [], "too long"), Answered(question, said)], MixedRewardConfig(), 2))
    refused, answered = rows
    assert [(row["sample"], row["error"], row["reason"], row["reward_kind"]) for row in refused] == [
        (0, 1.0, "too long", "matching"),
        (1, 1.0, "too long", "matching"),
    ]
    assert [row["acc"] for row in answered] == [1.0, 1.0]
    assert answered[0] == answered[1] | {"sample": 0}
    assert (answered[0]["width"], answered[0]["input"], answered[0]["tokens"]) == (9, "text", 7)


@pytest.mark.verl
@pytest.mark.timeout(300)
def test_eval_answers_as_transformers_does_and_goes_on_where_it_was_cut(tmp_path: Path, warm_model: Path) -> None:
    """Greedy answers of vLLM are those of transformers, and answers that are there are not asked for again."""
    build_demo(tmp_path, rows=4, val_rows=24)
    output = tmp_path / "eval.jsonl"
    command = [str(Path(sys.executable).with_name("mixed-r1")), "eval", str(warm_model), f"{tmp_path}/val.parquet"]
    command += ["--max-tokens", "96", "--output", str(output), "--format", "json"]
    whole = subprocess.run(command, capture_output=True, text=True)
    assert whole.returncode == 0, whole.stderr[-4000:]
    lines = output.read_text(encoding="utf-8").splitlines(keepends=True)
    assert len(lines) == 24

    # What a kill leaves: some whole lines and a part of one. Marked, so that a line that is made anew shows.
    kept = [line.replace('"sample": 0', '"sample": 0, "kept": true') for line in lines]
    output.write_text("".join(kept) + lines[-1][:50], encoding="utf-8")
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0, again.stderr[-4000:]
    assert json.loads(again.stdout) == json.loads(whole.stdout)
    assert output.read_text(encoding="utf-8") == "".join(kept)

    rows = [json.loads(line) for line in lines]
    expected = transformers_answers(warm_model, tmp_path / "val.parquet")
    same = sum(row["response"] == text for row, text in zip(rows, expected, strict=True))
    assert same >= 23, [(row["response"], text) for row, text in zip(rows, expected, strict=True)]
    summary = json.loads(whole.stdout)["groups"]
    assert [group["data_source"] for group in summary] == [
        *("easy_vqa", "scenes_chart", "scenes_iou", "scenes_open_ended", "all")
    ]
    scored = CliRunner().invoke(app, ["score", str(output), "--format", "json"])
    total = json.loads(scored.stdout)["total"]
    assert total["acc"] == pytest.approx(summary[-1]["acc"])


def transformers_answers(model: Path, file: Path) -> list[str]:
    import io

    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    from examples.demo.tiny.evaluate import evaluate
    from mixed_r1_verl.rewards.mixed import MixedReward

    rows = [
        {
            "image": Image.open(io.BytesIO(row["images"][0]["bytes"])).convert("RGB"),
            "prompt": row["prompt"][0]["content"],
            "kind": row["extra_info"]["reward"],
            "ground_truth": row["reward_model"]["ground_truth"],
            "extra_info": row["extra_info"],
        }
        for row in pq.read_table(file).to_pylist()
    ]
    loaded = AutoModelForImageTextToText.from_pretrained(model)
    results = evaluate(loaded, AutoProcessor.from_pretrained(model), rows, reward=MixedReward())
    return [own[0]["response"] for own in results]
