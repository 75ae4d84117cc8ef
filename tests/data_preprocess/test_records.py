"""Datasets that are entries of a table: what a resumed run depends on, and that workers can read every entry."""

import pickle

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
    monkeypatch.setattr("mixed_r1_verl.data.convert.code_digest", lambda *names: asked.extend(names) or "")
    converter_code(converter)
    assert table.__name__ in imported_modules(*asked)
