"""Raw folders of flat question sets and of gRefCOCO as their public descriptions have them."""

from typing import Any

from described_datasets import PICTURE, Case


def of_ten(answer: str, times: int) -> list[str]:
    return [answer] * times + [f"other {n}" for n in range(10 - times)]


def region(number: int, **sides: Any) -> dict[str, Any]:
    box = {"x": 2, "y": 3, "width": 10, "height": 8, **sides}
    return {"region_id": number, "image_id": 5, "phrase": "the red clock.", **box}


OR_NONE = "Answer with [] if it is not in the picture."
SENTENCE = [{"sent_id": 3, "sent": "both cats"}]
GREFS = [
    {"ref_id": 1, "ann_id": [11, 12], "image_id": 5, "split": "val", "sentences": SENTENCE},
    {"ref_id": 2, "ann_id": [-1], "image_id": 5, "split": "val", "sentences": [{"sent_id": 4, "sent": "a dog"}]},
    {"ref_id": 4, "ann_id": [], "image_id": 5, "split": "val", "sentences": [{"sent_id": 6, "sent": "a cow"}]},
    {"ref_id": 5, "ann_id": [99], "image_id": 5, "split": "val", "sentences": [{"sent_id": 7, "sent": "a cow"}]},
    {"ref_id": 3, "ann_id": [11], "image_id": 5, "split": "train", "sentences": [{"sent_id": 5, "sent": "a cat"}]},
]

