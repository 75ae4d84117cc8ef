"""The command line `mixed-r1`. Each command lives with its subject and is imported when it is called."""

from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from mixed_r1_verl import __version__

COMMANDS = {
    "data list": (
        "mixed_r1_verl.data.cli:list_command",
        "List the converters, or show what one of them reads and makes of it.",
    ),
    "data convert": ("mixed_r1_verl.data.cli:convert_command", "Convert one dataset."),
    "data build": (
        "mixed_r1_verl.engine.cli:build_command",
        "Build a selected, mixed training set from several datasets.",
    ),
    "score": (
        "mixed_r1_verl.responses.score:score_command",
        "Score files of responses and print what they earned, by source and reward.",
    ),
    "eval": (
        "mixed_r1_verl.responses.eval:eval_command",
        "Validate a model over parquet files, by source and reward, with 95 % confidence intervals.",
    ),
    "report": (
        "mixed_r1_verl.report.cli:report_command",
        "Write one HTML page of a run: its curves with a verdict, its rollouts with picture, boxes and every score.",
    ),
    "check": ("mixed_r1_verl.data.cli:check_command", "Check parquet files before training."),
    "audit": (
        "mixed_r1_verl.audit.cli:audit_command",
        "Attack the rewards: can they be earned without looking at the picture?",
    ),
    "plan": (
        "mixed_r1_verl.plan.cli:plan_command",
        "Say what a recipe needs on your GPUs, whether it fits, and what to change where it does not.",
    ),
    "doctor": (
        "mixed_r1_verl.doctor:doctor",
        "Say what is installed, whether verl sees the plugin, and what to do about each red line.",
    ),
}
"""Where each command lies, and what the list of commands says of it: the first line of its own help."""


HELP = {"help_option_names": ["-h", "--help"]}


def load(name: str) -> Any:
    """The command of a name in `COMMANDS`, imported with all that it needs."""
    module, _, function = COMMANDS[name][0].partition(":")
    shell = typer.Typer(add_completion=False, pretty_exceptions_enable=False, context_settings=HELP)
    shell.command()(getattr(import_module(module), function))
    return get_command(shell)


class LazyGroup(TyperGroup):
    """Commands that are listed by name and imported when they are called: `--help` imports none of them."""

    @property
    def prefix(self) -> str:
        return "" if self.name == app.info.name else f"{self.name} "

    def list_commands(self, ctx: Any) -> list[str]:
        own = (name.removeprefix(self.prefix) for name in COMMANDS if name.startswith(self.prefix))
        return [*(name for name in own if " " not in name), *super().list_commands(ctx)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        found = COMMANDS.get(self.prefix + cmd_name)
        return super().get_command(ctx, cmd_name) if found is None else TyperCommand(cmd_name, short_help=found[1])

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        whole = f"{self.prefix}{name}"
        return name, load(whole) if whole in COMMANDS else command, rest


# rich alone takes longer than all the rest of a list of commands, so these are plain.
SHELL: dict[str, Any] = {
    "no_args_is_help": True,
    "pretty_exceptions_enable": False,
    "rich_markup_mode": None,
    "context_settings": HELP,
}
app = typer.Typer(name="mixed-r1", cls=LazyGroup, **SHELL)
data_app = typer.Typer(cls=LazyGroup, **SHELL)
app.add_typer(data_app, name="data", short_help="Build training data: parquet files that verl reads.")


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"mixed-r1-verl {__version__}")
        raise typer.Exit()


@app.callback()
def mixed_r1(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Mixed-R1 for verl: score, check and build data, and see whether the installation is sound."""


@data_app.callback()
def data() -> None:
    """Build training data: parquet files that verl reads, from published datasets."""


def main() -> None:
    """Entry point of the console script."""
    app()
