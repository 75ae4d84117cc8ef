"""The demo: data, tiny model, GRPO through verl's own `main_ppo`, and a table of what was learned.

    make demo                                # everything, from a fresh clone
    .venv/bin/python examples/demo/run.py --help

Nothing is downloaded: the pictures come from the PyPI package easy-vqa and from our own renderer, the model is the tiny
Qwen2.5-VL that `examples.demo.tiny.warm_start` made. Finished stages are kept under --output and not done again.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import matplotlib
import typer
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from examples.demo.memory import PeakMemory
from examples.demo.results import changes_by_reward, read_curves, read_validation, results_by_reward, results_by_source
from examples.demo.tiny import WARM_STARTED

matplotlib.use("Agg")
from matplotlib import pyplot

# With which a process of its own finds the folder `examples`.
PYTHONPATH = os.pathsep.join([sys.path[0], *filter(None, [os.environ.get("PYTHONPATH")])])
console = Console(width=None if sys.stdout.isatty() else 110)

KINDS = ("matching", "chart", "iou", "open_ended")
PEARSON = "training/rollout_actor_probs_pearson_corr"


@dataclass
class Summary:
    """What `summary.json` holds.

    Attributes:
        seconds: wall time of each stage, from the run that did it.
        validation: reward kind → before/after → mean `acc`, its standard error, mean `format`, number of rows; and
            `change` → mean change of `acc` and its standard error over the questions.
        by_source: data source → before/after → mean `acc` and `format`.
        pearson: correlation of the token probabilities of rollout and actor, first, last and lowest over the steps.
        peak_memory_gib: highest sum of the proportional set sizes of all processes of the run.
    """

    steps: int
    seed: int
    seconds: dict[str, float] = field(default_factory=dict)
    validation: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    by_source: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    pearson: dict[str, float] = field(default_factory=dict)
    peak_memory_gib: float = 0.0


@contextmanager
def stage(summary: Summary, name: str, cached: bool) -> Iterator[None]:
    """Announce a stage and record its wall time."""
    console.rule(f"{name}: {'cached' if cached else 'running'}", align="left")
    start = time.monotonic()
    yield
    if not cached:
        summary.seconds[name] = round(time.monotonic() - start, 1)


def run(
    command: list[str], log: Path | None = None, shown: Callable[[str], str | None] = str, **environment: str
) -> None:
    """Run a command; a failure ends the demo with one line.

    Args:
        command: program and arguments.
        log: file to which the whole output goes.
        shown: what of a line of output is shown on the console; None for nothing.
        environment: variables to set.
    """
    console.print("$ " + " ".join(command), highlight=False, soft_wrap=True)
    process = subprocess.Popen(
        command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert process.stdout is not None
    with Path(log or os.devnull).open("a", encoding="utf-8") as copy:
        for line in process.stdout:
            copy.write(line)
            if (text := shown(line)) is not None:
                sys.stdout.write(text)
                sys.stdout.flush()
    if process.wait():
        where = f"; its output is in {log}" if log else ""
        console.print(f"[red]demo: {command[2] if command[1] == '-m' else command[1]} failed{where}[/]")
        raise typer.Exit(1)


def make_data(folder: Path, rows: int, val_rows: int, seed: int) -> None:
    """Write train.parquet and val.parquet: every batch mixes the four rewards."""
    sizes = ["--rows", str(rows), "--val-rows", str(val_rows), "--seed", str(seed)]
    run([sys.executable, "-m", "examples.demo.data", "--output", str(folder), *sizes], PYTHONPATH=PYTHONPATH)


def make_model(folder: Path, rebuild: bool, seed: int) -> None:
    """Put the warm-started tiny model into `folder`: the embedded one, or a new one from the warm start."""
    if not rebuild:
        shutil.copytree(WARM_STARTED, folder, dirs_exist_ok=True)
        return
    arguments = ["--output", str(folder), "--seed", str(seed)]
    run([sys.executable, "-m", "examples.demo.tiny.warm_start", *arguments], PYTHONPATH=PYTHONPATH)


_STEP = re.compile(r"step:(\d+) - ")
_METRIC = re.compile(r"(critic/score/mean|actor/entropy|response_length/mean|timing_s/step):([0-9.]+)")
_SOURCE_ACC = re.compile(r"val-core/(\w+)/acc/mean@1:np\.float64\(([0-9.]+)\)")


def training_line(line: str) -> str | None:
    """One short line for each training step and validation, and every error; the rest is in train.log."""
    if step := _STEP.search(line):
        sources = ", ".join(f"{name} {float(value):.3f}" for name, value in _SOURCE_ACC.findall(line))
        shown = f"  validation acc at step {step[1]}: {sources}\n" if sources else ""
        metrics = {name: float(value) for name, value in _METRIC.findall(line)}
        if "critic/score/mean" in metrics:
            shown += (
                f"  step {step[1]}: score {metrics['critic/score/mean']:.3f}, entropy {metrics['actor/entropy']:.2f}, "
                f"response {metrics['response_length/mean']:.0f} tokens, {metrics['timing_s/step']:.1f} s\n"
            )
        return shown or None
    if "UserWarning" not in line and any(word in line for word in ("Error", "mixed-r1:", "mixed_r1:")):
        return line
    return None


def train(output: Path, data: Path, model: Path, steps: int, seed: int) -> float:
    """GRPO through `main_ppo +recipe=mixed_r1_cpu`; resumes an interrupted run. Returns the peak memory in GiB."""
    command = [
        sys.executable,
        "-m",
        "verl.trainer.main_ppo",
        "+recipe=mixed_r1_cpu",
        f"data.train_files={data}/train.parquet",
        f"data.val_files={data}/val.parquet",
        f"data.seed={seed}",
        f"actor_rollout_ref.model.path={model}",
        f"actor_rollout_ref.rollout.seed={seed}",
        f"trainer.total_training_steps={steps}",
        "trainer.total_epochs=1000",
        "trainer.test_freq=25",
        "trainer.save_freq=25",
        # a resumed run begins where the last validation was
        f"trainer.val_before_train={not (output / 'checkpoints' / 'latest_checkpointed_iteration.txt').exists()}",
        "trainer.max_actor_ckpt_to_keep=1",
        "trainer.experiment_name=demo",
        f"trainer.default_local_dir={output}/checkpoints",
        f"trainer.validation_data_dir={output}/validation",
        f"trainer.rollout_data_dir={output}/rollouts",
        f"hydra.run.dir={output}/hydra",
    ]
    with PeakMemory() as peak:
        console.print(f"starting verl takes about a minute; its whole output goes to {output / 'train.log'}")
        run(command, output / "train.log", training_line, TENSORBOARD_DIR=str(output / "tensorboard"))
    return peak.gib


TRAINING_CURVES = {
    "acc/mean": "training acc by reward",
    "zero_variance": "share of groups without variance",
    "gradient_share": "share of the gradient signal",
    "response_length/mean": "tokens of a response",
}


def plot(validation: dict[int, list[dict]], curves: dict[str, list[tuple[int, float]]], target: Path) -> None:
    """Validation `acc` for each reward and `format`, and the plugin's curves of each reward during training."""
    figure, axes = pyplot.subplots(2, 3, figsize=(15, 8), constrained_layout=True)
    left, right, *rest = axes.flat
    by_step = {step: results_by_reward(rows) for step, rows in validation.items()}
    for kind in KINDS:
        points = [(step, groups[kind]) for step, groups in by_step.items() if kind in groups]
        left.errorbar(
            [step for step, _ in points],
            [group["acc"] for _, group in points],
            yerr=[group["standard_error"] for _, group in points],
            marker="o",
            capsize=2,
            label=kind,
        )
    left.set(title="validation acc by reward (± standard error)", xlabel="step", ylim=(0, 1))
    left.legend()
    formats = [(step, sum(row["format"] for row in rows) / len(rows)) for step, rows in validation.items()]
    right.plot(*zip(*formats, strict=True), marker="o", label="validation format")
    right.plot(*zip(*curves["critic/score/mean"], strict=True), label="training score")
    right.set(title="format and training score", xlabel="step", ylim=(0, 1.02))
    right.legend()
    for axis, (name, title) in zip(rest, TRAINING_CURVES.items(), strict=True):
        for number, kind in enumerate(KINDS):
            steps, values = zip(*curves[f"mixed_r1/reward/{kind}/{name}"], strict=True)
            axis.plot(steps, values, color=f"C{number}", alpha=0.25)
            axis.plot(steps, smooth(values), color=f"C{number}", label=kind)
        axis.set(title=title, xlabel="step")
        axis.legend()
    figure.savefig(target, dpi=120)
    pyplot.close(figure)


