"""The optimiser: it finds what pays, the same again, within its time, and nothing that pays under the default."""

import time

import pytest
from described_pictures import LIMIT, PICTURES, TABLE

from mixed_r1_verl.audit.search import search_text
from mixed_r1_verl.rewards.similarity.robust import robust
from mixed_r1_verl.rewards.similarity.words import split_words

WORDS = list(dict.fromkeys(word for pair in PICTURES for text in pair for word in split_words(text, LIMIT)))


def overlap(row: int, text: str) -> float:
    """A reward that any long list of words earns."""
    wanted = set(split_words(PICTURES[row][0], LIMIT))
    return len(wanted & set(text.split())) / len(wanted)


def test_it_finds_what_pays_and_the_same_again() -> None:
    texts = [search_text(12, overlap, WORDS, seed=1, seconds=60, steps=120) for _ in range(2)]
    assert texts[0] == texts[1]
    assert sum(overlap(row, texts[0]) for row in range(12)) / 12 > 0.6


def test_time_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock on which each call of the reward takes 0.01 s."""
    calls = 0

    def slow(row: int, text: str) -> float:
        nonlocal calls
        calls += 1
        return 0.0

    monkeypatch.setattr(time, "monotonic", lambda: 0.01 * calls)
    search_text(3, slow, WORDS, seed=0, seconds=2.0, steps=10**6)
    assert 200 < calls <= 204  # the last text is tried on three rows


def test_nothing_that_it_finds_pays_under_the_default() -> None:
    def score(row: int, text: str) -> float:
        return robust(text, PICTURES[row][0], TABLE, LIMIT)

    found = search_text(6, score, WORDS[:80], seed=0, seconds=20, steps=60)
    rows = range(6, 12)  # it has not seen them
    honest = sum(robust(PICTURES[row][1], PICTURES[row][0], TABLE, LIMIT) for row in rows) / 6
    assert sum(score(row, found) for row in rows) / 6 < 0.25 * honest
