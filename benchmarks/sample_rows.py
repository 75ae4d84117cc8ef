"""Rows and responses as a training step has them, drawn from a fixed seed, for the benchmarks."""

import json
import random
from collections.abc import Sequence
from typing import Any

KINDS = ("matching", "chart", "iou", "open_ended")
GROUP = 8
_TEXT = (
    "the a of and in on with is are to left right red blue large small person street table window water light tree "
    "building standing holding wearing looking behind front picture shows image man woman two three"
)
WORDS = _TEXT.split()


def mixed_rows(count: int, kinds: Sequence[str] = KINDS, seed: int = 0) -> list[tuple[str, dict[str, Any]]]:
    """Responses and verl rows of the kinds in equal parts, eight responses to a row, right and wrong ones mixed."""
    draw = random.Random(seed)
    rows: list[tuple[str, dict[str, Any]]] = []
    while len(rows) < count:
        kind = kinds[len(rows) // GROUP % len(kinds)]
        truth, extra, answer = _MAKERS[kind](draw)
        row = {
            "data_source": f"bench_{kind}",
            "reward_model": {"style": "rule", "ground_truth": truth},
            "extra_info": {"id": f"bench/{len(rows)}", "reward": kind, "question": "What is shown?", **extra},
        }
        for _ in range(GROUP):
            think = " ".join(draw.choices(WORDS, k=80))
            rows.append((f"<think>{think}</think>\n<answer>{answer(draw)}</answer>", row))
    return rows[:count]


def _matching(draw: random.Random) -> tuple[str, dict[str, Any], Any]:
    choices = [" ".join(draw.choices(WORDS, k=2)) for _ in range(4)]
    forms = ("{}", "({})", "The answer is {}.", "**{}**", "Option {}")
    return (
        draw.choice("ABCD"),
        {"choices": choices},
        lambda draw: draw.choice(forms).format(draw.choice("ABCD")),
    )


def _chart(draw: random.Random) -> tuple[str, dict[str, Any], Any]:
    value = round(draw.uniform(1, 5000), 1)
    forms = ("{}", "{}%", "${}", "The value is {}.", "about {}")
    return str(value), {}, lambda draw: draw.choice(forms).format(round(value * draw.uniform(0.8, 1.2), 1))


def _iou(draw: random.Random) -> tuple[str, dict[str, Any], Any]:
    box = [draw.randint(0, 300), draw.randint(0, 200), draw.randint(320, 640), draw.randint(220, 480)]
    forms = ("{}", '```json\n[{{"bbox_2d": {}, "label": "person"}}]\n```')
    return (
        json.dumps([box]),
        {"width": 640, "height": 480},
        lambda draw: draw.choice(forms).format([corner + draw.randint(-20, 20) for corner in box]),
    )


def _open_ended(draw: random.Random) -> tuple[str, dict[str, Any], Any]:
    reference = draw.choices(WORDS, k=60)

    def answer(draw: random.Random) -> str:
        return " ".join(draw.choice(WORDS) if draw.random() < 0.4 else word for word in reference)

    return " ".join(reference), {}, answer


_MAKERS = {"matching": _matching, "chart": _chart, "iou": _iou, "open_ended": _open_ended}
