"""Splits a text of any script into words."""

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
