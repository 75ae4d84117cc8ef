"""A planted run that games its reward: what training is paid for rises, what validation counts as right falls."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from report_run import TASKS, data_rows, dumped, write_lines

from mixed_r1_verl.data.schema import row_schema

STEPS, GAMED, CHEAT = 24, "open_ended", "a picture of a thing of the kind that is shown in it"


def make_gamed_run(folder: Path) -> Path:
    """The rows of `report_run`, of which one kind is paid ever more for one empty text; the others learn honestly."""
    for split in ("train", "val"):
        pq.write_table(pa.Table.from_pylist(data_rows(split), row_schema("bytes")), folder / f"{split}.parquet")
    for step in range(STEPS + 1):
        for split, part in (("train", "rollouts"), ("val", "validation")):
            if step % 3 and part == "validation":
                continue
            lines = []
            for number, (row, (kind, _, _, right, wrong)) in enumerate(zip(data_rows(split), TASKS, strict=True)):
                for sample in range(8):
                    cheats = kind == GAMED and sample * STEPS < step * 8
                    knows = kind == GAMED or (sample + 1) * STEPS <= step * 8
                    answer = CHEAT if cheats else right if knows else wrong
                    line = dumped(row, answer, step, f"{split}{step}{number}_{sample}_0", part == "validation")
                    if cheats or (kind == GAMED and part == "rollouts"):
                        line["score"] = 0.95 if cheats else 0.5  # what the planted reward pays
                    lines.append(line)
            write_lines(folder / part / f"{step}.jsonl", lines if part == "validation" or step else [])
    (folder / ".hydra").mkdir()
    (folder / ".hydra" / "config.yaml").write_text(
        f"data: {{train_files: {folder}/train.parquet, val_files: {folder}/val.parquet}}\n"
    )
    return folder
