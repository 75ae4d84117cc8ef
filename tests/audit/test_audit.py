"""The audit: sound rewards pass, careless ones are caught."""

import csv
import json
import re
import sys
import types
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from audit_rows import ALL_ROWS, CAPTIONS, IOU_ROWS, MATCHING_ROWS, TEXT_ROWS, demo_rows, record, row, write_jsonl

from mixed_r1_verl.audit.audit import (
    PERSON,
    AttackResult,
    AuditReport,
    KindAudit,
    attack_bar,
    audit_rows,
)
from mixed_r1_verl.core.rows import DataError, DataRow
from mixed_r1_verl.responses.read import sound_rows
from mixed_r1_verl.rewards.cheats import Cheat, reply, say
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.formats import ResponseFormat
from mixed_r1_verl.rewards.kind import Gold, RewardKind, Scoring, plain_gold
from mixed_r1_verl.rewards.kinds.iou import IoUConfig
from mixed_r1_verl.rewards.kinds.open_ended import OpenEndedConfig
from mixed_r1_verl.rewards.verdict import Verdict


def audit_file(path: Path) -> AuditReport:
    return audit_rows(list(sound_rows(path)))


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

    def measured(answer: str, ground_truth: str, *, unit: str, tolerance: float) -> float:
        offered = [answer.strip().removesuffix(f" {unit}")] if unit else re.findall("[0-9]+", answer)
        gold = float(ground_truth.split()[0])
        return float(any(one.isdecimal() and abs(int(one) - gold) <= tolerance for one in offered))

    for function in (gold_somewhere, last_character, anything, exact, measured):
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


def test_a_function_with_two_columns_of_its_own_is_attacked(careless: types.ModuleType) -> None:
    """The columns reach the function, and what they make it pay for is found."""
    rows = [row("custom", f"{number} cm", unit="cm", tolerance=0.5) for number in (4, 8, 15, 16, 23, 42)]
    sound = audit_rows(rows, custom("measured"))
    assert sound.passed and kind_of(sound, "custom").honest == 1.0
    assert len(kind_of(sound, "custom").attacks) >= 80
    loose = audit_rows([replace(r, extra_info={**r.extra_info, "tolerance": 1e9}) for r in rows], custom("measured"))
    assert "nothing to tell apart" in kind_of(loose, "custom").not_audited
    unread = audit_rows([replace(r, extra_info={**r.extra_info, "unit": ""}) for r in rows], custom("measured"))
    assert "number_list" in {attack.name for _, attack in unread.paying}


def test_a_function_without_the_columns_that_it_asks_for_has_no_row(careless: types.ModuleType) -> None:
    audit = kind_of(audit_rows(CUSTOM_ROWS, custom("measured")), "custom")
    assert (audit.not_audited, audit.broken) == ("no row can be scored", len(CUSTOM_ROWS))


def test_a_kind_of_a_users_own_sets_its_bars_and_brings_attacks(careless: types.ModuleType) -> None:
    """A `RewardKind` whose answers are closed is held against the lucky guess, and tried with its own cheats too."""
    shout = say("shout", lambda target: "YES")
    careless.polar = RewardKind("polar", polar_gold, answers="closed", cheats=(shout,))
    rows = [row("custom", truth) for truth in ("yes", "no", "yes", "no", "yes")]
    audit = kind_of(audit_rows(rows, custom("polar")), "custom")
    assert audit.constant == pytest.approx(0.6)
    assert next(attack for attack in audit.attacks if attack.name == "shout").mean == pytest.approx(0.6)


def polar_gold(ground_truth: str, extra_info: Mapping[str, Any], scoring: Scoring) -> Gold:
    return plain_gold(ground_truth, lambda answer: Verdict(float(answer.lower() == ground_truth)), form="polar")


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
    truth = Cheat("truth", "blind", lambda target: reply(target.honest))
    report = audit_rows([*ALL_ROWS, *TEXT_ROWS], attacks=[truth])
    assert {kind for kind, _ in report.paying} == {"matching", "chart", "iou", "open_ended"}
    assert not report.passed


def test_a_loose_iou_threshold_does_not_pass() -> None:
    """`threshold` 0.01 pays the whole image in full."""
    report = audit_rows(IOU_ROWS, MixedRewardConfig(options={"iou": IoUConfig(mode="threshold", threshold=0.01)}))
    assert "whole_image" in {attack.name for _, attack in report.paying}


@pytest.mark.parametrize("rows", [[MATCHING_ROWS[0]], [MATCHING_ROWS[0]] * 9], ids=["one row", "one answer"])
def test_rows_that_tell_nothing_apart_are_not_audited(rows: list[DataRow]) -> None:
    report = audit_rows(rows)
    assert kind_of(report, "matching").not_audited == "fewer than two different ground truths"
    assert not report.passed


def real_rows(raw: Path) -> list[DataRow]:
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
    report = audit_rows(captions, config, rows_per_kind=6)
    assert "honest_five_times" in {attack.name for _, attack in report.paying}


# --- honest, unrelated, constant --------------------------------------------------------------------------------------


