"""What of a row is kept to compare it by."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from PIL import Image

from mixed_r1_verl.engine.describe import answer_class, describe_picture, describe_row, hash_question, may_move
from mixed_r1_verl.engine.duplicates import same_colour
from mixed_r1_verl.rewards.config import MixedRewardConfig
from mixed_r1_verl.rewards.mixed import MixedReward


def near(left: bytes, right: bytes) -> bool:
    (a, colour_a), (b, colour_b) = describe_picture(left), describe_picture(right)
    return (a ^ b).bit_count() <= 4 and same_colour(colour_a, colour_b, 8)


@pytest.mark.parametrize("seed", range(5))
def test_a_picture_is_near_itself_in_another_size_and_format_and_near_no_other(
    picture: Callable[[int], Image.Image], encoded: Callable[..., bytes], seed: int
) -> None:
    image = picture(seed)
    assert near(encoded(image), encoded(image, "JPEG", quality=80))
    assert near(encoded(image), encoded(image.resize((240, 240)), "WEBP", quality=90))
    assert not any(near(encoded(image), encoded(picture(other))) for other in range(5) if other != seed)


def test_a_scene_in_another_colour_is_another_picture(encoded: Callable[..., bytes]) -> None:
    red, blue = (Image.new("RGB", (64, 64), "white") for _ in range(2))
    red.paste((200, 0, 0), (16, 16, 48, 48))
    blue.paste((0, 0, 255), (16, 16, 48, 48))
    assert not near(encoded(red), encoded(blue))


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("What is it?", "what  IS it", True),
        ("Is ２ more?", "is 2 more", True),
        ("多少个？", "多少个", True),
        ("Is it red?", "Is it read?", False),
    ],
)
def test_questions(left: str, right: str, same: bool) -> None:
    assert (hash_question(left) == hash_question(right)) is same


@pytest.mark.parametrize(
    ("reward", "truth", "choices", "wanted"),
    [
        ("matching", "b", ["x", "y"], "B"),
        ("chart", "A", ["x", "y"], "A"),
        ("matching", "C", ["x", "y"], ""),
        ("matching", " No ", [], "no"),
        ("matching", "True", [], "true"),
        ("chart", "Yes", [], ""),
        ("matching", "circle", [], ""),
    ],
)
def test_answer_classes(reward: str, truth: str, choices: list[str], wanted: str) -> None:
    assert answer_class(MixedReward(), truth, {"reward": reward, "choices": choices}) == wanted


@pytest.mark.parametrize(
    ("question", "choices", "wanted"),
    [
        ("What is it?", ["cat", "dog"], True),
        ("How many?", ["1", "2"], True),
        ("Which angle?", ["A", "B"], False),
        ("What is it?", ["cat", "dog", "All of the above"], False),
        ("What is it?", ["cat", "dog", "A and B"], False),
        ("Is option A right?", ["yes it is", "no it is not"], False),
        ("What is it?", ["cat", "cat"], False),
        ("What is it?", ["cat", ""], False),
    ],
)
def test_options_that_may_move(question: str, choices: list[str], wanted: bool) -> None:
    assert may_move(question, choices) is wanted


def test_group_is_what_the_pattern_finds(encoded: Callable[..., bytes], picture: Callable[[int], Image.Image]) -> None:
    extra = {"id": "nlvr/dev/12-3", "reward": "matching", "choices": [], "question": "Is it?"}
    row = {
        "images": [{"bytes": encoded(picture(0))}],
        "reward_model": {"ground_truth": "true"},
        "extra_info": extra,
    }
    assert describe_row(row, MixedReward(), r"dev/(\d+)-")["group"] == "12"
    assert describe_row(row, MixedReward(), r"dev/\d+")["group"] == "dev/12"
    assert describe_row(row, MixedReward(), r"test/(\d+)")["group"] is None
    assert describe_row(row, MixedReward())["group"] is None


def test_a_custom_kind_is_closed_where_its_prompt_names_both_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    open_kind = MixedReward(MixedRewardConfig(custom={"mine": "hostile_rewards:obey"}))
    assert answer_class(open_kind, "yes", {"reward": "mine", "choices": []}) == ""
    assert answer_class(open_kind, "B", {"reward": "mine", "choices": ["cat", "dog"]}) == "B"
    closed = replace(open_kind.kinds["mine"], instruction="Say yes or no.")
    monkeypatch.setattr(open_kind, "kinds", {"mine": closed})
    assert answer_class(open_kind, "No", {"reward": "mine", "choices": []}) == "no"
    assert answer_class(open_kind, "true", {"reward": "mine", "choices": []}) == ""
