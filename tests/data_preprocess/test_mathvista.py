"""MathVista."""


def test_forms_of_answers(tmp_path, convert, picture, expected, write_json):
    root = tmp_path / "raw"
    data = picture(root / "data" / "images" / "1.jpg")
    base = {"image": "images/1.jpg", "choices": None, "unit": None, "precision": None, "metadata": {}}
    records = {
        "1": {**base, "pid": "1", "question": "Is it?\r\nSay.", "choices": ["Yes", "No"], "answer": "No"},
        "2": {**base, "pid": "2", "question": "How old?", "answer": "9", "unit": "years"},
        "3": {**base, "pid": "3", "question": "Mean?", "answer": "197.3", "precision": 1.0},
        "4": {**base, "pid": "4", "question": "Counts?", "answer": "[0, 2, 0, 2]"},
        "5": {**base, "pid": "5", "question": "Which?", "choices": ["a", "b"], "answer": "c"},
        "6": {**base, "pid": "6", "question": "Which?", "answer": "3", "image": None},
    }
    write_json(root / "data" / "testmini.json", records)
    result = convert("mathvista", root, "testmini")
    cell = {"bytes": data, "path": "data/images/1.jpg"}
    letter, free = "Answer with the letter of the right option.", "Answer with a number or an expression."
    source = ("mathvista", "testmini")
    assert result.rows == [
        expected(
            *source,
            "1",
            0,
            "matching",
            "Is it?\nSay.",
            "B",
            letter,
            images=[cell],
            choices=("Yes", "No"),
            shown="Is it?\nSay.\nA. Yes\nB. No",
        ),
        expected(*source, "2", 1, "math", "How old? (unit: years)", "9", free, images=[cell]),
        expected(*source, "3", 2, "math", "Mean? (decimals: 1)", "197.3", free, images=[cell]),
        expected(*source, "4", 3, "math", "Counts?", "[0, 2, 0, 2]", free, images=[cell]),
    ]
    assert [r[2:] for r in result.rejects] == [("answer", "answer_not_in_choices"), ("image", "missing")]
