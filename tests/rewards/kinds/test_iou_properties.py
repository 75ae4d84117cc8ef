"""What holds for any boxes, and what hostile answers cost."""

import itertools
import json
import random
import time
from typing import Any, get_args, get_type_hints

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mixed_r1_verl.core.boxes import box_iou
from mixed_r1_verl.rewards.answer.boxes import MAX_GOLD_BOXES
from mixed_r1_verl.rewards.kinds.iou import IoUConfig, iou_reward

MODES = get_args(get_type_hints(IoUConfig)["mode"])

G = "[[10, 20, 30, 40]]"
CAT_DOG = '[{"bbox_2d": [0, 0, 10, 10], "label": "cat"}, {"bbox_2d": [20, 0, 30, 10], "label": "dog"}]'
CATS = '[{"bbox_2d": [0, 0, 10, 10], "label": "cat"}, {"bbox_2d": [20, 0, 30, 10], "label": "cat"}]'

corner = st.integers(0, 100)
side = st.integers(1, 60)
box = st.builds(lambda x, y, w, h: (x, y, x + w, y + h), corner, corner, side, side)
boxes = st.lists(box, min_size=1, max_size=5)


def acc(predicted: Any, gold: Any, mode: Any = "raw") -> float:
    return iou_reward(json.dumps(predicted), json.dumps(gold), config=IoUConfig(mode=mode)).acc


def far_apart(several: list[tuple[int, ...]]) -> bool:
    return all(box_iou(a, b) < 0.9 for a, b in itertools.combinations(several, 2))


@pytest.mark.parametrize("mode", MODES)
@given(predicted=boxes, gold=boxes)
def test_acc_is_in_range(mode: Any, predicted: list[tuple[int, ...]], gold: list[tuple[int, ...]]) -> None:
    assert 0.0 <= acc(predicted, gold, mode) <= 1.0


@given(boxes)
def test_the_gold_itself_earns_one(gold: list[tuple[int, ...]]) -> None:
    assert acc(gold, gold) == 1.0


@pytest.mark.parametrize("mode", MODES)
@given(predicted=boxes, gold=boxes, seed=st.randoms())
def test_order_does_not_matter(
    mode: Any, predicted: list[tuple[int, ...]], gold: list[tuple[int, ...]], seed: random.Random
) -> None:
    shuffled = seed.sample(predicted, len(predicted)), seed.sample(gold, len(gold))
    assert acc(*shuffled, mode) == pytest.approx(acc(predicted, gold, mode), abs=1e-12)


@given(boxes, boxes)
def test_two_answers_can_be_exchanged(a: list[tuple[int, ...]], b: list[tuple[int, ...]]) -> None:
    assume(far_apart(a) and far_apart(b))
    assert acc(a, b) == pytest.approx(acc(b, a), abs=1e-12)


@given(boxes, boxes)
def test_assignment_is_the_best_of_all(predicted: list[tuple[int, ...]], gold: list[tuple[int, ...]]) -> None:
    assume(far_apart(predicted))
    short, long = sorted((predicted, gold), key=len)
    best = max(
        sum(box_iou(a, b) for a, b in zip(short, order, strict=True))
        for order in itertools.permutations(long, len(short))
    )
    assert acc(predicted, gold) == pytest.approx(best / len(long), abs=1e-9)


@pytest.mark.parametrize("mode", MODES)
@given(predicted=boxes, gold=boxes, data=st.data())
def test_a_surplus_box_never_raises_the_score(
    mode: Any, predicted: list[tuple[int, ...]], gold: list[tuple[int, ...]], data: st.DataObject
) -> None:
    """Surplus: a copy of a box that is there, a box beside all gold boxes, or one without area."""
    assume(len(set(gold)) == len(gold))  # if the data has a gold box twice, so may the answer
    extra = data.draw(
        st.one_of(st.sampled_from(predicted), box.map(lambda b: tuple(n + 1000 for n in b)), box.map(lambda b: b[::-1]))
    )
    before, after = acc(predicted, gold, mode), acc([*predicted, extra], gold, mode)
    assert after <= before + 1e-12
    if len(predicted) >= len(gold) and before:
        assert after < before


