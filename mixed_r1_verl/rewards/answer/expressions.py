"""Expressions as models write them: out of their delimiters, apart into items, in the LaTeX that math-verify reads."""

import re
from string import whitespace

from mixed_r1_verl.rewards.answer.commitment import OTHER, Reader
from mixed_r1_verl.rewards.answer.numbers import Number, parse_number
from mixed_r1_verl.rewards.answer.readers import Quantities
from mixed_r1_verl.rewards.answer.text import plain_text
from mixed_r1_verl.rewards.answer.units import measure

_WORDS = re.compile(r"[A-Za-z]{4,}|[A-Za-z]{3,}\s+[A-Za-z]{2,}|[\u4e00-\u9fff]{2,}|\b(?:so|is|if|not|the|it|we)\b")
_COMMAND = re.compile(
    r"\\(?:begin|end|text|mathrm|operatorname|textbf|mathbf)\s*\{[^{}]*\}|\\[A-Za-z]+|\b(?:sqrt|sinh|cosh|tanh|infty|frac)\b"
)
_FULL_WIDTH = str.maketrans({"：": ":", "，": ",", "（": "(", "）": ")", "。": ". ", "＝": "=", "＞": ">", "＜": "<"})
_DELIMITER = re.compile(r"\\[()]|(?<!\\)\\\[\s*|\s*(?<!\\)\\\]|\$\$|`+")
_DOLLARS = re.compile(r"\$(?!\s)([^$]+)(?<!\s)\$(?!\d)")
_EDGE = ",;:*#" + whitespace


def _has_words(text: str) -> bool:
    """Whether a text is prose, and not an expression with the names of functions or a unit in it."""
    return _WORDS.search(_COMMAND.sub(" ", _without_unit(text)[0])) is not None


def in_words(text: str) -> bool:
    """Whether a text is prose, and no number in digits either."""
    return _has_words(text) and not (parse_number(text) and re.search(r"\d", text))


_APPROXIMATE = re.compile(r"(?:~|(?:about|approx\w*|around|roughly|nearly|almost|circa)\b)", re.IGNORECASE)


class _Expressions(Reader):
    """The reader of one expression, in LaTeX or plain."""

    plain = False

    def guarded(self, text: str) -> str:
        """The text without the delimiters of its mathematics; `$5` stays."""
        text = _DOLLARS.sub(r"\1", _DELIMITER.sub(" ", text.translate(_FULL_WIDTH)))
        return text.replace("\\therefore", "∴").replace("\\boxed\n", "\\boxed")

    def read(self, text: str) -> str | None:
        """The expression that a text is, without emphasis and the full stop of its sentence; None for prose."""
        text = text.lstrip("∴" + _EDGE).rstrip("." + _EDGE)
        expression = re.sub(r"^\[([^,;\[\]]*)\]$", r"\1", re.sub(r"\binfinity\b", r"\\infty", text))
        if "=" in expression and _has_words(expression):  # Area = 7
            expression = reduced(expression)
        prose = _has_words(expression) and parse_number(expression) is None
        return None if prose or _APPROXIMATE.match(expression) else expression or None

    def mark(self, text: str, value: str) -> str:
        """Other numbers and expressions of a running text; those of a calculation of the value are none."""
        if number := parse_number(value):
            return Quantities().mark(text, number)
        working = re.match(r"\W*(?:because|since|as|for|from)\b", text)
        return text + OTHER if re.search(r"\d|\\(?:frac|sqrt|pi)", text) and not working else text


EXPRESSIONS = _Expressions()


