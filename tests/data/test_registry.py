"""The registry of converters, and the table that is printed from it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.data.registry import converters, documentation, get_converter, markdown_table

PAGE = Path(__file__).parent.parent.parent / "docs" / "data.md"

NAMED = set(
    [
        "ai2d",
        "vsr",
        "vqav2",
        "visual_genome",
        "textvqa",
        "tallyqa",
        "stvqa",
        "mathverse",
        "infovqa",
        "grefcoco",
        "gqa",
        "docvqa",
        "coco_labels",
        "aokvqa",
        "iconqa",
        "bccd",
        "chart_to_text",
        "chartqa",
        "clevr",
        "coco_captions",
        "coco_detection",
        "docci",
        "dvqa",
        "easy_vqa",
        "figureqa",
        "flickr30k_entities",
        "flickr8k",
        "geometry3k",
        "geoqa",
        "gqa_yes_no",
        "imageinwords",
        "llama_factory",
        "llava",
        "llava_detail",
        "lmm_r1",
        "m3cot",
        "math_v",
        "mathvista",
        "ms_swift",
        "nlvr",
        "nlvr2",
        "opencqa",
        "parquet",
        "plotqa",
        "pope",
        "r1_v",
        "refcoco",
        "refcoco_plus",
        "refcocog",
        "scienceqa",
        "screenspot",
        "sharegpt4v",
        "tabmwp",
        "vlm_r1",
        "voc",
        "vqav2_yes_no",
    ]
)


def test_every_dataset_that_is_promised_has_a_converter():
    assert set(converters()) >= NAMED


@pytest.mark.parametrize("name", sorted(converters()))
def test_a_converter_documents_itself(name):
    text = documentation(name)
    converter = get_converter(name)
    assert converter.splits and converter.licence and converter.source
    assert "Source: " in text or name in text
    for word in ("icence", "Raw layout", "What each"):
        assert word in text, word


def test_unknown_name_is_answered_with_the_nearest():
    with pytest.raises(DataError, match="did you mean 'chartqa'"):
        get_converter("chartqq")


def test_the_page_holds_the_printed_table():
    """After a change of a converter: `mixed-r1 data list --markdown` prints what belongs between the marks."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition("<!-- converters -->\n")
    assert rest.partition("<!-- /converters -->")[0] == markdown_table()


PROJECT = """
[project]
name = "our-converters"
version = "1"

[project.entry-points."mixed_r1_verl.converters"]
ours = "our_converters"
broken = "our_converters_broken"

[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[tool.setuptools]
packages = ["our_converters"]
py-modules = ["our_converters_broken"]
"""
MODULE = '''"""Ours: questions of our own.

Source: us.
"""

from mixed_r1_verl.data import Converter, Example, RawFolder, Row, RowError
from mixed_r1_verl.data.fields import record, text_field


def rows(raw: RawFolder, split):
    yield from raw.json_lines("rows.jsonl")


def convert(row: Row) -> Example:
    value = record(row.data)
    if "id" not in value:
        raise RowError("id", "missing")
    return Example(id=value["id"], question=text_field(value, "question"), reward="matching", answer="yes")


CONVERTERS = (
    Converter("ours", rows, convert, ("train",), "ours", "us"),
    Converter("chartqa", rows, convert, ("train",), "ours", "us"),
)
'''


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A small distribution with a converter, installed for real; runs `mixed-r1` where it can be seen."""
    project, target = tmp_path_factory.mktemp("project"), tmp_path_factory.mktemp("site")
    (project / "our_converters").mkdir()
    (project / "pyproject.toml").write_text(PROJECT)
    (project / "our_converters" / "__init__.py").write_text("")
    (project / "our_converters" / "questions.py").write_text(MODULE)
    (project / "our_converters_broken.py").write_text("import no_such_module\n")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*pip, "--no-index", "--target", str(target), str(project)], check=True, capture_output=True)

    def run(*arguments: object) -> subprocess.CompletedProcess:
        command = [sys.executable, "-c", "from mixed_r1_verl.cli import main; main()", *map(str, arguments)]
        environment = os.environ | {"PYTHONPATH": str(target), "COLUMNS": "200"}
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    return run


@pytest.mark.parametrize("workers", [1, 2])
def test_a_converter_of_another_distribution(installed, tmp_path, workers):
    lines = [json.dumps({"id": str(number), "question": "Is it?"}) for number in range(3)]
    (tmp_path / "rows.jsonl").write_text("\n".join([*lines, "{}"]))
    output = tmp_path / "ours.parquet"
    found = installed("data", "convert", "ours", "--input", tmp_path, "--output", output, "--workers", workers)
    assert found.returncode == 0, found.stderr
    assert "read 4, written 3, rejected 1" in found.stdout
    assert [row["data_source"] for row in pq.read_table(output).to_pylist()] == ["ours"] * 3
    assert installed("check", output).returncode == 0


def test_what_another_distribution_breaks_is_said_and_breaks_nothing_else(installed):
    found = installed("data", "list")
    assert found.returncode == 0
    assert "Ours: questions of our own." in found.stdout and "ChartQA: " in found.stdout
    assert "our_converters_broken: ModuleNotFoundError No module named 'no_such_module'" in found.stderr
    assert "mixed_r1_verl.data_preprocess.charts has a converter 'chartqa' already" in found.stderr
    assert "Ours: questions" not in installed("data", "list", "chartqa").stdout
    assert "not loaded: our_converters_broken" in installed("data", "list", "theirs").stderr
