"""Words: stems, what is negated or left open, what a question asks for."""

import pytest

from mixed_r1_verl.rewards.similarity.words import NEGATED, OPEN, modes, stem, values_in

APART = """
    hammer ham, corner corn, number numb, summer sum, letter let, dinner din, banner ban, butter but, better bet,
    copper cop, pepper pep, matter mat, bitter bit, rubber rub, ladder lad, slipper slip, tower tow, flower flow,
    shower show, water wat, cover cov, border bord, finger fing, singer sing, center cent, counter count, poster post,
    master mast, sister sist, string str, spring spr, evening even, news new, planes plans, hoping hopping,
    staring starring, bare bar, pin pine, cap cape, can cane, tap tape, rat rate, hat hate, car care, star stare,
    bus bush, mother moth, brother broth, father fath, leather leath, weather weath, trailer trail, huge hug,
    site sits, base bass, coaster coast, later late, wander wand, under und, other oth
"""
TOGETHER = """
    building buildings, ceiling ceilings, painting paintings, string strings, railing railings, evening evenings,
    morning mornings, ball balls, wall walls, hill hills, jump jumps, jump jumping, jump jumped, run running,
    carry carries, carry carried, bake baking, bake bakes, ride riding, box boxes, bus buses, dish dishes, dog dogs,
    dog dog's, dogs dogs', child child's, baby babies, city cities, skate skating, skateboard skateboarding,
    surf surfing, surfer surfers, swim swimming, play playing, player players, sit sitting, hike hiking, hiker hikers,
    hammer hammers, letter letters, corner corners, number numbers, summer summers, flower flowers, tower towers,
    climb climbing, drive driving, dance dances, dancer dancers, smile smiling, wave waving, slice slicing,
    bench benches, beach beaches, tomato tomatoes, potato potatoes, photo photos, shoe shoes, house houses,
    horse horses, dress dresses, lie lies, tie tied, tie ties, ski skis, ski skiing, fly flying, fly flies, try tries,
    stop stopping, hug hugging, travel travelling, color colored, color colorful, pull pulled, tattoo tattoos
"""


def pairs(table: str) -> list[tuple[str, ...]]:
    return [tuple(pair.split()) for pair in table.split(",")]


@pytest.mark.parametrize(("one", "other"), pairs(APART))
def test_words_that_only_look_alike_have_stems_of_their_own(one: str, other: str) -> None:
    assert stem(one) != stem(other)


@pytest.mark.parametrize(("one", "other"), pairs(TOGETHER))
def test_forms_of_one_word_have_one_stem(one: str, other: str) -> None:
    assert stem(one) == stem(other)


@pytest.mark.parametrize("word", ["狗", "собака", "2.5", "x" * 64, "'", "\ud800", ""])
def test_any_word_has_a_stem(word: str) -> None:
    assert isinstance(stem(word), str)


@pytest.mark.parametrize(
    ("text", "negated", "left_open"),
    [
        ("a man without a hat walks on a long beach", "hat walks long", ""),
        ("there is no dog on the green grass near a river", "dog green grass river", ""),
        ("a dog that is not running after a big red ball", "running big red", ""),
        ("the picture is certainly not true to the man with a hat", "true man hat", ""),
        ("a red or blue car", "", "red blue"),
        ("no cat or dog", "", "cat dog"),
        ("a brown dog", "", ""),
    ],
)
def test_what_is_negated_or_left_open(text: str, negated: str, left_open: str) -> None:
    words = text.split()
    found = modes(words)
    assert [word for word, mode in zip(words, found, strict=True) if mode == NEGATED] == negated.split()
    assert [word for word, mode in zip(words, found, strict=True) if mode == OPEN] == left_open.split()


@pytest.mark.parametrize(
    ("question", "text", "values"),
    [
        ("How many dogs are there?", "There are three dogs and 1 cat.", {"3", "1"}),
        ("How many of the 4 dogs run?", "Two of the four.", {"2"}),
        ("How many dogs are there?", "two or three", set()),
        ("How many dogs are there?", "not two", set()),
        ("What color is it?", "It is grey.", {"7"}),
        ("What colour is it?", "silver", {"7"}),
        ("Is there a dog?", "Yes, there is.", {"yes"}),
        ("Is there a dog?", "yes no", {"yes", "no"}),
        ("Is there a dog?", "There is a dog.", set()),
        ("What is there?", "Two dogs.", None),
        ("", "Two dogs.", None),
    ],
)
def test_values_that_a_question_asks_for(question: str, text: str, values: set[str] | None) -> None:
    assert values_in(question, text, 64) == (None if values is None else frozenset(values))
