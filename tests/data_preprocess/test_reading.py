"""Records in the layouts that people have: from public data cards, loaders and bug reports, written anew.

Each is converted right, or rejected with a reason that names the option that mends it.
"""

import json

import pytest
from mixed_r1_verl.data_preprocess.chat import Turn
from mixed_r1_verl.data_preprocess.reading import said
from records import FOUR, NORM1, VERL, WHERE, asked, outcome_of, swift, talk

from mixed_r1_verl.core.rows import Reject
from mixed_r1_verl.data.raw import Told

POSITION = "<answer>[{'Position': [10, 20, 30, 40], 'Confidence': 1}]</answer>"
ORSTA = "[{'bbox_2d': [0.25, 0.5, 0.5, 0.75], 'label': 'cat'}]"
PARTS = [{"type": "image", "image": "x.png"}, {"type": "text", "text": "Find x."}]
FRACTION = "\\frac { 4 } { 3 }"

SOUND = {
    # boxes
    "llava_boxes_in_norm1": (talk(WHERE, "[0.25, 0.5, 0.5, 0.75]"), NORM1, "iou", "[[160,240,320,360]]"),
    "llava_padded_square": (
        talk(WHERE, "[0.25, 0.5, 0.5, 0.75]"),
        {"box_frame": "padded_square"},
        "iou",
        "[[160,240,320,400]]",
    ),
    "internvl_ref_box": (
        talk("Where is <ref>a cat</ref>?", "<ref>a cat</ref><box>[[250, 500, 500, 750]]</box>"),
        {},
        "iou",
        "[[160,240,320,360]]",
    ),
    "qwen_box_tokens_told": (
        talk(WHERE, "<|box_start|>(250,500),(500,750)<|box_end|>"),
        {"box_frame": "norm1000"},
        "iou",
        "[[160,240,320,360]]",
    ),
    "qwen_object": (talk(WHERE, '{\n"bbox_2d": [10, 20, 30, 40]\n}'), {}, "iou", "[[10,20,30,40]]"),
    "qwen_resized": (
        talk(WHERE, '{"bbox_2d": [161, 238, 322, 357]}'),
        {"box_frame": "resized:qwen2_5_vl"},
        "iou",
        "[[160,240,320,360]]",
    ),
    "vlm_r1_list": (
        talk("Detect it.", '```json\n[{"bbox_2d": [10, 20, 30, 40], "label": "hat"}]\n```'),
        {},
        "iou",
        "[[10,20,30,40]]",
    ),
    "labels_that_differ": (
        talk(
            "Detect all.",
            '[{"bbox_2d": [10, 20, 30, 40], "label": "hat"}, {"bbox_2d": [1, 2, 3, 4], "label": "cat"}]',
        ),
        {},
        "iou",
        '[{"bbox_2d":[10,20,30,40],"label":"hat"},{"bbox_2d":[1,2,3,4],"label":"cat"}]',
    ),
    "prose_told": (talk(WHERE, "It is at [10, 20, 30, 40]."), {"reward": "iou"}, "iou", "[[10,20,30,40]]"),
    "swift_objects": (
        swift("<image>Find <ref-object>", "<bbox>", {"ref": ["a cat"], "bbox": [[10, 20, 30, 40]]}),
        {},
        "iou",
        "[[10,20,30,40]]",
    ),
    "swift_objects_norm1": (
        swift("<image>Find the cat", "<bbox>", {"bbox": [[0.25, 0.5, 0.5, 0.75]], "bbox_type": "norm1"}),
        {},
        "iou",
        "[[160,240,320,360]]",
    ),
    "swift_2_objects": (
        {
            "query": "Find <ref-object>",
            "response": "<bbox>",
            "images": ["x.png"],
            "objects": '[{"caption": "a cat", "bbox": [10, 20, 30, 40], "bbox_type": "real", "image": 0}]',
        },
        {},
        "iou",
        "[[10,20,30,40]]",
    ),
    "column_of_sizes": (
        asked(WHERE, bbox=[10.0, 20.0, 300.0, 200.0], answer=["the cat"]),
        {"columns": (("answer", "bbox"),), "box_format": "xywh"},
        "iou",
        "[[10,20,310,220]]",
    ),
    "column_that_can_only_be_sizes": (asked(WHERE, bbox=[300, 200, 100, 50]), {}, "iou", "[[300,200,400,250]]"),
    "column_that_can_only_be_corners": (asked(WHERE, bbox=[400, 300, 600, 400]), {}, "iou", "[[400,300,600,400]]"),
    "visual_rft": (
        {
            "image": "x.png",
            "problem": WHERE,
            "solution": POSITION,
        },
        {},
        "iou",
        "[[10,20,30,40]]",
    ),
    "orsta_detection": (
        VERL | {"reward_model": {"answer": "", "ground_truth": ORSTA}},
        NORM1,
        "iou",
        "[[160,240,320,360]]",
    ),
    # options
    "options_in_columns": (asked(answer="B", hint="Look.", **dict(zip("ABCD", FOUR, strict=True))), {}, FOUR, "B"),
    "options_as_choice_a": (
        asked(answer="C", **{f"choice_{a}": text for a, text in zip("abcd", FOUR, strict=True)}),
        {},
        FOUR,
        "C",
    ),
    "options_as_option1": (
        asked(answer="two", **{f"option{n}": text for n, text in enumerate(FOUR, 1)}),
        {},
        FOUR,
        "B",
    ),
    "options_as_literal": (asked(options="['one', 'two']", answer="B"), {}, FOUR[:2], "B"),
    "options_as_object": (asked(options={"A": "one", "B": "two", "C": None}, answer="B"), {}, FOUR[:2], "B"),
    "options_with_letters": (asked(options=["A. one", "B. two"], answer="B. two"), {}, FOUR[:2], "B"),
    "option_by_text_of_its_number": (asked(options=FOUR, answer="2"), {}, FOUR, "C"),
    "aokvqa": (asked(choices=FOUR, correct_choice_idx=3, direct_answers="['x']"), {}, FOUR, "D"),
    "scienceqa": (asked("Who eats it?", choices=["hare", "fox"], answer=1, hint="A web."), {}, ["hare", "fox"], "B"),
    "options_then_instruction": (
        talk("Which?\nA. one\nB. two\nC. three\nD. four\nReply with one letter of the options.", "B"),
        {},
        FOUR,
        "B",
    ),
    "options_on_one_line": (talk("Which? Options: (A) one (B) two", "The answer is B"), {}, FOUR[:2], "B"),
    "geo170k": (
        talk("Which angle?\nChoices:\nA. one\nB. two", "AB is BC, so both are equal. So the answer is B"),
        {},
        FOUR[:2],
        "B",
    ),
    "virl": (asked("<image>Which?\nChoices: (A) one (B) two", answer="\\boxed{A}"), {}, FOUR[:2], "A"),
    "onethinker": (
        {
            "problem": "Which?",
            "options": ["A. one", "B. two"],
            "solution": "<answer>B</answer>",
            "problem_type": "multiple choice",
            "data_type": "image",
            "path": "./x.png",
        },
        {},
        FOUR[:2],
        "B",
    ),
    "mmmu": (
        asked(image=None, image_1="x.png", options="['one', 'two']", answer="B"),
        {},
        FOUR[:2],
        "B",
    ),
    # words, numbers, expressions, texts
    "llava_cot": (talk("How many?", "<SUMMARY> s </SUMMARY>\n\n<CONCLUSION> 14 </CONCLUSION>"), {}, "matching", "14"),
    "r1_onevision": (talk("How many?", "<think>7 + 7</think>\nThe answer is \\boxed{14}"), {}, "matching", "14"),
    "easy_r1": ({"images": ["x.png"], "problem": "<image>How many?", "answer": "3"}, {}, "matching", "3"),
    "swift_images_as_objects": (
        swift("<image>What?", "a cat", None) | {"images": [{"path": "x.png"}]},
        {},
        "matching",
        "a cat",
    ),
    "swift_grpo": (
        {"messages": [{"role": "user", "content": "<image>How many?"}], "images": ["x.png"], "solution": "\\boxed{3}"},
        {},
        "matching",
        "3",
    ),
    "mm_eureka": (
        {
            "conversations": json.dumps(
                [
                    {
                        "role": "user",
                        "content": [{"type": "image", "image": "x.png"}, {"type": "text", "text": "Find x."}],
                    }
                ]
            ),
            "answer": "$\\boxed{\\frac{1}{2}}$",
        },
        {},
        "math",
        "\\frac{1}{2}",
    ),
    "verl_geo3k": (
        VERL | {"data_source": "hiyouga/geometry3k", "reward_model": {"ground_truth": "60"}},
        {},
        "math",
        "60",
    ),
    "verl_geo3k_fraction": (
        VERL | {"reward_model": {"ground_truth": "\\frac { 4 } { 3 }"}},
        {},
        "math",
        "\\frac { 4 } { 3 }",
    ),
    "chartqa": ({"image": "x.png", "query": "Which?", "label": ["[2013, 2016]"]}, {}, "chart", "[2013, 2016]"),
    "ten_people": (asked(answers=["nokia"] * 9 + ["toshiba"]), {}, "matching", "nokia"),
    "spellings_of_one": (asked(answers=["ACME Ltd", "acme ltd"]), {}, "matching", "ACME Ltd"),
    "first_of_several_told": (asked(answers=["$5", "5 dollars"]), {"reward": "chart"}, "chart", "$5"),
    "captions_without_question": ({"image": "x.png", "caption": ["A.", "B."]}, {}, "open_ended", '["A.", "B."]'),
    "options_after_header": (asked("Which? Options: A: one, B: two", answer="B"), {}, FOUR[:2], "B"),
    "options_in_small_letters": (asked("Which? (a) one (b) two", answer="b"), {}, FOUR[:2], "B"),
    "words_with_boxes_as_evidence": (asked(answer="STOP", bboxs=[[1, 2, 30, 40]]), {}, "matching", "STOP"),
    "mathverse": (asked("Which?\nChoices:\nA:one\nB:two", answer="B"), {}, FOUR[:2], "B"),
    "ten_people_as_objects": (asked(answers=[{"answer": "nokia"}] * 2), {}, "matching", "nokia"),
    "captions": (asked(caption=["A cat.", "Cats."]), {}, "open_ended", '["A cat.", "Cats."]'),
    "nested_columns": (
        {"image": "x.png", "meta": {"asks": "How many?", "gold": [{"v": "7"}]}},
        {"columns": (("question", "meta.asks"), ("answer", "meta.gold.0.v"))},
        "matching",
        "7",
    ),
    "letter_that_is_a_label": (
        asked("Which letter is on the sign?", answer="B"),
        {"answer_type": "label"},
        "matching",
        "B",
    ),
    "list_told": (asked("Which?", answer="[1, 2, 3, 4]"), {"reward": "chart"}, "chart", "[1, 2, 3, 4]"),
}


