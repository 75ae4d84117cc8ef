"""The optimiser: it finds what pays, the same again, within its time, and nothing that pays under the default."""

import time

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


def test_time_is_bounded() -> None:
    start = time.monotonic()
    search_text(3, lambda row, text: time.sleep(0.01) or 0.0, WORDS, seed=0, seconds=0.1, steps=10**6)
    assert time.monotonic() - start < 5


def test_nothing_that_it_finds_pays_under_the_default() -> None:
    def score(row: int, text: str) -> float:
        return robust(text, PICTURES[row][0], TABLE, LIMIT)

    found = search_text(6, score, WORDS[:80], seed=0, seconds=20, steps=60)
    rows = range(6, 12)  # it has not seen them
    honest = sum(robust(PICTURES[row][1], PICTURES[row][0], TABLE, LIMIT) for row in rows) / 6
    assert sum(score(row, found) for row in rows) / 6 < 0.25 * honest
