"""The command line `mixed-r1`. Each command lives with its subject; this file only gathers them."""

import typer

from mixed_r1_verl.audit.cli import audit_command
from mixed_r1_verl.data.cli import app as data_app
from mixed_r1_verl.data.cli import check_command
from mixed_r1_verl.doctor import doctor
from mixed_r1_verl.engine.cli import build_command
from mixed_r1_verl.plan.cli import plan_command
from mixed_r1_verl.report.cli import report_command
from mixed_r1_verl.responses.eval import eval_command
from mixed_r1_verl.responses.score import score_command

app = typer.Typer(
    name="mixed-r1",
    help="Mixed-R1 for verl: score, check and build data, and see whether the installation is sound.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
data_app.command("build")(build_command)
app.add_typer(data_app, name="data")
app.command("score")(score_command)
app.command("eval")(eval_command)
app.command("report")(report_command)
app.command("check")(check_command)
app.command("audit")(audit_command)
app.command("plan")(plan_command)
app.command()(doctor)


def main() -> None:
    """Entry point of the console script."""
    app()
