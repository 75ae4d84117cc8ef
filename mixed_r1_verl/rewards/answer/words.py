"""The words by which an answer is taken apart (`words.txt`), and rules that name them by their classes."""

import re
from pathlib import Path

_NAME = re.compile(r"<([A-Z_]+)>")
_WORD = re.compile(r"[(<\\]?[?:]{0,2}[a-zA-Z].*")
_CLASSES: dict[str, str] = {}


def _expanded(rule: str) -> str:
    return _NAME.sub(lambda match: _CLASSES[match[1]], rule)


def _read_table() -> None:
    for line in Path(__file__).with_name("words.txt").read_text(encoding="utf-8").splitlines()[1:]:
        name, *listed = line.split(" ")
        words = "|".join(word for word in listed if _WORD.fullmatch(word)).replace("_", r"\s+")
        signs = [word for word in listed if not _WORD.fullmatch(word)]
        _CLASSES[name] = "|".join([rf"(?:\b(?:{words})\b", *signs]) + ")"


_read_table()


def grammar(rule: str) -> re.Pattern[str]:
    """Compile a rule without regard to case: `<CLASS>` is a word of that class, a blank is white space.

    >>> bool(grammar("<SURE> not").search("Most likely  not."))
    True
    """
    return re.compile(_expanded(_expanded(rule)).replace(" ", r"\s+"), re.IGNORECASE)
