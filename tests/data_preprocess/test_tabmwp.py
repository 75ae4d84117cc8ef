"""TabMWP."""

LETTER, CHART = "Answer with the letter of the right option.", "Answer with a number or a short label."


def test_options_units_and_faults(tmp_path, convert, picture, expected, write_json):
    root = tmp_path / "raw" / "data" / "tabmwp"
    cells = {}
    for key in ("33", "245", "7", "8", "9"):
        cells[key] = [{"bytes": picture(root / "tables" / f"{key}.png"), "path": f"data/tabmwp/tables/{key}.png"}]
    records = {
        "33": {"question": "Linear?", "choices": ["linear", "nonlinear"], "answer": "nonlinear", "unit": None},
        "245": {"question": "How much?", "choices": None, "answer": "8.20", "unit": "$", "table": "a | b"},
        "7": {"question": "What is the probability?", "choices": None, "answer": "3/20", "unit": None},
        "8": {"question": "Which?", "choices": ["a", "b"], "answer": "c", "unit": None},
        "9": {"question": "Which?", "choices": ["a", "a"], "answer": "a", "unit": None},
        "10": {"question": "How many?", "choices": None, "answer": "4,727", "unit": None},
    }
    write_json(root / "problems_dev1k.json", records)
    result = convert("tabmwp", tmp_path / "raw", "dev1k")
    choices = ("linear", "nonlinear")
    shown = "Linear?\nA. linear\nB. nonlinear"
    assert result.rows == [
        expected(
            "tabmwp",
            "dev1k",
            "33",
            0,
            "matching",
            "Linear?",
            "B",
            LETTER,
            images=cells["33"],
            choices=choices,
            shown=shown,
        ),
        expected("tabmwp", "dev1k", "245", 1, "chart", "How much? (unit: $)", "8.20", CHART, images=cells["245"]),
        expected("tabmwp", "dev1k", "7", 2, "chart", "What is the probability?", "3/20", CHART, images=cells["7"]),
    ]
    assert [(r[0].rpartition("#")[2], *r[2:]) for r in result.rejects] == [
        ("8", "answer", "answer_not_in_choices"),
        ("9", "answer", "answer_ambiguous"),
        ("10", "image", "image_missing"),
    ]
