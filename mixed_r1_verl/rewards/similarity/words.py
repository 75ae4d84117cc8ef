"""Words: a text of any script split into them, and what is known of English ones: how little some say, which exclude
each other, their stems.

The word lists are ours, written from general knowledge of how people describe pictures; words of other languages are in
none of them and are judged by the embedding table alone.
"""

import re
import unicodedata

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
    if not text.isascii():
        text = unicodedata.normalize("NFKC", _INVISIBLE.sub("", text)).replace("\u2019", "'").casefold()
    else:
        text = text.lower()
    return [word[:MAX_WORD_CHARS] for word in _WORD.findall(text)[:limit]]


# Words of grammar say nothing about a picture. Not 0, so that a text made of nothing else can still be compared.
FUNCTION_WEIGHT = 0.02
# Words that a description holds whatever it describes: posture, gaze, places and shapes, the picture itself, ...
COMMONPLACE_WEIGHT = 0.4
# ... size, age, number, colours, clothes.
QUALIFIER_WEIGHT = 0.5
# People, where the table knows no frequencies (a table that does weighs them itself).
PEOPLE_WEIGHT = 0.4

FUNCTION_WORDS = frozenset(
    """
    a an the this that these those some any each every either neither both all no not nor and or but so as than then
    if of in on at to into onto in from by with without for about around over under above below up down off out near
    beside behind between among through across along against toward towards inside outside next while during after
    before until because since within upon is are was were be been being am has have had having do does did doing done
    will would can could may might must shall should it its he him his she hers her they them their theirs we us our
    you your i me my who whom whose which what where when how there here other others another one ones also very too
    just only more most much many such own same it's there's that's isn't aren't
    """.split()
)
COMMONPLACE_WORDS = frozenset(
    """
    wear wears wearing worn wore stand stands standing stood sit sits sitting sat seated lie lies lying lay lays
    laying look looks looking looked watch watches watching see sees seen seeing hold holds holding held pose poses
    posing posed smile smiles smiling carry carries carrying show shows showing shown enjoy enjoys enjoying take takes
    taking get gets getting make makes making use uses using used give gives giving go goes going come comes coming
    put puts putting prepare prepares preparing try tries trying perform performs performing appear appears appearing
    seem seems feature features featuring contain contains containing display displays displaying depict depicts
    depicting visible located picture pictures photo photos photograph photographs image images scene view shot camera
    background foreground front back middle center centre side sides left right area place part setting something
    someone somebody anything everyone thing things outdoors indoors outdoor indoor day time angle corner corners
    surface edge edges upper lower bottom slightly vertical vertically horizontal horizontally rectangular square round
    circular facing faces full high low shadow shadows line lines level partially mostly wide narrow flat shape shaped
    upward downward forward close closer far distance distant extends extending positioned placed stretches eye body
    object objects item items piece pieces end ends lighting lit
    """.split()
)
QUALIFIERS = frozenset(
    """
    young old older elderly little small big large huge long short tall several various few different couple pair
    bunch group groups lot lots type kind new nice good beautiful pretty
    """.split()
)
APPEARANCE_WORDS = frozenset(
    """
    colored colorful colourful coloured color colors colour colours bright dark light shirt shirts tshirt dress
    dresses jacket jackets coat coats pants trousers jeans shorts skirt clothes clothing clothed dressed outfit
    outfits attire garb costume uniform suit hat hats cap caps top tops sweater vest hoodie sweatshirt shoes boots
    gloves glasses sunglasses
    """.split()
)
PEOPLE_WORDS = frozenset(
    """
    man men woman women people person persons guy guys lady ladies boy boys girl girls child children kid kids adult
    adults male males female females crowd man's woman's
    """.split()
)

