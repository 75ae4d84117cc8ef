"""The optimiser of `mixed-r1 audit`: looks for one text that pays on every row of a kind without any being seen.

A policy that is paid for a text climbs in the same way, so what this finds in seconds a training run finds in hours. It
is given the words of half of the rows and is judged on the others.
"""

import random
import time
from collections.abc import Callable, Sequence

Score = Callable[[int, str], float]  # what row `number` pays for a text, in [0, 1]

FILLERS = ("a", "the", "of", "in", "on", "with", "is", "and", "to", "at")
TEMPLATES = ("", "The image shows", "There is a", "A man in a", "On the left of the picture a", "In the background")
# Rows that a text is tried on while climbing, words that it is made of, words that it may have.
ROWS_TRIED, WORDS_TRIED, LONGEST = 24, 300, 220


def search_text(rows: int, score: Score, words: Sequence[str], *, seed: int, seconds: float, steps: int) -> str:
    """The text that pays most on average over some rows, by hill climbing from several beginnings.

    Args:
        rows: how many rows there are; at most 24 of them are tried.
        score: what a row pays.
        words: words that the texts are made of, likeliest first.
        seed: the same seed finds the same text, unless time runs out.
        seconds: after which the best text so far is returned.
        steps: texts that are tried in all.

    >>> search_text(2, lambda row, text: 0.1 * len({"dog", "grass"} & set(text.split())), ["cat", "dog", "grass"],
    ...             seed=0, seconds=5, steps=60)  # doctest: +ELLIPSIS
    '...dog...'
    """
    draw = random.Random(seed)
    tried = draw.sample(range(rows), min(rows, ROWS_TRIED))
    words = list(words)[:WORDS_TRIED]
    until = time.monotonic() + seconds

    def mean(text: list[str]) -> float:
        return sum(score(row, " ".join(text)) for row in tried) / len(tried)

    def filled(count: int) -> list[str]:
        return [word for content in words[:count] for word in (draw.choice(FILLERS), content)]

    beginnings = [template.split() for template in TEMPLATES] + [filled(count) for count in (5, 15, 40, 100)]
    scored = sorted(((mean(text), text) for text in beginnings), key=lambda pair: -pair[0])
    best_score, best = scored[0]
    for _ in range(max(0, steps - len(beginnings))):
        if time.monotonic() > until:
            break
        text = _changed(best, words, draw)
        if (found := mean(text)) > best_score:
            best_score, best = found, text
    return " ".join(best)


def _changed(text: list[str], words: Sequence[str], draw: random.Random) -> list[str]:
    """A text with a phrase added, a word replaced or taken out, two words exchanged, or its end cut off."""
    move, place = draw.random(), draw.randrange(len(text) + 1)
    if move < 0.4 or not text:
        phrase = [word for _ in range(draw.randint(1, 4)) for word in (draw.choice(FILLERS), draw.choice(words))]
        return (text[:place] + phrase + text[place:])[:LONGEST]
    place = min(place, len(text) - 1)
    if move < 0.7:
        return [*text[:place], draw.choice(words), *text[place + 1 :]]
    if move < 0.85:
        return text[:place] + text[place + 1 :]
    if move < 0.95:
        other = draw.randrange(len(text))
        changed = list(text)
        changed[place], changed[other] = text[other], text[place]
        return changed
    return text[: max(1, place)]
