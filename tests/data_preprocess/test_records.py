"""Datasets that are entries of a table: what a resumed run depends on, and that workers can read every entry."""

import os
import pickle
import subprocess
import sys

import pytest
from mixed_r1_verl.data_preprocess import charts, descriptions, detection, exams, photographs, places

from mixed_r1_verl.core.code import imported_modules
from mixed_r1_verl.data.convert import converter_code

TABLES = (charts, descriptions, detection, exams, photographs, places)
ENTRIES = [(table, converter) for table in TABLES for converter in table.CONVERTERS]


@pytest.mark.parametrize(("table", "converter"), ENTRIES, ids=[converter.name for _, converter in ENTRIES])
def test_an_entry_travels_to_workers_and_its_table_is_part_of_the_task(monkeypatch, table, converter):
    assert pickle.loads(pickle.dumps(converter.convert))
    asked = []
    monkeypatch.setattr("mixed_r1_verl.data.convert.running_code", lambda *names: asked.extend(names) or "")
    converter_code(converter)
    assert table.__name__ in imported_modules(*asked)


ROW = """
from pathlib import Path
from mixed_r1_verl.data import RawFolder
from mixed_r1_verl.data.registry import get_converter
folder = Path({folder!r})
(folder / "qa").mkdir(exist_ok=True)
fields = ["question", "image", "answer", "question_id", "template_id", "question_type"]
(folder / "qa" / "train_qa.json").write_text("[{{" + ", ".join(f'"{{name}}": "{{name}}"' for name in fields) + "}}]")
print(list(next(get_converter("dvqa").rows(RawFolder(folder), "train")).data["record"]))
"""


def test_a_row_is_the_same_in_every_process(tmp_path):
    """A run that goes on holds rows against those of the process before: no order may come out of a set."""
    seen = set()
    for seed in "123":
        command = [sys.executable, "-c", ROW.format(folder=str(tmp_path))]
        run = subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        seen.add(run.stdout)
    assert len(seen) == 1
