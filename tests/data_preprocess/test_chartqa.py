"""ChartQA in its original layout and in ChartQA-Split's."""

import pytest

CHART = "Answer with a number or a short label."


def test_original_layout(tmp_path, convert, picture, expected, write_json):
    root = tmp_path / "ChartQA"
    folder = root / "ChartQA Dataset" / "val"
    data = picture(folder / "png" / "7.png")
    write_json(
        folder / "val_human.json", [{"imgname": "7.png", "query": "Which years\ufffd peak? ", "label": "[2013, 2016]"}]
    )
    write_json(folder / "val_augmented.json", [{"imgname": "7.png", "query": "How many?", "label": "140300"}])
    cell = {"bytes": data, "path": "ChartQA Dataset/val/png/7.png"}
    assert convert("chartqa", root, "val").rows == [
        expected("chartqa", "val", "val_augmented/0", 0, "chart", "How many?", "140300", CHART, images=[cell]),
        expected(
            "chartqa", "val", "val_human/0", 1, "chart", "Which years peak?", "[2013, 2016]", CHART, images=[cell]
        ),
    ]


def test_split_layout_keeps_equal_names_apart(tmp_path, convert, picture, write_json):
    for kind in ("simple", "complex"):
        picture(tmp_path / "raw" / "dataset" / kind / "png" / "a.png", mode="RGBA")
        record = {"imgname": "a.png", "query": f"A {kind} one?", "label": "Yes"}
        write_json(tmp_path / "raw" / "dataset" / kind / "test_human_simple.json", [record])
    result = convert("chartqa", tmp_path / "raw", "test")
    assert [row["extra_info"]["id"] for row in result.rows] == [
        "chartqa/test/simple/test_human_simple/0",
        "chartqa/test/complex/test_human_simple/0",
    ]
    assert not result.rejects


@pytest.mark.parametrize(
    ("record", "field", "reason"),
    [
        ({"imgname": "7.png", "query": "Q?"}, "label", "missing"),
        ({"imgname": "7.png", "query": "", "label": "3"}, "query", "empty"),
        ({"query": "Q?", "label": "3"}, "imgname", "missing"),
        ({"imgname": "8.png", "query": "Q?", "label": "3"}, "image", "image_missing"),
        ({"imgname": "../../../../../x.png", "query": "Q?", "label": "3"}, "image", "path_escape"),
    ],
)
def test_faulty_records(tmp_path, convert, picture, write_json, record, field, reason):
    folder = tmp_path / "raw" / "test"
    picture(folder / "png" / "7.png")
    write_json(folder / "test_human.json", [record, {"imgname": "7.png", "query": "Q?", "label": "3"}])
    result = convert("chartqa", tmp_path / "raw", "test")
    assert [reject[2:] for reject in result.rejects] == [(field, reason)]
    assert len(result.rows) == 1
