"""`mixed-r1 plan`: the command, its table and its JSON."""

import dataclasses
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from mixed_r1_verl.core.config import ConfigError
from mixed_r1_verl.core.console import FAILED, OK, PrintedAs, command_errors, print_json, terminal
from mixed_r1_verl.plan.gpus import GIB, GPUS
from mixed_r1_verl.plan.plan import Plan, make_plan
from mixed_r1_verl.plan.settings import compose_for
from mixed_r1_verl.responses.summary import plain_table


def plan_command(
    recipe: Annotated[str, typer.Option(help="Name of a recipe, as in `main_ppo +recipe=NAME`.")],
    gpus: Annotated[int, typer.Option(min=1, help="GPUs in all; more than 8 are nodes of 8.")],
    overrides: Annotated[list[str] | None, typer.Argument(help="Hydra overrides, as for main_ppo.")] = None,
    gpu: Annotated[str, typer.Option(help=f"Kind of GPU: {', '.join(GPUS)}.")] = "H100",
    gpu_memory: Annotated[
        float | None, typer.Option(min=1, help="Usable GiB of each GPU, instead of the kind's.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Parquet file whose pictures and prompts are counted.")] = None,
    model: Annotated[Path | None, typer.Option(help="Directory with the model's config.json.")] = None,
    response_tokens: Annotated[
        int | None, typer.Option(min=1, help="Mean length of a response; default: half of max_response_length.")
    ] = None,
    format: PrintedAs = "table",
) -> None:
    """Say what a recipe needs on your GPUs, whether it fits, and what to change where it does not.

    Exit status 0: it fits. 1: it does not. 2: bad usage.

    Example: mixed-r1 plan --recipe mixed_r1 --gpus 8 --gpu A100-80GB --data data/chartqa.parquet
    """
    with command_errors():
        if gpu not in GPUS:
            raise ConfigError(f"unknown GPU {gpu!r}; known: {', '.join(GPUS)}")
        kind = GPUS[gpu]
        if gpu_memory is not None:
            kind = dataclasses.replace(kind, memory=gpu_memory * GIB)
        if data is not None and not data.is_file():
            raise ConfigError(f"{data} is not there")
        config = compose_for(recipe, gpus, overrides or [])
        plan = make_plan(config, kind, model=model, data=data, response_tokens=response_tokens)
    if format == "json":
        print_json(as_json(recipe, plan))
    else:
        show(recipe, plan, terminal())
    raise typer.Exit(OK if plan.fits else FAILED)


def as_json(recipe: str, plan: Plan) -> dict[str, Any]:
    """The plan as plain numbers; bytes, seconds and tokens."""
    architecture, memory = plan.architecture, plan.memory
    plain = dataclasses.asdict(dataclasses.replace(plan, architecture=None))  # type: ignore[arg-type] # its many shapes
    return {
        "recipe": recipe,
        "fits": plan.fits,
        "gpu": plain["gpu"],
        "settings": plain["settings"],
        "parameters": {
            "total": architecture.parameters,
            "vision": architecture.vision_parameters,
            "embedding": architecture.embedding_parameters,
            "trained": _trained(plan),
        },
        "phases": {
            phase.name: {"parts": phase.parts, "total": phase.total, "limit": phase.limit, "fits": phase.fits}
            for phase in memory.phases
        },
        "kv_cache": {**plain["memory"]["kv"], "fits": memory.kv.fits},
        "host": memory.host,
        **{name: plain[name] for name in ("data", "batch")},
        "seconds": _seconds(plan),
        "response_tokens": plan.batch.response_tokens,
        **{name: plain[name] for name in ("problems", "remarks", "changes")},
    }


def _seconds(plan: Plan) -> dict[str, float]:
    return {**plan.seconds, "step": sum(plan.seconds.values())}


def _trained(plan: Plan) -> int:
    settings, architecture = plan.settings, plan.architecture
    frozen = architecture.vision_parameters if settings.freeze_vision_tower else 0
    return architecture.lora_parameters(settings.lora_rank, settings.lora_exclude) or architecture.parameters - frozen


def show(recipe: str, plan: Plan, console: Console) -> None:
    """Print the plan."""
    s, a, b, d, kv = plan.settings, plan.architecture, plan.batch, plan.data, plan.memory.kv
    say = partial(console.print, highlight=False)
    size = f"{a.parameters / 1e9:.2f} B parameters ({a.vision_parameters / 1e9:.2f} B vision)"
    trained = f", {_trained(plan) / 1e6:.1f} M of them LoRA's" if s.lora_rank else ""
    console.print(f"{recipe}: {s.model}, {size}{trained}; {s.gpus} × {plan.gpu.name}, {plan.gpu.memory / GIB:.0f} GiB")
    phases = plan.memory.phases
    table = plain_table("GiB on each GPU", numbers=[phase.name for phase in phases])
    for name in dict.fromkeys(name for phase in phases for name in phase.parts):
        sizes = (phase.parts.get(name) for phase in phases)
        table.add_row(name, *("" if size is None else f"{size / GIB:.2f}" for size in sizes))
    table.add_row("together", *(f"[{'green' if p.fits else 'red'}]{p.total / GIB:.2f}[/]" for p in phases))
    table.add_row("of", *(f"{phase.limit / GIB:.2f}" for phase in phases))
    console.print(table)
    console.print(
        f"KV cache: {_gib(kv.bytes)} on each GPU, {kv.bytes_per_token:,} bytes a token: {kv.tokens:,} tokens, "
        f"{kv.sequences:.1f} sequences of {s.max_sequence:,}" + ("" if kv.fits else " [red]does not fit[/]")
    )
    host = ", ".join(f"{name} {_gib(size)}" for name, size in plan.memory.host.items())
    console.print(f"host memory of a node: {host}")
    if d is not None:
        how = "counted" if d.counted else "text estimated, 3 characters a token"
        image, prompt = (f"p50 {p50:,}, p99 {p99:,}, max {most:,}" for p50, p99, most in (d.image, d.prompt))
        console.print(f"data: {d.rows:,} rows; image tokens {image}; prompt {prompt} ({how})")
    steps = "" if b.steps_per_epoch is None else f"; {b.steps_per_epoch:,} steps an epoch"
    console.print(
        f"batch: {b.prompts:,} prompts × {s.rollouts} = {b.responses:,} responses; {b.updates} updates of "
        f"{b.mini_batch_responses:,}; {b.micro_batches} micro batches an update on each GPU{steps}"
    )
    if plan.memory.fits:
        seconds = _seconds(plan)
        table = plain_table("estimated seconds", numbers=list(seconds))
        tokens = f"{b.response_tokens:.0f} tokens a response"
        table.caption, table.caption_justify = f"assumed: {tokens}; not measured, good to a factor of two", "left"
        table.add_row("", *(f"{value:.1f}" for value in seconds.values()))
        console.print(table)
    for problem in plan.problems:
        say(f"[red]verl would stop:[/] {escape(problem)}")
    for remark in plan.remarks:
        say(f"[yellow]note:[/] {escape(remark)}")
    if changes := plan.changes:
        say("[yellow]fits with:[/] " + " ".join(changes.overrides), soft_wrap=True)
        memory = _gib(changes.host)
        console.print(f"then: {memory} of main memory in each node, a step of about {changes.seconds:.0f} s")
    elif not plan.memory.fits:
        say("[red]no set of overrides makes it fit:[/] more or larger GPUs, or a smaller model")
    console.print("[green]fits[/]" if plan.fits else "[red]does not fit[/]")


def _gib(size: float) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB / 10 else f"{size / 2**20:.1f} MiB"
