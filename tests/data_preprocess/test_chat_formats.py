"""LLaVA, VLM-R1, ms-swift, LLaMA-Factory, R1-V and LMM-R1 files."""

import json

from mixed_r1_verl.data.convert import Options, convert_dataset
from mixed_r1_verl.data.raw import RawFolder
from mixed_r1_verl.data.registry import get_converter

WORD, DESCRIBE = "Answer with one word or number.", "Answer with a description."


def talk(question: str, answer: str) -> list[dict]:
    return [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]


def test_llava(tmp_path, convert, picture, expected, write_json):
    root, images = tmp_path / "raw", tmp_path / "coco"
    cells = [{"bytes": picture(root / "a.png"), "path": "a.png"}]
    coco = [{"bytes": picture(images / "000000000007.jpg"), "path": "000000000007.jpg"}]
    write_json(root / "a.json", [{"image": "a.png", "conversations": talk("How many?\n<image>", "6")}])
    write_json(
        root / "b.jsonl",
        [
            {"image": "COCO_val2014_000000000007.jpg", "instruction": "Where?", "output": "It lies on the floor."},
            {"image": "000000000007.jpg", "captions": ["A  cat.", "Cats."], "instances": []},
            {"question_id": 1, "image": "000000000007.jpg", "text": "What?"},
            {"image": 5, "conversations": talk("What?", "x")},
        ],
    )
    result = convert("llava", root, "train", image_root=images)
    source = ("llava", "train")
    caption = "Describe the picture in one sentence."
    assert result.rows == [
        expected(*source, "a.json/0", 0, "matching", "How many?", "6", WORD, images=cells),
        expected(*source, "b.jsonl/1", 1, "open_ended", "Where?", "It lies on the floor.", DESCRIBE, images=coco),
        expected(*source, "b.jsonl/2", 2, "open_ended", caption, '["A cat.", "Cats."]', DESCRIBE, images=coco),
    ]
    assert [r[2:] for r in result.rejects] == [("answer", "missing"), ("image", "not_text")]


def test_vlm_r1_with_two_pictures(tmp_path, convert, picture, expected, write_json):
    root = tmp_path / "raw"
    cells = [{"bytes": picture(root / name), "path": name} for name in ("a.png", "b.png")]
    record = {"id": 11, "image": ["a.png", "b.png"], "conversations": talk("Which defect?", "No Response")}
    grounding = {"image": "a.png", "conversations": talk("<image>Where?", "[3, 2, 10, 12]")}
    write_json(root / "gui.jsonl", [record, record, grounding])
    boxes = "Answer with a JSON list of boxes [[x1,y1,x2,y2]]."
    source = ("vlm_r1", "train")
    assert convert("vlm_r1", root, "train").rows == [
        expected(*source, "gui.jsonl/1", 0, "matching", "Which defect?", "No Response", WORD, images=cells),
        expected(*source, "gui.jsonl/2", 1, "matching", "Which defect?", "No Response", WORD, images=cells),
        expected(*source, "gui.jsonl/3", 2, "iou", "Where?", "[[3,2,10,12]]", boxes, images=cells[:1]),
    ]


def test_ms_swift(tmp_path, convert, picture, expected, write_json):
    root = tmp_path / "raw"
    cells = [{"bytes": picture(root / "a.png"), "path": "a.png"}]
    write_json(
        root / "swift.jsonl",
        [
            {"query": "<img>a.png</img>What?", "response": "cat"},
            {"query": "What?", "response": "cat", "images": ["https://example.org/a.png"]},
            {"query": "What?", "response": "cat", "history": [["a", "b"]], "images": ["a.png"]},
            {"response": "pre-training"},
            {"messages": [{"role": "user", "content": "Text only?"}, {"role": "assistant", "content": "yes"}]},
        ],
    )
    result = convert("ms_swift", root, "train")
    text_only = expected(
        "ms_swift",
        "train",
        "swift.jsonl/5",
        4,
        "matching",
        "Text only?",
        "yes",
        "Answer with yes or no.",
        images=[],
        size=(0, 0),
    )
    text_only["prompt"][0]["content"] = text_only["prompt"][0]["content"].lstrip("\n")
    assert result.rows == [
        expected("ms_swift", "train", "swift.jsonl/1", 0, "matching", "What?", "cat", WORD, images=cells),
        text_only,
    ]
    assert [r[2:] for r in result.rejects] == [
        ("image", "image_is_url"),
        ("history", "needs_history"),
        ("question", "missing"),
    ]


