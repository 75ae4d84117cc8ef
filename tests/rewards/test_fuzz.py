"""Whatever a policy may write: random and hostile responses, megabytes of nasty shapes, and bombs.

Responses are drawn from a fixed seed, so that a failure comes back; 100,000 a reward by hand (`-m slow`), fewer in the
normal suite.
"""

import importlib.util
import math
import random
import time
from pathlib import Path
from typing import Any

import pytest
from processor_time import spent_by_children

from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.kinds.chart import ChartConfig
from mixed_r1_verl.rewards.kinds.iou import IoUConfig
from mixed_r1_verl.rewards.kinds.math import MathConfig
from mixed_r1_verl.rewards.kinds.open_ended import OpenEndedConfig
from mixed_r1_verl.rewards.mixed import MixedReward
from mixed_r1_verl.rewards.pool import Sample, ScoringPool

KEYS = ["score", "acc", "format", "error", "reward_kind", "prediction", "reason"]

REPOSITORY = Path(__file__).parent.parent.parent
_spec = importlib.util.spec_from_file_location("response_length", REPOSITORY / "benchmarks" / "response_length.py")
assert _spec is not None and _spec.loader is not None
response_length = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(response_length)

# reward -> its rows: ground truth and what else it reads
ROWS: dict[str, list[tuple[str, dict[str, Any]]]] = {
    "matching": [
        ("B", {"choices": ["cat", "a big dog", "1/2", r"\frac{3}{4} cm"]}),
        ("C", {"choices": []}),
        ("no", {}),
        ("TRUE", {}),
        ("red sphere", {}),
        ("12", {}),
    ],
    "chart": [
        ("41", {"question": "How many million cars?"}),
        ("2008", {"question": "In which year?"}),
        ("0.5%", {}),
        ("[Chile, 2.5 million, 2013]", {}),
        ("March 4, 2020", {}),
        ("1:15 P.M.", {}),
        ("Other adults, sandwich generation", {}),
        ("Yes", {}),
    ],
    "iou": [
        ("[[10, 20, 300, 400]]", {"width": 640, "height": 480}),
        ("[[1, 2, 3, 4], [5, 5, 9, 9], [0.5, 0.5, 2, 2]]", {"width": 10, "height": 10, "box_frame": "norm1"}),
        ("[[10, 20, 300, 400]]", {"width": 640, "height": 480, "box_frame": "norm1000"}),
        ("[[10, 20, 300, 400]]", {"width": 640, "height": 480, "box_frame": "resized"}),
        (
            '[{"bbox_2d": [1, 2, 30, 40], "label": "cat"}, {"bbox_2d": [5, 6, 70, 80], "label": "dog"}]',
            {"question": "Find the cat and the dog."},
        ),
    ],
    "open_ended": [
        ("A red circle lies on the table.", {}),
        ('["Two dogs run.", "两只狗在跑。", "7"]', {}),
    ],
    "math": [
        (r"\frac{1}{2}", {}),
        ("3x^2+1", {}),
        ("12 cm", {}),
        (r"x \in [1, 2)", {}),
    ],
}
SETTINGS = [
    MixedRewardConfig(),
    MixedRewardConfig(
        options={
            "chart": ChartConfig(anls_threshold=0.0),
            "iou": IoUConfig(mode="giou", max_boxes=3),
            "open_ended": OpenEndedConfig(variant="bmas", references="mean", max_tokens=16),
            "math": MathConfig(max_chars=200),
        },
    ),
    MixedRewardConfig(
        options={"iou": IoUConfig(mode="stepped"), "open_ended": OpenEndedConfig(variant="bmas_f1")}, max_chars=300
    ),
]

PIECES = [
    *(
        "<think>",
        "</think>",
        "<answer>",
        "</answer>",
        "< answer >",
        "</Answer>",
        "<|im_end|>",
        "<|endoftext|>",
        "<box>",
    ),
    *("A", "B", "C", "(B)", "B.", "b)", "cat", "a big dog", "Option B", "yes", "No", "true", "不是", "答案是B", "选项"),
    *("The answer is ", "so it is ", "not ", "or ", " and ", "maybe ", "because ", "? ", "! ", ". ", "\n", "\t", "  "),
    *(
        "41",
        "-3.5",
        "1,200",
        "１２",
        "2008",
        "0",
        "1e9",
        "1e999",
        "9" * 400,
        "nan",
        "inf",
        "-",
        "−",
        "½",
        "²",
        "%",
        "$",
    ),
    *("€", "million", "k", "cm^2", "km", "°C", "March 4, 2020", "1:15 P.M.", "3rd", "twenty-one", "万", "3/0", "0/0"),
    *("[", "]", "(", ")", "{", "}", "[10, 20, 300, 400]", "[[1,2,3,4],[5,6,70,80]]", "(10,20),(300,400)", "[1,2,3]"),
    *(
        '{"bbox_2d": [1, 2, 30, 40], "label": "cat"}',
        "x1=1 y1=2 x2=3 y2=4",
        "[nan, 1, 2, inf]",
        "[4, 3, 2, 1]",
        "```json",
    ),
    *("\\boxed{", "\\frac{1}{2}", "\\frac", "\\text{B}", "\\sqrt{", "$x^2$", "\\", "^", "_", "**", "`", "#", "~", "&"),
    *("A red circle lies on the table.", "the a of in", "两只狗在跑。", "dog " * 9, "…", "\u200b", "\u202e", "\ufeff"),
    *("\ud800", "\0", "\x1b[31m", "e\u0301", "👩‍👩‍👧", "ﷺ", "İ", "ß", "Ǆ", "٣", "Ⅷ", "①", "\u2028", "\x85", "ﬁ", "K"),
]


