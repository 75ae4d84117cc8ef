"""Reading boxes out of answers; tables named after where the forms come from."""

import math
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixed_r1_verl.core.boxes import Box
from mixed_r1_verl.rewards.answer.boxes import MAX_COORDINATE, find_boxes

ONE = (10, 20, 30, 40)
TWO = (50, 60, 70, 80)
BAD = "bad"

QWEN2_VL = [
    ("<|box_start|>(10,20),(30,40)<|box_end|>", [ONE]),
    ("<|object_ref_start|>the dog<|object_ref_end|><|box_start|>(10,20),(30,40)<|box_end|>", [ONE]),
    ("<|box_start|>(10,20),(30,40)<|box_end|><|box_start|>(50,60),(70,80)<|box_end|>", [ONE, TWO]),
    ("(10,20),(30,40)", [ONE]),
    ("the dog(10,20),(30,40)", [ONE]),  # decoded without special tokens
    ("(10,20),(30,40)(50,60),(70,80)", [ONE, TWO]),
    ("<box>(10,20),(30,40)</box>", [ONE]),
]

QWEN2_5_VL = [
    ('```json\n[\n\t{"bbox_2d": [10, 20, 30, 40], "label": "dog"}\n]\n```', [ONE]),
    ('[{"bbox_2d": [10, 20, 30, 40], "label": "dog"}, {"bbox_2d": [50, 60, 70, 80], "label": "cat"}]', [ONE, TWO]),
    ('{"bbox_2d": [10, 20, 30, 40]}', [ONE]),
    ('{"bbox_2d": [10, 20, 30, 40], "label": "dog"', [ONE]),  # cut off
    ('[{"bbox_2d": [10, 20, 30, 40], "label": "do', [ONE]),
    ('[{"bbox_2d": [10, 20, 30, 40], "label": "dog"},]', [ONE]),
    ('[{"point_2d": [10, 20], "label": "dog"}]', []),
    ('[{"bbox_2d": [10, 20, 30, 40], "point_2d": [20, 30], "label": "dog"}]', [ONE]),
    ("bbox_2d: [10, 20, 30, 40]", [ONE]),
    ('{"bbox_2d": "10, 20, 30, 40"}', [ONE]),
    ('{"bbox_2d": ["10", "20", "30", "40"]}', [ONE]),
]

QWEN3_VL = [
    ('```json\n[\n\t{"bbox_2d": [10, 20, 30, 40], "label": "dog", "sub_label": "brown"}\n]\n```', [ONE]),
    ('{"bbox_2d": [10, 20, 30, 40], "label": "dog"}\n{"bbox_2d": [50, 60, 70, 80], "label": "dog"}', [ONE, TWO]),
]

INTERNVL = [
    ("<box>[[10, 20, 30, 40]]</box>", [ONE]),
    ("<ref>dog</ref><box>[[10, 20, 30, 40]]</box>", [ONE]),
    ("<ref>dog</ref><box>[[10, 20, 30, 40], [50, 60, 70, 80]]</box>", [ONE, TWO]),
    ("dog[[10, 20, 30, 40]]", [ONE]),
    ("<box>10 20 30 40</box>", [ONE]),
]

VLM_R1 = [
    ("[10, 20, 30, 40]", [ONE]),
    ("[10.0, 20.0, 30.0, 40.0]", [ONE]),
    ('{"bbox": [10, 20, 30, 40]}', [ONE]),
    ('```json\n[{"Position": [10, 20, 30, 40], "Confidence": 0.9}]\n```', [ONE]),
    ("The answer is [10, 20, 30, 40].", [ONE]),
    ("[[10, 20, 30, 40], [50, 60, 70, 80]]", [ONE, TWO]),
    ("[10, 20, 30, 40]\n[50, 60, 70, 80]", [ONE, TWO]),
]

PEERS_DEFECTS = [
    ("[10.5, 20.25, 30.125, 40.0]", [(10.5, 20.25, 30.125, 40)]),
    ("[-10, -20.5, 30, 40]", [(-10, -20.5, 30, 40)]),
    ("[.5, .25, 1., 1.0]", [(0.5, 0.25, 1, 1)]),
    ("```json\n[10, 20, 30, 40]\n```", [ONE]),
    ('```\n{"bbox_2d": [10, 20, 30, 40]}\n```', [ONE]),
    ("[{'bbox_2d': [10, 20, 30, 40], 'label': 'dog's bone'}]", [ONE]),
    ("[{'label': 'dog's bone', 'bbox_2d': [10, 20, 30, 40]}]", [ONE]),
    ('[{"bbox_2d": [10, 20, 30, 40], "label": "dog\'s bone"}]', [ONE]),
    ('[{"label": "a [1, 2, 3, 4] b", "bbox_2d": [10, 20, 30, 40]}]', [ONE]),
    ('[{"label": "6\\" nail", "bbox_2d": [10, 20, 30, 40]}]', [ONE]),
]

