"""Text normalisation: what models write around a plain answer, and when two labels are the same.

`plain_text` turns LaTeX, markdown, code fences, full-width characters and typographic signs into plain text without
judging any of it; `text_key` goes on to a key that is equal for two spellings of one label: without case, punctuation,
accents and the articles before a word, numbers by value, number words and ordinals as digits, colours in American.
"""

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise

from mixed_r1_verl.rewards.answer.latex import unlatex

MAX_ANSWER_CHARS = 2000  # a longer text is no short answer

_SUPERSCRIPTS = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+")
_FRACTION_SIGNS = str.maketrans({c: f" {unicodedata.normalize('NFKC', c)} " for c in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"})
_SIGNS = str.maketrans(
    "−–—―‒‐‑﹣⁃‘’‚′`´“”„″«»「」『』《》【〔〖】〕〗⁄∕º✕∗⋅·∶", "-" * 9 + "'" * 6 + '"' * 12 + "[[[]]]//°×***:"
) | {ord("。"): ". ", ord("、"): ", "}
_MARKUP = re.compile(r"[\\$*_`#>{}~]|^[ \t]*[-+][ \t]", re.MULTILINE)


def plain_text(text: str) -> str:
    r"""Plain text of an answer: no LaTeX, markdown, code fences, full-width or invisible characters.

    >>> plain_text(r"$\boxed{\text{B}}$"), plain_text("**1\u202f200 km²**"), plain_text(r"\frac{20}{3}\%")
    ('B', '1 200 km^2', '20/3%')
    """
    if not text.isascii():
        text = _plain_characters(text)
    if _MARKUP.search(text):
        text = _strip_markdown(unlatex(text))
    return text.strip()


def _plain_characters(text: str) -> str:
    text = _SUPERSCRIPTS.sub(r"^\g<0>", text).translate(_FRACTION_SIGNS)
    text = unicodedata.normalize("NFKC", text).translate(_SIGNS)
    return "".join(c for c in text if unicodedata.category(c) != "Cf")


# --- markdown ---------------------------------------------------------------------------------------------------------

_FENCE = re.compile(r"```[A-Za-z0-9_+-]*|`")
_STRONG = re.compile(r"(?<![\d)])\*\*+|\*\*+(?![\d(])|__+")
_EMPHASIS = re.compile(
    r"(?<![\w\s)*])\*(?=\S)|(?:(?<=\s)|^)\*(?=[^\s*])|(?<=\S)\*(?![\w\s(*])|(?<=[A-Za-z.!?])\*(?=\s|$)"
)
_UNDERSCORES = re.compile(r"(?<!\w)_(?=\w)|(?<=\w)_(?!\w)")
_LINE_MARK = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]+(?=\D)|[-*+•][ \t]+(?=[^\d\s]))", re.MULTILINE)


def _strip_markdown(text: str) -> str:
    text = _FENCE.sub(" ", text)
    for mark in (_LINE_MARK, _STRONG, _EMPHASIS, _UNDERSCORES):
        text = mark.sub("", text)
    return text


# --- keys -------------------------------------------------------------------------------------------------------------

_SMALL = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
SMALL_NUMBERS = {word: value for value, word in enumerate(_SMALL.split())}
TENS = {word: 10 * value for value, word in enumerate(_TENS.split(), start=2)}
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split()
_WORDS = {
    **{word: str(value) for word, value in {**SMALL_NUMBERS, **TENS}.items()},
    **{word: f"{n}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(n, 'th') }" for n, word in enumerate(_ORDINALS, start=1)},
    **{"grey": "gray", "colour": "color", "colours": "colors", "centre": "center", "metre": "meter", "&": "and"},
}
_ARTICLES = frozenset(("a", "an", "the"))
_KEY_TOKEN = re.compile(
    r"\d{1,6}(?:st|nd|rd|th)\b|\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)|\d+(?:\.\d+)?|\.\d+|[^\W\d_]+|[-+/*^<>=≠≤≥≈±%°√$€£¥&×÷:#]"
)
_APOSTROPHE = re.compile(r"(?<=[^\W\d_])'(?=[^\W\d_])")
_INITIALS = re.compile(r"(?<=\b[A-Za-z])\.(?=[A-Za-z]\b)")  # U.S., p.m.


@lru_cache(maxsize=8192)
def _key(text: str) -> str:
    plain = _INITIALS.sub("", _APOSTROPHE.sub("", plain_text(text)))
    tokens: list[str] = []
    matches: list[re.Match[str] | None] = [*_KEY_TOKEN.finditer(plain), None]
    for match, following in pairwise(matches):
        if match is None:
            break
        token = match[0].casefold()
        before, after = plain[match.start() - 1 : match.start()], plain[match.end() : match.end() + 1]
        if token in "-:+#":
            # A sign, a range or a clock time counts; a hyphen, dash or colon between words does not.
            grade = token != ":" and before.isalnum() and not after.isalnum() and not after.isspace()  # AA-, C#
            if not grade and (
                token in ":-" and (following is None or not following[0][0].isdigit() or before.isalpha())
            ):
                continue
            if token == ":" and (not tokens or not tokens[-1][0].isdigit()):
                continue
        elif token in _ARTICLES:
            gap = plain[match.end() : following.start()] if following and following[0][0].isalnum() else ""
            if _is_article(match[0], gap, tokens):
                continue
        elif token[0].isdigit() or token[0] == ".":
            token = _plain_number(token)
        else:
            token = _WORDS.get(token, _unaccented(token))
        tokens.append(token)
    return _RANGE.sub(r"\1 - \2", " ".join(tokens))


_BEFORE_AN_ARTICLE = frozenset("is was are as on in of with by at and or for to from like than not but".split())


def _is_article(word: str, gap: str, before: list[str]) -> bool:
    """Whether `a`, `an` or `the` is an article: before a word, and no name as in `A) dog` or `Class A shares`."""
    if not gap.isspace() or "\n" in gap:
        return False
    return not before or (word == "a" and before[-1] in _BEFORE_AN_ARTICLE) or len(word) > 1


_STROKES = str.maketrans({"ł": "l", "ø": "o", "đ": "d", "ß": "ss", "æ": "ae"})


def _unaccented(word: str) -> str:
    if word.isascii():
        return word
    letters = unicodedata.normalize("NFD", word).translate(_STROKES)
    return unicodedata.normalize("NFC", "".join(c for c in letters if not "\u0300" <= c <= "\u036f"))


_RANGE = re.compile(r"(?<![\w])(\d[\d.]*) to (\d[\d.]*)(?![\w])")


def _plain_number(digits: str) -> str:
    whole, point, decimals = digits.replace(",", "").partition(".")
    if point or whole.strip("0"):
        whole, decimals = whole.lstrip("0") or "0", decimals.rstrip("0")
    return f"{whole}.{decimals}" if decimals else whole


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
