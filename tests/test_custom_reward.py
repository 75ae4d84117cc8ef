"""A reward kind of a user's own, a bare function with two columns of its own, on its way through every command."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from training import Run
from typer.testing import CliRunner

from examples.demo.data import build_demo
from mixed_r1_verl.cli import app
from mixed_r1_verl.data.schema import row_schema

OWN = "custom.closeness=own_rewards:closeness"


@pytest.fixture(scope="module")
def own_rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Demo rows whose open-ended ones name the user's reward and carry its columns."""
    folder = tmp_path_factory.mktemp("own")
    build_demo(folder, rows=64, val_rows=16)
    schema = row_schema("bytes")
    info = schema.field("extra_info").type
    own = pa.struct([*info, ("difficulty", pa.int64()), ("unit", pa.string())])
    place = schema.get_field_index("extra_info")
    schema = schema.set(place, pa.field("extra_info", own))
    for name in ("train", "val"):
        rows = pq.read_table(folder / f"{name}.parquet").to_pylist()
        for number, row in enumerate(rows):
            row["extra_info"] |= {"difficulty": number % 3, "unit": None}
            if row["extra_info"]["reward"] == "open_ended":
                row["extra_info"]["reward"] = "closeness"
        pq.write_table(pa.Table.from_pylist(rows, schema), folder / f"{name}.parquet")
    return folder


def test_check_accepts_it_when_it_is_told_of_it(own_rows: Path) -> None:
    files = [str(own_rows / f"{name}.parquet") for name in ("train", "val")]
    told = CliRunner().invoke(app, ["check", *files, "--set", OWN])
    assert told.exit_code == 0, told.output
    untold = CliRunner().invoke(app, ["check", *files])
    assert untold.exit_code == 1 and "closeness" in untold.output


def test_audit_attacks_it(own_rows: Path) -> None:
    audited = CliRunner().invoke(app, ["audit", str(own_rows / "train.parquet"), "--rows", "16", "--set", OWN])
    # A list of nouns holds the words of many a description: a reward as users write it, and what an audit is for.
    assert audited.exit_code == 1 and "closeness: " in audited.output and "PAYS" in audited.output, audited.output


@pytest.mark.verl
@pytest.mark.timeout(900)
def test_two_steps_train_with_it(own_rows: Path, tmp_path: Path, warm_model: Path) -> None:
    run = Run(
        tmp_path,
        (
            f"data.train_files={own_rows / 'train.parquet'}",
            f"data.val_files={own_rows / 'val.parquet'}",
            f"actor_rollout_ref.model.path={warm_model}",
            "trainer.val_before_train=False",
            "trainer.save_freq=-1",
            "trainer.total_training_steps=2",
            f"+reward.reward_kwargs.mixed_r1.{OWN}",
        ),
    )
    run.start()
    scores = run.scalars("mixed_r1/reward/closeness/score/mean")
    errors = run.scalars("mixed_r1/reward/closeness/error")
    assert scores and all(value > 0 for value in scores.values())
    assert set(errors.values()) == {0.0}
