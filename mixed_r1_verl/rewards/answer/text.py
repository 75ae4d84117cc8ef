"""Plain text without what models write around an answer, unjudged, and a key that two spellings of one label share."""

import re
import unicodedata
from functools import lru_cache

from mixed_r1_verl.rewards.answer.latex import unlatex

MAX_ANSWER_CHARS = 2000  # a longer text is no short answer

_SUPERSCRIPTS = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+")
_FRACTION_SIGNS = str.maketrans({c: f" {unicodedata.normalize('NFKC', c)} " for c in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"})
_SIGNS = str.maketrans(
    "−–—―‒‐‑﹣⁃‘’‚′`´“”„″«»「」『』《》【〔〖】〕〗⁄∕º✕∗⋅·∶", "-" * 9 + "'" * 6 + '"' * 12 + "[[[]]]//°×***:"
) | {ord("。"): ". ", ord("、"): ", "}
_MARKUP = re.compile(r"[\\$*_`#>{}~]|^[ \t]*[-+][ \t]", re.MULTILINE)
_FENCE = re.compile(r"```[A-Za-z0-9_+-]*|`")
_MARKDOWN = (  # marks of a line, strong words, emphasis, underscores
    re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]+(?=\D)|[-*+•][ \t]+(?=[^\d\s]))", re.MULTILINE),
    re.compile(r"(?<![\d)])\*\*+|\*\*+(?![\d(])|__+"),
    re.compile(r"(?<![\w\s)*])\*(?=\S)|(?:(?<=\s)|^)\*(?=[^\s*])|(?<=\S)\*(?![\w\s(*])|(?<=[A-Za-z.!?])\*(?=\s|$)"),
    re.compile(r"(?<!\w)_(?=\w)|(?<=\w)_(?!\w)"),
)


def plain_text(text: str) -> str:
    r"""Plain text of an answer: no LaTeX, markdown, code fences, full-width or invisible characters.

    >>> plain_text(r"$\boxed{\text{B}}$"), plain_text("**1\u202f200 km²**"), plain_text(r"\frac{20}{3}\%")
    ('B', '1 200 km^2', '20/3%')
    """
    if not text.isascii():
        text = _SUPERSCRIPTS.sub(r"^\g<0>", text).translate(_FRACTION_SIGNS)
        text = unicodedata.normalize("NFKC", text).translate(_SIGNS)
        text = "".join(c for c in text if unicodedata.category(c) != "Cf")
    if _MARKUP.search(text):
        text = _FENCE.sub(" ", unlatex(text))
        for mark in _MARKDOWN:
            text = mark.sub("", text)
    return text.strip()


_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
SMALL_NUMBERS = {word: value for value, word in enumerate(_SMALL.split())}
TENS = {word: 10 * value for value, word in enumerate(_TENS.split(), start=2)}
ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()
_WORDS = {
    **{word: str(value) for word, value in {**SMALL_NUMBERS, **TENS}.items()},
    **{word: f"{n}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(n, 'th') }" for n, word in enumerate(ORDINALS, start=1)},
    **{"grey": "gray", "colour": "color", "colours": "colors", "centre": "center", "metre": "meter", "&": "and"},
}
_MARKS = "+/*^<>=≠≤≥≈±%°√$€£¥&×÷#"
_KEY_TOKEN = re.compile(  # a dash counts before a number and behind a grade (`AA-`), a colon between numbers
    r"\d{1,6}(?:st|nd|rd|th)\b|\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)|\d+(?:\.\d+)?|\.\d+|"
    rf"(?P<article>(?i:an?|the)(?=[^\S\n]+[^\W_]))|[^\W\d_]+|[{_MARKS}]|"
    rf"(?<=[^\W_])-(?![^\W_]|\s)|(?<![^\W\d_])(?:-|(?P<colon>:))(?=(?:_|(?!\.\d)[^\w:{_MARKS}-])*\d)"
)
_APOSTROPHE = re.compile(r"(?<=[^\W\d_])'(?=[^\W\d_])")
_INITIALS = re.compile(r"(?<=\b[A-Za-z])\.(?=[A-Za-z]\b)")  # U.S., p.m.
_RANGE = re.compile(r"(?<![\w])(\d[\d.]*) to (\d[\d.]*)(?![\w])")
_BEFORE_AN_ARTICLE = frozenset("is was are as on in of with by at and or for to from like than not but".split())
_STROKES = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ß": "ss", "æ": "ae"})


@lru_cache(maxsize=8192)
def _key(text: str) -> str:
    tokens: list[str] = []
    for match in _KEY_TOKEN.finditer(_INITIALS.sub("", _APOSTROPHE.sub("", plain_text(text)))):
        token = match[0].casefold()
        if match["colon"] and not (tokens and tokens[-1][0].isdigit()):
            continue
        if match["article"] and (
            not tokens or len(token) > 1 or (match[0] == "a" and tokens[-1] in _BEFORE_AN_ARTICLE)
        ):
            continue  # else it is a name: `A) dog`, `Class A shares`
        if token[0].isdigit() or token[0] == ".":
            whole, point, decimals = token.replace(",", "").partition(".")
            if point or whole.strip("0"):
                whole, decimals = whole.lstrip("0") or "0", decimals.rstrip("0")
            token = f"{whole}.{decimals}" if decimals else whole
        elif not token.isascii():
            letters = unicodedata.normalize("NFD", token).translate(_STROKES)
            token = unicodedata.normalize("NFC", "".join(c for c in letters if not "\u0300" <= c <= "\u036f"))
        tokens.append(_WORDS.get(token, token))
    return _RANGE.sub(r"\1 - \2", " ".join(tokens))


def text_key(text: str) -> str:
    """A key that is the same for two spellings of one label; empty when nothing in the text can be compared.

    >>> text_key("The  Dominican Republic."), text_key("18–29"), text_key("18 to 29"), text_key("A")
    ('dominican republic', '18 - 29', '18 - 29', 'a')
    """
    text = text.strip()
    if len(text) <= 24 and text.isalpha() and text.isascii():
        lowered = text.lower()
        return _WORDS.get(lowered, lowered)
    return _key(text) if len(text) <= MAX_ANSWER_CHARS else ""
