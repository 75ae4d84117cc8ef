"""The default: a text and itself, answers that never saw the picture, spoilt answers, generic captions."""

from itertools import pairwise
from typing import cast

import pytest
from described_pictures import HONEST, LIMIT, PICTURES, TABLE, UNRELATED, mean_score, with_references
from hypothesis import given
from hypothesis import strategies as st

from mixed_r1_verl.rewards.similarity.robust import beyond_generic, robust
from mixed_r1_verl.rewards.similarity.table import EmbeddingTable
from mixed_r1_verl.rewards.similarity.variants import VARIANTS
from mixed_r1_verl.rewards.similarity.words import FUNCTION_WORDS, GENERIC_CAPTIONS, split_words

OWN = ("robust", "bmas", "bmas_f1")
SHARE = st.floats(0, 1)
DUMP = (
    "window bottle carpet lemon pocket engine ladder pillow bridge candle mirror basket hammer ribbon saddle tunnel "
    "blanket rocket curtain drawer anchor pebble needle magnet bucket garlic statue zipper marble helmet walnut "
    "picnic sponge velvet napkin canyon parrot thread locket turnip"
)


@pytest.mark.parametrize("variant", OWN)
@pytest.mark.parametrize("text", [text for pair in PICTURES for text in pair] + ["dog", "of the", "42", "一只狗在跑"])
def test_a_text_is_one_with_itself(variant: str, text: str) -> None:
    assert VARIANTS[variant](text, text, TABLE, LIMIT) == pytest.approx(1, abs=1e-5)


def test_a_text_and_itself_are_not_compared() -> None:
    """Conversion scores every description against itself, and that needs no table."""
    assert robust(DUMP, DUMP, cast(EmbeddingTable, None), LIMIT) == 1
    assert robust("...", "...", TABLE, LIMIT) == 0


@pytest.mark.parametrize(("pair", "other"), list(zip(HONEST, UNRELATED, strict=True)))
def test_default_tells_honest_from_unrelated(pair: tuple[str, str], other: tuple[str, str]) -> None:
    assert robust(*pair, TABLE, LIMIT) > robust(*other, TABLE, LIMIT) + 0.1


REFERENCE_FREE = {
    "the one word a": "a",
    "stop words": "the a of in on and with is at to for by an it that this as from",
    "generic caption": "A group of people standing outside in front of a building.",
    "several generic captions": "A man is standing outside. A woman is sitting at a table. People walk down a street.",
    "noun list": "man woman dog street shirt people boy girl ball water grass table building car tree",
    "dots": ". . . . .",
    "prompt echo": "Describe the image in detail. What is shown in this picture?",
    "emoji": "🐶🌊🎻🚜" * 20,
    "control and invisible characters": "\u200b\u200d\u202e\ufeff\x00\x01" * 50,
    "private use and noncharacters": "\ue000\uffff\ufdd0 " * 50,
    "special tokens": "<|im_end|><|endoftext|><image>" * 10,
    "letters": " ".join("abcdefghijklmnopqrstuvwxyz"),
    "dump": DUMP,
}


@pytest.mark.parametrize("attack", list(REFERENCE_FREE))
def test_answers_that_never_saw_the_picture_do_not_pay(attack: str) -> None:
    honest, unrelated = mean_score("robust", HONEST), mean_score("robust", UNRELATED)
    assert mean_score("robust", with_references(REFERENCE_FREE[attack])) <= unrelated + 0.25 * (honest - unrelated)


def keywords(text: str) -> str:
    return " ".join(word for word in split_words(text, LIMIT) if word not in FUNCTION_WORDS)


