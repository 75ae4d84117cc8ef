"""The ablation: its plan, what it reads from a run, and the page that it writes of few and of many runs."""

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from torch.utils.tensorboard import SummaryWriter

from examples.ablation.plan import KINDS, VARIANTS, Budget, Result, Variant
from examples.ablation.report import HABITS, write_report
from examples.ablation.run import as_many_rows, read_result, train_file
from examples.ablation.unseen_texts import PLACES, TIMES
from examples.demo.data import build_demo


def result(variant: str, seed: int, acc: float) -> Result:
    group = {"acc": acc, "standard_error": 0.02, "format": 1.0, "rows": 16}
    open_ended = {"robust": acc, "bmas": 0.5, "rouge_l": 0.25, **dict.fromkeys(HABITS, 0.1)}
    return Result(
        variant,
        seed,
        steps=2,
        before={kind: {**group, "acc": 0.1} for kind in KINDS},
        after=dict.fromkeys(KINDS, group),
        after_as_many={kind: {**group, "acc": acc - 0.1} for kind in KINDS} if variant.startswith("alone") else None,
        open_ended={"before": open_ended, "after": open_ended},
        earned=(0.25, 0.75),
        samples=[("a red | cube", "the *red*\n<b>cube</b>")],
        commonest=[("a | cube", 0.625)],
        shares=dict.fromkeys(VARIANTS[variant].kinds, 0.25),
    )


def test_every_reward_is_alone_left_out_and_among_all() -> None:
    trained = [set(variant.kinds) for variant in VARIANTS.values()]
    for kind in KINDS:
        assert {kind} in trained
        assert set(KINDS) - {kind} in trained


def test_the_page_says_how_many_runs_it_rests_on_and_leaves_the_rest_open(tmp_path: Path) -> None:
    write_report([result("all", 0, 0.5), result("unseen", 1, 0.5)], Budget(steps=2), 30, tmp_path / "experiments.md")
    page = (tmp_path / "experiments.md").read_text()
    assert "2 of 30 planned runs are done" in page
    assert "| chart alone | 0 | – | – | – | – | – |" in page
    assert "| all four | 1 | 0.500 ± 0.020 |" in page
    assert "| chart | – | – | not measured | – | not measured |" in page
    assert r"a red \| cube | the \*red\* \<b\>cube\</b\> |" in page
    assert r"| unseen texts: the default | 1 | “a \| cube” 62% |" in page
    assert (tmp_path / "experiments" / "rewards.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("alone", "as_many_rows", "as_many_steps"),
    [
        (0.9, "worse (-0.280 ± 0.024)", "worse (-0.380 ± 0.024)"),
        (0.1, "better (+0.520 ± 0.024)", "better (+0.420 ± 0.024)"),
        (0.6, "no different (+0.020 ± 0.024)", "worse (-0.080 ± 0.024)"),
    ],
    ids=["worse", "better", "worse for want of rows"],
)
def test_the_page_says_where_the_mixture_falls_behind(
    tmp_path: Path, alone: float, as_many_rows: str, as_many_steps: str
) -> None:
    runs = [result("all", 0, 0.5), result("all", 1, 0.54), result("alone_iou", 0, alone), result("alone_iou", 1, alone)]
    write_report(runs, Budget(), 30, tmp_path / "experiments.md")
    row = (
        f"| iou | 0.520 ± 0.028 | {alone - 0.1:.3f} ± 0.000 | {as_many_rows} | {alone:.3f} ± 0.000 | {as_many_steps} |"
    )
    assert row in (tmp_path / "experiments.md").read_text()


def test_two_seeds_that_agree_by_chance_do_not_make_a_verdict(tmp_path: Path) -> None:
    """Each run's own standard error is 0.02: the difference of 0.03 is noise, however close the two seeds are."""
    runs = [result(variant, seed, acc) for variant, acc in (("all", 0.5), ("alone_iou", 0.53)) for seed in (0, 1)]
    write_report(runs, Budget(), 30, tmp_path / "experiments.md")
    assert "| 0.530 ± 0.000 | no different (-0.030 ± 0.020) |" in (tmp_path / "experiments.md").read_text()


def test_alone_a_reward_has_seen_as_many_rows_in_a_quarter_of_the_steps() -> None:
    quarter = {name: as_many_rows(variant, Budget(steps=32)) for name, variant in VARIANTS.items()}
    assert {name: steps for name, steps in quarter.items() if steps} == {f"alone_{kind}": 8 for kind in KINDS}


def test_the_rows_of_a_run_are_those_of_its_rewards(tmp_path: Path) -> None:
    build_demo(tmp_path, rows=16, val_rows=4)
    assert train_file(tmp_path, Variant("all"), 0) == tmp_path / "train.parquet"
    rows = pq.read_table(train_file(tmp_path, Variant("two", ("iou", "chart")), 0)).to_pylist()
    assert [row["extra_info"]["reward"] for row in rows].count("iou") == 4
    assert {row["extra_info"]["reward"] for row in rows} == {"iou", "chart"}


def test_unseen_texts_take_the_place_of_the_gold_texts_and_of_nothing_else(tmp_path: Path) -> None:
    build_demo(tmp_path, rows=32, val_rows=4)
    seen, unseen = (
        pq.read_table(train_file(tmp_path, Variant("one", ("open_ended",), unseen=unseen), 0)).to_pylist()
        for unseen in (False, True)
    )
    assert len(seen) == len(unseen) == 8
    for before, after in zip(seen, unseen, strict=True):
        gold = after["reward_model"].pop("ground_truth")
        assert gold != before["reward_model"].pop("ground_truth")
        assert gold.split()[-1].rstrip(".") in " ".join((*PLACES, *TIMES))
        assert before == after


def test_open_ended_answers_are_compared_under_one_similarity(tmp_path: Path) -> None:
    """A run that trained on another similarity is judged by the default one, whatever verl has logged."""
    (tmp_path / "validation").mkdir()
    row = {"gts": "A red cube.", "reward_kind": "open_ended", "acc": 0.123, "format": 1.0}
    for step, answer in ((0, "blue blue blue"), (2, "A red cube.")):
        dumped = {**row, "output": f"<think>I see.</think><answer>{answer}</answer>", "prediction": answer}
        (tmp_path / "validation" / f"{step}.jsonl").write_text(json.dumps(dumped) + "\n")
    with SummaryWriter(str(tmp_path / "tensorboard")) as writer:
        writer.add_scalar("mixed_r1/reward/open_ended/gradient_share", 1.0, 1)
        for step, earned in enumerate((0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8), 1):
            writer.add_scalar("mixed_r1/reward/open_ended/acc/mean", earned, step)
    read = read_result(tmp_path, "bmas", Budget(steps=2), seed=0, seconds=1.0)
    assert read.after["open_ended"]["acc"] == 1.0
    assert read.before["open_ended"]["acc"] < 0.5
    assert read.open_ended["before"]["repeated"] == pytest.approx(2 / 3, abs=1e-4)
    assert [read.open_ended[when]["function words"] for when in ("before", "after")] == [
        0,
        pytest.approx(1 / 3, abs=1e-4),
    ]
    assert read.earned == (0.3, 0.7)
    assert read.samples == [("A red cube.", "A red cube.")]
    assert read.commonest == [("A red cube.", 1.0)]
    assert read.shares == {"open_ended": 1.0}
