"""Words: stems."""

import pytest

from mixed_r1_verl.rewards.similarity.words import stem

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
