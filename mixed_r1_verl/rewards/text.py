"""Text normalisation shared by the rewards: what models write around a plain answer, and when two labels are the same.

Two stages. `clean` turns LaTeX, markdown, code fences, full-width characters and typographic signs into plain text
without judging any of it. `text_key` goes on to a key that is equal for two spellings of the same label.

Rules of `text_key`:

- case, punctuation and the articles *a*, *an*, *the* before a word do not count; word order and every other word do;
- numbers are compared by value (`1,200` = `1200`, `0.10` = `0.1`), number words and ordinals are digits (`third` =
  `3rd`);
- British and American spellings of colours are the same (`grey` = `gray`); nothing else is a synonym.
"""

import re
import unicodedata
from functools import lru_cache
from itertools import pairwise

MAX_ANSWER_CHARS = 2000
"""A longer text is not a short answer: the rewards that expect one do not read it."""


def words(listing: str) -> list[str]:
    """The words of a table that is written as running text."""
    return listing.split()


_SUPERSCRIPTS = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺]+")
_FRACTION_SIGNS = str.maketrans({c: f" {unicodedata.normalize('NFKC', c)} " for c in "½⅓⅔¼¾⅕⅖⅗⅘⅙⅚⅛⅜⅝⅞"})
_SIGNS = str.maketrans(
    {
        **dict.fromkeys("−–—―‒‐‑﹣⁃", "-"),
        **dict.fromkeys("‘’‚′`´", "'"),
        **dict.fromkeys("“”„″«»「」『』《》", '"'),
        **dict.fromkeys("【〔〖", "["),
        **dict.fromkeys("】〕〗", "]"),
        "⁄": "/",
        "∕": "/",
        "。": ". ",
        "、": ", ",
        "º": "°",
        "✕": "×",
        "∗": "*",
        "⋅": "*",
        "·": "*",
        "∶": ":",
    }
)
_MARKUP = re.compile(r"[\\$*_`#>{}~]|^[ \t]*[-+][ \t]", re.MULTILINE)