def test_honest_texts_are_scored_against_the_other_references() -> None:
    audit = kind_of(audit_rows(TEXT_ROWS), "open_ended")
    assert audit.unrelated < audit.honest < 0.95
    single = kind_of(audit_rows([row("open_ended", pair[0]) for pair in CAPTIONS]), "open_ended")
    assert single.honest == pytest.approx(single.unrelated + (1.0 - single.unrelated) * PERSON)
    assert all(attack.bar < 0.6 for attack in single.attacks if attack.sort not in ("padded", "worsened"))


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
    ("closed", "blind", 1.0, 0.25, 0.30, 0.32),
    ("closed", "smuggled", 1.0, 0.35, 0.30, 0.37),
    ("closed", "blind", 1.0, 0.0, 0.0, 0.02),
    ("closed", "blind", 0.9, 0.1, 0.2, 0.22),
    ("boxes", "blind", 1.0, 0.2, 0.1, 0.4),
    ("boxes", "blind", 1.0, 0.2, 0.5, 0.5),
    ("text", "blind", 0.6, 0.2, None, 0.3),
    ("text", "fitted", 0.6, 0.2, None, 0.4),
    ("text", "padded", 0.6, 0.2, None, 0.5),
    ("boxes", "padded", 1.0, 0.2, 0.9, 0.8),
    ("text", "worsened", 1.0, 0.2, None, 0.96),
    ("text", "blind", 1.0, 0.0, None, 0.25),
]


@pytest.mark.parametrize(("answers", "sort", "honest", "unrelated", "constant", "bar"), BARS)
def test_bars(answers: str, sort: str, honest: float, unrelated: float, constant: float | None, bar: float) -> None:
    assert attack_bar(answers, sort, honest, unrelated, constant) == pytest.approx(bar)


def test_jsonl_and_parquet_are_read_alike(tmp_path: Path) -> None:
    rows = MATCHING_ROWS[:4]
    pq.write_table(
        pa.Table.from_pylist([{**record(r), "images": [b"not a picture"]} for r in rows]), tmp_path / "a.parquet"
    )
    jsonl = write_jsonl(tmp_path / "a.jsonl", rows)
    one, other = (
        [(r.data_source, r.ground_truth, r.extra_info) for r in sound_rows(path)]
        for path in (jsonl, tmp_path / "a.parquet")
    )
    assert one == other == [(r.data_source, r.ground_truth, r.extra_info) for r in rows]
    assert audit_file(jsonl) == audit_file(tmp_path / "a.parquet") == audit_rows(rows)


def test_line_separators_are_text_and_end_no_line(tmp_path: Path) -> None:
    lines = [json.dumps(record(row("chart", f"a\u2028{n}\u0085b")), ensure_ascii=False) for n in range(3)]
    (tmp_path / "a.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert [r.ground_truth for r in sound_rows(tmp_path / "a.jsonl")] == [f"a\u2028{n}\u0085b" for n in range(3)]


BAD_FILES = [
    ("missing.jsonl", None, "no such file"),
    ("broken.jsonl", '{"data_source": "a"}\n', "row 1: ground_truth: missing .there is no reward_model.ground_truth"),
    ("broken.jsonl", '{"ground_truth": "a"}\n', "row 1: extra_info names no reward and source '' has no route"),
    ("broken.jsonl", "not json\n", "row 1: record: bad_record .not JSON"),
    ("broken.jsonl", "[1]\n", "row 0: record: bad_record .not a JSON object"),
    ("broken.parquet", "not parquet", "cannot be read as parquet"),
    ("empty.jsonl", "", "no rows"),
]


@pytest.mark.parametrize(("name", "text", "message"), BAD_FILES)
def test_files_that_cannot_be_read(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=message):
        audit_file(tmp_path / name)


def test_parquet_without_a_column_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"data_source": ["a"]}), tmp_path / "a.parquet")
    with pytest.raises(DataError, match="ground_truth: missing"):
        audit_file(tmp_path / "a.parquet")


def test_unknown_rewards_are_refused() -> None:
    with pytest.raises(DataError, match="tests: row 7: unknown reward 'riddle'"):
        audit_rows([MATCHING_ROWS[0], replace(row("riddle", "B"), number=7)])


def test_report_says_which_attacks_pay() -> None:
    attack = AttackResult("flood", "blind", 0.9, 0.3, True)
    audit = KindAudit("iou", 3, 0, 1.0, 0.1, 0.2, "", (attack, replace(attack, name="empty", mean=0.0, pays=False)))
    report = AuditReport((audit,))
    assert report.paying == (("iou", attack),)
    assert not report.passed
    assert not AuditReport(()).passed
    assert report.as_dict()["kinds"][0]["attacks"][0]["name"] == "flood"


@pytest.mark.parametrize("style", ["boxed", "native_think", "answer_only"])
def test_it_attacks_in_the_format_of_the_run(style: str, careless: types.ModuleType) -> None:
    format = ResponseFormat(style)
    report = audit_rows(ALL_ROWS, MixedRewardConfig(format=format))
    assert report.passed, report.paying
    assert all(audit.honest > 0.5 for audit in report.kinds)
    assert ("format" in {audit.kind for audit in report.kinds}) == (style != "answer_only")
    fooled = MixedRewardConfig(format=format, custom={"mine": "careless_rewards:gold_somewhere"})
    rows = [replace(one, extra_info={**one.extra_info, "reward": "mine"}) for one in MATCHING_ROWS]
    assert not audit_rows(rows, fooled).passed
