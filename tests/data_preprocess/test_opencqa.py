"""OpenCQA."""


def test_positions_and_extensions_that_lie(tmp_path, convert, picture, expected, write_json):
    root = tmp_path / "raw"
    picture(root / "chart_images" / "7.png", format="GIF")
    value = ["7.png", "Garbled", "The summary holds it .", "How many ?", "about ( three ) , I say .", "three ."]
    write_json(root / "etc" / "data" / "val.json", {"7": value, "8": ["8.png", "short"], "9": ["9.png", *value[1:]]})
    result = convert("opencqa", root, "val")
    stored = result.rows[0]["images"][0]["bytes"]
    assert stored.startswith(b"\x89PNG")
    assert result.rows == [
        expected(
            "opencqa",
            "val",
            "7",
            0,
            "open_ended",
            "How many?",
            "about (three), I say.",
            "Answer with a description.",
            images=[{"bytes": stored, "path": "chart_images/7.png"}],
        )
    ]
    assert [r[2:] for r in result.rejects] == [("record", "wrong_length"), ("image", "image_missing")]
