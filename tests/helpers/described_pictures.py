"""Descriptions of pictures in pairs, and what a similarity gives to them."""

import statistics

from mixed_r1_verl.rewards.similarity.table import EmbeddingTable
from mixed_r1_verl.rewards.similarity.variants import VARIANTS

TABLE = EmbeddingTable.load(None)
LIMIT = 1024

# Two descriptions each of twelve pictures that we made up.
PICTURES = [
    ("A brown dog runs across a grassy field with a ball.", "A dog is running through the grass carrying a ball."),
    ("Two children build a sandcastle on the beach.", "Kids are building a castle of sand near the sea."),
    ("A chef slices onions in a busy kitchen.", "In a restaurant kitchen, a cook is slicing an onion."),
    ("An old man plays the violin at a train station.", "A violin is played by an elderly man in the station."),
    ("A red canoe floats on a calm lake at sunrise.", "On a calm lake, a red canoe is floating at dawn."),
    ("Three cyclists climb a steep mountain road.", "The cyclists are climbing up a mountain road."),
    ("A woman reads a newspaper in a small cafe.", "In the cafe, a woman is reading the newspaper."),
    ("A black cat sleeps on top of a piano.", "The cat is sleeping on the piano."),
    ("Firefighters spray water onto a burning barn.", "A barn is burning and firefighters are spraying water."),
    ("A girl in a yellow raincoat jumps into a puddle.", "The girl jumps in a puddle, wearing a yellow raincoat."),
    ("A surfer rides a huge wave under a cloudy sky.", "A huge wave is being ridden by a surfer."),
    ("A farmer drives a green tractor past a windmill.", "There is a farmer driving a tractor by the windmill."),
]
HONEST = [(answer, reference) for reference, answer in PICTURES]
UNRELATED = [(PICTURES[place - 5][1], reference) for place, (reference, _) in enumerate(PICTURES)]


def mean_score(variant: str, pairs: list[tuple[str, str]]) -> float:
    return statistics.fmean(VARIANTS[variant](answer, reference, TABLE, LIMIT) for answer, reference in pairs)


def with_references(answer: str) -> list[tuple[str, str]]:
    return [(answer, reference) for reference, _ in PICTURES]