def smooth(values: Sequence[float], width: int = 9) -> list[float]:
    """Mean over a window around each step, cut off at both ends."""
    half = width // 2
    windows = [values[max(0, i - half) : i + half + 1] for i in range(len(values))]
    return [sum(window) / len(window) for window in windows]


def show(summary: Summary) -> None:
    """Print the results before and after training."""
    for title, results in (("by reward", summary.validation), ("by source", summary.by_source)):
        table = Table(title=f"validation {title}", title_justify="left")
        for column in ("", "acc before", "acc after", "change", "format before", "format after"):
            table.add_column(column, justify="left" if not column else "right")
        for name, result in results.items():
            before, after = result["before"], result["after"]
            shown = [
                f"{r['acc']:.3f}" + (f" ± {r['standard_error']:.3f}" if "rows" in r else "") for r in (before, after)
            ]
            change = result.get("change", {"acc": after["acc"] - before["acc"]})
            shown.append(f"{change['acc']:+.3f}" + (f" ± {change['standard_error']:.3f}" if "change" in result else ""))
            table.add_row(name, *shown, f"{before['format']:.3f}", f"{after['format']:.3f}")
        console.print(table)
    console.print("wall time in s:", summary.seconds)
    console.print(f"{PEARSON}:", summary.pearson)
    console.print(f"peak memory of all processes: {summary.peak_memory_gib:.1f} GiB")