def clean(text: str) -> str:
    r"""Plain text of an answer: no LaTeX, markdown, code fences, full-width or invisible characters.

    >>> clean(r"$\boxed{\text{B}}$"), clean("**1\u202f200 km²**"), clean(r"\frac{20}{3}\%")
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


# --- LaTeX ------------------------------------------------------------------------------------------------------------

_LATEX_TOKEN = re.compile(r"\\[A-Za-z]+\*?|\\.|[{}^_~$]|[^\\{}^_~$]+", re.DOTALL)
_TEXT_COMMANDS = frozenset(
    words(
        "text textbf textit textrm textsf texttt mathrm mathbf mathit mathsf mathtt mathbb mathcal boldsymbol bm mbox "
        "hbox emph underline overline boxed fbox framebox operatorname ensuremath"
    )
)
_IGNORED_COMMANDS = frozenset(
    words("left right big Big bigg Bigg displaystyle textstyle limits nolimits rm bf it mathop bigl bigr Bigl Bigr")
)
_SYMBOLS = {
    "times": "×",
    "cdot": "*",
    "div": "÷",
    "pi": "π",
    "degree": "°",
    "circ": "°",
    "le": "≤",
    "leq": "≤",
    "ge": "≥",
    "geq": "≥",
    "ne": "≠",
    "neq": "≠",
    "approx": "≈",
    "pm": "±",
    "infty": "∞",
    "angle": "∠",
    "alpha": "α",
    "beta": "β",
    "gamma": "γ",
    "theta": "θ",
    "mu": "µ",
    "Omega": "Ω",
    "omega": "ω",
    "lambda": "λ",
    "Delta": "Δ",
    "triangle": "△",
    "parallel": "∥",
    "perp": "⊥",
    "to": "→",
    "rightarrow": "→",
    "ldots": "...",
    "dots": "...",
    "cdots": "...",
    "quad": " ",
    "qquad": " ",
    "newline": "\n",
    "euro": "€",
    "pounds": "£",
    "dollar": "$",
    "percent": "%",
}
_ESCAPES = {",": " ", ";": " ", ":": " ", "!": "", " ": " ", "\n": " ", "\\": "\n"}
_SIMPLE_ARGUMENT = re.compile(r"-?[\w.√π]+")
_MAX_LATEX_DEPTH = 40


def unlatex(text: str) -> str:
    r"""Write LaTeX as plain text; text without LaTeX comes back as it is, save for the backslashes.

    Groups nested deeper than 40 are left as they stand.

    >>> unlatex(r"\dfrac{1}{2}\sqrt{3}\,\text{cm}"), unlatex(r"$90^{\circ}$"), unlatex("$5 and $6")
    ('1/2√3 cm', '90°', '$5 and $6')
    """
    if "\\" not in text and "{" not in text and "$" not in text and "~" not in text:
        return text
    try:
        return _Latex(_math_delimiters(text)).read()
    except _TooDeepError:
        return text


class _TooDeepError(ValueError):
    """Groups and commands are nested more deeply than anyone writes."""


def _math_delimiters(text: str) -> str:
    """Drop `$…$` where it can be mathematics. A dollar sign before a number that no `$` closes is money."""
    if "$" not in text:
        return text
    text = text.replace("\\$", "\\dollar{}").replace("$$", "$")
    pieces = text.split("$")
    out = [pieces[0]]
    index = 1
    while index < len(pieces):
        inside = pieces[index]
        closed = index + 1 < len(pieces)
        after = pieces[index + 1] if closed else ""
        if closed and inside and not inside[0].isspace() and not inside[-1].isspace() and not after[:1].isdigit():
            out += [inside, after]
            index += 2
        else:
            out.append("\\dollar{}" + inside)
            index += 1
    return "".join(out)


class _Latex:
    """A reader of one text; every token is consumed once, so reading is linear."""

    def __init__(self, text: str):
        self._tokens = _LATEX_TOKEN.findall(text)
        self._next = 0
        self._depth = 0

    def read(self) -> str:
        out: list[str] = []
        while self._next < len(self._tokens):
            self._one(out)
        return "".join(out)

    def _one(self, out: list[str]) -> None:
        self._depth += 1
        if self._depth > _MAX_LATEX_DEPTH:
            raise _TooDeepError
        self._read_token(out)
        self._depth -= 1

    def _read_token(self, out: list[str]) -> None:
        token = self._tokens[self._next]
        self._next += 1
        if token == "{":
            out.append(self._group())
        elif token == "}":
            pass
        elif token == "~":
            out.append(" ")
        elif token in "^_":
            self._script(token, out)
        elif token[0] == "\\" and len(token) > 1:
            self._command(token[1:].rstrip("*"), out)
        elif token != "\\":
            out.append(token)

    def _group(self) -> str:
        out: list[str] = []
        while self._next < len(self._tokens):
            if self._tokens[self._next] == "}":
                self._next += 1
                break
            self._one(out)
        return "".join(out)

    def _argument(self) -> str:
        """The next group, command or single character."""
        if self._next >= len(self._tokens):
            return ""
        token = self._tokens[self._next]
        if token == "{":
            self._next += 1
            return self._group()
        if token[0] == "\\" or token in "}^_~$":
            out: list[str] = []
            self._one(out)
            return "".join(out)
        stripped = token.lstrip()
        if not stripped:  # white space before the argument
            self._next += 1
            return self._argument()
        self._tokens[self._next] = stripped[1:] or " "
        return stripped[0]

    def _script(self, token: str, out: list[str]) -> None:
        argument = self._argument().strip()
        if argument == "°":
            out.append("°")
        elif argument:
            out.append(token + (argument if _SIMPLE_ARGUMENT.fullmatch(argument) else f"({argument})"))

    def _command(self, name: str, out: list[str]) -> None:
        if name in _TEXT_COMMANDS:
            out.append(self._argument())
        elif name in ("frac", "dfrac", "tfrac", "cfrac"):
            over, under = self._argument().strip(), self._argument().strip()
            last = out[-1].rstrip()[-1:] if out else ""
            space = " " if last.isdigit() else ""  # a mixed number
            out.append(f"{space}{_grouped(over)}/{_grouped(under)}")
        elif name == "sqrt":
            out.append(f"√{_grouped(self._argument().strip())}")
        elif name in _SYMBOLS:
            out.append(_SYMBOLS[name])
        elif name in _IGNORED_COMMANDS or name in ("(", ")", "[", "]"):
            pass
        elif name in _ESCAPES:
            out.append(_ESCAPES[name])
        else:
            out.append(name)


def _grouped(text: str) -> str:
    return text if _SIMPLE_ARGUMENT.fullmatch(text) else f"({text})"


_BRACE = re.compile(r"[{}]")


def boxed_contents(text: str) -> list[str]:
    r"""What stands in each outermost `\boxed{…}`; an unclosed box is skipped.

    >>> boxed_contents(r"so \boxed{\frac{1}{2}} and \boxed{3}")
    ['\\frac{1}{2}', '3']
    """
    contents = []
    position = text.find("\\boxed")
    while position >= 0:
        start = position + 6
        while text[start : start + 1].isspace():
            start += 1
        if text[start : start + 1] != "{":
            position = text.find("\\boxed", start)
            continue
        depth = 0
        for brace in _BRACE.finditer(text, start):
            depth += 1 if brace[0] == "{" else -1
            if depth == 0:
                contents.append(text[start + 1 : brace.start()])
                position = text.find("\\boxed", brace.end())
                break
        else:
            break
    return contents


# --- markdown ---------------------------------------------------------------------------------------------------------

_FENCE = re.compile(r"```[A-Za-z0-9_+-]*|`")
_STRONG = re.compile(r"(?<![\d)])\*\*+|\*\*+(?![\d(])|__+")
_EMPHASIS = re.compile(
    r"(?<![\w\s)*])\*(?=\S)|(?:(?<=\s)|^)\*(?=[^\s*])|(?<=\S)\*(?![\w\s(*])|(?<=[A-Za-z.!?])\*(?=\s|$)"
)
_UNDERSCORES = re.compile(r"(?<!\w)_(?=\w)|(?<=\w)_(?!\w)")
_LINE_MARK = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|>[ \t]+|[-*+•][ \t]+(?=[^\d\s]))", re.MULTILINE)


def _strip_markdown(text: str) -> str:
    text = _FENCE.sub(" ", text)
    text = _LINE_MARK.sub("", text)
    text = _STRONG.sub("", text)
    text = _EMPHASIS.sub("", text)
    return _UNDERSCORES.sub("", text)


# --- keys -------------------------------------------------------------------------------------------------------------

SMALL_NUMBERS = {
    word: value
    for value, word in enumerate(
        words(
            "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
            "seventeen eighteen nineteen"
        )
    )
}
TENS = {
    word: 10 * value
    for value, word in enumerate(words("twenty thirty forty fifty sixty seventy eighty ninety"), start=2)
}
_ORDINALS = {
    word: f"{value}{ {1: 'st', 2: 'nd', 3: 'rd'}.get(value, 'th') }"
    for value, word in enumerate(
        words("first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"), start=1
    )
}
_SPELLINGS = {"grey": "gray", "colour": "color", "colours": "colors", "centre": "center", "metre": "meter"}
_WORDS = {
    **{word: str(value) for word, value in {**SMALL_NUMBERS, **TENS}.items()},
    **_ORDINALS,
    **_SPELLINGS,
    "&": "and",
}
_ARTICLES = frozenset(("a", "an", "the"))
_KEY_TOKEN = re.compile(
    r"\d{1,6}(?:st|nd|rd|th)\b|\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\d)|\d+(?:\.\d+)?|\.\d+|[^\W\d_]+|[-+/*^<>=≠≤≥≈±%°√$€£¥&×÷:]"
)
_APOSTROPHE = re.compile(r"(?<=[^\W\d_])'(?=[^\W\d_])")
_INITIALS = re.compile(r"(?<=\b[a-z])\.(?=[a-z]\b)")  # U.S., p.m.


@lru_cache(maxsize=8192)
def _key(text: str) -> str:
    lowered = _INITIALS.sub("", _APOSTROPHE.sub("", clean(text).casefold()))
    tokens: list[str] = []
    matches: list[re.Match[str] | None] = [*_KEY_TOKEN.finditer(lowered), None]
    for match, following in pairwise(matches):
        if match is None:
            break
        token = match[0]
        if token in "-:":
            # A sign, a range or a clock time counts; a hyphen, dash or colon between words does not.
            if (
                following is None
                or not following[0][0].isdigit()
                or lowered[match.start() - 1 : match.start()].isalpha()
            ):
                continue
            if token == ":" and (not tokens or not tokens[-1][0].isdigit()):
                continue
        elif token in _ARTICLES:
            # An article stands before a word with nothing but white space between; else it is a name, as in `A) dog`.
            between = lowered[match.end() : following.start()] if following else ""
            if between and between.isspace() and following and following[0][0].isalnum():
                continue
        elif token[0].isdigit() or token[0] == ".":
            token = _plain_number(token)
        else:
            token = _WORDS.get(token, token)
        tokens.append(token)
    return _RANGE.sub(r"\1 - \2", " ".join(tokens))


_RANGE = re.compile(r"(?<![\w])(\d[\d.]*) to (\d[\d.]*)(?![\w])")


def _plain_number(digits: str) -> str:
    digits = digits.replace(",", "")
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".") or "0"
        if digits[0] == ".":
            digits = "0" + digits
    return (
        digits.lstrip("0")
        if len(digits) > 1 and digits[0] == "0" and digits.isdigit() and digits.strip("0")
        else digits
    )


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


def singular(key: str) -> str:
    """A key without the plural *s* of its last word, for answers that are nouns.

    >>> singular("red spheres"), singular("glass"), singular("bus")
    ('red sphere', 'glass', 'bus')
    """
    if len(key) > 3 and key[-1] == "s" and key[-2] not in "sui'" and key[-2].isalpha():
        return key[:-1]
    return key
