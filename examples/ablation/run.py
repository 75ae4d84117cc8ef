"""The ablations: every reward alone, one left out, all four, other open-ended rewards, no format reward, task balance,
and what an open-ended reward teaches where nothing honest can be learned.

    python -m examples.ablation.run                  # all 30 runs, some hours on 2 cores
    python -m examples.ablation.run --only all --only bmas --seeds 0
    python -m examples.ablation.run --report-only    # write docs/experiments.md from the runs that are there

Runs are done one after the other. The result of each is kept beside the page, in `docs/experiments/`; a run that has
one is not done again, and one that was interrupted goes on from its last checkpoint, so the command may be stopped and
started at will, also on another machine. The page says how many runs it rests on.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import pyarrow.compute as pc
import pyarrow.parquet as pq
import typer
from rich.console import Console

from examples.ablation.plan import EARNED_STEPS, KINDS, VARIANTS, Budget, Result, Variant
from examples.ablation.report import write_report
from examples.ablation.unseen_texts import with_unseen_texts
from examples.demo.data import build_demo
from examples.demo.results import read_curves, read_validation, results_by_reward
from examples.demo.tiny import WARM_STARTED
from mixed_r1_verl import compute_score
from mixed_r1_verl.rewards.similarity.words import FUNCTION_WORDS, split_words

console = Console()
REPOSITORY = Path(__file__).parents[2]
SIMILARITIES = ("robust", "bmas", "rouge_l")
MAX_WORDS = 256


def make_data(folder: Path, budget: Budget, seed: int) -> None:
    """The demo set of a seed, and for each set of rewards the rows that train it."""
    if not (folder / "train.parquet").exists() or not (folder / "val.parquet").exists():
        build_demo(folder, rows=budget.rows, val_rows=budget.val_rows, seed=seed)


def train_file(folder: Path, variant: Variant, seed: int) -> Path:
    """The rows of a variant's rewards out of `train.parquet`, which holds all four in equal parts."""
    if variant.kinds == KINDS:
        return folder / "train.parquet"
    target = folder / f"train-{'-'.join(variant.kinds)}{'-unseen' if variant.unseen else ''}.parquet"
    if not target.exists():
        table = pq.read_table(folder / "train.parquet")
        reward = pc.struct_field(table["extra_info"], "reward")
        table = table.filter(pc.is_in(reward, value_set=pc.cast(list(variant.kinds), "string")))
        part = target.with_suffix(".part")
        pq.write_table(with_unseen_texts(table, seed) if variant.unseen else table, part)
        part.replace(target)
    return target


