"""Seconds that scoring takes as responses of each nasty shape grow from 10 kB to 10 MB.

    OMP_NUM_THREADS=1 python benchmarks/response_length.py [SHAPE ...] [--kinds matching iou] [--sizes 10000 10000000]

A policy can write anything, and what takes longer than linear time will be written one day. In training no response is
longer than `max_chars` (100,000); here that limit is lifted, so that every reward sees the whole text. For each shape
and reward the largest size is compared with the one before: the growth should not exceed the ratio of the sizes. Exits
with 1 where a text of 1 MB takes more than a second, or the largest more than twice what linear growth allows.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import argparse
import random
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
SECOND_AT = 1_000_000
ALLOWED = 2.0
NOISE_S = 0.05
"""Less than this is noise on a busy machine, however it grows."""

ROWS: dict[str, tuple[str, dict[str, Any]]] = {
    "matching": ("B", {"choices": ["cat", "dog", "a red bird", "1/2"]}),
    "chart": ("[2013, 4.5%]", {"question": "Which years and shares?"}),
    "iou": ('[{"bbox_2d": [10, 20, 300, 400], "label": "cat"}]', {"width": 640, "height": 480}),
    "open_ended": ('["A red circle lies on the table.", "Two dogs run."]', {}),
    "math": (r"\frac{1}{2}", {}),
}
"""A row of each reward: ground truth and what else it reads."""


def _repeat(unit: str) -> Callable[[int], str]:
    return lambda size: (unit * (size // len(unit) + 1))[:size]


def _nested(opening: str, closing: str) -> Callable[[int], str]:
    def shape(size: int) -> str:
        depth = size // (len(opening) + len(closing))
        return opening * depth + closing * depth

    return shape


def _noise(size: int) -> str:
    draw = random.Random(0)
    return "".join(chr(draw.choice((draw.randrange(32, 0x3000), draw.randrange(0x4E00, 0x1F700)))) for _ in range(size))


def _distinct_words(size: int) -> str:
    return " ".join(f"w{number:x}" for number in range(size // 6))[:size]


def _distinct_numbers(size: int) -> str:
    return " ".join(str(number) for number in range(size // 5))[:size]


def _answer_between(size: int) -> str:
    return " " * (size // 2) + "B" + " " * (size // 2)


UNITS = {
    "one letter": "a",
    "spaces": " ",
    "line ends": "\n",
    "spaces before a line end": "  \t \n",
    "digits": "1",
    "points": ".",
    "dashes": "-",
    "commas": "1,",
    "thousands": ",000",
    "dotted digits": "1.",
    "percent": "5% ",
    "money": "$5 ",
    "powers": "9^",
    "towers": "{9^",
    "times ten": "1e9",
    "roots": "√(",
    "factorials": "9!",
    "opening brackets": "(",
    "square brackets": "[",
    "braces": "{",
    "closing brackets": ")]}",
    "pairs of brackets": "[]",
    "backslashes": "\\",
    "dollars": "$",
    "asterisks": "*",
    "strong and not": "**a",
    "underscores": "_a",
    "fences": "```",
    "fractions": "\\frac{",
    "boxes of LaTeX": "\\boxed{",
    "closed boxes of LaTeX": "\\boxed{1}",
    "text of LaTeX": "\\text{B}",
    "less than": "<",
    "tag heads": "</",
    "thinks": "<think>",
    "answers": "<answer>",
    "closing answers": "</answer>",
    "blocks": "<think>a</think><answer>B</answer>",
    "blocks crossed": "<think><answer></think></answer>",
    "almost tags": "< answer",
    "end tokens": "<|im_end|>",
    "end tokens and spaces": "<|im_end|> \n",
    "letters": "B ",
    "letters or": "A or ",
    "options": "A. cat B. dog ",
    "yes and no": "yes no ",
    "announcements": "the answer is ",
    "sentences": "The answer is B. ",
    "claims": "so it is ",
    "asides": "(so ",
    "questions": "B? ",
    "not": "not ",
    "boxes": "[10, 20, 300, 400], ",
    "pairs": "(10,20),",
    "chains of pairs": "(1,2) ",
    "objects": '{"bbox_2d": [1, 2, 3, 4], "label": "cat"}, ',
    "label keys": '"label": "',
    "label keys in quotes": "'label': '",
    "named coordinates": "x1=1 ",
    "names of coordinates": "left: ",
    "references": "<ref>cat",
    "long captions": "cat: ",
    "apostrophes": "a'",
    "hyphens": "a-",
    "months": "January ",
    "times of day": "1:",
    "Chinese": "答案是",
    "Chinese numbers": "一万",
    "full-width digits": "１",
    "combining marks": "e\u0301\u0301",
    "marks alone": "\u0301",
    "zero width": "\u200b",
    "direction marks": "\u202e\u202c",
    "ligatures": "\ufdfa",
    "half surrogates": "\ud800",
    "null characters": "\0",
    "emoji": "👩‍👩‍👧",
    "superscripts": "²",
    "long word": "pneumono",
}
SHAPES: dict[str, Callable[[int], str]] = {
    **{name: _repeat(unit) for name, unit in UNITS.items()},
    "nested brackets": _nested("[", "]"),
    "nested braces": _nested("{", "}"),
    "nested fractions": _nested("\\frac{1}{", "}"),
    "nested roots": _nested("\\sqrt{", "}"),
    "nested boxes": _nested("\\boxed{", "}"),
    "nested JSON": _nested('{"a": [', "]}"),
    "nested blocks": _nested("<think>", "</think>"),
    "an answer between spaces": _answer_between,
    "random characters": _noise,
    "distinct words": _distinct_words,
    "distinct numbers": _distinct_numbers,
}
"""Texts that repeat, nest or vary, as functions of their length."""

FRAMES = {
    "answer": "<think>I looked.</think><answer>{}</answer>",
    "think": "<think>{}</think><answer>B</answer>",
    "bare": "{}",
}
"""Where in a response the text stands."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shapes", nargs="*", metavar="SHAPE", help="names of shapes; all by default")
    parser.add_argument("--kinds", nargs="+", default=list(ROWS), choices=list(ROWS))
    parser.add_argument("--frames", nargs="+", default=["answer", "bare"], choices=list(FRAMES))
    parser.add_argument("--sizes", nargs="+", type=int, default=list(SIZES), metavar="CHARS")
    args = parser.parse_args(arguments)
    if unknown := set(args.shapes) - SHAPES.keys():
        parser.error(f"unknown shape {', '.join(sorted(unknown))}")
    from mixed_r1_verl.rewards.config import MixedRewardConfig
    from mixed_r1_verl.rewards.mixed import MixedReward

    reward = MixedReward(MixedRewardConfig(max_chars=2 * max(args.sizes)))
    for kind in args.kinds:  # what the first response of a process waits for is not what is measured
        truth, extra = ROWS[kind]
        reward.score("warm-up", FRAMES["answer"].format("x+1"), truth, {"reward": kind, **extra})
    print(f"{'shape':<28}{'frame':<9}{'reward':<12}" + "".join(f"{size:>12,}" for size in args.sizes) + "   growth")
    bad = 0
    worst: dict[int, tuple[float, str]] = {}
    for name in args.shapes or SHAPES:
        texts = [SHAPES[name](size) for size in args.sizes]
        for frame in args.frames:
            # What the tags hold is found before the kind of reward matters.
            for kind in args.kinds if frame == "answer" else args.kinds[:1]:
                truth, extra = ROWS[kind]
                seconds = []
                for text in texts:
                    response = FRAMES[frame].format(text) if frame != "bare" else text
                    start = time.process_time()
                    result = reward.score("nasty", response, truth, {"reward": kind, **extra})
                    seconds.append(time.process_time() - start)
                    if result["error"]:
                        print(f"  error: {result['reason']}")
                        bad += 1
                line, trouble = _line(name, frame, kind, args.sizes, seconds)
                for size, value in zip(args.sizes, seconds, strict=True):
                    worst[size] = max(worst.get(size, (0.0, "")), (value, f"{name}, {frame}, {kind}"))
                bad += trouble
                if trouble or seconds[-1] > NOISE_S:
                    print(line, flush=True)
    print("only what took more than 0.05 s at the largest size is listed; slowest at each size:")
    for size, (value, where) in worst.items():
        print(f"  {size:>12,} characters: {value:8.4f} s  ({where})")
    print("FAILED" if bad else "ok: linear, and within a second at 1 MB")
    return int(bad > 0)


def _line(name: str, frame: str, kind: str, sizes: Sequence[int], seconds: Sequence[float]) -> tuple[str, bool]:
    line = f"{name:<28}{frame:<9}{kind:<12}" + "".join(f"{value:>12.4f}" for value in seconds)
    trouble = any(value > 1.0 for size, value in zip(sizes, seconds, strict=True) if size <= SECOND_AT)
    if len(sizes) > 1 and seconds[-1] > NOISE_S:
        growth = seconds[-1] / max(seconds[-2], NOISE_S * sizes[-2] / sizes[-1])
        allowed = sizes[-1] / sizes[-2]
        line += f"   x{growth:.1f} for x{allowed:.0f}"
        trouble = trouble or growth > ALLOWED * allowed
    return line + ("   TOO SLOW" if trouble else ""), trouble


if __name__ == "__main__":
    sys.exit(main())
