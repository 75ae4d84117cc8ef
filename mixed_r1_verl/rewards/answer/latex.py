"""LaTeX as plain text, and what stands in its boxes."""

import re

_LATEX_TOKEN = re.compile(r"\\[A-Za-z]+\*?|\\.|[{}^_~$]|[^\\{}^_~$]+", re.DOTALL)
_TEXT_COMMANDS = frozenset(
    (
        "text textbf textit textrm textsf texttt mathrm mathbf mathit mathsf mathtt mathbb mathcal boldsymbol bm mbox "
        "hbox emph underline overline boxed fbox framebox operatorname ensuremath"
    ).split()
)
_IGNORED_COMMANDS = frozenset(
    "left right big Big bigg Bigg displaystyle textstyle limits nolimits rm bf it mathop bigl bigr Bigl Bigr".split()
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
