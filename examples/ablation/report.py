"""Writes `docs/experiments.md` and its pictures from the results of the ablation."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import mean, stdev

import matplotlib

from examples.ablation.plan import KINDS, VARIANTS, Budget, Result

matplotlib.use("Agg")
from matplotlib import pyplot

HEAD = """# Experiments

Written by `python -m examples.ablation.run`; do not edit. {done} of {planned} planned runs are done: {steps} steps of
16 prompts × 8 responses each, seeds {seeds}, {val_rows} validation rows, the tiny Qwen2.5-VL and the demo set of
`make demo`, on a CPU. Cells are validation means after training; with several seeds, mean ± standard deviation over
seeds; with one, ± standard error over rows. A dash stands for runs that are not done. A model of 2.3 million
parameters and {steps} steps show what the rewards do to each other, not what a large model would reach.
"""

ALONE = """A run on one reward sees four times as many rows of it in a step as the run on all four. Both comparisons
are here: after as many rows, which is a quarter of the steps, and after as many steps. *Better* and *worse* are beyond
two standard errors.
"""
UNSEEN = """## A reward that cannot be earned by looking

Trained on open-ended rows whose gold texts the pictures do not show (`examples/ablation/unseen_texts.py`), scored with
the token table of MiniLM. Nothing honest can be learned here, so what a policy learns to earn is gaming. *Earned* is
the training reward; the other columns are of the answers to the true validation questions: `robust` against their own
gold texts.
"""
# What an answer is like, whatever it says.
HABITS = ("words", "repeated", "function words", "different answers")


def write_report(results: Sequence[Result], budget: Budget, planned: int, page: Path) -> None:
    """Write the page, whole or not at all, and the pictures into the folder `experiments` beside it."""
    pictures = page.parent / "experiments"
    pictures.mkdir(parents=True, exist_ok=True)
    by_variant = {name: [result for result in results if result.variant == name] for name in VARIANTS}
    plot_rewards(by_variant, pictures / "rewards.png")
    seeds = ", ".join(map(str, budget.seeds))
    head = HEAD.format(done=len(results), planned=planned, steps=budget.steps, seeds=seeds, val_rows=budget.val_rows)
    sections = [
        head,
        "## Does the mixture hold up against each reward alone?\n\n![validation acc](experiments/rewards.png)\n",
        table(by_variant, {kind: acc(kind) for kind in KINDS} | {"format": mean_format}, with_start=True),
        ALONE,
        against_alone(by_variant),
        "## What the open-ended reward pays for\n\n"
        "Trained on all four rewards; every answer is scored with every similarity, whichever was trained on.\n",
        table(
            by_variant,
            {name: open_ended(name) for name in ("robust", "bmas", "rouge_l", *HABITS)},
            only=("all", "bmas", "rouge_l"),
            with_start=True,
        ),
        samples(by_variant, ("all", "bmas", "rouge_l")),
        UNSEEN,
        table(
            by_variant,
            {"earned, first steps": earned(0), "earned, last steps": earned(1)}
            | {name: open_ended(name) for name in ("robust", *HABITS)},
            only=("unseen", "unseen_bmas"),
            with_start=True,
        ),
        samples(by_variant, ("unseen", "unseen_bmas")),
        commonest(by_variant, ("unseen", "unseen_bmas")),
        "## What task balance changes\n\nShare of the gradient signal, mean over the run:\n",
        table(by_variant, {kind: share(kind) for kind in KINDS}, only=("all", "balanced", "no_format")),
        "Validation after training:\n",
        table(by_variant, {kind: acc(kind) for kind in KINDS}, only=("all", "balanced")),
    ]
    part = page.with_suffix(".part")
    part.write_text("\n".join(sections), encoding="utf-8")
    part.replace(page)


Cell = Callable[[Result, str], tuple[float, float]]
"""A run and `before`, `after` or `after_as_many` → value and its standard error, NaN where there is none."""


def acc(kind: str) -> Cell:
    return lambda result, when: (getattr(result, when)[kind]["acc"], getattr(result, when)[kind]["standard_error"])


def mean_format(result: Result, when: str) -> tuple[float, float]:
    groups = getattr(result, when).values()
    return sum(g["format"] * g["rows"] for g in groups) / sum(g["rows"] for g in groups), math.nan


def open_ended(name: str) -> Cell:
    return lambda result, when: (result.open_ended[when][name], math.nan)


def earned(end: int) -> Cell:
    """0 for the first steps of training, 1 for the last."""
    return lambda result, when: (result.earned[end] if result.earned and when == "after" else math.nan, math.nan)


def share(kind: str) -> Cell:
    return lambda result, when: (result.shares.get(kind, math.nan), math.nan)


def combined(runs: Sequence[Result], cell: Cell, when: str = "after") -> tuple[float, float]:
    """Mean and spread of a cell: over seeds where there are several, else the run's own standard error."""
    values = [cell(run, when) for run in runs]
    if len(values) == 1:
        return values[0]
    return mean(value for value, _ in values), stdev(value for value, _ in values)


