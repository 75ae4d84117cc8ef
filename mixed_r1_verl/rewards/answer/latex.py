"""LaTeX as plain text, and what stands in its boxes.

pylatexenc takes a hundred times as long, reads `5% of it` as a comment and gives up on braces that nobody closes.
"""

import re

_TOKEN = re.compile(r"\\[A-Za-z]+\*?|\\.|.", re.DOTALL)
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
_LONGEST = 4000  # characters; what a command takes is copied, and a chain of commands would copy a long text very often


def unlatex(text: str) -> str:
    r"""Write LaTeX as plain text; text without LaTeX comes back as it is, save for the backslashes.

    A dollar sign before a number that no `$` closes is money; a text that is too long is left as it stands.

    >>> unlatex(r"\dfrac{1}{2}\sqrt{3}\,\text{cm}"), unlatex(r"$90^{\circ}$"), unlatex("$5 and $6")
    ('1/2√3 cm', '90°', '$5 and $6')
    """
    money = text.count("$") == 1 and not _SCRIPT.search(text)
    plain = "\\" not in text and "{" not in text and "~" not in text and ("$" not in text or money)
    if plain or len(text) > _LONGEST:
        return text
    text = _MIXED_NUMBER.sub(" ", text.replace("\\$", "\\dollar{}").replace("$$", "$"))
    right: list[str | None] = []  # what stands to the right of a token, the nearest last; None ends a group
    for token in reversed(_TOKEN.findall(_MATH.sub(lambda match: match[1] or "\\dollar{}", text))):
        right.append(_read(token, right))
    return "".join(atom or "" for atom in reversed(right))


class _Group(str):
    """What stood in braces: one argument, even where it is white space."""


def _read(token: str, right: list[str | None]) -> str | None:
    """A token as plain text, with the arguments that it takes from its right."""
    if token in "{}":
        return None if token == "}" else _Group("".join(iter(lambda: right.pop() if right else None, None)))
    if token in "^_":
        script = _argument(right).strip()
        return "°" if script == "°" else token + _grouped(script) if script else ""
    if token[0] != "\\":
        return " " if token == "~" else token
    command = token[1:].rstrip("*")
    if command in _TEXT_COMMANDS:
        return _argument(right)
    if command in ("frac", "dfrac", "tfrac", "cfrac"):
        return f"{_grouped(_argument(right))}/{_grouped(_argument(right))}"
    return f"√{_grouped(_argument(right))}" if command == "sqrt" else _WRITTEN.get(command, command)


def _argument(right: list[str | None]) -> str:
    """The next group, command or character; empty at the end of a group."""
    while right and right[-1] and right[-1].isspace() and not isinstance(right[-1], _Group):
        right.pop()
    return "" if not right or right[-1] is None else right.pop() or ""


def _grouped(text: str) -> str:
    text = text.strip()
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
