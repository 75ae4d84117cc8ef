"""The command `mixed-r1 audit`."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from mixed_r1_verl.audit.audit import AuditReport, KindAudit, audit_rows
from mixed_r1_verl.core.console import (
    FAILED,
    OK,
    EmbeddingModel,
    PrintedAs,
    Settings,
    command_errors,
    parse_settings,
    print_json,
    terminal,
)
from mixed_r1_verl.responses.read import sound_rows
from mixed_r1_verl.responses.summary import plain_table
from mixed_r1_verl.rewards.config import MixedRewardConfig

DEMO_ROWS = Path(__file__).parent / "assets" / "rows.jsonl"
"""What is audited without a file: rows about rendered scenes, sixty each of matching, chart, iou and open_ended."""

SHOWN = 8  # attacks of each kind that are printed, those nearest to their bar; those that pay always are


def print_audit(report: AuditReport, console: Console, all_attacks: bool = False) -> None:
    """The report as a table: honest, unrelated and attack means side by side."""
    for audit in report.kinds:
        most = max(SHOWN, sum(attack.pays for attack in audit.attacks))
        _print_kind(audit, console, len(audit.attacks) if all_attacks else most)
    if report.passed:
        console.print("no attack pays")
    for kind, attack in report.paying:
        console.print(f"{kind}: {attack.name} pays {attack.mean:.3f}, above its bar of {attack.bar:.3f}")


def _print_kind(audit: KindAudit, console: Console, shown: int) -> None:
    broken = f", {audit.broken} more cannot be scored (see `mixed-r1 check`)" if audit.broken else ""
    console.print(f"[bold]{audit.kind}[/bold]: {audit.rows} rows{broken}")
    if audit.not_audited:
        console.print(f"  not audited: {audit.not_audited}\n", style="red")
        return
    table = plain_table("  attack", numbers=("honest", "unrelated", "constant", "attack", "bar", ""))
    constant = "" if audit.constant is None else f"{audit.constant:.3f}"
    means = (f"{audit.honest:.3f}", f"{audit.unrelated:.3f}", constant)
    for attack in audit.attacks[:shown]:
        score, bar, verdict = f"{attack.mean:.3f}", f"{attack.bar:.3f}", "PAYS" if attack.pays else ""
        table.add_row(f"  {attack.name}", *means, score, bar, verdict, style="red" if attack.pays else None)
    console.print(table)
    if hidden := audit.attacks[shown:]:
        best = max(attack.mean for attack in hidden)
        console.print(f"  {len(hidden)} more attacks earn at most {best:.3f} (--all lists them)", style="dim")
    console.print()


def audit_command(
    file: Annotated[
        Path | None,
        typer.Argument(
            help="Parquet or JSONL with data_source, reward_model and extra_info; default: rendered scenes."
        ),
    ] = None,
    rows: Annotated[int, typer.Option(min=2, help="Rows of each reward kind that are drawn.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the draw and of random attacks.")] = 0,
    embedding_model: EmbeddingModel = None,
    set_: Settings = None,
    all_attacks: Annotated[
        bool, typer.Option("--all", help="List every attack, not only those nearest to paying.")
    ] = False,
    format: PrintedAs = "table",
) -> None:
    """Attack the rewards: can they be earned without looking at the picture?

    Example: mixed-r1 audit train.parquet --embedding-model Qwen/Qwen2.5-VL-3B-Instruct

    Prints what honest, unrelated and attack answers earn, and exits with 1 if an attack pays or a kind of reward
    could not be audited.
    """
    with command_errors():
        config = MixedRewardConfig.from_mapping(parse_settings(set_, embedding_model=embedding_model))
        report = audit_rows(list(sound_rows(file or DEMO_ROWS)), config, rows_per_kind=rows, seed=seed)
    if format == "json":
        print_json(report.as_dict())
    else:
        print_audit(report, terminal(), all_attacks)
    raise typer.Exit(OK if report.passed else FAILED)
