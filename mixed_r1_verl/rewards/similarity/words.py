"""Words: a text of any script split into them, and what is known of English ones: how little some say, which exclude
each other, which are negated, their stems.

The word lists (`english.json`) are ours, written from general knowledge of how people describe pictures; words of other
languages are in none of them and are judged by the embedding table alone.
"""

import json
import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

# A word longer than this is no word; what exceeds it is dropped.
MAX_WORD_CHARS = 64
# Characters of a text that are read for each word that is asked for.
CHARS_PER_WORD = 24

# Scripts that are written without spaces: every character counts as a word.
_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
# Marks that belong to the letter before them (Arabic, Hebrew, Indic, Thai, Lao), which `\w` does not cover.
_MARKS = "\u0300-\u036f\u0591-\u05bd\u064b-\u065f\u0900-\u0903\u093a-\u094f\u0981-\u0dff\u0e31-\u0e4e\u0eb1-\u0ece"
_LETTERS = rf"[^\W_{_IDEOGRAPHS}]"
_WORD = re.compile(rf"\d+(?:[.,:/]\d+)*|{_LETTERS}+(?:['{_MARKS}]+{_LETTERS}+)*[{_MARKS}]*|[{_IDEOGRAPHS}]")
_ASCII_WORD = re.compile(r"\d+(?:[.,:/]\d+)*|[^\W_]+(?:'+[^\W_]+)*", re.ASCII)
# Soft hyphens, joiners, direction marks: invisible, and would split a word or hide it from its twin.
_INVISIBLE = re.compile("[\u00ad\u034f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u2064\ufe00-\ufe0f\ufeff]")


def split_words(text: str, limit: int) -> list[str]:
    """The first `limit` words of `text`, in order, in lower case, without punctuation.

    The text is first brought to Unicode form NFKC and freed of invisible characters. Numbers with separators are one
    word; Chinese and Japanese count one word a character. At most `limit * 24` characters are looked at, so that the
    cost is bounded whatever the text.

    >>> split_words("A dog's 2.5 km run, ２０ trees; 两只狗.", 20)
    ['a', "dog's", '2.5', 'km', 'run', '20', 'trees', '两', '只', '狗']
    """
    text = text[: limit * CHARS_PER_WORD]
    if text.isascii():
        found = _ASCII_WORD.findall(text.lower())
    else:
        text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).replace("\u2019", "'").casefold()
        found = _WORD.findall(text)
    return [word[:MAX_WORD_CHARS] for word in found[:limit]]


# --- English ----------------------------------------------------------------------------------------------------------

ENGLISH: dict[str, list[str]] = json.loads(Path(__file__).with_name("english.json").read_text(encoding="utf-8"))


def _listed(*names: str) -> frozenset[str]:
    return frozenset(word for name in names for line in ENGLISH[name] for word in line.split())


def _numbered(name: str) -> dict[str, int]:
    return {word: number for number, line in enumerate(ENGLISH[name]) for word in line.split()}


FUNCTION_WORDS = _listed("function")
NEGATIONS = _listed("negation")
COMMONPLACE_WORDS = _listed("commonplace")
COLOUR_OF, SEX_OF = _numbered("colours"), _numbered("sexes")
NUMBER_OF = {word: str(number + 1) for word, number in _numbered("numbers").items()}
# What captions of photographs say most: a text earns only what it matches beyond these.
GENERIC_CAPTIONS = tuple(ENGLISH["captions"])
_DENIALS, _POLAR = _listed("denial"), _listed("polar")
# Words that do not name the subject of a caption, though they may come first.
ATTRIBUTES = _listed("qualifier", "appearance") | COLOUR_OF.keys() | NUMBER_OF.keys() | NEGATIONS

# Words of grammar say nothing about a picture. Not 0, so that a text made of nothing else can still be compared.
FUNCTION_WEIGHT = 0.02
_PEOPLE = _listed("people")
_WEIGHTS = {
    **dict.fromkeys(_listed("action"), 0.6),
    **dict.fromkeys(_listed("qualifier", "appearance") | COLOUR_OF.keys(), 0.5),
    **dict.fromkeys(COMMONPLACE_WORDS, 0.4),
}
# Rarity of people where the table knows no frequencies (a table that does weighs them itself).
PEOPLE_RARITY = 0.75

ASSERTED, NEGATED, OPEN = 0, 1, 2
# Words of content after a negation that it turns round.
NEGATION_SCOPE = 3


def word_weight(word: str, rarity: float | None) -> float:
    """How much a word says, in (0, 1].

    Args:
        word: a word in lower case.
        rarity: how rare it is by the order of a vocabulary, in [0, 1]; None where that is not known.

    >>> word_weight("the", 0.0), word_weight("holding", 0.5), word_weight("canoe", 0.9), word_weight("not", None)
    (0.02, 0.2, 0.9, 1.0)
    """
    if word in FUNCTION_WORDS:
        return FUNCTION_WEIGHT
    if word in NEGATIONS:
        return 1.0
    if rarity is None:
        rarity = PEOPLE_RARITY if word in _PEOPLE else 1.0
    return max(FUNCTION_WEIGHT, rarity * _WEIGHTS.get(word, 1.0))