@pytest.mark.parametrize(("record", "told", "kind", "truth"), SOUND.values(), ids=SOUND)
def test_records_become_rows(tmp_path, record, told, kind, truth):
    (outcome,) = outcome_of(tmp_path, record, Told(**told))
    assert not isinstance(outcome, Reject), outcome
    row = outcome.row
    choices = kind if isinstance(kind, list) else []
    assert row["reward_model"]["ground_truth"] == truth
    assert row["extra_info"]["choices"] == choices
    assert row["extra_info"]["reward"] == ("matching" if choices else kind)
    assert row["prompt"][0]["content"].count("<image>") == len(row["images"]) == 1
    assert outcome.example.how.startswith(f"{row['extra_info']['reward']}: ")
    for mark in ("Reply with one letter", "Choices", "Options:", "<bbox>", "<ref-object>"):
        assert mark not in row["prompt"][0]["content"]


REFUSED = {
    "boxes_below_a_pixel": (talk(WHERE, "[0.61, 0.36, 0.92, 0.83]"), {}, "under_a_pixel", "--box-frame norm1"),
    "boxes_beyond_the_picture": (talk(WHERE, "[610, 360, 920, 830]"), {}, "outside_image", "--box-frame norm1000"),
    "sizes_as_corners": (talk(WHERE, "[300, 200, 100, 50]"), {}, "no_area", "--box-format xywh"),
    "pixels_as_norm1": (talk(WHERE, "[10, 20, 30, 40]"), NORM1, "outside_image", "--box-frame pixel"),
    "qwen_box_tokens": (talk(WHERE, "<|box_start|>(49,16),(53,29)<|box_end|>"), {}, "frame_unknown", "--box-frame"),
    "orsta_without_frame": (
        VERL | {"reward_model": {"ground_truth": "[{'bbox_2d': [0.12, 0.2, 0.4, 0.5], 'label': 'cat'}]"}},
        {},
        "under_a_pixel",
        "--box-frame norm1",
    ),
    "words_and_boxes": (talk(WHERE, "It is at [10, 20, 30, 40]."), {}, "boxes_in_prose", "--reward iou"),
    "numbers_or_boxes": (asked("Which values?", answer=[1, 2, 3, 4]), {}, "two_kinds", "--reward chart"),
    "sizes_or_corners": (asked(WHERE, bbox=[10, 20, 300, 200]), {}, "format_unknown", "--box-format"),
    "words_or_boxes": (asked(WHERE, answer="left", bbox=[10, 20, 30, 40]), {}, "two_kinds", "--column answer=bbox"),
    "swift_box_in_question": (
        swift("<image>What is at <bbox>?", "a cat", {"bbox": [[1, 2, 3, 4]]}),
        {},
        "box_in_question",
        "",
    ),
    "swift_point": (swift("<image>Find it", "<bbox>", {"bbox": [[1, 2]]}), {}, "malformed_box", "point"),
    "swift_no_objects": (swift("<image>Find it", "<bbox>", None), {}, "missing", "objects.bbox"),
    "swift_other_picture": (
        swift("<image>Find it", "<bbox>", {"bbox": [[1, 2, 3, 4]], "image_id": [1]}),
        {},
        "other_picture",
        "",
    ),
    "video": ({"video": "a.mp4", "conversations": talk("", "A ball falls.")["conversations"]}, {}, "media", "video"),
    "video_marker": (talk("<video>Describe it.", "A ball falls down."), {}, "media", "video"),
    "action": (talk("Click it.", "pyautogui.click(x=0.35, y=0.7)"), {}, "action", ""),
    "point": (talk("Click it.", "(346,328)"), {}, "point", ""),
    "small_lone_letter": (asked(answer="b"), {}, "no_options", "--column choices="),
    "html": (asked(answer="<b>cat</b>"), {}, "markup", "--column answer="),
    "json": (asked(answer='{"name": "cat"}'), {}, "markup", "--column answer="),
    "lone_letter": (talk("Which is it?", "B"), {}, "no_options", "--column choices="),
    "label_or_description": (talk("What?", "A cat."), {}, "two_kinds", "--reward open_ended"),
    "reasoning": (
        talk("What?", "<REASONING> Fur. </REASONING> a cat"),
        {},
        "reasoning_tags",
        "--column answer=",
    ),
    "letter_or_text": (asked(options=["B", "A"], answer="A"), {}, "answer_ambiguous", ""),
    "number_or_text": (asked(options=["1", "2", "3"], answer="2"), {}, "answer_ambiguous", ""),
    "gap_between_options": (asked(A="x", B=None, C="z", answer="C"), {}, "gap", ""),
    "nobody_agrees": (asked(answers=["a", "b", "c"]), {}, "disagreement", "--column answer="),
    "two_right_options": (asked(options=FOUR, answer=["A", "B"]), {}, "several_options", ""),
    "region_in_question": (talk("Describe this region: [0.2, 0.3, 0.5, 0.6]", "red bag"), {}, "box_in_question", ""),
    "empty_column_of_pictures": ({"image": None, "question": "Is it?", "answer": "yes"}, {}, "no_picture", ""),
    "markers_without_pictures": ({"question": "<image>Is it?", "answer": "yes"}, {}, "markers", "--column image="),
    "more_markers_than_pictures": (talk("<image> or this?", "yes"), {}, "markers", "--column image="),
    "no_question": ({"image": "x.png", "asks": "What?", "answer": "yes"}, {}, "missing", "--column question="),
    "no_answer": ({"image": "x.png", "question": "What?", "gold": "yes"}, {}, "missing", "--column answer="),
    "unknown_kind": (asked(answer="yes"), {"reward": "mathcing"}, "unknown_reward", "matching"),
}


@pytest.mark.parametrize(("record", "told", "reason", "cure"), REFUSED.values(), ids=REFUSED)
def test_records_that_are_refused(tmp_path, record, told, reason, cure):
    (outcome,) = outcome_of(tmp_path, record, Told(**told))
    assert isinstance(outcome, Reject), outcome
    assert outcome.reason == reason and cure in outcome.detail


def test_numbers_of_options_are_said_to_count_from_0():
    for answer, how in ((1, "matching: options in options, numbers from 0"), ("B", "matching: options in options")):
        value = {"question": "Which?", "options": ["cat", "dog"], "answer": answer}
        example = said(value, Turn("Which?", ""), Told(), {})
        assert (example.answer, example.how) == ("B", how)
