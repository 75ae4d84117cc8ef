"""LaTeX as plain text, and what stands in its boxes.

pylatexenc takes a hundred times as long, reads `5% of it` as a comment and gives up on braces that nobody closes.
"""

import re

_TOKEN = re.compile(r"\\[A-Za-z]+\*?|\\.|[{}^_~]|[^\\{}^_~]+", re.DOTALL)
_TEXT_COMMANDS = frozenset(
    "text textbf textit textrm textsf texttt mathrm mathbf mathit mathsf mathtt mathbb mathcal boldsymbol bm mbox hbox "
    "emph underline overline boxed fbox framebox operatorname ensuremath".split()
)
_IGNORED = "left right big Big bigg Bigg displaystyle textstyle limits nolimits rm bf it mathop bigl bigr Bigl Bigr"
_SIGNS = (
    "times × cdot * div ÷ pi π degree ° circ ° le ≤ leq ≤ ge ≥ geq ≥ ne ≠ neq ≠ approx ≈ pm ± infty ∞ angle ∠ alpha α "
    "beta β gamma γ theta θ mu µ Omega Ω omega ω lambda λ Delta Δ triangle △ parallel ∥ perp ⊥ to → rightarrow → "
    "ldots ... dots ... cdots ... euro € pounds £ dollar $ percent %"
).split()
_WRITTEN = {  # command: what it stands for; any other command stands for its name
    **dict(zip(_SIGNS[::2], _SIGNS[1::2], strict=True)),
    **dict.fromkeys([*_IGNORED.split(), *"()[]!"], ""),
    **dict.fromkeys([*",;: \n", "quad", "qquad"], " "),
    **dict.fromkeys(["\\", "newline"], "\n"),
}
_SIMPLE = re.compile(r"-?[\w.√π]+")
_MATH = re.compile(r"\$(?!\s)([^$]+)(?<!\s)\$(?!\d)|\$")
_MIXED_NUMBER = re.compile(r"(?<=\d)\s*(?=\\[dtc]?frac(?![A-Za-z]))")
_SCRIPT = re.compile(r"[\^_}]")
_MAX_DEPTH = 80


def unlatex(text: str) -> str:
    r"""Write LaTeX as plain text; text without LaTeX comes back as it is, save for the backslashes.

    A dollar sign before a number that no `$` closes is money; what is nested too deeply is left as it stands.

    >>> unlatex(r"\dfrac{1}{2}\sqrt{3}\,\text{cm}"), unlatex(r"$90^{\circ}$"), unlatex("$5 and $6")
    ('1/2√3 cm', '90°', '$5 and $6')
    """
    money = text.count("$") == 1 and not _SCRIPT.search(text)
    if "\\" not in text and "{" not in text and "~" not in text and ("$" not in text or money):
        return text
    plain = _MIXED_NUMBER.sub(" ", text.replace("\\$", "\\dollar{}").replace("$$", "$"))
    tokens = _TOKEN.findall(_MATH.sub(lambda match: match[1] or "\\dollar{}", plain))
    tokens.reverse()
    pieces = []
    try:
        while tokens:
            pieces.append(_read(tokens, _MAX_DEPTH))
    except RecursionError:
        return text
    return "".join(pieces)


def _read(tokens: list[str], depth: int) -> str:
    """The next token with its arguments, as plain text. `tokens` is a stack: each is taken off once."""
    if depth == 0:
        raise RecursionError("nested more deeply than anyone writes")
    token = tokens.pop()
    if token == "{":
        inside = []
        while tokens and tokens[-1] != "}":
            inside.append(_read(tokens, depth - 1))
        del tokens[-1:]
        return "".join(inside)
    if token in "~}":
        return " " if token == "~" else ""
    if token in "^_":
        script = _argument(tokens, depth)
        return "°" if script == "°" else token + _grouped(script) if script else ""
    if token[0] != "\\":
        return token
    command = token[1:].rstrip("*")
    if command in _TEXT_COMMANDS:
        return _argument(tokens, depth, strip=False)
    if command in ("frac", "dfrac", "tfrac", "cfrac"):
        return f"{_grouped(_argument(tokens, depth))}/{_grouped(_argument(tokens, depth))}"
    return f"√{_grouped(_argument(tokens, depth))}" if command == "sqrt" else _WRITTEN.get(command, command)


def _argument(tokens: list[str], depth: int, *, strip: bool = True) -> str:
    """The next group, command or single character."""
    while tokens and tokens[-1].isspace():
        tokens.pop()
    if not tokens or tokens[-1][0] in "\\{}^_~":
        read = _read(tokens, depth - 1) if tokens else ""
        return read.strip() if strip else read
    text = tokens.pop().lstrip()
    if text[1:]:
        tokens.append(text[1:])
    return text[0]


def _grouped(text: str) -> str:
    return text if _SIMPLE.fullmatch(text) else f"({text})"


_BOX_EDGE = re.compile(r"\\boxed\s*\{|[{}]")
BOX, BOX_END = "\u27e6", "\u27e7"
"""What `mark_boxes` writes around the contents of a box."""


def mark_boxes(text: str) -> str:
    r"""The text with BOX and BOX_END around the contents of each outermost box that is closed, in whatever way it is.

    >>> mark_boxes(r"so \boxed{\text{B}}") == rf"so {BOX}\text{{B}}{BOX_END}"
    True
    """
    if "box" not in text and BOX not in text:
        return text
    text = text.replace(BOX, "").replace(BOX_END, "")
    text = text.replace("<|begin_of_box|>", BOX).replace("<|end_of_box|>", BOX_END)
    pieces, position, depth = list[str](), 0, 0
    for edge in _BOX_EDGE.finditer(text):
        if depth == 0 and edge[0] not in "{}":
            box, depth = edge, 1
        elif depth:
            depth += -1 if edge[0] == "}" else 1
            if depth == 0:
                pieces += [text[position : box.start()], BOX, text[box.end() : edge.start()], BOX_END]
                position = edge.end()
    return "".join((*pieces, text[position:]))