def exclusive_group(word: str) -> int:
    """A word's group among colours, sexes or numbers, the family in the upper 32 bits; -1 where it has none.

    Two words of different groups of one family cannot both be right.

    >>> exclusive_group("grey"), exclusive_group("women") == 1 << 32 | 1, exclusive_group("dog")
    (7, True, -1)
    >>> exclusive_group("two") == exclusive_group("2") != exclusive_group("45")
    True
    """
    number = NUMBER_OF.get(word, word)
    if number[:1].isdigit():
        return 2 << 32 | hash(number) & 0xFFFFFFFF  # a group is a name only; equal numbers have equal ones
    return COLOUR_OF[word] if word in COLOUR_OF else 1 << 32 | SEX_OF[word] if word in SEX_OF else -1


def modes(words: list[str]) -> list[int]:
    """How each word is meant: `ASSERTED`, `NEGATED` or `OPEN` (one of several that "or" leaves to choose from).

    A negation reaches over the next three words of content; one before any content ("there is no") or that denies the
    truth ("it is not true that") over all that follows.

    >>> modes("a man without a hat or cap".split())
    [0, 0, 0, 0, 2, 0, 2]
    >>> modes("it is not true that a dog runs".split())
    [0, 0, 0, 1, 0, 0, 1, 1]
    """
    found = [ASSERTED] * len(words)
    if NEGATIONS.isdisjoint(words) and "or" not in words:
        return found
    content = [place for place, word in enumerate(words) if word not in FUNCTION_WORDS and word not in NEGATIONS]
    for place, word in enumerate(words):
        if word in NEGATIONS:
            after = [later for later in content if later > place]
            whole = len(after) == len(content) or (after and words[after[0]] in _DENIALS)
            for later in after if whole else after[:NEGATION_SCOPE]:
                found[later] = NEGATED
    for place, word in enumerate(words):
        if word == "or":
            for near in [i for i in content if i < place][-1:] + [i for i in content if i > place][:1]:
                found[near] = OPEN
    return found


def values_in(question: str, text: str, limit: int) -> frozenset[str] | None:
    """What a text answers where the question asks for a number, a colour, or yes or no; None where it asks for none.

    Numbers of the question itself, what is negated and what "or" leaves open do not count.

    >>> sorted(values_in("How many dogs are there?", "There are two dogs.", 9))
    ['2']
    >>> sorted(values_in("Is it dark?", "No, it is not dark.", 9)), values_in("What is it?", "A dog.", 9)
    (['no'], None)
    """
    asked = split_words(question, limit)
    words = split_words(text, limit)
    if {"color", "colour"} & set(asked):
        return frozenset(str(COLOUR_OF[word]) for word, mode in _meant(words) if mode == ASSERTED and word in COLOUR_OF)
    if "many" in asked or "number" in asked:
        numbers = {NUMBER_OF.get(word, word) for word, mode in _meant(words) if mode == ASSERTED}
        return frozenset(n for n in numbers - {NUMBER_OF.get(word, word) for word in asked} if n[:1].isdigit())
    if asked and asked[0] in _POLAR:
        return frozenset(words[:3]) & {"yes", "no"}
    return None


def beyond_question(text: str, question: str, limit: int) -> str:
    """The words of a text without the content that the question names itself; empty when no content is left.

    >>> beyond_question("The man in red is riding a horse.", "What is the man in red doing?", 99)
    'the in is riding a horse'
    """
    known = {stem(word) for word in split_words(question, limit) if word not in FUNCTION_WORDS}
    words = [word for word in split_words(text, limit) if word in FUNCTION_WORDS or stem(word) not in known]
    return "" if FUNCTION_WORDS.issuperset(words) else " ".join(words)


def _meant(words: list[str]) -> Iterator[tuple[str, int]]:
    return zip(words, modes(words), strict=True)


@lru_cache(8_192)
def stem(word: str) -> str:
    """A word without its English endings, by Snowball's English stemmer (Porter 2), which errs on buses only; a number
    in digits; a negation as *not*.

    Who does something keeps a stem apart from what is done (*player*, *play*): an ending -er is part of too many words.

    >>> [stem(word) for word in ("jumps", "jumping", "running", "carries", "bakes", "buildings", "two", "without")]
    ['jump', 'jump', 'run', 'carri', 'bake', 'build', '2', 'not']
    """
    if word in NEGATIONS:
        return "not"
    if word in NUMBER_OF:
        return NUMBER_OF[word]
    # Its package brings thirty-five languages, of which a reader of ground truths needs none.
    from snowballstemmer.english_stemmer import EnglishStemmer

    # A stemmer keeps its state between two steps, so that threads must not share one; making one costs nothing.
    return "bus" if word == "buses" else str(EnglishStemmer().stemWord(word))
