"""The schema: exact Arrow types, and rows that round-trip through parquet."""

import json
import math

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixed_r1_verl.core.boxes import format_boxes
from mixed_r1_verl.data import Example, references_json
from mixed_r1_verl.data.schema import (
    build_row,
    image_form,
    row_schema,
    rows_to_table,
    same_type,
)


def row(**changes):
    example = Example(id="7", question="Is it red?", reward="matching", answer="yes", choices=())
    arguments = {
        "data_source": "toy",
        "split": "train",
        "index": 3,
        "images": [{"bytes": b"png", "path": "a.png"}],
        "width": 4,
        "height": 5,
        "ground_truth": "yes",
    }
    return build_row(example, **(arguments | changes))


def test_row_field_by_field():
    assert row() == {
        "data_source": "toy",
        "prompt": [
            {
                "role": "user",
                "content": "<image>\nIs it red?\nAnswer with yes or no. "
                "Reply as <think>your reasoning</think><answer>your answer</answer>.",
            }
        ],
        "images": [{"bytes": b"png", "path": "a.png"}],
        "ability": "matching",
        "reward_model": {"style": "rule", "ground_truth": "yes"},
        "extra_info": {
            "id": "toy/train/7",
            "split": "train",
            "index": 3,
            "reward": "matching",
            "choices": [],
            "question": "Is it red?",
            "width": 4,
            "height": 5,
            "answer_type": "",
        },
    }


@pytest.mark.parametrize(
    ("form", "cells"), [("bytes", [{"bytes": b"x", "path": ""}]), ("path", [{"image": "/a/b.png"}])]
)
def test_types_do_not_depend_on_the_values(tmp_path, form, cells):
    """Empty lists and empty texts must not become null columns: verl refuses to concatenate these."""
    full, empty = row(images=cells), row(images=[])
    for name, rows in (("a", [full]), ("b", [empty])):
        pq.write_table(rows_to_table(rows, form), tmp_path / f"{name}.parquet")
    schemas = [pq.read_schema(tmp_path / f"{name}.parquet") for name in "ab"]
    assert schemas[0].equals(schemas[1])
    assert image_form(schemas[0]) == form
    assert all(same_type(f.type, row_schema(form).field(f.name).type) for f in schemas[0])
    assert pq.read_table(tmp_path / "a.parquet").to_pylist() == [full]


def test_image_form_of_other_columns():
    assert image_form(pa.schema([("images", pa.list_(pa.string()))])) is None
    assert image_form(pa.schema([("prompt", pa.string())])) is None


@given(st.lists(st.tuples(*[st.floats(-5000, 5000)] * 4), max_size=5))
def test_boxes_are_json_within_half_a_hundredth(boxes):
    read = json.loads(format_boxes(boxes))
    assert len(read) == len(boxes)
    for got, wanted in zip(read, boxes, strict=True):
        assert all(math.isclose(a, b, abs_tol=0.00501) for a, b in zip(got, wanted, strict=True))


@pytest.mark.parametrize("box", [(1, 2, 3), (1, 2, 3, math.nan), (1, 2, 3, math.inf)])
def test_boxes_that_are_none(box):
    with pytest.raises(ValueError, match="not a box"):
        format_boxes([box])


@pytest.mark.parametrize(
    ("references", "text"),
    [(["A cat."], "A cat."), (["[1] A cat."], '["[1] A cat."]'), (["a", "b\n"], '["a", "b\\n"]')],
    ids=["one", "one_that_looks_like_json", "several"],
)
def test_references(references, text):
    assert references_json(references) == text
