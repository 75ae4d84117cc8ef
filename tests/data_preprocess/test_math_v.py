"""MATH-Vision."""


def test_letters_options_and_free_answers(tmp_path, convert, picture, expected, write_json):
    root = tmp_path / "raw"
    data = picture(root / "images" / "1.jpg")
    common = {"image": "images/1.jpg", "solution": None, "level": 1, "subject": "counting"}
    write_json(
        root / "data" / "testmini.jsonl",
        [
            {"id": "1", "question": "How many?\n<image1>", "options": [], "answer": "12", **common},
            {"id": "2", "question": "Which?\n<image1><image2>", "options": ["A", "B"], "answer": "B", **common},
            {"id": "3", "question": "What?", "options": ["$\\pi$", "3"], "answer": "A", **common},
            {"id": "4", "question": "What?", "options": ["1", "3"], "answer": "C", **common},
            {"id": "5", "question": "What?", "options": ["1", "3"], "answer": "AB", **common},
        ],
    )
    result = convert("math_v", root, "testmini")
    cell = {"bytes": data, "path": "images/1.jpg"}
    free, letter = "Answer with a number or an expression.", "Answer with the letter of the right option."
    assert result.rows == [
        expected(
            "math_v",
            "testmini",
            "1",
            0,
            "math",
            "How many?\n<image1>",
            "12",
            free,
            images=[cell],
            shown="How many?\n[image1]",
        ),
        expected(
            "math_v",
            "testmini",
            "2",
            1,
            "matching",
            "Which?\n<image1><image2>",
            "B",
            letter,
            images=[cell],
            choices=("A", "B"),
            shown="Which?\n[image1][image2]\nA.\nB.",
        ),
        expected(
            "math_v",
            "testmini",
            "3",
            2,
            "matching",
            "What?",
            "A",
            letter,
            images=[cell],
            choices=("$\\pi$", "3"),
            shown="What?\nA. $\\pi$\nB. 3",
        ),
    ]
    assert [reject[2:] for reject in result.rejects] == [("answer", "answer_not_in_choices")] * 2
