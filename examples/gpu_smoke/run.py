"""The first run on a new machine: three steps with random weights in a real model's shape, measured and written down.

    python examples/gpu_smoke/run.py                              # Qwen2.5-VL-3B's shape on every GPU of this machine
    python examples/gpu_smoke/run.py --data data/chartqa.parquet  # your own rows
    python examples/gpu_smoke/run.py --size tiny                  # a few million parameters; also without a GPU
    python examples/gpu_smoke/run.py --all                        # steps 1 to 6 of docs/gpus.md, into one file

Further arguments are Hydra overrides for main_ppo. Nothing is downloaded. Where the recipe does not fit, the overrides
that `mixed-r1 plan` finds are taken, and printed. The result is `summary.json` in the output folder and a table of
seconds, memory and the reward's share, beside what `mixed-r1 plan` expected. docs/gpus.md says what to look for.
"""

import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Annotated, Any

import pyarrow.parquet as pq
import typer
from rich.console import Console
from rich.table import Table

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.plan.gpus import GIB, GPUS, Gpu
from mixed_r1_verl.plan.plan import Plan, make_plan
from mixed_r1_verl.plan.settings import compose_for

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from examples.demo.memory import PeakMemory
from examples.gpu_smoke.first_hour import first_hour, plan_steps
from examples.gpu_smoke.model import SIZES, build

console = Console(width=None if sys.stdout.isatty() else 110)
# What vLLM says of its cache, on a GPU and on a CPU.
_KV_TOKENS = re.compile(r"KV cache size: ([0-9,]+) tokens")
_KV_GIB = re.compile(r"(?:Available KV cache memory: |Explicitly set \()([0-9.]+)")


def cuda_gpus() -> list[tuple[str, float]]:
    """Name and usable bytes of every GPU that torch sees."""
    import torch

    found = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    return [(device.name, float(device.total_memory)) for device in found]


