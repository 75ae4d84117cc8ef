"""The registry of converters, and the table that is printed from it."""

from pathlib import Path

import pytest

from mixed_r1_verl.core.rows import DataError
from mixed_r1_verl.data.registry import converters, documentation, get_converter, markdown_table

PAGE = Path(__file__).parent.parent.parent / "docs" / "data.md"

NAMED = set(
    [
        "ai2d",
        "aokvqa",
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
