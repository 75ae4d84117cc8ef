"""Answers that say that nothing in the picture is what was asked for, and their scores beside rows with boxes."""

import pytest

from mixed_r1_verl.rewards.answer.nothing import says_none
from mixed_r1_verl.rewards.kinds.iou import iou_reward

NOTHING = [
    *(
        "[]",
        "[ ]",
        "[[]]",
        "null",
        "none",
        "None.",
        "**None**",
        "nothing",
        "no target",
        "No such object.",
        "no bounding boxes",
    ),
    *("```json\n[]\n```", '{"bbox_2d": []}', '[{"bbox_2d": [], "label": "dog"}]', r"\boxed{[]}", "The answer is []"),
    *(
        "There is none.",
        "there isn't one",
        "There is no dog in the picture.",
        "The dog is not in the image.",
        "not present",
    ),
    *("No dog is visible in the picture", "No object in the picture matches", "No objects found", "图中没有狗"),
    *("There are no cats. []", "There is no such object in the image, so the answer is [].", "There is no dog: []"),
]
SOMETHING = [
    *(
        "",
        "?",
        "[]?",
        "[], the dog",
        "[][][][][]",
        "[] or [1,2,3,4]",
        "no",
        "yes",
        "a",
        "0",
        "{}",
        ". . . .",
        "the dog",
    ),
    *("maybe none", "none but the dog", "nothing except the cat", "None of your business", "not sure", "left"),
    *("I cannot tell. There is nothing that I know about it.", "There is no doubt that it is left"),
    *("Where is the dog? Answer with [] if it is not in the picture.", "There is no dog? There is.", "[] " * 200),
    *("The dog is not on the left", "There is no dog in the picture and it is at the left", "not in the corner"),
]


@pytest.mark.parametrize("answer", NOTHING)
def test_it_earns_where_there_is_nothing_and_only_there(answer: str) -> None:
    assert says_none(answer)
    assert iou_reward(answer, "[]") == (1.0, "[]", "")
    assert iou_reward(answer, "[[0, 0, 10, 10]]")[::2] == (0.0, "no_box")


@pytest.mark.parametrize("answer", SOMETHING)
def test_what_does_not_say_so_earns_nothing(answer: str) -> None:
    assert not says_none(answer)
    assert iou_reward(answer, "[]").acc == 0


@pytest.mark.parametrize(
    "answer", ["[0, 0, 10, 10]", "[[0,0,0,0]]", "none, or [0, 0, 10, 10]", "[nan, nan, nan, nan]", "[1, 2, 3]"]
)
def test_a_box_where_there_is_none_earns_nothing(answer: str) -> None:
    assert iou_reward(answer, "[]")[::2] == (0.0, "surplus_box")