class PeakGpuMemory(threading.Thread):
    """Samples nvidia-smi until stopped; `mib` is the highest use of any one GPU, all processes together."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.mib = 0
        self._stopped = threading.Event()

    def run(self) -> None:
        query = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits"]
        while not self._stopped.wait(1.0):
            answer = subprocess.run(query, capture_output=True, text=True)
            self.mib = max([self.mib, *(int(line) for line in answer.stdout.split() if line.isdigit())])

    def stop(self) -> None:
        self._stopped.set()
        self.join()


def make_data(folder: Path) -> Path:
    """The demo set: pictures of 112×112 pixels and less, all four rewards of the paper."""
    from examples.demo.data import build_demo

    if not (folder / "val.parquet").exists():
        build_demo(folder, rows=256, val_rows=16)
    return folder / "train.parquet"


def choose_overrides(
    on_gpus: bool, gpus: int, steps: int, data: Path, model: Path, output: Path, more: list[str]
) -> list[str]:
    """The overrides of the run: small batches, no validation, no checkpoint, metrics into a file."""
    batch = 16 * gpus if on_gpus else 8
    return [
        f"data.train_files={data}",
        f"data.val_files={data}",
        f"actor_rollout_ref.model.path={model}",
        f"data.train_batch_size={batch}",
        f"actor_rollout_ref.actor.ppo_mini_batch_size={batch}",
        *([] if on_gpus else ["actor_rollout_ref.rollout.n=4", "data.max_response_length=48"]),
        f"trainer.total_training_steps={steps}",
        "trainer.total_epochs=1000",
        "trainer.val_before_train=false",
        "trainer.test_freq=-1",
        "trainer.save_freq=-1",
        "trainer.resume_mode=disable",
        "trainer.logger=[console,file]",
        "trainer.experiment_name=gpu_smoke",
        f"trainer.default_local_dir={output}/checkpoints",
        f"trainer.rollout_data_dir={output}/rollouts",
        "+ray_kwargs.ray_init.runtime_env.env_vars.VLLM_LOGGING_LEVEL=INFO",  # it says how large its cache is
        *more,
    ]


def fitting_plan(recipe: str, gpus: int, gpu: Gpu, model: Path, data: Path, overrides: list[str]) -> tuple[Plan, list]:
    """The plan of the run and the changes that make it fit; random weights end no response before its limit."""

    def plan_with(changes: tuple[str, ...]) -> Plan:
        config = compose_for(recipe, gpus, [*overrides, *changes])
        length = config.data.max_response_length
        return make_plan(config, gpu, model=model, data=data, response_tokens=length)

    plan = plan_with(())
    if plan.changes is None:
        return plan, []
    return plan_with(plan.changes.overrides), list(plan.changes.overrides)


def train(command: list[str], output: Path, on_gpus: bool) -> dict[str, float]:
    """Runs main_ppo, its whole output in `train.log`; returns peak memory in bytes and the seconds of the whole run."""
    gpu = PeakGpuMemory()
    if on_gpus:
        gpu.start()
    start = time.monotonic()
    log, metrics = output / "train.log", output / "metrics.jsonl"
    metrics.unlink(missing_ok=True)
    console.print("$ " + " ".join(command), highlight=False, soft_wrap=True, markup=False)
    with PeakMemory() as host, log.open("w", encoding="utf-8") as file:
        environment = {**os.environ, "VERL_FILE_LOGGER_PATH": str(metrics)}
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT, env=environment).returncode
    if on_gpus:
        gpu.stop()
    if code:
        console.print(f"[red]training failed with exit status {code}; the end of {log}:[/]")
        end = log.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)[-25:]
        console.print("".join(end), highlight=False, markup=False)
        raise typer.Exit(1)
    return {
        "run_seconds": round(time.monotonic() - start, 1),
        "host_peak_bytes": host.gib * GIB,
        "gpu_peak_bytes": gpu.mib * 2**20,
    }


def read_steps(output: Path) -> list[dict[str, Any]]:
    """verl's metrics of every training step."""
    lines = (output / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    return [{"step": record["step"], **record["data"]} for record in records if "timing_s/step" in record["data"]]


def time_rewards(output: Path, data: Path, model: Path) -> dict[str, float]:
    """Scores the rollouts of the last step once more, one after the other in this process.

    verl 0.9.1 logs no time of the reward in training, and of a row it writes down the ground truth alone: the rest is
    taken from a row of the data file with the same. In a run, scoring is spread over `reward.num_workers` processes and
    goes on while other responses are still generated.
    """
    from mixed_r1_verl.rewards.config import MixedRewardConfig
    from mixed_r1_verl.rewards.mixed import MixedReward

    last = max((output / "rollouts").glob("*.jsonl"), key=lambda file: int(file.stem))
    rollouts = [json.loads(line) for line in last.read_text(encoding="utf-8").splitlines()]
    columns = pq.read_table(data, columns=["data_source", "reward_model", "extra_info"]).to_pylist()
    rows = {row["reward_model"]["ground_truth"]: row for row in columns}
    reward = MixedReward(MixedRewardConfig(embedding_model=str(model)))
    reward.prepare()

    def score_all() -> None:
        for rollout in rollouts:
            row = rows[rollout["gts"]]
            reward.score(row["data_source"], rollout["output"], rollout["gts"], row["extra_info"])

    score_all()  # tables are loaded once
    start = time.perf_counter()
    score_all()
    seconds = time.perf_counter() - start
    count = len(rollouts)
    return {"responses": count, "seconds_on_one_core": seconds, "milliseconds_each": 1e3 * seconds / count}


def kv_cache(log: Path) -> dict[str, float]:
    """Tokens of vLLM's cache and bytes of each on one GPU, as vLLM logged them; empty where it did not."""
    text = log.read_text(encoding="utf-8", errors="replace")
    tokens, size = _KV_TOKENS.search(text), _KV_GIB.search(text)
    if tokens is None or size is None:
        return {}
    count = int(tokens[1].replace(",", ""))
    return {"tokens": count, "bytes_per_token": float(size[1]) * GIB / count}


def memory_rows(plan: Plan, peak: dict[str, float], cache: dict[str, float], metrics: dict[str, Any]) -> dict[str, Any]:
    """What was measured of memory, and what was planned."""
    kv = plan.memory.kv
    rows = {"host, all processes, peak": [f"{peak['host_peak_bytes'] / GIB:.1f} GiB", ""]}
    if cache:
        rows["KV cache, bytes a token"] = [f"{cache['bytes_per_token']:,.0f}", f"{kv.bytes_per_token:,}"]
    if peak["gpu_peak_bytes"]:
        phases = plan.memory.phases
        update = next(phase for phase in phases if phase.name == "update")
        own = sum(size for part, size in update.parts.items() if part not in ("sleeping vLLM", "contexts"))
        allocated = metrics.get("actor/perf/max_memory_allocated_gb", float("nan"))
        largest = max(phase.total for phase in phases)
        rows["KV cache, tokens"] = [f"{cache.get('tokens', float('nan')):,.0f}", f"{kv.tokens:,}"]
        rows["GPU, all processes, peak"] = [f"{peak['gpu_peak_bytes'] / GIB:.1f} GiB", f"{largest / GIB:.1f} GiB"]
        rows["actor, allocated, peak"] = [f"{allocated:.1f} GiB", f"{own / GIB:.1f} GiB"]
    return rows


def show(summary: dict[str, Any]) -> None:
    """Print measured beside planned."""
    tables = (
        Table("seconds", *(f"step {step['number']}" for step in summary["steps"]), "planned", box=None, pad_edge=False),
        Table("memory", "measured", "planned", box=None, pad_edge=False),
    )
    for stage in summary["stages"]:
        expected = None if summary["device"] == "CPU" else summary["planned"]["seconds"].get(stage)
        measured = (f"{step[stage]:.2f}" for step in summary["steps"])
        tables[0].add_row(stage, *measured, "" if expected is None else f"{expected:.2f}")
    for name, row in summary["memory"].items():
        tables[1].add_row(name, *row)
    for table in tables:
        for column in table.columns[1:]:
            column.justify = "right"
        console.print(table)
    reward = summary["reward"]
    console.print(
        f"reward: {reward['milliseconds_each']:.2f} ms a response on one core; {reward['workers']} workers would take "
        f"{100 * reward['share_of_step']:.2f} % of a step if they began when generation had ended; random weights "
        "write no answer, so a trained model's responses cost more (benchmarks/reward_throughput.py)"
    )


def show_first_hour(file: Path, steps: list[dict[str, Any]]) -> None:
    """Print how each step ended, and what did not agree with the plan."""
    table = Table("step", "how it ended", "does not agree with the plan", box=None, pad_edge=False)
    for step in steps:
        ended = step["skipped"] or f"exit {step['exit']} after {step['seconds']:.0f} s"
        apart = [
            f"{name}: {v['measured']:,.4g}, planned {v['planned']:,.4g}"
            for name, v in step.get("verdicts", {}).items()
            if not v["agrees"]
        ]
        table.add_row(step["number"], ended, "\n".join(apart))
    console.print(table)
    console.print(f"all of it, to be sent: {file}", soft_wrap=True)


def smoke(
    overrides: Annotated[list[str] | None, typer.Argument(help="Hydra overrides for main_ppo.")] = None,
    size: Annotated[str, typer.Option(help=f"Shape of the model: {', '.join(SIZES)}.")] = "3b",
    data: Annotated[Path | None, typer.Option(help="Your training parquet; default: the demo set.")] = None,
    recipe: Annotated[str | None, typer.Option(help="Default: mixed_r1 on GPUs, mixed_r1_cpu without.")] = None,
    steps: Annotated[int, typer.Option(min=1, help="Training steps.")] = 3,
    output: Annotated[Path, typer.Option(help="Folder of the run.")] = Path("outputs/gpu_smoke"),
    everything: Annotated[bool, typer.Option("--all", help="Steps 1 to 6 of docs/gpus.md, into one file.")] = False,
) -> None:
    """Train three steps with random weights in a real model's shape, and write down seconds and memory.

    Example: python examples/gpu_smoke/run.py --data data/chartqa.parquet
    """
    if size not in SIZES:
        raise typer.BadParameter(f"{size}; known: {', '.join(SIZES)}", param_hint="--size")
    if data is not None and not data.is_file():
        raise typer.BadParameter(f"{data} is not there", param_hint="--data")
    found = cuda_gpus()
    if everything:
        output.mkdir(parents=True, exist_ok=True)
        return show_first_hour(*first_hour(plan_steps(len(found), output.resolve(), data, overrides or []), output))
    if not found and size != "tiny":
        console.print(f"no GPU here: a model of {size} needs one. `--size tiny` runs the same script on the CPU.")
        raise typer.Exit(1)
    if not found:
        console.print(
            "[yellow]no GPU here: the tiny model on the CPU shows that the script works, and nothing else.[/]"
        )
    output = output.resolve()
    output.mkdir(parents=True, exist_ok=True)
    train_file = data.resolve() if data else make_data(output / "data")
    model = output / f"model-{size}"
    if not list(model.glob("model*.safetensors")):
        console.print(f"writing a random model into {model}")
        build(model, SIZES[size])

    recipe = recipe or ("mixed_r1" if found else "mixed_r1_cpu")
    gpus = max(1, len(found))
    name, memory = found[0] if found else ("CPU", 8.0 * GIB)
    rates = next((gpu for gpu in GPUS.values() if gpu.name.split("-")[0] in name), GPUS["H100"])
    gpu = Gpu(name, memory, rates.flops, rates.bandwidth, rates.link)
    wanted = choose_overrides(bool(found), gpus, steps, train_file, model, output, overrides or [])
    try:
        plan, changes = fitting_plan(recipe, gpus, gpu, model, train_file, wanted)
    except ConfigError as error:
        console.print(f"[red]{error}[/]")
        raise typer.Exit(2) from None
    if changes:
        console.print("the recipe does not fit as it is; taken from the plan: " + " ".join(changes), soft_wrap=True)
    nodes = [f"trainer.n_gpus_per_node={gpus}", "trainer.nnodes=1", f"hydra.run.dir={output}/hydra"]
    command = [sys.executable, "-m", "verl.trainer.main_ppo", f"+recipe={recipe}", *nodes, *wanted, *changes]
    peak = train(command, output, bool(found))

    measured = read_steps(output)
    stages = [stage for stage in (*plan.seconds, "adv", "step") if f"timing_s/{stage}" in measured[0]]
    cache = kv_cache(output / "train.log")
    reward = time_rewards(output, train_file, model)
    workers = compose_for(recipe, gpus, [*wanted, *changes]).reward.num_workers
    summary = {
        "size": size,
        "recipe": recipe,
        "device": name,
        "gpus": gpus,
        "overrides": [*wanted, *changes],
        "run": peak,
        "stages": stages,
        "steps": [
            {"number": step["step"], **{stage: step[f"timing_s/{stage}"] for stage in stages}} for step in measured
        ],
        "last_metrics": measured[-1],
        "kv_cache": cache,
        "memory": memory_rows(plan, peak, cache, measured[-1]),
        "reward": {
            **reward,
            "workers": workers,
            "share_of_step": reward["seconds_on_one_core"] / workers / measured[-1]["timing_s/step"],
        },
        "planned": {
            "parameters": plan.architecture.parameters,
            "phases": {phase.name: phase.parts for phase in plan.memory.phases},
            "kv_bytes_per_token": plan.memory.kv.bytes_per_token,
            "kv_tokens": plan.memory.kv.tokens,
            "seconds": {**plan.seconds, "step": sum(plan.seconds.values())},
        },
    }
    target = output / "summary.json"
    temporary = target.with_suffix(".tmp")
    temporary.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    temporary.replace(target)
    show(summary)
    console.print(f"summary: {target}\nlog:     {output / 'train.log'}", soft_wrap=True)
    if not found:
        console.print("[yellow]measured on a CPU: no figure above says anything about a GPU.[/]")


if __name__ == "__main__":
    typer.run(smoke)