# What captions of photographs say most: a text earns only what it matches beyond these.
GENERIC_CAPTIONS = (
    "A man in a blue shirt is standing on a street.",
    "A woman in a red dress is walking down the sidewalk.",
    "Two young boys are playing in the grass.",
    "A group of people are sitting around a table.",
    "A little girl in a pink shirt is playing with a toy.",
    "A man and a woman are talking to each other outside.",
    "Several people are standing in front of a building.",
    "A man is riding a bicycle on the road.",
    "Two dogs are running through a field.",
    "A young man in a black jacket is jumping in the air.",
    "A man wearing a hat is working with tools.",
    "A woman is holding a child in her arms.",
    "People are walking in a crowded city street.",
    "A boy is jumping into the water.",
    "A man is playing a guitar on stage.",
    "Three women are smiling and posing for a picture.",
    "An old man is sitting on a bench.",
    "A person is climbing a large rock.",
    "A football player in a white uniform is running with the ball.",
    "A woman is cooking food in a kitchen.",
    "Children are playing at the beach.",
    "A man in a suit is talking on a phone.",
    "A car is parked next to a house.",
    "A brown and white dog with a ball in its mouth.",
    "A girl with long hair is looking at something.",
    "Two men in orange vests are working on a building.",
    "A cat is lying on a bed near a window.",
    "A plate of food on a wooden table.",
    "A bus is driving down a street with cars.",
    "A crowd of people is watching a game.",
    "A woman with glasses is reading a book.",
    "A man on a boat in the water with a mountain in the background.",
)

# Families of words that lie close together in every embedding table and yet exclude each other.
COLOURS = (
    "red maroon scarlet crimson",
    "blue navy",
    "green",
    "yellow gold golden",
    "orange",
    "white",
    "black",
    "gray grey silver",
    "brown tan beige",
    "pink",
    "purple violet",
)
SEXES = (
    "man men man's men's guy guys male males boy boys gentleman gentlemen he him his father son dad husband",
    "woman women woman's women's lady ladies female females girl girls she her hers mother daughter mom wife",
)
_COLOUR_OF = {word: group for group, words in enumerate(COLOURS) for word in words.split()}
_SEX_OF = {word: group for group, words in enumerate(SEXES) for word in words.split()}

_WEIGHTS = {
    **dict.fromkeys(QUALIFIERS | APPEARANCE_WORDS | _COLOUR_OF.keys(), QUALIFIER_WEIGHT),
    **dict.fromkeys(COMMONPLACE_WORDS, COMMONPLACE_WEIGHT),
}


def word_weight(word: str, rarity: float | None) -> float:
    """How much a word says, in (0, 1].

    Args:
        word: a word in lower case.
        rarity: how rare it is by the order of a vocabulary, in [0, 1]; None where that is not known.

    >>> word_weight("the", 0.0), word_weight("holding", 0.5), word_weight("canoe", 0.9), word_weight("man", None)
    (0.02, 0.2, 0.9, 0.4)
    """
    if word in FUNCTION_WORDS:
        return FUNCTION_WEIGHT
    if rarity is None:
        rarity = PEOPLE_WEIGHT if word in PEOPLE_WORDS else 1.0
    return max(FUNCTION_WEIGHT, rarity * _WEIGHTS.get(word, 1.0))


def exclusive_groups(word: str) -> tuple[int, int]:
    """Numbers of the colour group and of the sex group of a word, -1 where it has none.

    Two words of different groups of one family cannot both be right.

    >>> exclusive_groups("grey"), exclusive_groups("women"), exclusive_groups("dog")
    ((7, -1), (-1, 1), (-1, -1))
    """
    return _COLOUR_OF.get(word, -1), _SEX_OF.get(word, -1)


def stem(word: str) -> str:
    """A word without its English endings, by Snowball's English stemmer (Porter 2), which errs on buses only.

    Who does something keeps a stem apart from what is done (*player*, *play*): an ending -er is part of too many words.

    >>> [stem(word) for word in ("jumps", "jumping", "running", "carries", "bakes", "buildings", "corner")]
    ['jump', 'jump', 'run', 'carri', 'bake', 'build', 'corner']
    """
    # Its package brings thirty-five languages, of which a reader of ground truths needs none.
    from snowballstemmer.english_stemmer import EnglishStemmer

    # A stemmer keeps its state between two steps, so that threads must not share one; making one costs nothing.
    return "bus" if word == "buses" else str(EnglishStemmer().stemWord(word))