PUBLIC_REPORTS = [
    ('[{"bbox_2d": [10, 20, 30, 40], "label": "ball", "color": [255, 0, 0]}]', [ONE]),
    ('{"boxes": [[10, 20, 30, 40], [50, 60, 70, 80]], "scores": [0.9, 0.8, 0.7, 0.6]}', [ONE, TWO]),
    ("{'bbox': [10, 20, 30, 40], 'center': [20, 30], 'confidence': [0.9]}", [ONE]),
    ('{"color_of_box": [10, 20, 30, 40]}', [ONE]),
    ('{"boxes": [[10, 20, 30, 40]], "confidence_scores": [0.9, 0.8, 0.7]}', [ONE]),
    ("$\\left[10, 20, 30, 40\\right]$ and $\\left(50, 60, 70, 80\\right)$", [ONE, TWO]),
    ("10, 20, 30, 40\n50, 60, 70, 80", [ONE, TWO]),
    ("Boxes:\n10 20 30 40\n\n50 60 70 80\n", [ONE, TWO]),
    ("10, 20, 30, 40\nof 2010", []),
    ("1. 10, 20, 30, 40\n2. 50, 60, 70, 80", [ONE, TWO]),
    ("Box 1: 10, 20, 30, 40\nBox 2: 50, 60, 70, 80", [ONE, TWO]),
    ("10, 20, 30, 40; 50, 60, 70, 80", [ONE, TWO]),
    ("10px, 20px, 30px, 40px", [ONE]),
    ("[10 pixels, 20 pixels, 30 pixels, 40 pixels]", [ONE]),
    ('{"bbox": [10, 20, 30, 40], "hsv": [1, 2, 3], "track_ids": [1, 2, 3, 4]}', [ONE]),
    ('{"bbox": [10, 20, 30]}', [BAD]),
    ("[10 px, 20 px, 30 px, 40 px]", [ONE]),
]

SPELLINGS = [
    ("  [10,20,30,40]  ", [ONE]),
    ("[ 10 , 20 , 30 , 40 ]", [ONE]),
    ("[10 20 30 40]", [ONE]),
    ("[10; 20; 30; 40]", [ONE]),
    ("[10, 20, 30, 40,]", [ONE]),
    ("[10,\n 20,\n 30,\n 40\n]", [ONE]),
    ("(10, 20, 30, 40)", [ONE]),
    ("[10px, 20px, 30px, 40px]", [ONE]),
    ("[1e1, 2E1, 3e+1, 400e-1]", [ONE]),
    ("[+10, 20, 30, 40]", [ONE]),
    ("[010, 020, 030, 040]", [ONE]),
    ("\\boxed{[10, 20, 30, 40]}", [ONE]),
    ("\\[ 10, 20, 30, 40 \\]", [ONE]),
    ("$[10, 20, 30, 40]$", [ONE]),
    ("**[10, 20, 30, 40]**", [ONE]),
    ("`[10, 20, 30, 40]`", [ONE]),
    ("［１０，２０，３０，４０］", [ONE]),
    ("（１０，２０），（３０，４０）", [ONE]),
    ("【10，20，30，40】", [ONE]),
    ("[10、20、30、40]", [ONE]),
    ("[−10, 20, 30, 40]", [(-10, 20, 30, 40)]),
    ("[[10, 20], [30, 40]]", [ONE]),
    ("((10, 20), (30, 40))", [ONE]),
    ("from (10, 20) to (30, 40)", [ONE]),
    ("(10, 20) - (30, 40)", [ONE]),
    ("top-left (10, 20), bottom-right (30, 40)", [ONE]),
    ("Top left: (10, 20) and the lower right corner: (30, 40)", [ONE]),
    ("see [1]: [10, 20, 30, 40] (95% sure)", [ONE]),
    ("[x1, y1, x2, y2] = [10, 20, 30, 40]", [ONE]),
    ("its centre (20, 30) lies in [10, 20, 30, 40]", [ONE]),
]

