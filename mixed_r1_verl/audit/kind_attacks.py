"""The attacks on single kinds, until they stand with the kinds."""

import json
import random
from collections.abc import Callable

from mixed_r1_verl.rewards.cheats import Cheat, Sort, Target, say


def _say(
    name: str, answer: str | Callable[[Target], str], *kinds: str, sort: Sort = "blind"
) -> tuple[Cheat, tuple[str, ...]]:
    return say(name, answer, sort=sort), kinds


LABELS = (
    "red, blue, green, yellow, black, white, orange, purple, gray, brown, pink, January, February, March, April, May, "
    "June, July, August, September, October, November, December, United States, China, India, Germany, France, Japan, "
    "Brazil, Russia, United Kingdom, men, women, male, female, yes, no, total, other, increase, decrease"
)


def _letters(target: Target) -> str:
    return "ABCDEFGHIJKLMNOPQRSTUVWXYZ"[: max(len(target.choices), 4)]


def _boxes(boxes: list[list[float]]) -> str:
    return json.dumps([[round(number, 3) for number in box] for box in boxes])


def _grid(target: Target, count: int) -> str:
    width, height = target.extent[0] / count, target.extent[1] / count
    return _boxes(
        [[c * width, r * height, (c + 1) * width, (r + 1) * height] for r in range(count) for c in range(count)]
    )


def _centred(target: Target, *shares: float) -> str:
    width, height = target.extent
    return _boxes(
        [[width * (1 - s) / 2, height * (1 - s) / 2, width * (1 + s) / 2, height * (1 + s) / 2] for s in shares]
    )


def _random_boxes(target: Target, count: int) -> list[list[float]]:
    draw, (width, height) = random.Random(target.seed), target.extent
    boxes = []
    for _ in range(count):
        left, right = sorted((draw.uniform(0, width), draw.uniform(0, width)))
        top, bottom = sorted((draw.uniform(0, height), draw.uniform(0, height)))
        boxes.append([left, top, right, bottom])
    return boxes


def _number_ladder() -> str:
    steps, number = [], 0.01
    while number < 1e7:
        steps.append(f"{number:.4g}")
        number *= 1.1
    return ", ".join(steps)


_CLOSED = ("matching", "chart", "math")

MATCHING = (
    _say("first_option", "A", "matching"),
    _say("all_letters", lambda target: ", ".join(_letters(target)), "matching"),
    _say("letters_in_a_row", lambda target: _letters(target), "matching"),
    _say("letters_with_or", lambda target: " or ".join(_letters(target)), "matching"),
    _say("all_options", lambda target: "; ".join(target.choices) or "yes; no", "matching"),
    _say(
        "listed_options",
        lambda target: "\n".join(f"{a}. {text}" for a, text in zip(_letters(target), target.choices, strict=False)),
        "matching",
    ),
    _say("hedging", "It could be A, but B is also possible, and C or D cannot be ruled out.", "matching"),
    _say("boxed_letters", lambda target: "".join(f"\\boxed{{{letter}}}" for letter in _letters(target)), "matching"),
    _say("yes_and_no", "yes and no", *_CLOSED),
    _say("maybe", "Maybe yes, maybe no; it may be true or false.", *_CLOSED),
    _say("yes_no_letters", "yes, no, true, false, A, B, C, D", *_CLOSED),
    _say("prose_without_choice", "A dog is a nice animal, and no one knows why. I do not know.", "matching"),
)

NUMBERS = (
    _say("number_list", ", ".join(map(str, range(101))), *_CLOSED),
    _say("number_ladder", _number_ladder(), *_CLOSED),
    _say("number_range", "between 0 and 1000000", *_CLOSED),
    _say("numbers_with_or", " or ".join(map(str, range(21))), *_CLOSED),
    _say("year_list", ", ".join(map(str, range(1980, 2030))), "chart"),
    _say("percent_list", ", ".join(f"{i}%" for i in range(0, 101, 5)), "chart"),
    _say("label_list", LABELS, "chart", "matching"),
    _say("infinity", "inf", "chart", "math"),
    _say("not_a_number", "nan", "chart", "math"),
    _say("huge_number", "1e308", "chart", "math"),
    _say("division_by_zero", "0/0", "chart", "math"),
    _say("json_numbers", json.dumps(list(range(50))), "chart", "math"),
    _say("boxed_numbers", "".join(f"\\boxed{{{i}}}" for i in range(30)), "chart", "math"),
    _say("tower", "9^{9^{9^{9}}}", "math"),
    _say("free_variable", "x", "math"),
    _say("real_line", "(-\\infty, \\infty)", "math"),
    _say("set_of_all", "\\{" + ", ".join(map(str, range(-50, 51))) + "\\}", "math"),
)

BOXES = (
    _say("whole_image", lambda target: _centred(target, 1.0), "iou"),
    _say("beyond_the_image", "[[-1000000, -1000000, 1000000, 1000000]]", "iou"),
    _say("infinite_box", "[[-inf, -inf, inf, inf]]", "iou"),
    _say("nan_box", "[[nan, nan, nan, nan]]", "iou"),
    _say("zero_box", "[[0, 0, 0, 0]]", "iou"),
    _say("swapped_box", lambda target: _boxes([[*target.extent, 0, 0]]), "iou"),
    _say("unit_box", "[[0, 0, 1, 1]]", "iou"),
    _say("grid_2", lambda target: _grid(target, 2), "iou"),
    _say("grid_8", lambda target: _grid(target, 8), "iou"),
    _say("nested_boxes", lambda target: _centred(target, *(i / 10 for i in range(1, 11))), "iou"),
    _say("random_boxes", lambda target: _boxes(_random_boxes(target, 60)), "iou"),
    _say("flood", lambda target: _boxes(_random_boxes(target, 1000)), "iou"),
    _say("flood_of_one_box", lambda target: _boxes(_random_boxes(target, 1) * 60), "iou"),
    _say("whole_image_copies", lambda target: _boxes([[0, 0, *target.extent]] * 20), "iou"),
    _say("numbers_to_1000", ", ".join(map(str, range(1001))), "iou"),
    _say("list_of_numbers", json.dumps(list(range(1000))), "iou"),
    _say("points", "(0,0),(1,1),(2,2),(3,3),(4,4),(5,5),(6,6)", "iou"),
    _say("gold_five_times", lambda target: target.honest * 5, "iou", sort="padded"),
    _say(
        "gold_in_a_flood",
        lambda target: f"{target.honest} {_boxes(_random_boxes(target, 50))}",
        "iou",
        sort="padded",
    ),
)

LEGACY = (*MATCHING, *NUMBERS, *BOXES)
