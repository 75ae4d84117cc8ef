"""The generic converters: files, turns, counts, and what the user says of them."""

import json

import pytest
from records import outcome_of, png, talk

from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.data.raw import Told


@pytest.mark.parametrize("converter", ["vlm_r1", "ms_swift", "llama_factory", "parquet"])
def test_all_generic_converters_read_the_same(tmp_path, converter):
    record = talk("Which?\nA. one\nB. two", "B")
    (outcome,) = outcome_of(tmp_path, record, Told(), converter)
    assert outcome.row["extra_info"]["choices"] == ["one", "two"]


@pytest.mark.parametrize("converter", ["llava", "parquet"])
def test_turns(tmp_path, converter):
    """Pairs of `texts` are rows of their own; later turns of a conversation only where that is said, else counted."""
    pairs = {
        "images": ["x.png"],
        "texts": [{"user": "How many?", "assistant": "4"}, {"user": "Is it?", "assistant": "no"}],
    }
    found = outcome_of(tmp_path, pairs, Told(), converter)
    assert [one.row["reward_model"]["ground_truth"] for one in found] == ["4", "no"]
    assert len({one.row["extra_info"]["id"] for one in found}) == 2
    both = talk("How many?", "4")
    both["conversations"] += [{"from": "human", "value": "And red?"}, {"from": "gpt", "value": "2"}]
    (first,) = outcome_of(tmp_path, both, Told(), converter)
    assert (first.row["reward_model"]["ground_truth"], first.example.dropped_turns) == ("4", 1)
    every = outcome_of(tmp_path, both, Told(turns="all"), converter)
    assert [one.row["reward_model"]["ground_truth"] for one in every] == ["4", "2"]
    assert [one.example.dropped_turns for one in every] == [0, 0]


def test_what_is_said_and_counted(tmp_path, convert):
    """Options of the user hold for every row; the summary says how many rows were decided how."""
    (tmp_path / "x.png").write_bytes(png())
    rows = [talk("How many?", "4"), talk("Is it?", "Yes"), talk("How many?", "5")]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    result = convert("llava", tmp_path, "train", told=Told(data_source="mine", answer_type="number"))
    assert {row["data_source"] for row in result.rows} == {"mine"}
    assert {row["extra_info"]["answer_type"] for row in result.rows} == {"number"}
    assert result.rows[0]["extra_info"]["id"] == "mine/train/a.json/0"
    summary = json.loads(result.path.with_name("llava-train.summary.json").read_text())
    assert summary["how"] == {"matching: a number": 2, "matching: yes or no": 1}


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (Told(box_frame="norm100"), "unknown box frame 'norm100'"),
        (Told(box_frame="resized:qwen9"), "qwen9"),
        (Told(answer_type="nmber"), "did you mean 'number'"),
        (Told(columns=(("qestion", "a"),)), "'qestion' is none of"),
        (Told(reward="mathcing"), "did you mean 'matching'"),
    ],
)
def test_options_that_are_refused(tmp_path, convert, told, message):
    (tmp_path / "a.json").write_text(json.dumps([talk("How many?", "4")]))
    with pytest.raises(DataError, match=message):
        convert("llava", tmp_path, "train", told=told)