def error_of_mean(runs: Sequence[Result], cell: Cell, when: str = "after") -> float:
    """Standard error of the mean over seeds; two seeds that agree by chance do not make it less than the rows allow."""
    values = [cell(run, when) for run in runs]
    over_rows = mean(error for _, error in values)
    over_seeds = stdev(value for value, _ in values) if len(values) > 1 else 0.0
    return max(over_rows, over_seeds) / math.sqrt(len(values))


def shown(value: float, spread: float) -> str:
    if math.isnan(value):
        return "–"
    return f"{value:.3f}" if math.isnan(spread) else f"{value:.3f} ± {spread:.3f}"


def table(
    by_variant: dict[str, list[Result]],
    cells: dict[str, Cell],
    only: Sequence[str] = tuple(VARIANTS),
    with_start: bool = False,
) -> str:
    lines = ["| trained on | runs | " + " | ".join(cells) + " |", "| --- |" + " ---: |" * (len(cells) + 1)]
    everything = [run for name in only for run in by_variant[name]]
    if with_start and everything:
        start = [shown(combined(everything[:1], cell, "before")[0], math.nan) for cell in cells.values()]
        lines.append("| nothing: the warm start | – | " + " | ".join(start) + " |")
    for name in only:
        runs = by_variant[name]
        values = [shown(*combined(runs, cell)) if runs else "–" for cell in cells.values()]
        lines.append(f"| {VARIANTS[name].title} | {len(runs)} | " + " | ".join(values) + " |")
    return "\n".join(lines) + "\n"


def against_alone(by_variant: dict[str, list[Result]]) -> str:
    """For each reward: do all four together end two standard errors above or below a run on that reward alone?"""
    lines = [
        "| reward | all four | alone, as many rows of it | all four are | alone, as many steps | all four are |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for kind in KINDS:
        both, alone = by_variant["all"], by_variant[f"alone_{kind}"]
        if not both or not alone:
            lines.append(f"| {kind} | – | – | not measured | – | not measured |")
            continue
        cells = [shown(*combined(both, acc(kind)))]
        for when in ("after_as_many", "after"):
            difference = combined(both, acc(kind))[0] - combined(alone, acc(kind), when)[0]
            error = math.hypot(error_of_mean(both, acc(kind)), error_of_mean(alone, acc(kind), when))
            word = "no different" if abs(difference) <= 2 * error else "better" if difference > 0 else "worse"
            cells += [shown(*combined(alone, acc(kind), when)), f"{word} ({difference:+.3f} ± {error:.3f})"]
        lines.append(f"| {kind} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def samples(by_variant: dict[str, list[Result]], names: Sequence[str]) -> str:
    """A few answers of these variants after training."""
    lines = ["| trained on | gold | answer after training |", "| --- | --- | --- |"]
    for name in names:
        for run in by_variant[name][:1]:
            for gold, answer in run.samples:
                lines.append(f"| {VARIANTS[name].title} | {escape(gold)} | {escape(answer)} |")
    return "\n".join(lines) + "\n"


def commonest(by_variant: dict[str, list[Result]], names: Sequence[str]) -> str:
    """The answers that these variants gave most often, for each seed."""
    lines = ["| trained on | seed | commonest answers after training, share of the questions |", "| --- | ---: | --- |"]
    for name in names:
        for run in by_variant[name]:
            answers = ", ".join(f"“{escape(text, 80)}” {share:.0%}" for text, share in run.commonest)
            lines.append(f"| {VARIANTS[name].title} | {run.seed} | {answers} |")
    return "\n".join(lines) + "\n"


def escape(text: str, limit: int = 300) -> str:
    """One line that cannot leave its table cell."""
    flat = " ".join(text.split())[:limit]
    for character in "\\`|<>*_[]":
        flat = flat.replace(character, f"\\{character}")
    return flat


def plot_rewards(by_variant: dict[str, list[Result]], target: Path) -> None:
    """Validation `acc` of each reward after training, for every variant that has run."""
    ran = [name for name in VARIANTS if by_variant[name]]
    figure, axes = pyplot.subplots(
        1, len(KINDS), figsize=(14, 0.35 * len(ran) + 1.6), sharey=True, layout="constrained"
    )
    for axis, kind in zip(axes, KINDS, strict=True):
        values = [combined(by_variant[name], acc(kind)) for name in ran]
        positions = range(len(ran))
        axis.errorbar([v for v, _ in values], positions, xerr=[e for _, e in values], fmt="o", capsize=3)
        axis.axvline(by_variant[ran[0]][0].before[kind]["acc"], color="grey", linestyle=":", label="warm start")
        axis.set(title=kind, xlim=(0, 1), yticks=list(positions), yticklabels=[VARIANTS[name].title for name in ran])
    axes[0].invert_yaxis()
    axes[0].legend()
    figure.savefig(target, dpi=110)
    pyplot.close(figure)
