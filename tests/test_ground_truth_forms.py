"""Every documented form of a ground truth by every consumer: who checks, shows, scores or attacks rows reads them all.

A new form is a line in `FORMS`. A new consumer is a function in `CONSUMERS`: it gets a form and its rows, and fails in
any way it likes.
"""

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sound_rows import png, sound
from typer.testing import CliRunner

from mixed_r1_verl.cli import app
from mixed_r1_verl.core.rows import row_of
from mixed_r1_verl.data.check import check_files
from mixed_r1_verl.data.columns import quick_check
from mixed_r1_verl.data.schema import EXTRA_INFO_TYPE, row_schema
from mixed_r1_verl.engine.card import _example
from mixed_r1_verl.engine.describe import describe_row
from mixed_r1_verl.responses.read import Response
from mixed_r1_verl.rewards.cheats import reply
from mixed_r1_verl.rewards.kinds import KINDS
from mixed_r1_verl.rewards.mixed import MixedReward

WIDTH, HEIGHT = 400, 200
PICTURE = png((WIDTH, HEIGHT))


class Form(NamedTuple):
    """A ground truth in one of its forms, an answer that is right, and one that is wrong."""

    kind: str
    truth: str
    right: str
    wrong: str
    extra_info: Mapping[str, Any] = MappingProxyType({})


ANIMALS = {"choices": ["cat", "dog"]}
FORMS = {
    "letter": Form("matching", "B", "B", "A", ANIMALS),
    "letter_text": Form("matching", "B", "dog", "cat", ANIMALS),
    "text_of_an_option": Form("matching", "dog", "B", "A", ANIMALS),
    "options_that_are_letters": Form("matching", "B", "B", "A", {"choices": ["A", "B"]}),
    "yes": Form("matching", "Yes", "yes", "no"),
    "false": Form("matching", "false", "False", "True"),
    "word": Form("matching", "triangle", "a triangle", "a square"),
    "count": Form("matching", "12", "twelve", "13"),
    "chart_number": Form("chart", "41.5", "41.5", "50"),
    "chart_percent": Form("chart", "7%", "7 %", "9%"),
    "chart_money": Form("chart", "$1,200", "1200 dollars", "$12"),
    "chart_label": Form("chart", "Cape Verde", "Cape Verde", "Chad"),
    "chart_list": Form("chart", "[2013, 2016]", "2013, 2016", "2013"),
    "chart_list_of_one": Form("chart", "[2013]", "2013", "2016"),
    "chart_labels": Form("chart", "[Cape Verde, United Kingdom]", "Cape Verde and United Kingdom", "Cape Verde"),
    "chart_slash": Form("chart", "2.72 / 2720", "2.72 / 2720", "4 / 4"),
    "chart_time": Form("chart", "12:45 P.M.", "12:45 pm", "3 pm"),
    "chart_decade": Form("chart", "1990s", "the 1990s", "1980s"),
    "chart_yes": Form("chart", "Yes", "yes", "no"),
    "box": Form("iou", "[10,10,90,90]", "[[10,10,90,90]]", "[[200,100,300,150]]"),
    "boxes": Form("iou", "[[10,10,90,90],[200,20,380.5,180]]", "[[10,10,90,90],[200,20,380.5,180]]", "[[0,0,9,9]]"),
    "box_objects": Form("iou", '[{"bbox_2d": [10,10,90,90]}]', "[10,10,90,90]", "[200,100,300,150]"),
    "labelled_boxes": Form(
        "iou",
        '[{"bbox_2d": [10,10,90,90], "label": "cat"}, {"bbox_2d": [200,20,380,180], "label": "dog"}]',
        '[{"bbox_2d": [10,10,90,90], "label": "cat"}, {"bbox_2d": [200,20,380,180], "label": "a dog"}]',
        '[{"bbox_2d": [10,10,90,90], "label": "dog"}, {"bbox_2d": [200,20,380,180], "label": "cat"}]',
    ),
    "names_of_a_label": Form(
        "iou",
        '[{"bbox_2d": [10,10,90,90], "label": ["cat", "kitten"]}, {"bbox_2d": [200,20,380,180], "label": "dog"}]',
        '[{"bbox_2d": [10,10,90,90], "label": "kitten"}, {"bbox_2d": [200,20,380,180], "label": "dog"}]',
        "[[200,100,300,150]]",
    ),
    "frame_norm1000": Form("iou", "[[10,10,90,90]]", "[[25,50,225,450]]", "[[10,10,90,90]]", {"box_frame": "norm1000"}),
    "frame_norm1": Form("iou", "[[10,10,90,90]]", "[[0.025,0.05,0.225,0.45]]", "[[0,0,1,1]]", {"box_frame": "norm1"}),
    "frame_resized": Form("iou", "[[0,0,200,100]]", "[[0,0,196,98]]", "[[0,0,2,1]]", {"box_frame": "resized"}),
    "frame_and_labels": Form(
        "iou",
        '[{"bbox_2d": [10,10,90,90], "label": "cat"}]',
        '[{"bbox_2d": [25,50,225,450], "label": "cat"}]',
        '[{"bbox_2d": [25,50,225,450], "label": "dog"}]',
        {"box_frame": "norm1000"},
    ),
    "no_box": Form("iou", "[]", "There is none.", "[[10,10,90,90]]"),
    "reference": Form("open_ended", "A dog runs over the lawn.", "A dog runs over the lawn.", "Two ships at sea."),
    "references": Form(
        "open_ended", '["A dog runs.", "A brown dog on a lawn."]', "A brown dog on a lawn.", "Two ships at sea."
    ),
    "references_of_one": Form("open_ended", '["A dog runs."]', "A dog runs.", "Two ships at sea."),
    "prose_with_a_bracket": Form("open_ended", "[Left] A dog runs.", "[Left] A dog runs.", "Two ships at sea."),
    "prose_in_brackets": Form("open_ended", "[A dog runs]", "[A dog runs]", "Two ships at sea."),
    "accepted_text": Form("anls", "ACME Ltd", "Acme Ltd.", "Nokia"),
    "accepted_texts": Form("anls", '["ACME Ltd", "Acme", "12"]', "Acme", "ACME Ltd or Acme"),
    "accepted_values": Form("anls", '["1960", "in 1960"]', "1960", "1950"),
    "math_number": Form("math", "3", "3", "4"),
    "math_fraction": Form("math", r"\frac{1}{2}", "0.5", "2"),
    "math_dollars": Form("math", r"$x^2+1$", "$1+x^2$", "$x^2$"),
    "math_box": Form("math", r"$\boxed{60}$", "60", "61"),
    "math_unit": Form("math", "16 cm²", "16", "15"),
    "math_list": Form("math", "[0, 2, 0, 2]", "[0, 2, 0, 2]", "[0, 2]"),
}