DEGRADED = {
    "repeated five times": (lambda text: " ".join([text] * 5), 0.6),
    "with a dump of 40 words": (lambda text: f"{text} {DUMP}", 0.6),
    "keywords of the truth": (lambda text: keywords(text), 0.85),
    "each word ten times": (lambda text: " ".join(word for word in text.split() for _ in range(10)), 0.6),
    "first half": (lambda text: " ".join(text.split()[: len(text.split()) // 2]), 0.9),
    "words in sorted order": (lambda text: " ".join(sorted(split_words(text, LIMIT))), 0.98),
}


@pytest.mark.parametrize("attack", list(DEGRADED))
def test_spoiling_an_honest_answer_loses(attack: str) -> None:
    spoil, at_most = DEGRADED[attack]
    honest = mean_score("robust", HONEST)
    assert mean_score("robust", [(spoil(answer), reference) for answer, reference in HONEST]) <= at_most * honest


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("a red canoe on a lake", "a blue canoe on a lake"),  # colours exclude each other
        ("the boy rides a horse", "the girl rides a horse"),  # so do the sexes
        ("a dog jumping over a fence", "a dog under a fence"),
        ("dogs chase the cats", "dogs chase the cars"),
    ],
)
def test_contradictions_cost(better: str, worse: str) -> None:
    reference = "A red canoe, a boy on a horse, a dog that jumps over a fence, dogs chasing a cat, by a lake."
    assert robust(better, reference, TABLE, LIMIT) > robust(worse, reference, TABLE, LIMIT)


ONE_POINT = {
    "roles": ("A man rides a horse on the beach.", "A horse rides a man on the beach."),
    "whose colour": ("A white dog beside a brown horse.", "A brown dog beside a white horse."),
    "colour": ("A red car on a road.", "A yellow car on a road."),
    "number": ("Two dogs on a sofa.", "Three dogs on a sofa."),
    "number in digits": ("2 dogs on a sofa.", "3 dogs on a sofa."),
    "sex": ("A woman holds an umbrella.", "A man holds an umbrella."),
    "negation": ("A boy with a hat in a park.", "A boy without a hat in a park."),
    "denial": ("A boy with a hat in a park.", "It is not true that a boy with a hat is in a park."),
    "hedge": ("A boy with a hat in a park.", "A boy or a girl with a hat in a park."),
    "hedged colour": ("A red car on a road.", "A red or a blue car on a road."),
    "shuffled": ("A small boat drifts past an old lighthouse.", "Lighthouse old past boat a an small drifts."),
}


@pytest.mark.parametrize("point", list(ONE_POINT))
def test_one_point_that_is_wrong_costs(point: str) -> None:
    right, wrong = ONE_POINT[point]
    references = {
        "number in digits": "Two brown dogs lie on a sofa.",
        "whose colour": "There is a white dog next to a brown horse.",
    }
    reference = references.get(point, right.replace("A ", "There is a ", 1).replace("There is a Two", "Two"))
    assert robust(wrong, reference, TABLE, LIMIT) < robust(right, reference, TABLE, LIMIT) - 0.02


@given(st.permutations("boat drifts past old lighthouse while seven gulls circle above calm harbour".split()))
def test_no_order_pays_more_than_the_right_one(words: list[str]) -> None:
    reference = "boat drifts past old lighthouse while seven gulls circle above calm harbour"
    assert robust(" ".join(words), reference, TABLE, LIMIT) <= robust(reference, reference, TABLE, LIMIT) + 1e-6


def test_a_list_has_no_cliff() -> None:
    reference = "A brown dog runs across a grassy field with a red ball in its mouth while two children watch."
    words = keywords(reference).split()
    ways = [robust(" ".join(words[:count]), reference, TABLE, LIMIT) for count in range(2, len(words))]
    assert all(after > before - 0.1 for before, after in pairwise(ways))


def test_a_number_must_be_the_same_number() -> None:
    reference = "The share rose to 45% in 2014."
    same = robust("It rose to 45% in 2014.", reference, TABLE, LIMIT)
    other = robust("It rose to 68% in 2019.", reference, TABLE, LIMIT)
    assert same > other + 0.2


@pytest.mark.parametrize("text", ["A dog", "一只棕色的狗在草地上奔跑", "собака бежит по траве", "كلب يجري في الحقل"])
def test_scripts(text: str) -> None:
    assert robust(text, text, TABLE, LIMIT) == pytest.approx(1, abs=1e-5)
    assert robust(text, "submarine engines", TABLE, LIMIT) < 0.3


def test_unicode_forms_of_one_word_are_one_word() -> None:
    assert robust("Ｃａｆｅ\u0301 d\u200bog’s", "café dog's", TABLE, LIMIT) == pytest.approx(1, abs=1e-5)


def test_what_lies_beyond_the_limit_costs() -> None:
    reference = " ".join(f"word{number}" for number in range(64))
    exact = robust(reference, reference, TABLE, 64)
    assert robust(reference + " junk" * 20_000, reference, TABLE, 64) < 0.1 < exact


# --- generic captions


@given(matched=SHARE, generic=SHARE)
def test_the_sharebeyond_generic_is_in_range_and_fixed_at_both_ends(matched: float, generic: float) -> None:
    assert 0 <= beyond_generic(matched, generic) <= 1 + 1e-9
    assert beyond_generic(0.0, generic) == pytest.approx(0, abs=1e-9)
    assert beyond_generic(1.0, generic) == pytest.approx(1)


@given(one=SHARE, other=SHARE, generic=SHARE)
def test_more_matched_is_never_paid_less(one: float, other: float, generic: float) -> None:
    low, high = sorted((one, other))
    assert beyond_generic(low, generic) <= beyond_generic(high, generic) + 1e-9


@given(matched=SHARE)
def test_nothing_is_taken_off_by_much_where_nothing_is_generic(matched: float) -> None:
    assert beyond_generic(matched, 0.0) == pytest.approx(matched, abs=0.03)


def test_words_of_generic_captions_are_generic_and_others_are_not() -> None:
    words = EmbeddingTable.load(None).words(("man", "beekeeper", "собака", "犬"))
    common, rare, russian, japanese = words.generic
    assert common > 0.1 > rare >= 0
    assert russian < 0.05 and japanese < 0.05


@pytest.mark.parametrize("caption", GENERIC_CAPTIONS)
def test_a_generic_reference_still_pays_its_own_text(caption: str) -> None:
    assert robust(caption, caption, EmbeddingTable.load(None), 64) == pytest.approx(1, abs=1e-5)