def _tidy(text: str) -> str:
    """Without what never counts: spacing commands, white space that does not part digits, sizes of fractions."""
    text = re.sub(r"\\[,;!:]|\\left|\\right|\\displaystyle|~", " ", text)
    text = re.sub(r"\s+", " ", text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac")).strip()
    return re.sub(r"(?<!\d) | (?!\d)", "", text)


def alike(one: str, other: str) -> bool:
    """Whether two expressions are written alike, up to spacing."""
    return _tidy(one) == _tidy(other)


_ITEM_END = re.compile(r"\\text\s*\{\s*,?\s*(?:or|and)\s*\}|\b(?:or|and)\b|[,;，、|]")
_PIECES = re.compile(rf"({_ITEM_END.pattern}|[\[({{\])}}])")
_DOTS = re.compile(r"\\[lc]?dots|\.\.\.|…")
_PLUS_MINUS = re.compile(r"\s*(?:\\pm|±)\s*(?=\S)")
_LETTERED = re.compile(r"\s*([A-Za-z])\s*=\s*(.+)", re.DOTALL)


def items(expression: str) -> list[str]:
    r"""What an expression lists: the values of `2, 3`, `x=2 or x=3`, `\{2,3\}`, `\pm 2`; a pair in brackets is one.

    >>> items(r"x = 2 \text{ or } x = 3"), items("(2,3)"), items("x=2, y=3"), items("1,200"), items(r"\pm 2")
    (['2', '3'], ['(2,3)'], ['(2,3)'], ['1,200'], ['2', '-(2)'])
    """
    if parse_number(expression) is not None or _DOTS.search(expression):
        return [expression]
    text = re.sub(r"^\\left(?=\\\{)|\\right(?=\\\}$)", "", expression.strip())
    text = re.sub(r"^(?:[A-Za-z]\s*=\s*)?\\\{(.*)\\\}$", r"\1", text, flags=re.DOTALL)
    text = re.sub(r"^[A-Z]\s*(?=\((?:[^()]+,)+[^()]+\)$)", "", reduced(text))
    sign = _PLUS_MINUS.match(text)
    if sign and "," not in text:
        return [text[sign.end() :], f"-({text[sign.end() :]})"]
    parts, depth = [""], 0
    for piece in filter(None, _PIECES.split(text)):
        depth += (piece in "([{") - (piece in ")]}")
        if depth == 0 and _ITEM_END.fullmatch(piece):
            parts.append("")
        else:
            parts[-1] += piece
    parts = [part.strip() for part in parts if part.strip()]
    if len(parts) < 2:
        return [reduced(text)]
    named = {match[1]: match[2] for part in parts if (match := _LETTERED.fullmatch(part))}
    if len(named) == len(parts):  # a point by its coordinates
        return [f"({','.join(named[name] for name in sorted(named))})"]
    return [reduced(part) for part in parts]


_NAME = re.compile(
    r"(?:(?:m\s*)?(?:∠|\\angle\s*|△|\\triangle\s*))?(?:[A-Za-z](?:_\{?\w{1,8}\}?)?'?(?:\s*\(\s*\w\s*\))?|[A-Z]{2,4}|"
    r"[a-z](?:\s*[+-]\s*[a-z])+|\(\s*[a-z]\s*,\s*[a-z]\s*\)|[A-Za-z]{3,20}(?:\s+[A-Za-z]{1,20}){0,4}|[A-Za-z]{3,20}[-+*\d\s]{1,12}|[A-Za-z]_\{[^{}]{1,20}\})"
)
_FREE = re.compile(r"\\(?:text|mathrm|operatorname)\s*\{[^{}]*\}|\\[A-Za-z]+|\b(?:sqrt|sin|cos|tan|log|ln|pi)\b|√")


def reduced(expression: str) -> str:
    """The result of a chain: without the name that stands for it and the calculation that leads to it.

    An equation that says more (`x^2 = 5`, `2x + 3y = 6`) stays.

    >>> reduced("x = 2 + 3 = 5"), reduced("m+n = 293"), reduced("x^2=5"), reduced("2x=5"), reduced("3=5")
    ('5', '293', 'x^2=5', '2x=5', '3=5')
    """
    *sides, result = expression.split("=")
    if not sides or not result.strip() or sides[-1].rstrip()[-1:] in ("<", ">", "!", "\\"):
        return expression
    value = parse_number(result)
    for side in map(str.strip, sides):
        number = parse_number(side)
        other = number and (value is None or number.value != value.value)
        constant = side and not re.search(r"[A-Za-z<>≤≥]", _FREE.sub("", side))
        if other or not (constant or _NAME.fullmatch(side)):
            return expression
    return result.strip()


def number_of(expression: str) -> Number | None:
    """The plain number that an expression is, with a unit that is known; `5!`, `5x` and `4:30` are none."""
    number = None if re.search(r"(?<!\\)!|\?", expression) else parse_number(reduced(expression))
    return None if number and number.plain and re.search(r"\d\s+\d", plain_text(expression)) else number


_PLAIN_SIGNS = str.maketrans("，（）−", ",()-") | str.maketrans(
    {"∞": r"\infty ", "·": r"\cdot ", "²": "^{2}", "³": "^{3}", "°": "", "%": r"\%", "π": r"\pi ", "∅": r"\emptyset "}
)
_UNIT = re.compile(
    r"(?<=[\d})π\w])(?P<gap>(?:\\[,;:! ]|~|\s)*)"
    r"(?P<unit>\\(?:text|mathrm|mbox|operatorname)\s*\{[^{}]{1,30}\}(?:\^\{?[23]\}?)?|"
    r"(?<![A-Za-z\\])(?:[A-Za-z]{1,12}(?:\s+|/|\s+per\s+)){0,2}[A-Za-z]{1,12}(?:\^\{?[23]\}?|[²³])?|[\u4e00-\u9fff]{1,4})\s*\.?$"
)
_GREEK = r"(?:pi|alpha|beta|gamma|theta|lambda|mu|phi|omega|infty|emptyset)(?![A-Za-z])"
_LETTERS = re.compile(rf"\\{_GREEK}|[A-Za-z]")
_RELATION = re.compile(r"[=<>≤≥]|\\(?:le|ge|leq|geq|lt|gt|neq|in)\b")


def to_latex(gold: str, answer: str) -> tuple[str, str] | None:
    r"""Two expressions as the LaTeX that math-verify reads; None where they cannot be the same.

    They cannot when their units differ, when one is an equation and the other is none, or when they are in different
    letters: math-verify takes some letters for units. Digits with nothing between are not one number.

    >>> to_latex("12√{3}cm", "sqrt(432)"), to_latex("x**10", "2"), to_latex("12\\pi", "12")
    (('12\\sqrt{3}', '\\sqrt{432}'), None, None)
    """
    if re.search(r"\d\s+\d", _tidy(answer)) or "?" in answer:
        return None
    (one, unit), (other, unit_of_answer) = _without_unit(_in_latex(gold)), _without_unit(_in_latex(answer))
    if unit and unit_of_answer and measure(unit) != measure(unit_of_answer):
        return None
    related = [_RELATION.search(text) is not None for text in (one, other)]
    if related[0] != related[1] and "=" in one + other:
        return None
    return (one, other) if any(related) or _letters(one) == _letters(other) else None


def _letters(latex: str) -> set[str]:
    return set(_LETTERS.findall(re.sub(rf"\\(?:begin|end)\{{\w+\}}|\\(?!{_GREEK})[A-Za-z]+", " ", latex)))


def _without_unit(text: str) -> tuple[str, str]:
    match = _UNIT.search(text)
    if match is None:
        return text, ""
    unit = plain_text(match["unit"])
    written_out = len(unit) > 1 or match["unit"].startswith("\\") or (match["gap"] and unit == "m")
    known = written_out and unit not in ("e", "i", "pi") and (measure(unit) or re.fullmatch(r"[个人元只]", unit))
    return (text[: match.start()].rstrip(), unit) if known else (text, "")


_REWRITTEN = (
    (r"\\mathrm\{e\}", "e"),
    (r"\\sqrt\s*\[([^\]]*)\]\s*(\w)", r"\\sqrt[\1]{\2}"),
    (r"\\varnothing", r"\\emptyset "),
    (r"\*\*", "^"),
    (r"(?<![\\A-Za-z])(pi|theta|alpha|beta)\b", r"\\\1 "),
    (r"(?<![\\A-Za-z])sqrt\b", "√"),
    (r"√\s*\{", r"\\sqrt{"),
    (r"(?:√|\\sqrt)\s*\(([^()]*)\)", r"\\sqrt{\1}"),
    (r"√\s*([A-Za-z]|\d+(?:\.\d+)?)", r"\\sqrt{\1}"),
    (r"(?<![\\A-Za-z])(sin|cos|tan|sec|log|ln)(?![A-Za-z])", r"\\\1"),
    (r"\^\s*(?:\(([^()]*)\)|(-?\d{2,}|-\d))", r"^{\1\2}"),
    (r"(?<=\d)\s*(?=\\pi)", ""),
)


def _in_latex(expression: str) -> str:
    text = re.sub(r"\^\s*\{?\s*(?:\\circ|\\degree|°)\s*\}?|\\degree", "", expression)
    text = text.replace("\\%", "%").translate(_PLAIN_SIGNS)
    for pattern, written in _REWRITTEN:
        text = re.sub(pattern, written, text)
    return text.strip().removesuffix(".").strip()
