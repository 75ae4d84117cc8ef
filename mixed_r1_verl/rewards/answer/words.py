"""The words by which an answer is taken apart (`words.txt`), and rules that name them by their classes."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

_WORD = re.compile(r"[(<\\]?[?:]{0,2}[a-zA-Z].*")
_CLASSES: dict[str, str] = {}


def any_of(words: Iterable[str]) -> str:
    """A pattern of words, the longest first."""
    return rf"(?:{'|'.join(sorted(words, key=len, reverse=True))})"


def _expanded(rule: str) -> str:
    return re.sub("<([A-Z_]+)>", lambda match: _CLASSES[match[1]], rule)


for _line in Path(__file__).with_name("words.txt").read_text(encoding="utf-8").splitlines()[1:]:
    _name, *_listed = _line.split(" ")
    _words = "|".join(filter(_WORD.fullmatch, _listed)).replace("_", r"\s+")
    _signs = (sign for sign in _listed if not _WORD.fullmatch(sign))
    _CLASSES[_name] = "|".join([rf"(?:\b(?:{_words})\b", *_signs]) + ")"


class _Rule:
    """A pattern that is compiled when something is first asked of it: of some 60, which take 50 ms, charts ask six."""

    def __init__(self, pattern: str) -> None:
        self.source = pattern

    def __getattr__(self, name: str) -> Any:
        found = getattr(re.compile(self.source, re.IGNORECASE), name)
        setattr(self, name, found)  # so that nobody comes here for it again
        return found


def grammar(rule: str) -> re.Pattern[str]:
    """A pattern without regard to case: `<CLASS>` is a word of that class, a blank is white space.

    >>> bool(grammar("<SURE> not").search("Most likely  not."))
    True
    """
    return cast("re.Pattern[str]", _Rule(_expanded(_expanded(rule)).replace(" ", r"\s+")))