NAMED = [
    ("x1=10, y1=20, x2=30, y2=40", [ONE]),
    ("x1: 10 y1: 20 x2: 30 y2: 40", [ONE]),
    ('{"x1": 10, "y1": 20, "x2": 30, "y2": 40}', [ONE]),
    ("{'xmin': 10, 'ymin': 20, 'xmax': 30, 'ymax': 40}", [ONE]),
    ('{"x_min": "10", "x_max": "30", "y_min": "20", "y_max": "40"}', [ONE]),
    ('{"x2": 30, "y2": 40, "x1": 10, "y1": 20}', [ONE]),
    ("left: 10, top: 20, right: 30, bottom: 40", [ONE]),
    ("(X1=10, Y1=20, X2=30, Y2=40)", [ONE]),
    ("x1=10, y1=20, x2=30, y2=40; x1=50, y1=60, x2=70, y2=80", [ONE, TWO]),
    ("x1=10, y1=20, x2=30", []),
    ("x1=10, y1=20, x2=30, x1=50, y1=60, x2=70, y2=80", [BAD, TWO]),
    ("x1=10, ymin=20, x2=30, y2=40", []),
    ("x=10, y=20, w=20, h=20", []),
]

BARE = [
    ("10, 20, 30, 40", [ONE]),
    ("10 20 30 40", [ONE]),
    ("The box is 10, 20, 30, 40.", [ONE]),
    ("[10, 20, 30, 40", [ONE]),  # cut off
    ("10, 20, 30, 40]", [ONE]),
    ("[10, 20, 30, 40)", [ONE]),
    ("10, 20, 30", []),
    ("10, 20, 30, 40, 50", []),
    ("10, 20, 30, 40\n50, 60, 70, 80", [ONE, TWO]),
    ("2 dogs: 10, 20, 30, 40", []),
    ("10, 20 and 30, 40", []),
    ("2024-01-02 10", []),
    ("a1 b2 c3 d4", []),
]

NO_BOX = [
    ("", []),
    ("   \n", []),
    ("There is no dog.", []),
    ("[]", []),
    ("[[]]", []),
    ("()", []),
    ("null", []),
    ("(10, 20)", []),
    ("[10]", []),
    ("[a, b, c, d]", []),
    ("[10, 20, 30, forty]", []),
    ("[0x10, 0x20, 0x30, 0x40]", []),
    ("[1_0, 2_0, 3_0, 4_0]", []),
    ("(10, 20) is the dog and (30, 40) is the cat", []),
]

NOT_FOUR_NUMBERS = [
    ("[10, 20, 30]", [BAD]),
    ("[10, 20, 30, 40, 50]", [BAD]),
    ("[10, 20, 30, 40, 0.95]", [BAD]),
    ("[10, 20, 30, 40, 50, 60, 70, 80]", [BAD]),
    ("[" + ", ".join(map(str, range(1000))) + "]", [BAD]),
    ("[10, 20, 30, 40], [1, 2, 3]", [ONE, BAD]),
    ("(10,20),(30,40),(50,60)", [ONE, BAD]),
    ("(10,20),(30,40); (50,60) is its eye", [ONE, BAD]),
    ("[1,2],[3,4],[5,6],[7,8]", [(1, 2, 3, 4), (5, 6, 7, 8)]),
]

NOT_FINITE = [
    ("[nan, 20, 30, 40]", [BAD]),
    ("[10, 20, inf, 40]", [BAD]),
    ("[10, 20, -Infinity, 40]", [BAD]),
    ("[10, 20, 30, NaN]", [BAD]),
    ("[null, null, null, null]", [BAD]),
    ("[1e999, 20, 30, 40]", [BAD]),
    ("[-1e999, -1e999, 1e999, 1e999]", [BAD]),
    ("[0, 0, 1e8, 1e8]", [BAD]),
    ("[" + "9" * 200 + ", 1, 2, 3]", [BAD]),
    ("[10, 20, 30, 1e99999]", []),  # an exponent of five digits is not a number to us
]

SWAPPED_ARE_READ_AS_WRITTEN = [
    ("[30, 40, 10, 20]", [(30, 40, 10, 20)]),
    ("[0, 0, 0, 0]", [(0, 0, 0, 0)]),
    ("[10, 20, 10, 40]", [(10, 20, 10, 40)]),
]