@given(st.lists(box, min_size=1, max_size=8), box)
def test_guessing_often_is_no_better_than_guessing_once(guesses: list[tuple[int, ...]], gold: tuple[int, ...]) -> None:
    once = sum(acc([guess], [gold]) for guess in guesses) / len(guesses)
    assert acc(guesses, [gold]) <= once + 1e-12


@pytest.mark.parametrize("count", [1, 2, 5, 20, 64])
def test_flooding_with_a_grid_earns_less_than_a_whole_image_box(count: int) -> None:
    gold = [[100, 100, 300, 250]]
    step = 640 / count
    grid = [[i * step, 0, (i + 1) * step, 480] for i in range(count)]
    assert acc(grid, gold) <= acc([[0, 0, 640, 480]], gold) + 1e-12 < 0.1


@settings(max_examples=300)
@given(st.text(alphabet="[](){},;0123456789.-eEnaif \n\"':<>|label_box", max_size=150))
def test_any_answer_gives_a_score(answer: str) -> None:
    for mode in MODES:
        verdict = iou_reward(answer, CAT_DOG, question="cat", config=IoUConfig(mode=mode))
        assert 0.0 <= verdict.acc <= 1.0
        assert verdict.reason


def test_hundred_thousand_hostile_answers() -> None:
    """Pieces of boxes put together at random: no error, a finite score in [0, 1], and 0 unless a whole box is there."""
    draw = random.Random(0)
    pieces = [
        "[",
        "]",
        "(",
        ")",
        ",",
        " ",
        "10",
        "20",
        "30",
        "40",
        "-",
        "nan",
        "1e9",
        "{",
        "}",
        '"label":"cat"',
        "'",
        "\n",
    ]
    pieces += [
        "[0,0,10,10]",
        "(0,0),(10,10)",
        "x1=0 y1=0 x2=10 y2=10",
        "<ref>",
        "cat",
        "<|box_start|>",
        "［",
        "９",
        "−",
        ".",
    ]
    start = time.thread_time()
    for _ in range(100_000):
        answer = "".join(draw.choices(pieces, k=draw.randrange(12)))
        verdict = iou_reward(answer, CATS)
        assert 0.0 <= verdict.acc <= 1.0
        if not verdict.prediction:
            assert verdict.acc == 0.0
    assert time.thread_time() - start < 60


@pytest.mark.parametrize(
    "unit",
    ["[", "[0,0,10,10]", "[0,0,10,10", "(0,0),", "1", "9 ", '{"label":"', "'label':'", "x1=0 ", "［", "(", "[1]"],
)
def test_a_megabyte_is_read_in_linear_time(unit: str) -> None:
    answer = unit * (1_000_000 // len(unit))
    start = time.thread_time()
    iou_reward(answer, CAT_DOG)
    assert time.thread_time() - start < 3.0  # a third of a second on an idle core; quadratic time would be hours


def test_as_many_boxes_as_are_allowed_are_paired_in_time() -> None:
    draw = random.Random(0)

    def some(count: int) -> list[list[float]]:
        corners = [(draw.uniform(0, 500), draw.uniform(0, 500)) for _ in range(count)]
        return [[x, y, x + draw.uniform(1, 140), y + draw.uniform(1, 140)] for x, y in corners]

    gold, predicted = json.dumps(some(MAX_GOLD_BOXES)), json.dumps(some(2 * MAX_GOLD_BOXES))
    start = time.thread_time()
    assert iou_reward(predicted, gold).acc > 0
    assert time.thread_time() - start < 3.0  # a third of a second on an idle core; quadratic time would be hours


def test_typical_answers_are_fast() -> None:
    """The benchmark asks for 20,000 a second on an idle core; a quarter of that fails only on a broken fast path."""
    answers = ["[10, 20, 30, 40]", '```json\n[{"bbox_2d": [10, 20, 30, 41], "label": "dog"}]\n```', "(10,20),(30,42)"]
    start = time.thread_time()
    for _ in range(1000):
        for answer in answers:
            iou_reward(answer, G)
    assert 3000 / (time.thread_time() - start) > 5000
