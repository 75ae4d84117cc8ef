"""What the default takes off for generic captions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixed_r1_verl.rewards.similarity.robust import _beyond_generic, robust
from mixed_r1_verl.rewards.similarity.table import EmbeddingTable
from mixed_r1_verl.rewards.similarity.words import GENERIC_CAPTIONS

SHARE = st.floats(0, 1)


@given(matched=SHARE, generic=SHARE)
def test_the_share_beyond_generic_is_in_range_and_fixed_at_both_ends(matched: float, generic: float) -> None:
    assert 0 <= _beyond_generic(matched, generic) <= 1 + 1e-9
    assert _beyond_generic(0.0, generic) == pytest.approx(0, abs=1e-9)
    assert _beyond_generic(1.0, generic) == pytest.approx(1)


@given(one=SHARE, other=SHARE, generic=SHARE)
def test_more_matched_is_never_paid_less(one: float, other: float, generic: float) -> None:
    low, high = sorted((one, other))
    assert _beyond_generic(low, generic) <= _beyond_generic(high, generic) + 1e-9


@given(matched=SHARE)
def test_nothing_is_taken_off_by_much_where_nothing_is_generic(matched: float) -> None:
    assert _beyond_generic(matched, 0.0) == pytest.approx(matched, abs=0.03)


def test_words_of_generic_captions_are_generic_and_others_are_not() -> None:
    words = EmbeddingTable.load(None).words(("man", "beekeeper", "собака", "犬"))
    common, rare, russian, japanese = words.generic
    assert common > 0.1 > rare >= 0
    assert russian < 0.05 and japanese < 0.05


@pytest.mark.parametrize("caption", GENERIC_CAPTIONS)
def test_a_generic_reference_still_pays_its_own_text(caption: str) -> None:
    assert robust(caption, caption, EmbeddingTable.load(None), 64) == pytest.approx(1, abs=1e-5)
