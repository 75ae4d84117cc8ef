"""The page as a text: what is in it, and that nothing of a run can get out of its data."""

import base64
import gzip
import hashlib
import json
import re
from pathlib import Path

import pytest
from click.testing import Result
from report_run import HOSTILE
from typer.testing import CliRunner

from mixed_r1_verl.cli import app
from mixed_r1_verl.core.rows import DataRow
from mixed_r1_verl.report.page import choose
from mixed_r1_verl.responses.read import Response

SCRIPT = re.compile(r'<script type="text/plain" id="([^"]+)">([^<]*)</script>')


def report(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["report", *map(str, arguments)])


@pytest.fixture(scope="session")
def page(report_file: Path) -> str:
    return report_file.read_text(encoding="utf-8")


def unpacked(page: str) -> dict:
    return {
        name.removeprefix("data-"): json.loads(gzip.decompress(base64.b64decode(data)))
        for name, data in SCRIPT.findall(page)
        if name.startswith("data-")
    }


def test_every_rollout_is_there_with_its_components(page: str) -> None:
    data = unpacked(page)
    assert data["meta"]["rows"] == 30
    assert data["meta"]["components"] == ["score", "acc", "format", "error"]
    assert all(None not in values for values in data["columns"]["values"].values())
    assert HOSTILE in data["texts-0"]["response"]
    assert len(SCRIPT.findall(page)) == 4 + 3  # meta, columns, prompts, texts; pictures of rows that are found
    notes = " ".join(data["meta"]["runs"][0]["notes"])
    assert "18 rollouts were found in the data" in notes
    assert "20 rollouts were recomputed" in notes
    iou = [prompt for prompt in data["prompts"] if prompt["gold"]]
    assert [prompt["gold"] for prompt in iou] == [[[1250, 2000, 6250, 6000]]] * 2
    assert all(prompt["pictures"] for prompt in iou)


def test_curves_are_by_reward_and_source(page: str) -> None:
    charts = {(curve["group"], curve["by"], curve["metric"]) for curve in unpacked(page)["meta"]["curves"]}
    for metric in ("score", "acc", "format", "error", "characters"):
        for group in ("train", "validation"):
            assert {(group, "reward", metric), (group, "source", metric)} <= charts


def test_nothing_of_a_run_is_markup(page: str) -> None:
    assert "onerror" not in page
    # Two data islands a line besides the page's own style and script: no further element can hold any.
    assert page.count("<script") == len(SCRIPT.findall(page)) + 1
    assert page.count("<style") == 1


def test_the_policy_allows_the_own_script_and_style_and_nothing_else(page: str) -> None:
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy[1].replace("&#39;", "'").split("; "))
    script = re.search(r'<script type="module">(.*?)</script>', page, re.DOTALL)
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert script is not None and style is not None

    def source(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    assert rules == {
        "default-src": "'none'",
        "script-src": source(script[1]),
        "style-src": source(style[1]),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//", page)


def test_a_title_is_escaped(tmp_path: Path) -> None:
    path = tmp_path / "<b>&.jsonl"
    path.write_text('{"output": "a", "gts": "x", "score": 1}\n')
    assert report(path, "--output", tmp_path / "page.html").exit_code == 0
    assert '<h1 id="title">&lt;b&gt;&amp;</h1>' in (tmp_path / "page.html").read_text()


def test_too_many_rollouts_are_drawn_in_whole_groups() -> None:
    row = DataRow("", 0, "", "", {})
    rollouts = [Response(row, "", step=step, group=f"g{g}") for step in range(4) for g in range(5) for _ in range(8)]
    shown = choose(rollouts, 100)
    assert len(shown) == 96
    assert {sum(s.step == r.step and s.group == r.group for s in shown) for r in shown} == {8}
    assert choose(shown, 100) == shown


def test_a_reward_that_cannot_be_imported_costs_its_components_and_no_page(tmp_path: Path) -> None:
    path = tmp_path / "1.jsonl"
    record = {"output": "<think>I see.</think><answer>a</answer>", "gts": "a", "data_source": "s"}
    kinds = {"mine": 0.0, "chart": 1.0}
    path.write_text("".join(json.dumps({**record, "score": kinds[k], "reward_kind": k}) + "\n" for k in kinds))
    arguments = ("--set", "custom.mine=no_such_module:reward", "--output", tmp_path / "page.html")
    assert report(path, *arguments).exit_code == 0
    data = unpacked((tmp_path / "page.html").read_text())
    assert "no_such_module" in " ".join(data["meta"]["runs"][0]["notes"])
    assert data["columns"]["values"]["acc"] == [None, 1.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{folder}/nothing"], "no such folder or file"),
        (["{folder}", "--output", "{folder}/no/report.html"], "does not exist"),
        (["{folder}", "--data", "{folder}/no.parquet"], "no.parquet: no such file"),
        (["{folder}", "--data", "{folder}/rollouts/1.jsonl"], "1.jsonl: not a training file"),
        (["{folder}", "--set", "iou.box_frme=pixel"], "unknown key 'iou.box_frme'; did you mean"),
    ],
)
def test_bad_usage_is_one_clear_line(run_folder: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    given = [argument.format(folder=run_folder) for argument in arguments]
    output = [] if "--output" in given else ["--output", str(tmp_path / "report.html")]
    ran = report(*given, *output)
    assert ran.exit_code == 2
    assert message in ran.output
    assert not list(tmp_path.iterdir())