FLAT_CASES = [
    Case(
        "textvqa",
        "train",
        {
            "TextVQA_0.5.1_train.json": {
                "data": [
                    {"question_id": 1, "question": "Which brand?", "image_id": "0a", "answers": of_ten("nokia", 8)},
                    {"question_id": 2, "question": "Which brand?", "image_id": "0a", "answers": of_ten("nokia", 3)},
                ]
            },
            "train_images/0a.jpg": PICTURE,
        },
        [("1", "matching", "Which brand?", [], "nokia", "train_images/0a.jpg")],
        [("answer", "disagreement")],
    ),
    Case(
        "docvqa",
        "val",
        {
            "val_v1.0_withQT.json": {
                "data": [
                    {"questionId": 7, "question": "Who?", "image": "documents/a.png", "answers": ["ACME Ltd", "Acme"]},
                    {"questionId": 8, "question": "Who?", "image": "documents/a.png"},
                ]
            },
            "documents/a.png": PICTURE,
        },
        [("7", "anls", "Who?", [], '["ACME Ltd", "Acme"]', "documents/a.png")],
        [("answers", "missing")],
    ),
    Case(
        "infovqa",
        "train",
        {
            "infographicsVQA_train_v1.0.json": {
                "data": [{"questionId": 7, "question": "Who?", "image_local_name": "3.png", "answers": ["41%"]}]
            },
            "infographicsvqa_images/3.png": PICTURE,
        },
        [("7", "anls", "Who?", [], "41%", "infographicsvqa_images/3.png")],
        [],
    ),
    Case(
        "stvqa",
        "train",
        {
            "train_task_3.json": {
                "data": [{"question_id": 7, "question": "Who?", "file_path": "coco-text/3.png", "answers": ["stop"]}]
            },
            "coco-text/3.png": PICTURE,
        },
        [("7", "anls", "Who?", [], "stop", "coco-text/3.png")],
        [],
    ),
    Case(
        "tallyqa",
        "train",
        {
            "train.json": [{"question_id": 1, "question": "How many cats?", "image": "VG_100K/1.jpg", "answer": 2}],
            "VG_100K/1.jpg": PICTURE,
        },
        [("1", "matching", "How many cats?", [], "2", "VG_100K/1.jpg")],
        [],
    ),
    Case(
        "vsr",
        "dev",
        {
            "dev.jsonl": [
                {"image": "1.jpg", "caption": "The cat is left of it.", "label": 1},
                {"image": "1.jpg", "caption": "The cat is left of it.", "label": 3},
            ],
            "images/1.jpg": PICTURE,
        },
        [("1", "matching", "Is this true of the picture? The cat is left of it.", [], "true", "images/1.jpg")],
        [("label", "unknown_answer")],
    ),
    Case(
        "mathverse",
        "testmini",
        {
            "testmini.json": [
                {
                    "sample_index": "1",
                    "question": "Which?\nChoices:\nA:20°\nB:40°",
                    "image": "1.png",
                    "answer": "B",
                    "question_type": "multi-choice",
                },
                {
                    "sample_index": "2",
                    "question": "How long?",
                    "image": "1.png",
                    "answer": "14.4",
                    "question_type": "free-form",
                },
            ],
            "images/1.png": PICTURE,
        },
        [
            ("1", "matching", "Which?", ["20°", "40°"], "B", "images/1.png"),
            ("2", "math", "How long?", [], "14.4", "images/1.png"),
        ],
        [],
    ),
    Case(
        "iconqa",
        "val",
        {
            "iconqa/val/choose_txt/1/data.json": {"question": "Which?", "choices": ["slide", "turn"], "answer": 1},
            "iconqa/val/choose_txt/1/image.png": PICTURE,
            "iconqa/val/fill_in_blank/2/data.json": {"question": "How many?", "answer": "4"},
            "iconqa/val/fill_in_blank/2/image.png": PICTURE,
            "iconqa/val/choose_img/3/data.json": {
                "question": "Which one?",
                "choices": ["choice_0.png", "choice_1.png"],
                "answer": 0,
                "ques_type": "choose_img",
            },
            **{f"iconqa/val/choose_img/3/{name}.png": PICTURE for name in ("image", "choice_0", "choice_1")},
            "iconqa/val/choose_txt/4/data.json": {"question": "Which?", "choices": ["slide", "turn"], "answer": 2},
        },
        [
            ("3", "matching", "Which one?", ["picture 2", "picture 3"], "A", "iconqa/val/choose_img/3/image.png"),
            ("1", "matching", "Which?", ["slide", "turn"], "B", "iconqa/val/choose_txt/1/image.png"),
            ("2", "matching", "How many?", [], "4", "iconqa/val/fill_in_blank/2/image.png"),
        ],
        [("answer", "answer_not_in_choices")],
    ),
    Case(
        "visual_genome",
        "all",
        {
            "region_descriptions.json": [{"id": 5, "regions": [region(1), region(2, width=0), region(3, x=None)]}],
            "VG_100K_2/5.jpg": PICTURE,
        },
        [("1", "iou", "Where is this: the red clock?", [], "[[2,3,12,11]]", "VG_100K_2/5.jpg")],
        [("boxes", "no_area"), ("box", "not_a_number")],
    ),
    Case(
        "grefcoco",
        "val",
        {
            "grefcoco/instances.json": {
                "images": [{"id": 5, "file_name": "5.jpg"}],
                "annotations": [{"id": 11, "bbox": [2, 3, 10, 8]}, {"id": 12, "bbox": [20, 3, 10, 8]}],
            },
            "grefcoco/grefs(unc).json": GREFS,
            "train2014/5.jpg": PICTURE,
        },
        [
            ("3", "iou", f"Where is both cats? {OR_NONE}", [], "[[2,3,12,11],[20,3,30,11]]", "train2014/5.jpg"),
            ("4", "iou", f"Where is a dog? {OR_NONE}", [], "[]", "train2014/5.jpg"),
        ],
        [("boxes", "missing"), ("bbox", "missing")],
    ),
    Case(
        "gqa",
        "val",
        {
            "val_balanced_questions.json": {"03": {"question": "What is it?", "imageId": "23", "answer": "car"}},
            "images/23.jpg": PICTURE,
        },
        [("03", "matching", "What is it?", [], "car", "images/23.jpg")],
        [],
    ),
]
