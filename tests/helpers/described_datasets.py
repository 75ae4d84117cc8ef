"""Raw folders of datasets of which no sample could be had, made up after their public descriptions.

Layout and field names are those that each converter's docstring states and where they come from; values are ours.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

PICTURE = object()


class Case(NamedTuple):
    """A raw folder and what must come of it.

    Attributes:
        files: path to content: `PICTURE`, text, or anything that is written as JSON (JSON lines for `.jsonl`).
        rows: of each row id, reward, question, choices, ground truth and name of the picture.
        rejects: field and reason of each.
    """

    converter: str
    split: str
    files: dict[str, Any]
    rows: list[tuple[str, str, str, list[str], str, str]]
    rejects: list[tuple[str, str]]


def plotqa(**changes):
    return {"image_index": 7, "question_string": "How many bars are there ?", "answer": 4, "question_id": 0} | changes


def vqa(number: int, answer: str, agree: int) -> dict:
    answers = [{"answer": answer if i < agree else "maybe", "answer_id": i} for i in range(10)]
    return {"question_id": number, "image_id": 9, "multiple_choice_answer": answer, "answers": answers}


ABC = ["cat", "dog", "cow"]
CASES = [
    Case(
        "plotqa",
        "val",
        {
            "val/qa_pairs_V1.json": {
                "qa_pairs": [
                    plotqa(),
                    plotqa(answer=12.5),
                    plotqa(answer="No"),
                    plotqa(image_index=8),
                    plotqa(answer=None),
                ]
            },
            "val/png/7.png": PICTURE,
        },
        [
            (f"qa_pairs_V1/{i}", "chart", "How many bars are there?", [], truth, "val/png/7.png")
            for i, truth in enumerate(("4", "12.5", "No"))
        ],
        [("image", "image_missing"), ("answer", "missing")],
    ),
    Case(
        "dvqa",
        "val_easy",
        {
            "qa/val_easy_qa.json": [
                {"question": "Which bar is highest?", "question_id": 3, "answer": "drama", "image": "bar_1.png"},
                {"question": "Which?", "question_id": 4, "answer": "drama"},
            ],
            "images/bar_1.png": PICTURE,
        },
        [("3", "chart", "Which bar is highest?", [], "drama", "images/bar_1.png")],
        [("image", "missing")],
    ),
    Case(
        "figureqa",
        "train1",
        {
            "train1/qa_pairs.json": {
                "qa_pairs": [
                    {"question_string": "Is Red the minimum?", "answer": 1, "image_index": 0},
                    {"question_string": "Is Red the maximum?", "answer": 0, "image_index": 0},
                    {"question_string": "Is Red rough?", "answer": 2, "image_index": 0},
                ]
            },
            "train1/png/0.png": PICTURE,
        },
        [
            ("0", "matching", "Is Red the minimum?", [], "yes", "train1/png/0.png"),
            ("1", "matching", "Is Red the maximum?", [], "no", "train1/png/0.png"),
        ],
        [("answer", "unknown_answer")],
    ),
    Case(
        "scienceqa",
        "train",
        {
            "problems.json": {
                "5": {
                    "question": "Which?",
                    "choices": ABC,
                    "answer": 1,
                    "hint": "A web.",
                    "image": "image.png",
                    "split": "train",
                },
                "6": {"question": "Which?", "choices": ABC, "answer": 1, "hint": "", "image": None, "split": "train"},
                "7": {
                    "question": "Which?",
                    "choices": ABC,
                    "answer": 3,
                    "hint": "",
                    "image": "image.png",
                    "split": "train",
                },
                "8": {
                    "question": "Which?",
                    "choices": ABC,
                    "answer": 0,
                    "hint": "",
                    "image": "image.png",
                    "split": "val",
                },
            },
            "images/train/5/image.png": PICTURE,
        },
        [("5", "matching", "A web.\nWhich?", ABC, "B", "images/train/5/image.png")],
        [("image", "no_picture"), ("answer", "answer_not_in_choices")],
    ),
    Case(
        "ai2d",
        "train",
        {
            "ai2d/questions/0.png.json": {
                "imageName": "0.png",
                "questions": {
                    "what is at A?": {
                        "abcLabel": True,
                        "answerTexts": ABC,
                        "correctAnswer": 1,
                        "questionId": "0.png-0",
                    },
                    "what is it?": {"abcLabel": False, "answerTexts": ABC, "correctAnswer": 2, "questionId": "0.png-1"},
                },
            },
            "ai2d/questions/1.png.json": {"imageName": "1.png", "questions": {"x?": {}}},
            "ai2d/questions/2.png.json": "{broken",
            "ai2d/ai2d_test_ids.csv": "1\n",
            "ai2d/images/0.png": PICTURE,
            "ai2d/abcImages/0.png": PICTURE,
        },
        [
            ("0.png-0", "matching", "what is at A?", ABC, "B", "ai2d/abcImages/0.png"),
            ("0.png-1", "matching", "what is it?", ABC, "C", "ai2d/images/0.png"),
        ],
        [("record", "bad_json")],
    ),
    Case(
        "aokvqa",
        "train",
        {
            "aokvqa_v1p0_train.json": [
                {"image_id": 42, "question_id": "22Me", "question": "Who?", "choices": ABC, "correct_choice_idx": 0},
                {"image_id": 42, "question_id": "22Mf", "question": "Who?", "choices": ABC},
            ],
            "train2017/000000000042.jpg": PICTURE,
        },
        [("22Me", "matching", "Who?", ABC, "A", "train2017/000000000042.jpg")],
        [("correct_choice_idx", "missing")],
    ),
    Case(
        "gqa_yes_no",
        "val",
        {
            "val_balanced_questions.json": {
                "02": {
                    "question": "Is the sky dark?",
                    "imageId": "23",
                    "answer": "yes",
                    "types": {"structural": "verify"},
                },
                "03": {"question": "What is it?", "imageId": "23", "answer": "car"},
            },
            "images/23.jpg": PICTURE,
        },
        [("02", "matching", "Is the sky dark?", [], "yes", "images/23.jpg")],
        [("answer", "unknown_answer")],
    ),
    Case(
        "vqav2_yes_no",
        "val2014",
        {
            "v2_OpenEnded_mscoco_val2014_questions.json": {
                "questions": [{"image_id": 9, "question": "Is it?", "question_id": i} for i in range(4)]
            },
            "v2_mscoco_val2014_annotations.json": {
                "annotations": [vqa(0, "no", 10), vqa(1, "yes", 6), vqa(2, "blue", 10)]
            },
            "val2014/COCO_val2014_000000000009.jpg": PICTURE,
        },
        [("0", "matching", "Is it?", [], "no", "val2014/COCO_val2014_000000000009.jpg")],
        [("answers", "disagreement"), ("answer", "unknown_answer"), ("answer", "missing")],
    ),
    Case(
        "geometry3k",
        "test",
        {
            "test/2401/data.json": {"id": 2401, "problem_text": "Find x.", "choices": ["8.5", "11"], "answer": "B"},
            "test/2401/img_diagram.png": PICTURE,
            "test/2402/data.json": "[",
        },
        [("2401", "matching", "Find x.", ["8.5", "11"], "B", "test/2401/img_diagram.png")],
        [("record", "bad_json")],
    ),
    Case(
        "geoqa",
        "all",
        {
            "GeoQA3/json/0.json": {"id": "0", "subject": "∠2的度数为()", "choices": ["40°", "50°"], "label": 1},
            "GeoQA3/json/1.json": {"id": "1", "subject": "∠2的度数为()", "choices": ["40°", "50°"], "label": 4},
            "GeoQA3/image/0.png": PICTURE,
        },
        [("0", "matching", "∠2的度数为()", ["40°", "50°"], "B", "GeoQA3/image/0.png")],
        [("label", "answer_not_in_choices")],
    ),
    Case(
        "m3cot",
        "dev",
        {
            "data/dev.jsonl": [
                {"id": "physics-1", "question": "Which?", "choices": ABC, "context": "Look.", "answer": "C"},
                {
                    "id": "physics-2",
                    "question": "Which?",
                    "choices": ABC,
                    "context": "",
                    "answer": "dog",
                    "image_id": "a",
                },
                {"id": "physics-3", "question": "Which?", "choices": [], "answer": "A"},
            ],
            "data/images/physics-1.png": PICTURE,
            "images/a.png": PICTURE,
        },
        [
            ("physics-1", "matching", "Look.\nWhich?", ABC, "C", "data/images/physics-1.png"),
            ("physics-2", "matching", "Which?", ABC, "B", "images/a.png"),
        ],
        [("choices", "no_choices")],
    ),
    Case(
        "docci",
        "train",
        {
            "docci_descriptions.jsonlines": '{"split": "train", "example_id": "train_0", "image_file": "t.jpg", '
            '"description": "An  angled view."}\n{"split": "test"}\nnot json\n',
            "images/t.jpg": PICTURE,
        },
        [("train_0", "open_ended", "Describe the picture in detail.", [], "An angled view.", "images/t.jpg")],
        [("record", "bad_json")],
    ),
    Case(
        "chart_to_text",
        "val",
        {
            "statista_dataset/dataset/dataset_split/val_index_mapping.csv": (
                "0\ntwo_col-7.txt\nmulti_col-7.txt\ntwo_col-8.txt\n"
            ),
            "statista_dataset/dataset/captions/7.txt": "Sales rose to 3 % .",
            "statista_dataset/dataset/multiColumn/captions/7.txt": "Sales fell .",
            "statista_dataset/dataset/imgs/7.png": PICTURE,
            "statista_dataset/dataset/multiColumn/imgs/7.png": PICTURE,
        },
        [
            (
                f"{kind}-7",
                "open_ended",
                "Summarise the chart in a few sentences.",
                [],
                truth,
                f"statista_dataset/dataset/{folder}imgs/7.png",
            )
            for kind, folder, truth in (
                ("two_col", "", "Sales rose to 3%."),
                ("multi_col", "multiColumn/", "Sales fell."),
            )
        ],
        [("caption", "unreadable")],
    ),
    *(
        Case(
            name,
            "train",
            {
                "detail_23k.json": [
                    {
                        "image": image,
                        "conversations": [
                            {"from": "human", "value": "<image>\nWhat is there?"},
                            {"from": "gpt", "value": "A red\ncar"},
                        ],
                    }
                    for image in ("coco/1.jpg", "coco/2.jpg")
                ],
                "coco/1.jpg": PICTURE,
            },
            [("detail_23k.json/0", "open_ended", "What is there?", [], "A red car", "coco/1.jpg")],
            [("image", "image_missing")],
        )
        for name in ("llava_detail", "sharegpt4v")
    ),
]


def write_folder(folder: Path, files: dict[str, Any], picture: Callable[[Path], Any]) -> None:
    """Writes a raw folder; `picture` saves a picture under a path."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if content is PICTURE:
            picture(path)
        elif isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        elif path.suffix == ".jsonl":
            path.write_text("\n".join(map(json.dumps, content)), encoding="utf-8")
        else:
            path.write_text(json.dumps(content), encoding="utf-8")
