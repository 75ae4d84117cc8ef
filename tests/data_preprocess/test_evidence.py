"""What kind of answer a text is: answers as public datasets have them, and those that nobody may guess."""

import pytest
from mixed_r1_verl.data_preprocess.evidence import final_answer, infer, read_boxes

from mixed_r1_verl.core.boxes import Box
from mixed_r1_verl.core.rows import RowError


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("Yes", "matching"),
        ("No.", "matching"),
        ("6", "matching"),
        ("-1,234.5", "matching"),
        ("41%", "matching"),
        ("Dark blue", "matching"),
        ("Unexpected Task Result", "matching"),
        ("65°", "math"),
        ("\\frac{4}{3}", "math"),
        ("\\frac { 4 } { 3 }", "math"),
        ("2 \\sqrt { 2 1 } + x ^ { 2 } - y", "math"),
        ("16πcm²", "math"),
        ("3/4", "math"),
        ("4.5cm", "math"),
        ("15√{3}海里", "math"),
        ("3x+1", "math"),
        ("05/03/2014", "matching"),
        ("1/8/93", "matching"),
        ("4.", "matching"),
        ("H2O", "matching"),
        ("2nd floor", "matching"),
        ("7up", "matching"),
        ("3D", "matching"),
        ("A cat sits.", "open_ended"),
        ("The picture shows a dog that runs over a lawn", "open_ended"),
        ("Because he's sliding on his knees to celebrate.", "open_ended"),
        ("他们正在足球场上庆祝。", "open_ended"),
    ],
)
def test_kind_that_fits(answer, kind):
    assert infer(answer)[0] == kind


@pytest.mark.parametrize(
    ("answer", "reason", "cure"),
    [
        ("B", "no_options", "--column choices="),
        ("(C)", "no_options", "--answer-type label"),
        ("A cat.", "two_kinds", "--reward matching"),
        ("six words that form no sentence", "two_kinds", "--reward open_ended"),
        ("[2013, 2016]", "two_kinds", "--reward chart"),
        ("[1, 2]", "two_kinds", "--reward math"),
        ("(346,328)", "point", "--reward math"),
        ("[0.35, 0.7]", "point", ""),
        ("(0.4921875123456789, 0.33)", "point", ""),
        ('{"point_2d": [10, 20], "label": "x"}', "point", ""),
        ('<point x="10" y="20">it</point>', "point", ""),
        ("pyautogui.click(x=0.35, y=0.7)", "action", ""),
        ("Action: click(start_box='(1,2)')", "action", ""),
        ('{"action": "tap", "coordinate": [1, 2]}', "action", ""),
        ("CLICK [12, 30]", "action", ""),
        ("<think>It is.</think>", "reasoning_tags", "--column answer="),
        ("<SUMMARY> I count. </SUMMARY> 14", "reasoning_tags", ""),
        ("```python\nprint(1)\n```", "code_fence", ""),
        ("<ref>the cat</ref>", "box_markup", "--box-frame"),
        ("the cat <|object_ref_end|>", "box_markup", ""),
        ("[video] a ball falls", "media", ""),
        ("done<|im_end|>", "token", ""),
    ],
)
def test_answers_that_nobody_may_guess(answer, reason, cure):
    with pytest.raises(RowError) as caught:
        infer(answer)
    assert caught.value.reason == reason and cure in caught.value.detail


ONE = (Box(1, 2, 30, 40),)


@pytest.mark.parametrize(
    ("text", "boxes", "frame"),
    [
        ("[1, 2, 30, 40]", ONE, ""),
        ("[[1, 2, 30, 40]]", ONE, ""),
        ([1, 2, 30, 40], ONE, ""),
        ([[1, 2, 30, 40], [5, 6, 7, 8]], (*ONE, Box(5, 6, 7, 8)), ""),
        ('{\n"bbox_2d": [1, 2, 30, 40]\n}', ONE, ""),
        ('```json\n[{"bbox_2d": [1, 2, 30, 40], "label": "cat"}]\n```', (Box(1, 2, 30, 40, "cat"),), ""),
        ("[{'bbox_2d': [1, 2, 30, 40], 'label': 'cat'}]", (Box(1, 2, 30, 40, "cat"),), ""),
        ("[{'Position': [1, 2, 30, 40], 'Confidence': 1}]", ONE, ""),
        ('{"boxes": [[1, 2, 30, 40]]}', ONE, ""),
        ("<box>[[1, 2, 30, 40]]</box>", ONE, "norm1000"),
        ("<ref>a cat</ref><box>(1,2),(30,40)</box>", (Box(1, 2, 30, 40, "a cat"),), "norm1000"),
        ("<|box_start|>(1,2),(30,40)<|box_end|>", ONE, "?"),
        ("(1,2),(30,40)", ONE, ""),
    ],
)
def test_boxes(text, boxes, frame):
    found = read_boxes(text)
    assert found is not None and (found.boxes, found.frame) == (boxes, frame)


@pytest.mark.parametrize(
    "text",
    ["", "[", "about 3", "[1, 2, 3]", "[1,2,3,true]", "[" * 30_000, '{"a": 1}', "[]", "(3, 4)", "[2013, 2016]", {}],
)
def test_no_boxes(text):
    assert read_boxes(text) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("The cat is at [1, 2, 30, 40].", "boxes_in_prose"),
        ('{"box_2d": [1, 2, 30, 40]}', "box_order"),
        ("<loc0001><loc0002><loc0030><loc0040> cat", "box_order"),
        ('{"bbox_2d": [1, 2, 30]}', "malformed_box"),
    ],
)
def test_boxes_that_are_refused(text, reason):
    with pytest.raises(RowError) as caught:
        read_boxes(text)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<SUMMARY> s </SUMMARY>\n\n<CONCLUSION> 14 </CONCLUSION>", "14"),
        ("<think>7 + 7</think><answer>14</answer>", "14"),
        ("<think>7 + 7</think>\n\nThe answer is \\boxed{14}", "14"),
        ("$\\boxed{\\frac{1}{2}}$", "\\frac{1}{2}"),
        ("\\boxed{\\text{dog}}", "dog"),
        ("\\boxed{3} and \\boxed{4", "\\boxed{3} and \\boxed{4"),
        ("AB is 3, so BC is 4. So the answer is B", "B"),
        ("We add both.\nAnswer: 65°", "65°"),
        ("Since it barks, the answer is (C).", "(C)"),
        ("A dog.", "A dog."),
        ("The answer is in the picture, which shows a dog that runs over the lawn of a large house.", None),
    ],
)
def test_final_answers(text, answer):
    assert final_answer(text)[0] == (text if answer is None else answer)


def test_two_answers_are_none():
    with pytest.raises(RowError, match="two_answers"):
        final_answer("<answer>1</answer> or <answer>2</answer>")