def test_llama_factory_takes_the_pictures_of_the_first_question(tmp_path, convert, picture, expected, write_json):
    root = tmp_path / "raw"
    cells = {name: {"bytes": picture(root / "demo" / name), "path": f"demo/{name}"} for name in ("1.jpg", "2.jpg")}
    turns = [
        {"role": "user", "content": "<image>Who?"},
        {"role": "assistant", "content": "They are players."},
        {"role": "user", "content": "And here?<image>"},
        {"role": "assistant", "content": "Others."},
    ]
    write_json(root / "a.json", [{"messages": turns, "images": ["demo/1.jpg", "demo/2.jpg"]}, {"messages": []}])
    typed = [
        {
            "role": "user",
            "content": [{"type": "image_url", "value": "data/demo/2.jpg"}, {"type": "text", "value": "Who?"}],
        },
        {"role": "assistant", "content": [{"type": "text", "value": "They are players."}]},
    ]
    write_json(root / "b.jsonl", [{"messages": typed}])
    result = convert("llama_factory", root, "train")
    source, answer = ("llama_factory", "train"), "They are players."
    assert result.rows == [
        expected(*source, "a.json/0", 0, "open_ended", "Who?", answer, DESCRIBE, images=[cells["1.jpg"]]),
        expected(*source, "b.jsonl/1", 2, "open_ended", "Who?", answer, DESCRIBE, images=[cells["2.jpg"]]),
    ]
    assert [r[2:] for r in result.rejects] == [("messages", "missing")]


def test_r1_v(tmp_path, convert, picture, expected, write_json):
    root, images = tmp_path / "raw", tmp_path / "pictures"
    cells = [{"bytes": picture(images / "Geo170K" / "1.png"), "path": "Geo170K/1.png"}]
    base = {"image_path": "./Geo170K/1.png", "question": "How  many?"}
    write_json(root / "x.jsonl", [{**base, "ground_truth": 4}, {**base, "ground_truth": "9米"}, base])
    result = convert("r1_v", root, "test", image_root=images)
    free = "Answer with a number or an expression."
    assert result.rows == [
        expected("r1_v", "test", "x.jsonl/1", 0, "matching", "How many?", "4", WORD, images=cells),
        expected("r1_v", "test", "x.jsonl/2", 1, "math", "How many?", "9米", free, images=cells),
    ]
    assert [r[2:] for r in result.rejects] == [("ground_truth", "missing")]


def test_lmm_r1(tmp_path, convert, picture, expected, write_json):
    root, images = tmp_path / "raw", tmp_path / "pictures"
    cells = [{"bytes": picture(images / "1.jpg"), "path": "1.jpg"}]
    message = json.dumps(
        [
            {"role": "system", "content": "Solve <think>"},
            {"role": "user", "content": [{"type": "text", "text": "x"}, {"type": "image", "image": "/home/a//1.jpg"}]},
        ]
    )
    write_json(
        root / "x.jsonl",
        [
            {"question": "How many?\n", "answer": "$\\boxed{60}$", "message": message},
            {"question": "Which?\n\nA. A\nB. B", "answer": "$\\boxed{A}$", "message": message},
            {"question": "Which?", "answer": "3", "message": "[{broken"},
        ],
    )
    result = convert("lmm_r1", root, "train", image_root=images)
    free, letter = "Answer with a number or an expression.", "Answer with the letter of the right option."
    assert result.rows == [
        expected("lmm_r1", "train", "x.jsonl/1", 0, "math", "How many?", "60", free, images=cells),
        expected(
            "lmm_r1",
            "train",
            "x.jsonl/2",
            1,
            "matching",
            "Which?",
            "A",
            letter,
            images=cells,
            choices=("A", "B"),
            shown="Which?\nA.\nB.",
        ),
    ]
    assert [r[2:] for r in result.rejects] == [("message", "bad_json")]


def test_one_file_as_input(tmp_path, picture, write_json):
    """A file given as `--input` is read alone, whatever else lies beside it."""
    picture(tmp_path / "a.png")
    for name in ("a.json", "b.json"):
        write_json(tmp_path / name, [{"image": "a.png", "conversations": talk("How many?", "6")}])
    raw = RawFolder(tmp_path, only="b.json")
    summary = convert_dataset(get_converter("llava"), raw, tmp_path / "out.parquet", Options())
    assert summary.read == 1


def test_multi_chart_qa(tmp_path, convert, picture, expected, write_json):
    root = tmp_path / "raw" / "data" / "group"
    cells = [{"bytes": picture(root / name), "path": f"data/group/{name}"} for name in ("a b.png", "c.png")]
    note = "\nNote that your answer format should be as follows: Answer: The_answer_you_get"
    base = {"image": ["modified\\group\\a b.png", "modified\\group\\c.png"], "type": "open-ended"}
    records = [
        {**base, "id": "q0", "question": "First <image>. Which?\nA. cat\nB. dog" + note, "answer": "B"},
        {**base, "id": "q1", "question": "First <image>. How many?" + note, "answer": "5; 25"},
        {**base, "id": "q2", "question": "What?", "answer": "5", "image": []},
    ]
    write_json(root / "chart-path_and_question-answer_pair.json", records)
    result = convert("multi_chart_qa", tmp_path / "raw", "test")
    source = ("multi_chart_qa", "test")
    assert result.rows == [
        expected(
            *source,
            "q0",
            0,
            "matching",
            "First <image>. Which?",
            "B",
            "Answer with the letter of the right option.",
            images=cells,
            choices=("cat", "dog"),
            shown="First [image]. Which?\nA. cat\nB. dog",
        ),
        expected(
            *source,
            "q1",
            1,
            "chart",
            "First <image>. How many?",
            "5; 25",
            "Answer with a number or a short label.",
            images=cells,
            shown="First [image]. How many?",
        ),
    ]
    assert [r[2:] for r in result.rejects] == [("image", "missing")]