def hostile(draw: random.Random, truth: str) -> str:
    """A response: pieces that mean something, characters that mean nothing, and frames that are right or not."""
    count = draw.choice((0, 1, 1, 2, 3, 5, 9, 20))
    form = draw.random()
    if form < 0.1:  # what is always wrong does not get far into a reward
        text = truth + draw.choice(("", "", " ", draw.choice(PIECES)))
    elif form < 0.8:
        text = "".join(draw.choice(PIECES) for _ in range(count))
    else:
        text = "".join(chr(draw.randrange(draw.choice((0x80, 0x3000, 0x110000)))) for _ in range(4 * count))
    if text and draw.random() < 0.3:  # cut, doubled or turned round
        place = draw.randrange(len(text))
        text = draw.choice((text[:place], text[place:], text[place:] + text[:place], text * 3, text[::-1]))
    frame = draw.random()
    if frame < 0.7:
        return f"<think>I looked.</think>{draw.choice(('', ' ', chr(10)))}<answer>{text}</answer>"
    if frame < 0.8:
        return f"<think>{text}</think><answer>{draw.choice(PIECES)}</answer>"
    return text if frame < 0.9 else f"{draw.choice(PIECES)}<answer>{text}</answer>{draw.choice(PIECES)}"


def check(result: dict[str, Any], kind: str, response: str) -> None:
    assert list(result) == KEYS, response
    assert result["error"] == 0.0, (result["reason"], response)
    for key in ("score", "acc", "format"):
        assert isinstance(result[key], float) and math.isfinite(result[key]) and 0.0 <= result[key] <= 1.0, response
    assert result["reward_kind"] == kind
    assert isinstance(result["prediction"], str) and isinstance(result["reason"], str)


def fuzz(kind: str, count: int) -> int:
    """Score `count` responses of a kind; returns how many of them were paid something."""
    draw = random.Random(f"{kind} 1")
    rewards = [MixedReward(settings) for settings in SETTINGS]
    paid = 0
    for number in range(count):
        truth, extra = ROWS[kind][number % len(ROWS[kind])]
        response = hostile(draw, truth)
        result = rewards[number // 7 % len(rewards)].score("fuzz", response, truth, {"reward": kind, **extra})
        check(result, kind, response)
        paid += result["acc"] > 0
    return paid


@pytest.mark.parametrize(
    ("kind", "count"), [("matching", 10_000), ("chart", 10_000), ("iou", 10_000), ("open_ended", 6_000), ("math", 500)]
)
def test_any_response_is_scored_without_an_error(kind: str, count: int) -> None:
    assert fuzz(kind, count) > count / 100


@pytest.mark.slow
@pytest.mark.parametrize("kind", ROWS)
def test_a_hundred_thousand_responses(kind: str) -> None:
    assert fuzz(kind, 100_000) > 1_000


@pytest.mark.parametrize("kind", response_length.ROWS)
def test_a_megabyte_of_any_shape_is_scored_at_once(kind: str) -> None:
    """The bound is generous, since the machine may be busy: quadratic time would be hours. `response_length.py` tells
    the times."""
    reward = MixedReward(MixedRewardConfig(max_chars=2_000_000))
    truth, extra = response_length.ROWS[kind]
    for name, shape in response_length.SHAPES.items():
        text = shape(1_000_000)
        assert len(text) > 990_000, name
        start = time.thread_time()
        check(
            reward.score("s", f"<think>x</think><answer>{text}</answer>", truth, {"reward": kind, **extra}), kind, name
        )
        assert time.thread_time() - start < 5.0, name


@pytest.mark.parametrize("frame", ["bare", "think"])
def test_a_megabyte_outside_the_answer_is_scored_at_once(frame: str) -> None:
    reward = MixedReward(MixedRewardConfig(max_chars=2_000_000))
    for name, shape in response_length.SHAPES.items():
        response = response_length.FRAMES[frame].format(shape(1_000_000)) if frame != "bare" else shape(1_000_000)
        start = time.thread_time()
        check(reward.score("s", response, "B", {"reward": "matching"}), "matching", name)
        assert time.thread_time() - start < 5.0, name


# What passes the limits on size and still does not end.
BOMBS = [r"9^{9\cdot 9^{9}}", r"\binom{99999999}{4444444}", r"9^{9\cdot 8^{9}}"]
LIMIT_S = 0.4


@pytest.mark.slow
def test_a_thousand_sympy_bombs_leave_the_scoring_processes_healthy() -> None:
    """Each costs at most the time limit of a comparison; what is scored between and after them is scored right."""
    config = MixedRewardConfig(options={"math": MathConfig(timeout_s=LIMIT_S)}, processes=2)
    pool = ScoringPool(config)
    try:
        before = pool.pids
        right = Sample("s", "<think>x</think><answer>y + 5x</answer>", "5x+y", {"reward": "math"})
        samples = []
        for number in range(1000):
            bomb = f"<think>x</think><answer>{BOMBS[number % len(BOMBS)]}+{number}</answer>"
            samples += [Sample("s", bomb, "5x+y", {"reward": "math"}), right]
        spent = spent_by_children()
        results = [future.result(3600) for future in [pool.submit(sample) for sample in samples]]
        assert spent_by_children() - spent < 1000 * 2 * LIMIT_S
        assert [result["score"] for result in results[::2]] == [0.0] * 1000
        assert {result["reason"] for result in results[::2]} <= {"timeout", "comparison_failed", "wrong"}
        assert [result["acc"] for result in results[1::2]] == [1.0] * 1000
        assert pool.submit(right).result(60)["score"] == 1.0
        assert pool.pids == before
    finally:
        pool.close()