TABLES = {name: table for name, table in list(globals().items()) if isinstance(table, list)}
CASES = [
    pytest.param(text, boxes, id=f"{name}-{i}")
    for name, table in TABLES.items()
    for i, (text, boxes) in enumerate(table)
]


def corners(boxes: list[Box]) -> list[object]:
    return [BAD if math.isnan(box.x1) else tuple(box[:4]) for box in boxes]


@pytest.mark.parametrize(("text", "boxes"), CASES)
def test_table(text: str, boxes: list[object]) -> None:
    assert corners(find_boxes(text)) == boxes


@pytest.mark.parametrize(("text", "boxes"), CASES)
def test_table_inside_prose_and_fences(text: str, boxes: list[object]) -> None:
    """Words around an answer neither hide its boxes nor add any, except where bare numbers need to be alone."""
    assert corners(find_boxes(f"So I looked closely.\n```json\n{text}\n```\nThat is all.")) == boxes


LABELS = [
    ('[{"bbox_2d": [1, 2, 3, 4], "label": "dog"}]', ["dog"]),
    ('[{"label": "dog", "bbox_2d": [1, 2, 3, 4]}]', ["dog"]),
    (
        "[{'bbox_2d': [1, 2, 3, 4], 'label': 'dog's bone'}, {'bbox_2d': [5, 6, 7, 8], 'label': 'cat'}]",
        ["dog's bone", "cat"],
    ),
    ('[{"bbox": [1, 2, 3, 4], "class": "dog"}, {"bbox": [5, 6, 7, 8]}]', ["dog", None]),
    ('{"boxes": [[1, 2, 3, 4], [5, 6, 7, 8]], "label": "dog"}', ["dog", "dog"]),
    ('{"label": ["red blood cell", "RBC"], "bbox_2d": [1, 2, 3, 4]}', ["red blood cell"]),
    ('{"label": "6\\" nail", "bbox_2d": [1, 2, 3, 4]}', ['6" nail']),
    ('{"label": "", "bbox_2d": [1, 2, 3, 4]}', [None]),
    ('{"text": "STOP", "bbox_2d": [1, 2, 3, 4], "label": "sign"}', ["sign"]),
    ('{"label": "sign", "bbox_2d": [1, 2, 3, 4], "text": "STOP"}', ["sign"]),
    ('{"object_name": "cat", "bbox": [1, 2, 3, 4]}', ["cat"]),
    ('[{"text": "a", "bbox": [1, 2, 3, 4]}, {"bbox": [5, 6, 7, 8], "name": "b"}]', ["a", "b"]),
    ('{"label": "狗", "bbox_2d": [1, 2, 3, 4]}', ["狗"]),
    ("<|object_ref_start|>the dog<|object_ref_end|><|box_start|>(1,2),(3,4)<|box_end|>", ["the dog"]),
    ("<ref>dog</ref><box>[[1,2,3,4],[5,6,7,8]]</box><ref>cat</ref><box>[[1,1,2,2]]</box>", ["dog", "dog", "cat"]),
    ("[1, 2, 3, 4]", [None]),
    ("dog: [1, 2, 3, 4]", [None]),
]


@pytest.mark.parametrize(("text", "labels"), LABELS)
def test_labels(text: str, labels: list[str | None]) -> None:
    assert [box.label for box in find_boxes(text)] == labels


CAPTIONS = [
    ("dog: [1, 2, 3, 4]", ["dog"]),
    ("dog: [1, 2, 3, 4]\ncat: [5, 6, 7, 8]", ["dog", "cat"]),
    ("dog: [1, 2, 3, 4], cat: [5, 6, 7, 8]", ["dog", "cat"]),
    ("1. **Dog**: [1, 2, 3, 4]\n2. **Cat**: (5, 6), (7, 8)", ["Dog", "Cat"]),
    ("- dog (1,2),(3,4)", ["dog"]),
    ("the dog<|box_start|>(1,2),(3,4)<|box_end|>", ["the dog"]),
    ('{"dog": [1, 2, 3, 4], "cat": [5, 6, 7, 8]}', ["dog", "cat"]),
    ('{"bbox_2d": [1, 2, 3, 4]}', [None]),
    ("[1, 2, 3, 4]", [None]),
    ("The dog.\n[1, 2, 3, 4]", [None]),
]


