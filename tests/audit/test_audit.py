"""The audit: sound rewards pass, careless ones are caught, and attacks cannot know what they must not."""

import csv
import json
import sys
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from mixed_r1_verl.audit.attacks import ATTACKS, FORMAT_ATTACKS, Attack, Target, reply
from mixed_r1_verl.audit.audit import (
    AttackResult,
    AuditReport,
    KindAudit,
    attack_bar,
    audit_file,
    audit_rows,
)
from mixed_r1_verl.audit.cli import audit_command
from mixed_r1_verl.audit.rows import AuditError, AuditRow, demo_rows, read_rows
from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.core.console import parse_settings
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.kinds import KINDS
from mixed_r1_verl.rewards.kinds.iou import IoUConfig
from mixed_r1_verl.rewards.kinds.open_ended import OpenEndedConfig
from mixed_r1_verl.rewards.verdict import Verdict


def row(reward: str, ground_truth: str, **info: Any) -> AuditRow:
    return AuditRow("tests", ground_truth, {"reward": reward, "question": "What is it?", "choices": [], **info})


MATCHING_ROWS = [
    *(row("matching", letter, choices=["cat", "dog", "bird", "fish"]) for letter in "ABCDABCD"),
    *(row("matching", answer) for answer in ("yes", "no", "yes", "no")),
]
CHART_ROWS = [row("chart", answer) for answer in ("41", "1,200", "7%", "2008", "0", "blue", "Yes", "$5", "-3.5", "12")]
IOU_ROWS = [
    row("iou", json.dumps([[x, x, x + 100, x + 80]]), width=640, height=480) for x in (0, 60, 120, 200, 300, 380)
]
CAPTIONS = [
    ("A brown dog runs across the snow.", "The dog is running through snow."),
    ("Two women drink coffee in a kitchen.", "Women sit with coffee cups in the kitchen."),
    ("A yellow train arrives at the station.", "The train is yellow and stops at a platform."),
    ("Children fly a kite on the beach.", "On a beach, kids play with a kite."),
    ("An old man repairs a wooden boat.", "A boat of wood is being repaired by an elderly man."),
    ("Fresh bread lies on the bakery shelf.", "Loaves of bread on a shelf of a bakery."),
]
TEXT_ROWS = [row("open_ended", json.dumps(pair)) for pair in CAPTIONS]
ALL_ROWS = [*MATCHING_ROWS, *CHART_ROWS, *IOU_ROWS]


def kind_of(report: AuditReport, kind: str) -> KindAudit:
    return next(audit for audit in report.kinds if audit.kind == kind)