def test_every_kind_has_forms():
    assert {form.kind for form in FORMS.values()} == set(KINDS)


def rows_of(form: Form) -> list[dict[str, Any]]:
    """Two rows of the form; audits need a neighbour."""
    rows = [
        sound(f"{number}", form.kind, form.truth, images=[{"bytes": PICTURE, "path": ""}], width=WIDTH, height=HEIGHT)
        for number in range(2)
    ]
    for row in rows:
        row["extra_info"] |= {"box_frame": None, **form.extra_info}
    return rows


def write_rows(folder: Path, form: Form) -> Path:
    kind = pa.struct([*EXTRA_INFO_TYPE, ("box_frame", pa.string())])
    schema = row_schema().set(row_schema().get_field_index("extra_info"), pa.field("extra_info", kind))
    pq.write_table(pa.Table.from_pylist(rows_of(form), schema=schema), folder / "rows.parquet")
    return folder / "rows.parquet"


def write_responses(folder: Path, form: Form) -> Path:
    """What verl dumps at validation: a right and a wrong response."""
    lines = [
        {
            **{key: row[key] for key in ("data_source", "extra_info")},
            "input": row["prompt"][0]["content"],
            "output": reply(answer),
            "gts": form.truth,
            "step": 1,
        }
        for row, answer in zip(rows_of(form), (form.right, form.wrong), strict=True)
    ]
    (folder / "1.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return folder / "1.jsonl"


def run(*arguments: object, codes: tuple[int, ...] = (0,)) -> str:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in codes, result.output
    return result.stdout


def by_reward(form: Form, folder: Path) -> None:
    row = rows_of(form)[0]
    right, wrong = (
        MixedReward().score("toy", reply(answer), form.truth, row["extra_info"]) for answer in (form.right, form.wrong)
    )
    assert right["acc"] == pytest.approx(1, abs=0.001) and wrong["acc"] < 0.7
    assert right["error"] == wrong["error"] == 0


def by_honest_answer(form: Form, folder: Path) -> None:
    gold = MixedReward().parse(form.kind, form.truth, rows_of(form)[0]["extra_info"])
    verdict = gold.score(gold.honest)
    assert verdict is not None and verdict.acc == pytest.approx(1, abs=0.001)


def by_check(form: Form, folder: Path) -> None:
    report = check_files([write_rows(folder, form)])
    assert [str(problem) for problem in report.problems] == []


def by_preflight(form: Form, folder: Path) -> None:
    assert quick_check([write_rows(folder, form)], KINDS) == []


@cache
def scored() -> dict[str, list[dict[str, Any]]]:
    """What `mixed-r1 score` gives the right and the wrong answer of each form; one run, since it starts processes."""
    with TemporaryDirectory() as place:
        folders = {name: Path(place) / name for name in FORMS}
        for name, folder in folders.items():
            folder.mkdir()
            write_responses(folder, FORMS[name])
        output = Path(place) / "scored.jsonl"
        run("score", *(folder / "1.jsonl" for folder in folders.values()), "--output", output, "--processes", 1)
        rows = list(map(json.loads, output.read_text(encoding="utf-8").splitlines()))
    assert len(rows) == 2 * len(FORMS)
    return {name: rows[2 * number : 2 * number + 2] for number, name in enumerate(FORMS)}


def by_score(form: Form, folder: Path) -> None:
    right, wrong = scored()[next(name for name in FORMS if FORMS[name] is form)]
    assert right["acc"] == pytest.approx(1, abs=0.001) and wrong["acc"] < 0.7


def by_eval(form: Form, folder: Path) -> None:
    """What `mixed-r1 eval` and the engine's difficulty stage score, without the model that answers."""
    row = row_of("rows.parquet", 0, pq.read_table(write_rows(folder, form)).to_pylist()[0])
    assert MixedReward().score(*Response(row, reply(form.right)).scored)["acc"] == pytest.approx(1, abs=0.001)


def by_report(form: Form, folder: Path) -> None:
    responses, rows = write_responses(folder, form), write_rows(folder, form)
    run("report", responses, "--data", rows, "--output", folder / "report.html")
    assert (folder / "report.html").stat().st_size > 10_000


def by_audit(form: Form, folder: Path) -> None:
    # An attack may pay on two rows that are the same; the rows must be audited, that is all.
    printed = run("audit", write_rows(folder, form), "--format", "json", codes=(0, 1))
    audits = {audit["kind"]: audit for audit in json.loads(printed)["kinds"]}
    assert audits[form.kind]["rows"] == 2 and audits[form.kind]["broken"] == 0


def by_engine(form: Form, folder: Path) -> None:
    (row, _) = pq.read_table(write_rows(folder, form)).to_pylist()
    assert describe_row(row, MixedReward())["reward"] == form.kind


def by_card(form: Form, folder: Path) -> None:
    (row, _) = pq.read_table(write_rows(folder, form)).to_pylist()
    shown = _example(row, MixedReward())
    assert shown["truth"] and shown["picture"].startswith("data:image/jpeg;base64,")


CONSUMERS: dict[str, Callable[[Form, Path], None]] = {
    name.removeprefix("by_"): consume for name, consume in sorted(globals().items()) if name.startswith("by_")
}


@pytest.mark.parametrize("consumer", CONSUMERS)
@pytest.mark.parametrize("form", FORMS)
def test_form_by_consumer(tmp_path: Path, form: str, consumer: str):
    CONSUMERS[consumer](FORMS[form], tmp_path)
