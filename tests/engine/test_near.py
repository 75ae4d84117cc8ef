"""Banding against comparing everything with everything."""

from hypothesis import given
from hypothesis import strategies as st

from mixed_r1_verl.engine.duplicates import NearIndex, same_colour

hashes = st.integers(0, (1 << 64) - 1)


@st.composite
def clusters(draw: st.DrawFn) -> list[int]:
    """Hashes of which many are near one another."""
    centres = draw(st.lists(hashes, min_size=1, max_size=3))
    flips = st.lists(st.integers(0, 63), max_size=6)
    members = []
    for centre in draw(st.lists(st.sampled_from(centres), max_size=60)):
        for bit in draw(flips):
            centre ^= 1 << bit
        members.append(centre)
    return members


@given(clusters(), hashes, st.integers(0, 8))
def test_finds_exactly_what_is_near(stored: list[int], other: int, distance: int) -> None:
    index = NearIndex(distance)
    for number, value in enumerate(stored):
        index.add(value, number)
    for query in [*stored[:5], other]:
        wanted = [(n, (query ^ value).bit_count()) for n, value in enumerate(stored)]
        assert index.find(query) == [(n, d) for n, d in wanted if d <= distance]


def test_colour_is_compared_in_each_channel() -> None:
    assert same_colour(0x102030, 0x182838, 8)
    assert not same_colour(0x102030, 0x102039, 8)
    assert not same_colour(0xFF0000, 0x0000FF, 200)