def demo(
    output: Annotated[Path, typer.Option(help="Folder of the run; finished stages in it are kept.")] = Path(
        "outputs/demo"
    ),
    steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = 100,
    rows: Annotated[int, typer.Option(min=64, help="Rows of training data.")] = 4000,
    val_rows: Annotated[
        int, typer.Option(min=64, help="Rows of validation data; 2304 give each reward a standard error of 0.02.")
    ] = 2304,
    seed: Annotated[int, typer.Option(help="Seed of data, shuffling and sampling.")] = 0,
    rebuild_model: Annotated[
        bool, typer.Option(help="Run the warm start (minutes) instead of taking the embedded model.")
    ] = False,
) -> None:
    """Train the tiny Qwen2.5-VL with Mixed-Reward and show validation before and after.

    Example: python examples/demo/run.py --steps 100
    """
    output = output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    record = output / "summary.json"
    earlier = json.loads(record.read_text()) if record.exists() else {}
    summary = Summary(
        steps, seed, seconds=earlier.get("seconds", {}), peak_memory_gib=earlier.get("peak_memory_gib", 0.0)
    )
    data, model = output / "data", output / "model"

    ready = (data / "train.parquet").exists() and (data / "val.parquet").exists()
    with stage(summary, "data", ready):
        if not ready:
            make_data(data, rows, val_rows, seed)
    ready = (model / "model.safetensors").exists()
    with stage(summary, "model", ready):
        if not ready:
            make_model(model, rebuild_model, seed)
    ready = (output / "validation" / f"{steps}.jsonl").exists()
    with stage(summary, "train", ready):
        if not ready:
            summary.peak_memory_gib = round(train(output, data, model, steps, seed), 2)

    validation = read_validation(output / "validation")
    first, last = validation[min(validation)], validation[steps]
    before, after, change = results_by_reward(first), results_by_reward(last), changes_by_reward(first, last)
    summary.validation = {
        kind: {"before": before[kind], "after": after[kind], "change": change[kind]} for kind in after
    }
    curves = read_curves(output / "tensorboard")
    summary.by_source = results_by_source(curves)
    pearson = [value for _, value in curves[PEARSON]]
    summary.pearson = {"first": pearson[0], "last": pearson[-1], "lowest": min(pearson)}
    plot(validation, curves, output / "curves.png")
    temporary = record.with_suffix(".tmp")
    temporary.write_text(json.dumps(summary.__dict__, indent=2) + "\n")
    temporary.replace(record)
    show(summary)
    console.print(f"summary: {record}\ncurves:  {output / 'curves.png'}")


if __name__ == "__main__":
    typer.run(demo)