@pytest.fixture
def careless(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Rewards with the defects that peers have."""
    module = types.ModuleType("careless_rewards")

    def gold_somewhere(answer: str, ground_truth: str, *, choices: Any = ()) -> Verdict:
        return Verdict(float(ground_truth in answer))

    def last_character(answer: str, ground_truth: str, *, choices: Any = ()) -> Verdict:
        return Verdict(float(not answer or answer[-1] == ground_truth[-1]))

    def anything(answer: str, ground_truth: str, *, choices: Any = ()) -> Verdict:
        return Verdict(1.0)

    def exact(answer: str, ground_truth: str, *, choices: Any = ()) -> Verdict:
        return Verdict(float(answer.strip() == ground_truth))

    for function in (gold_somewhere, last_character, anything, exact):
        setattr(module, function.__name__, function)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def custom(name: str) -> MixedRewardConfig:
    return MixedRewardConfig(custom={"custom": f"careless_rewards:{name}"})


CUSTOM_ROWS = [
    row("custom", str(number), choices=["4", "8", "15", "16", "23", "42"]) for number in (4, 8, 15, 16, 23, 42)
]


# --- what passes and what does not ------------------------------------------------------------------------------------


def test_closed_rewards_and_boxes_pass() -> None:
    report = audit_rows(ALL_ROWS)
    assert report.paying == ()
    assert report.passed
    assert [audit.kind for audit in report.kinds] == ["chart", "iou", "matching", "format"]
    for audit in report.kinds:
        assert audit.honest == 1.0
        assert audit.broken == 0
        assert len(audit.attacks) >= 20


def test_demo_rows_pass_and_are_of_all_four_kinds() -> None:
    report = audit_rows(demo_rows(30))
    assert report.paying == ()
    assert {audit.kind for audit in report.kinds} == {"matching", "chart", "iou", "open_ended", "format"}
    assert all(audit.rows >= 30 for audit in report.kinds)
    assert report.passed


@pytest.mark.parametrize("variant", ["bmas", "bmas_f1"])
def test_plain_bmas_does_not_pass(variant: str) -> None:
    """A word may be matched as often as it likes: an honest caption five times over earns what it earns once."""
    report = audit_rows(demo_rows(15), MixedRewardConfig(options={"open_ended": OpenEndedConfig(variant=variant)}))
    assert not report.passed
    assert {kind for kind, _ in report.paying} == {"open_ended"}
    assert "honest_five_times" in {attack.name for _, attack in report.paying}


def test_a_reward_that_searches_for_the_gold_does_not_pass(careless: types.ModuleType) -> None:
    report = audit_rows(CUSTOM_ROWS, custom("gold_somewhere"))
    assert {"number_list", "all_options", "honest_and_dump"} <= {attack.name for _, attack in report.paying}
    assert not report.passed


def test_a_reward_that_pays_for_empty_answers_does_not_pass(careless: types.ModuleType) -> None:
    report = audit_rows(CUSTOM_ROWS, custom("last_character"))
    assert "empty_answer" in {attack.name for _, attack in report.paying}
    assert not report.passed


def test_a_reward_that_always_pays_is_not_audited_and_so_does_not_pass(careless: types.ModuleType) -> None:
    report = audit_rows(CUSTOM_ROWS, custom("anything"))
    assert "nothing to tell apart" in kind_of(report, "custom").not_audited
    assert not report.passed


def test_an_exact_custom_reward_passes(careless: types.ModuleType) -> None:
    report = audit_rows(CUSTOM_ROWS, custom("exact"))
    assert report.paying == ()
    assert report.passed


def test_an_attack_that_tells_the_truth_pays() -> None:
    """The audit must be able to fail each kind: the honest answer itself is an attack that pays."""
    truth = Attack("truth", "blind", lambda target: reply(target.honest))
    report = audit_rows([*ALL_ROWS, *TEXT_ROWS], attacks=[truth])
    assert {kind for kind, _ in report.paying} == {"matching", "chart", "iou", "open_ended"}
    assert not report.passed


def test_a_loose_iou_threshold_does_not_pass() -> None:
    """`threshold` 0.01 pays the whole image in full."""
    report = audit_rows(IOU_ROWS, MixedRewardConfig(options={"iou": IoUConfig(mode="threshold", threshold=0.01)}))
    assert "whole_image" in {attack.name for _, attack in report.paying}


@pytest.mark.parametrize("rows", [[MATCHING_ROWS[0]], [MATCHING_ROWS[0]] * 9], ids=["one row", "one answer"])
def test_rows_that_tell_nothing_apart_are_not_audited(rows: list[AuditRow]) -> None:
    report = audit_rows(rows)
    assert kind_of(report, "matching").not_audited == "fewer than two different ground truths"
    assert not report.passed


def real_rows(raw: Path) -> list[AuditRow]:
    """Rows of all four kinds from samples of public datasets, read without their pictures."""
    questions = json.loads((raw / "easy_vqa/easy_vqa/data/test/questions.json").read_text(encoding="utf-8"))
    rows = [row("matching", answer, question=text) for text, answer, _ in questions]
    for path in sorted((raw / "chartqa_split/dataset/simple").glob("test_*.json")):
        records = json.loads(path.read_text(encoding="utf-8"))
        rows += [row("chart", record["label"], question=record["query"]) for record in records]
    with (raw / "raccoon/data/raccoon_labels.csv").open(encoding="utf-8", newline="") as lines:
        for record in csv.DictReader(lines):
            box = [int(record[name]) for name in ("xmin", "ymin", "xmax", "ymax")]
            rows.append(row("iou", json.dumps([box]), width=int(record["width"]), height=int(record["height"])))
    files = [(raw / f"multi30k/val.{i}.en").read_text(encoding="utf-8").splitlines() for i in range(1, 6)]
    rows += [row("open_ended", json.dumps(captions)) for captions in zip(*files, strict=True)]
    return rows


def test_real_samples_of_all_four_kinds_pass(raw: Path) -> None:
    report = audit_rows(real_rows(raw), rows_per_kind=100)
    assert report.paying == ()
    assert report.passed
    assert [audit.kind for audit in report.kinds] == ["chart", "iou", "matching", "open_ended", "format"]
    assert [audit.broken for audit in report.kinds] == [0] * 5


def test_plain_bmas_does_not_pass_on_real_captions(raw: Path) -> None:
    captions = [r for r in real_rows(raw) if r.extra_info["reward"] == "open_ended"]
    config = MixedRewardConfig(options={"open_ended": OpenEndedConfig(variant="bmas")})
    assert not audit_rows(captions, config, rows_per_kind=20).passed


# --- honest, unrelated, constant --------------------------------------------------------------------------------------


def test_honest_texts_are_scored_against_the_other_references() -> None:
    audit = kind_of(audit_rows(TEXT_ROWS), "open_ended")
    assert audit.unrelated < audit.honest < 0.95
    single = kind_of(audit_rows([row("open_ended", pair[0]) for pair in CAPTIONS]), "open_ended")
    assert single.honest == pytest.approx(1.0)


def test_the_best_constant_is_taken_for_each_form_of_question() -> None:
    rows = [row("matching", letter, choices=["cat", "dog"]) for letter in "AAAB"]
    rows += [row("matching", answer) for answer in ("yes", "yes", "yes", "yes", "yes", "no")]
    audit = kind_of(audit_rows(rows), "matching")
    assert audit.constant == pytest.approx((3 + 5) / 10)


def test_first_option_does_not_pay_however_often_it_is_right() -> None:
    rows = [row("matching", letter, choices=["cat", "dog", "bird"]) for letter in "AAAAAAAAABC"]
    report = audit_rows(rows)
    result = next(attack for attack in kind_of(report, "matching").attacks if attack.name == "first_option")
    assert result.mean == pytest.approx(9 / 11)
    assert report.passed


@pytest.mark.parametrize(
    ("frame", "config"),
    [
        ("pixel", IoUConfig()),
        ("norm1000", IoUConfig()),
        ("norm1", IoUConfig()),
        ("resized", IoUConfig()),
        (None, IoUConfig(box_frame="norm1000")),
        (None, IoUConfig(box_frame="resized", family="internvl")),
    ],
)
def test_honest_boxes_are_given_in_the_frame_of_the_row(frame: str | None, config: IoUConfig) -> None:
    rows = [replace(r, extra_info={**r.extra_info, "box_frame": frame}) for r in IOU_ROWS]
    audit = kind_of(audit_rows(rows, MixedRewardConfig(options={"iou": config})), "iou")
    assert audit.honest == pytest.approx(1.0, abs=1e-3)
    whole = next(attack for attack in audit.attacks if attack.name == "whole_image")
    assert whole.mean == pytest.approx(100 * 80 / (640 * 480))


def test_boxes_with_labels_are_honest_with_their_labels() -> None:
    rows = [
        row(
            "iou",
            json.dumps(
                [{"bbox_2d": [x, 0, x + 50, 50], "label": "cat"}, {"bbox_2d": [x, 60, x + 50, 99], "label": "dog"}]
            ),
        )
        for x in (0, 100, 200)
    ]
    assert kind_of(audit_rows(rows), "iou").honest == 1.0


def test_boxes_of_other_rows_keep_their_share_of_the_picture() -> None:
    """The same place in pictures of two sizes: moved to the other picture the box is right."""
    rows = [row("iou", "[[10, 10, 50, 50]]", width=100, height=100)]
    rows += [
        row("iou", "[[40, 20, 200, 100]]", width=400, height=200),
        row("iou", "[[1, 1, 9, 9]]", width=99, height=99),
    ]
    audit = kind_of(audit_rows(rows), "iou")
    assert audit.constant == pytest.approx(2 / 3, abs=0.01)


def test_broken_rows_are_left_out_and_counted() -> None:
    report = audit_rows([*IOU_ROWS, row("iou", "[[5, 5, 1, 1]]"), row("iou", "not boxes"), row("chart", "")])
    assert kind_of(report, "iou").broken == 2
    assert kind_of(report, "iou").rows == len(IOU_ROWS)
    assert kind_of(report, "chart").not_audited == "no row can be scored"
    assert not report.passed


def test_rows_are_drawn_by_the_seed() -> None:
    rows = demo_rows(40)
    few = audit_rows(rows, rows_per_kind=10)
    assert [audit.rows for audit in few.kinds[:-1]] == [10] * 4
    assert few == audit_rows(rows, rows_per_kind=10)
    assert few != audit_rows(rows, rows_per_kind=10, seed=1)


BARS = [
    ("matching", "blind", 1.0, 0.25, 0.30, 0.32),
    ("matching", "smuggled", 1.0, 0.35, 0.30, 0.37),
    ("chart", "blind", 1.0, 0.0, 0.0, 0.02),
    ("math", "blind", 0.9, 0.1, 0.2, 0.22),
    ("iou", "blind", 1.0, 0.2, 0.1, 0.4),
    ("iou", "blind", 1.0, 0.2, 0.5, 0.5),
    ("open_ended", "blind", 0.6, 0.2, None, 0.3),
    ("open_ended", "fitted", 0.6, 0.2, None, 0.4),
    ("open_ended", "padded", 0.6, 0.2, None, 0.5),
    ("iou", "padded", 1.0, 0.2, 0.9, 0.8),
    ("something_else", "blind", 1.0, 0.0, None, 0.25),
    ("format", "smuggled", 1.0, 0.0, None, 0.0),
]


@pytest.mark.parametrize(("kind", "sort", "honest", "unrelated", "constant", "bar"), BARS)
def test_bars(kind: str, sort: str, honest: float, unrelated: float, constant: float | None, bar: float) -> None:
    assert attack_bar(kind, sort, honest, unrelated, constant) == pytest.approx(bar)


# --- attacks ----------------------------------------------------------------------------------------------------------

TARGET = Target(
    kind="matching",
    question="Which animal is it?",
    choices=("cat", "dog", "bird"),
    honest="[[12, 34, 56, 78]]",
    unrelated="[[1, 2, 3, 4]]",
    extent=(640, 480),
    frequent=("animal", "dog"),
    seed=7,
)


@pytest.mark.parametrize("attack", [*ATTACKS, *FORMAT_ATTACKS], ids=lambda attack: attack.name)
def test_only_attacks_that_say_so_know_the_gold(attack: Attack) -> None:
    response, other = attack.respond(TARGET), attack.respond(replace(TARGET, honest="[[90, 91, 92, 93]]"))
    if attack.sort in ("blind", "fitted"):
        assert response == other
    if attack.sort == "padded":
        assert "[[12, 34, 56, 78]]" in response and response != other


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attacks_are_the_same_each_time(attack: Attack) -> None:
    assert attack.respond(TARGET) == attack.respond(TARGET)


@pytest.mark.parametrize("kind", [*KINDS, "custom"])
def test_names_are_unique_within_a_kind(kind: str) -> None:
    names = [attack.name for attack in ATTACKS if attack.suits(kind)]
    assert len(names) == len(set(names)) >= 30


def test_kinds_of_attacks_exist() -> None:
    assert {kind for attack in ATTACKS for kind in attack.kinds} <= set(KINDS)


# Issue 3, point 7: the attacks that it names, and where they are.
NAMED = {
    "empty": "empty_response",
    "all letters": "all_letters",
    "hedging": "hedging",
    "answer in the think block": "answer_in_think",
    "two answers": "two_answers",
    "tag smuggling": "nested_answer",
    "box flooding": "flood",
    "whole-image box": "whole_image",
    "number lists": "number_list",
    "stop words": "stop_words",
    "generic caption": "generic_caption",
    "repetition": "repeated_word",
    "dictionary dump": "dictionary_dump",
    "padding": "space_padding",
    "special tokens": "special_tokens",
    "unicode look-alikes": "unicode_look_alikes",
}


@pytest.mark.parametrize("asked", NAMED)
def test_attacks_that_were_asked_for(asked: str) -> None:
    assert NAMED[asked] in {attack.name for attack in ATTACKS}


# --- files and command line -------------------------------------------------------------------------------------------


def record(r: AuditRow) -> dict[str, Any]:
    return {
        "data_source": r.data_source,
        "reward_model": {"style": "rule", "ground_truth": r.ground_truth},
        "extra_info": dict(r.extra_info),
    }


def write_jsonl(path: Path, rows: list[AuditRow]) -> Path:
    path.write_text("\n".join(json.dumps(record(r)) for r in rows) + "\n\n", encoding="utf-8")
    return path


def test_jsonl_and_parquet_are_read_alike(tmp_path: Path) -> None:
    rows = MATCHING_ROWS[:4]
    pq.write_table(
        pa.Table.from_pylist([{**record(r), "images": [b"not a picture"]} for r in rows]), tmp_path / "a.parquet"
    )
    jsonl = write_jsonl(tmp_path / "a.jsonl", rows)
    assert read_rows(jsonl) == read_rows(tmp_path / "a.parquet") == rows
    assert audit_file(jsonl) == audit_rows(rows)


BAD_FILES = [
    ("missing.jsonl", None, "no such file"),
    ("broken.jsonl", '{"data_source": 1}\n', "line 1: needs data_source, reward_model.ground_truth and extra_info"),
    ("broken.jsonl", "not json\n", "line 1: not JSON"),
    ("broken.jsonl", "[1]\n", "line 1: needs"),
    ("broken.parquet", "not parquet", "not a parquet file"),
    ("empty.jsonl", "", "no rows"),
]


@pytest.mark.parametrize(("name", "text", "message"), BAD_FILES)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(AuditError, match=message):
        audit_file(tmp_path / name)


def test_parquet_without_a_column_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"data_source": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(AuditError, match="no column reward_model, extra_info"):
        read_rows(tmp_path / "a.parquet")


def test_unknown_rewards_are_refused() -> None:
    with pytest.raises(AuditError, match="row 1: unknown reward 'riddle'"):
        audit_rows([MATCHING_ROWS[0], row("riddle", "B")])


def run(*arguments: str) -> Any:
    app = typer.Typer()
    app.command()(audit_command)
    return CliRunner().invoke(app, arguments)


def test_command_passes_sound_rewards(tmp_path: Path) -> None:
    result = run(str(write_jsonl(tmp_path / "a.jsonl", ALL_ROWS)))
    assert result.exit_code == 0, result.output
    assert "no attack pays" in result.output


def test_command_prints_json(tmp_path: Path) -> None:
    result = run(str(write_jsonl(tmp_path / "a.jsonl", MATCHING_ROWS)), "--format", "json")
    report = json.loads(result.output)
    assert report["passed"] is True
    assert [audit["kind"] for audit in report["kinds"]] == ["matching", "format"]
    assert {"name", "sort", "mean", "bar", "pays"} == set(report["kinds"][0]["attacks"][0])


def test_command_fails_when_an_attack_pays() -> None:
    result = run("--set", "open_ended.variant=bmas", "--rows", "15")
    assert result.exit_code == 1
    assert "open_ended: honest_five_times pays" in " ".join(result.output.split())


def test_command_fails_when_a_kind_is_not_audited(tmp_path: Path) -> None:
    result = run(str(write_jsonl(tmp_path / "a.jsonl", [MATCHING_ROWS[0], *CHART_ROWS])))
    assert result.exit_code == 1
    assert "not audited: fewer than two different ground truths" in result.output
    assert "no attack pays" not in result.output


@pytest.mark.parametrize(
    "arguments",
    [
        ("missing.parquet",),
        ("--set", "open_ended.varient=bmas"),
        ("--set", "variant"),
        ("--rows", "1"),
        ("--format", "xml"),
    ],
    ids=str,
)
def test_command_refuses_bad_usage(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_command_shows_all_attacks_on_demand(tmp_path: Path) -> None:
    path = str(write_jsonl(tmp_path / "a.jsonl", MATCHING_ROWS))
    assert " more" in run(path).output
    assert " more" not in run(path, "--all").output


def test_help_has_an_example() -> None:
    assert "Example: mixed-r1 audit train.parquet" in " ".join(run("--help").output.split())


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([], {}),
        (["format_weight=0.2"], {"format_weight": 0.2}),
        (["iou.mode=giou", "iou.max_boxes=10"], {"iou": {"mode": "giou", "max_boxes": 10}}),
        (["iou.steps=[0.5, 0.9]"], {"iou": {"steps": [0.5, 0.9]}}),
        (["embedding_model=null"], {"embedding_model": None}),
        (["cache_dir=/tmp/a=b"], {"cache_dir": "/tmp/a=b"}),
    ],
)
def test_settings(settings: list[str], expected: dict[str, Any]) -> None:
    assert parse_settings(settings) == expected


@pytest.mark.parametrize("settings", [["variant"], ["=1"], ["iou=1", "iou.mode=giou"]], ids=str)
def test_settings_that_cannot_be_read(settings: list[str]) -> None:
    with pytest.raises(ConfigError, match="--set"):
        parse_settings(settings)


def test_report_says_which_attacks_pay() -> None:
    attack = AttackResult("flood", "blind", 0.9, 0.3, True)
    audit = KindAudit("iou", 3, 0, 1.0, 0.1, 0.2, "", (attack, replace(attack, name="empty", mean=0.0, pays=False)))
    report = AuditReport((audit,))
    assert report.paying == (("iou", attack),)
    assert not report.passed
    assert not AuditReport(()).passed
    assert report.as_dict()["kinds"][0]["attacks"][0]["name"] == "flood"