def as_many_rows(variant: Variant, budget: Budget) -> int | None:
    """Steps after which a run on one reward has seen as many rows of it as a run on all four in the end."""
    return max(1, budget.steps // len(KINDS)) if len(variant.kinds) == 1 and not variant.unseen else None


def train(folder: Path, data: Path, variant: Variant, budget: Budget, seed: int) -> None:
    """One run of `main_ppo`, into `folder`.

    The warm start answers the validation set of a seed once; the other runs of that seed take its answers over.

    Raises:
        typer.Exit: with status 1 when it fails; its output is in `train.log`.
    """
    answers, kept = folder / "validation" / "0.jsonl", data / "warm-start.jsonl"
    resumes = (folder / "checkpoints" / "latest_checkpointed_iteration.txt").exists()
    if kept.exists():
        answers.parent.mkdir(exist_ok=True)
        shutil.copyfile(kept, answers)
    command = [
        *(sys.executable, "-m", "verl.trainer.main_ppo", "+recipe=mixed_r1_cpu"),
        f"data.train_files={train_file(data, variant, seed)}",
        f"data.val_files={data}/val.parquet",
        f"data.seed={seed}",
        f"actor_rollout_ref.model.path={WARM_STARTED}",
        f"actor_rollout_ref.rollout.seed={seed}",
        f"trainer.total_training_steps={budget.steps}",
        "trainer.total_epochs=1000",
        f"trainer.test_freq={as_many_rows(variant, budget) or budget.steps}",
        "trainer.save_freq=20",
        "trainer.max_actor_ckpt_to_keep=1",
        f"trainer.val_before_train={not (resumes or kept.exists())}",
        f"trainer.default_local_dir={folder}/checkpoints",
        f"trainer.validation_data_dir={folder}/validation",
        f"hydra.run.dir={folder}/hydra",
        *variant.overrides,
    ]
    with (folder / "train.log").open("a", encoding="utf-8") as log:
        ran = subprocess.run(
            command,
            cwd=folder,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TENSORBOARD_DIR": str(folder / "tensorboard")},
        )
    if ran.returncode:
        console.print(f"[red]ablation: the run in {folder} failed; its output is in {folder / 'train.log'}[/]")
        raise typer.Exit(1)
    if not kept.exists():
        shutil.copyfile(answers, kept.with_suffix(".part"))
        kept.with_suffix(".part").replace(kept)


def read_result(folder: Path, name: str, budget: Budget, seed: int, seconds: float) -> Result:
    """The result of a finished run; open-ended answers are scored anew with every similarity, to compare runs."""
    validation = {step: [dict(row) for row in rows] for step, rows in read_validation(folder / "validation").items()}
    open_ended = {}
    for when, step in (("before", min(validation)), ("after", budget.steps)):
        rows = [row for row in validation[step] if row["reward_kind"] == "open_ended"]
        scores = {similarity: [similarity_of(row, similarity) for row in rows] for similarity in SIMILARITIES}
        for row, default in zip(rows, scores[SIMILARITIES[0]], strict=True):
            row["acc"] = default
        words = [split_words(row["prediction"], MAX_WORDS) for row in rows]
        open_ended[when] = {
            **{similarity: mean(values) for similarity, values in scores.items()},
            "words": mean([len(text) for text in words]),
            "repeated": mean([1 - len(set(text)) / len(text) if text else 0.0 for text in words]),
            "function words": mean([sum(w in FUNCTION_WORDS for w in t) / len(t) if t else 0.0 for t in words]),
            "different answers": len(set(map(tuple, words))) / len(words),
        }
    early = as_many_rows(VARIANTS[name], budget)
    last = [row for row in validation[budget.steps] if row["reward_kind"] == "open_ended"]
    last.sort(key=lambda row: row["gts"])  # verl dumps rows in an order of its own, another one each time
    curves = read_curves(folder / "tensorboard")
    earned = [value for _, value in curves.get("mixed_r1/reward/open_ended/acc/mean", [])]
    shares = {kind: curves.get(f"mixed_r1/reward/{kind}/gradient_share", []) for kind in KINDS}
    return Result(
        variant=name,
        seed=seed,
        steps=budget.steps,
        before=results_by_reward(validation[min(validation)]),
        after=results_by_reward(validation[budget.steps]),
        after_as_many=results_by_reward(validation[early]) if early else None,
        open_ended=open_ended,
        samples=[(row["gts"], row["prediction"]) for row in last[:: max(1, len(last) // 3)][:3]],
        commonest=[
            (text, round(n / len(last), 3)) for text, n in Counter(r["prediction"] for r in last).most_common(3)
        ],
        earned=(mean(earned[:EARNED_STEPS]), mean(earned[-EARNED_STEPS:])) if earned else None,
        shares={kind: mean([value for _, value in points]) for kind, points in shares.items() if points},
        seconds=round(seconds, 1),
    )


def similarity_of(row: dict, variant: str) -> float:
    """`acc` of an open-ended validation row under another variant of the reward."""
    options = {"embedding_model": str(WARM_STARTED), "open_ended": {"variant": variant}}
    return compute_score("", row["output"], row["gts"], {"reward": "open_ended"}, **options)["acc"]


def mean(values: list[float]) -> float:
    return round(sum(values) / len(values), 4)


def done(file: Path) -> Result | None:
    """The result of a run, if it is done."""
    return Result(**json.loads(file.read_text(encoding="utf-8"))) if file.exists() else None


def ablation(
    output: Annotated[Path, typer.Option(help="Folder of the runs: data, logs, checkpoints, curves.")] = Path(
        "outputs/ablation"
    ),
    page: Annotated[
        Path, typer.Option(help="The page to write; pictures and results of the runs go beside it.")
    ] = REPOSITORY / "docs" / "experiments.md",
    only: Annotated[list[str] | None, typer.Option(help="A variant to run; may be given again. Default: all.")] = None,
    seeds: Annotated[list[int] | None, typer.Option(help="A seed; may be given again. Default: 0 and 1.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Training steps of each run.")] = Budget.steps,
    rows: Annotated[int, typer.Option(min=64, help="Rows of training data.")] = Budget.rows,
    val_rows: Annotated[int, typer.Option(min=16, help="Rows of validation data.")] = Budget.val_rows,
    report_only: Annotated[bool, typer.Option(help="Run nothing.")] = False,
) -> None:
    """Run what is not done yet, and write the page.

    Example: python -m examples.ablation.run --only all --only bmas --seeds 0
    """
    unknown = [name for name in only or () if name not in VARIANTS]
    if unknown:
        raise typer.BadParameter(f"no variant {', '.join(unknown)}; there are {', '.join(VARIANTS)}")
    budget = Budget(steps, rows, val_rows, tuple(seeds or Budget.seeds))
    output = output.resolve()
    planned = [(name, seed) for seed in budget.seeds for name in only or VARIANTS]
    size = f"steps-{steps}-rows-{rows}-{val_rows}"
    files = {run: page.with_suffix("") / size / f"{run[0]}-seed-{run[1]}.json" for run in planned}
    for number, (name, seed) in enumerate(planned if not report_only else [], 1):
        file, folder = files[name, seed], output / size / f"{name}-seed-{seed}"
        title = f"{number}/{len(planned)} {VARIANTS[name].title}, seed {seed}"
        if file.exists():
            console.print(f"{title}: done before")
            continue
        console.print(f"{title}: running, output in {folder / 'train.log'}", soft_wrap=True)
        folder.mkdir(parents=True, exist_ok=True)
        data = folder.parent / f"data-seed-{seed}"
        make_data(data, budget, seed)
        begin = time.monotonic()
        train(folder, data, VARIANTS[name], budget, seed)
        result = read_result(folder, name, budget, seed, time.monotonic() - begin)
        file.parent.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        part.write_text(json.dumps(asdict(result), indent=1) + "\n", encoding="utf-8")
        part.replace(file)
        shutil.rmtree(folder / "checkpoints", ignore_errors=True)
    results = [result for run in planned if (result := done(files[run]))]
    if not results:
        console.print("[red]ablation: no run is done yet; nothing to report[/]")
        raise typer.Exit(1)
    write_report(results, budget, len(planned), page)
    console.print(f"{len(results)} of {len(planned)} runs are done; wrote {page}", soft_wrap=True)


if __name__ == "__main__":
    typer.run(ablation)
