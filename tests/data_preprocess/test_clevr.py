"""CLEVR."""


def question(index: int, answer: str | None, text: str = "How many cubes are there?") -> dict:
    record = {"question_index": index, "image_filename": "CLEVR_train_000000.png", "question": text, "program": []}
    return record | ({} if answer is None else {"answer": answer})


def test_counts_words_and_missing_answers(tmp_path, convert, picture, expected, write_json):
    root = tmp_path / "raw"
    data = picture(root / "CLEVR_v1.0" / "images" / "train" / "CLEVR_train_000000.png")
    records = [question(0, "2"), question(1, None), question(2, "no", "Is it shiny?")]
    write_json(root / "CLEVR_v1.0" / "questions" / "CLEVR_train_questions.json", {"info": {}, "questions": records})
    result = convert("clevr", root, "train")
    cell = {"bytes": data, "path": "CLEVR_v1.0/images/train/CLEVR_train_000000.png"}
    word, yes_no = "Answer with one word or number.", "Answer with yes or no."
    assert result.rows == [
        expected("clevr", "train", "0", 0, "matching", "How many cubes are there?", "2", word, images=[cell]),
        expected("clevr", "train", "2", 2, "matching", "Is it shiny?", "no", yes_no, images=[cell]),
    ]
    where = "CLEVR_v1.0/questions/CLEVR_train_questions.json#1"
    assert result.rejects == [(where, "convert", "answer", "missing")]