@pytest.mark.parametrize(("text", "captions"), CAPTIONS)
def test_captions(text: str, captions: list[str | None]) -> None:
    assert [box.caption for box in find_boxes(text)] == captions


def test_a_flood_stops_the_reading() -> None:
    assert len(find_boxes("[1, 2, 3, 4] " * 1000, limit=10)) == 11
    assert len(find_boxes("x1=1 y1=2 x2=3 y2=4 " * 1000, limit=10)) == 11


coordinates = st.floats(-9999, 9999, allow_nan=False).map(lambda number: round(number, 3))
box_lists = st.lists(st.tuples(*[coordinates] * 4), min_size=1, max_size=8)
FORMS = {
    "json": lambda boxes: str([list(box) for box in boxes]),
    "qwen2": lambda boxes: "".join("<|box_start|>({},{}),({},{})<|box_end|>".format(*box) for box in boxes),
    "qwen2_5": lambda boxes: str([{"bbox_2d": list(box), "label": "it"} for box in boxes]),
    "internvl": lambda boxes: f"<ref>it</ref><box>{[list(box) for box in boxes]}</box>",
    "named": lambda boxes: "\n".join("x1={} y1={} x2={} y2={}".format(*box) for box in boxes),
    "wide": lambda boxes: str([list(box) for box in boxes]).translate({i: i + 0xFEE0 for i in range(0x21, 0x7F)}),
}


@pytest.mark.parametrize("form", FORMS)
@given(boxes=box_lists)
def test_every_form_is_read_back(form: str, boxes: list[tuple[float, ...]]) -> None:
    assert [tuple(box[:4]) for box in find_boxes(FORMS[form](boxes))] == boxes


@settings(max_examples=500)
@given(st.text(alphabet="[](){},;0123456789.-eE \n\"':<>|abelxy12\\px−［，", max_size=200))
def test_anything_is_read_without_error(text: str) -> None:
    for box in find_boxes(text):
        assert all(math.isnan(number) or abs(number) <= MAX_COORDINATE for number in box[:4])


NASTY = {
    "open brackets": "[",
    "close brackets": "]",
    "open and close": "[]",
    "round": "(",
    "reference marks": "[1]",
    "empty pairs": "()",
    "digits": "1",
    "numbers": "1 ",
    "commas": "[1,",
    "one list": "1,",
    "boxes": "[1,2,3,4]",
    "pairs": "(1,2),",
    "points": "(1,2) then ",
    "braces": "{",
    "label keys": '"label":"',
    "single quoted keys": "'label':'",
    "spaces after key": '"label"' + " " * 90,
    "refs": "<ref>",
    "named": "x1=1 ",
    "names without numbers": "x1= ",
    "spaces": " ",
    "newlines": "\n",
    "minus": "-",
    "dots": ".",
    "exponents": "1e1e1",
    "quotes": '"',
    "backslashes": "\\",
    "tags": "<|box_start|>",
    "full width": "［",
    "emoji": "🦝",
    "words": "raccoon ",
    "pair and space": "(1,2)" + " " * 60,
}


@pytest.mark.parametrize("shape", NASTY)
@pytest.mark.parametrize("opening", ["", "[", "[1,2,3,4] "], ids=["plain", "bracket", "box"])
def test_a_megabyte_is_read_in_linear_time(shape: str, opening: str) -> None:
    text = opening + NASTY[shape] * (1_000_000 // len(NASTY[shape]))
    start = time.thread_time()
    find_boxes(text)
    assert time.thread_time() - start < 3.0  # a third of a second on an idle core; quadratic time would be hours


@pytest.mark.parametrize("shape", ["open brackets", "label keys", "single quoted keys", "points", "one list", "digits"])
def test_time_grows_linearly(shape: str) -> None:
    """30 times the text may take 100 times as long on a busy machine; quadratic time would be 900 times."""

    def seconds(size: int) -> float:
        text = NASTY[shape] * (size // len(NASTY[shape]))
        times = []
        for _ in range(3):
            start = time.thread_time()
            find_boxes(text)
            times.append(time.thread_time() - start)
        return min(times)

    seconds(10_000)
    assert seconds(3_000_000) < 100 * max(seconds(100_000), 1e-3)


def test_random_bytes() -> None:
    draw = random.Random(0)
    for _ in range(2000):
        text = bytes(draw.randrange(256) for _ in range(draw.randrange(120))).decode("utf-8", "replace")
        find_boxes(text)
