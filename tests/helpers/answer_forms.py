"""Short answers as models write them, with verdicts: forms of our own making, filled with many ground truths.

In a form `{L}` is the letter of the right option, `{T}` its text or the right word, `{M}` and `{U}` those of another;
`{N}` is the right number, `{W}` another.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple


class Form(NamedTuple):
    """One answer to one row, and whether it is right."""

    group: str
    kind: str
    truth: str
    answer: str
    right: bool
    extra_info: dict[str, Any]


_LETTER_RIGHT = r"""
{L}|({L})|{L}.|{L})|[{L}]|**{L}**|`{L}`|"{L}"|{L}: {T}|{L}. {T}|({L}) {T}|{L} ({T})|{T}|{T}.|a {T}|the {T}|**{T}**|
\boxed{{{L}}}|\boxed{{{T}}}|$\boxed{{\text{{{L}}}}}$|\text{{({L})}}|\(\text{{{L}}}\)|Answer: {L}|Final answer: {L}|ANSWER: **{L}**|
The answer is {L}.|The answer is {T}.|The correct answer is ({L}) {T}.|The best option is {L}|My choice is {L}|Letter {L}|Option {L}|
So the answer is {L}.|Therefore, {L}|Thus: {L}|I'll go with {L}|I think it is {L}|It is a {T}.|It's a {T}|That's a {T}.|This is a {T}.|
Looks like a {T}.|The animal is a {T}.|The picture shows a {T}.|There is a {T}.|Probably {L}|It is most likely {L}|{L} is correct|
{L} is the answer|{L}, because it is the only one|{L}. It has a tail.|{L} because {M} is wrong|{L}, {M} is wrong|{T}, not {U}|
{M} is wrong, so {L}|Not {M} but {L}|The answer is not {M}, it is {L}|Since {M} is wrong, {L}|## Answer{n}{n}**{L}**|
Conclusion: ({L}). Eliminated: ({M}).|The options are A, B, C. The answer is {L}.|答案是{L}|选{L}|因此选{L}|正確答案為 {L}|我選擇 {L}|
{M}不符合题意，只有选项{L}是对的。|<|begin_of_box|>{L}<|end_of_box|>|{{"answer": "{L}"}}
"""  # noqa: E501
_LETTER_WRONG = r"""
{M}|({M}) {U}|{U}|{L} or {M}|{L}, {M}|{L} and {M}|{L}/{M}|{L} & {M}|{L}; {M}|{L} plus {M}|{L} as well as {M}|{T} as well as {U}|{L} (or {M})|
{L} vs {M}|{L} {M}|{L}{n}{M}|1. {L}{n}2. {M}|{L}. {M}|{T}. {U}|{T} or a {U}|a {T} and a {U}|either {L} or {M}|both {L} and {M}|{L}?|{L}? {M}.|
{L}. It could also be {M}.|{L}, though {M} works too|{L} although it could be {M}|{L} while {M} is also correct|{L}, maybe|Maybe {L}|
{L}, possibly {M}|Perhaps the answer is {L}|It could be {L}|If it barks, {L}|{L} if it barks|{L} unless it meows|not {L}|The answer is not {L}|
{L} is wrong|{L} (incorrect)|The answer is {L}, which is incorrect.|I don't think it is {L}|neither {L} nor {M}|all but {L}|
not \boxed{{{L}}}|\boxed{{{L}}}?|\boxed{{{L}}} or {M}|\boxed{{{L}}} \boxed{{{M}}}|\boxed{{{L}}} and also {M}|If so, \boxed{{{L}}}|
{L}) {U}|{L}. The animal is a {U}.|The answer is {L}: it is a {U}|{L} because it is a {U}|{T} ({M})|{L}. Wait, no, {M}.|{L}. No, {M}.|
The answer is {L}. The answer is {M}.|{L} 60%, {M} 40%|{L}和{M}|{L}或{M}|不是{L}|可能是{L}|{L}、{M}|the {T}gy|A, B, C, D
"""  # noqa: E501
_YES = r"""
yes|Yes.|YES|**Yes**|\boxed{{\text{{Yes}}}}|Answer: yes|The answer is Yes.|Yes it does|Yes, it is.|Yes! It is.|Yes, there is a dog, but no cat.|
Yes, two of them|Yes – the dog is brown|Yes. No cat is visible.|I'd say yes|Definitely yes|Probably yes|It is true.|True|是的。|答案是“是”|
There are no dogs, so yes|Yes, because there is one.|Yes, they are all red|Is it no? Yes.|Yes, it is not a circle.|Yes, no doubt.
"""  # noqa: E501
_NOT_YES = r"""
no|No.|Yes and no|Yes or no|yes/no|yes (no)|Yes. However, no.|Yes? No.|Yes, but also no|Yes, for the left one; no for the right one|
Yes if there is a dog, no otherwise|If so, yes|Yes is wrong|not yes|I doubt the answer is yes|I can't say yes|yes{n}no|True. False.|Yes?|
It is not the case that the answer is yes|not \boxed{{yes}}|\boxed{{yes}} or no|Half yes half no|maybe yes|yesterday|是不是|It depends: yes
"""  # noqa: E501
_NUMBER_RIGHT = r"""
{N}|{N}.|**{N}**|({N})|[{N}]|\boxed{{{N}}}|$\boxed{{{N}}}$|\({N}\)|Answer: {N}|Answer: ${N}$|The answer is {N}.|The value is {N}.|It is {N}|
So the answer is {N}.|Therefore, {N}|The total is {N}.|x = {N}|There are {N} cubes.|{N} cubes|Total: {N}|The total number is {N}|答案是{N}|
The number of cubes that are not red is {N}.|## Final Answer{n}{n}{N}|The answer is \({N}\).|Final answer: **{N}**
"""  # noqa: E501
_NUMBER_WRONG = r"""
{W}|{N} or {W}|{N}, {W}|{N}; {W}|{N} - {W}|{N} to {W}|between {N} and {W}|from {N} to {W}|{N} and {W}|{N} vs {W}|[{N}, {W}]|{N} {W}|
> {N}|<{N}|{N}+|≥{N}|more than {N}|at least {N}|at most {N}|no more than {N}|just over {N}|under {N}|{N} or more|{N} or older|
{N} and under|{N} at least|up to {N}|{N}?|maybe {N}|It may be {N}|not {N}|The answer is not {N}|{N} is not the answer|{N}, but it may be {W}|
If it is blue, the answer is {N}. Otherwise {W}.|\boxed{{{N}}} or {W}|\boxed{{{N}}} \boxed{{{W}}}|not \boxed{{{N}}}|\boxed{{{N}}}?|1/{N}|-{N}|
{N} million|{N}^2|{N} x 10|60 minus {N}|{N}π|{N}x|{N} out of 1000|{N} dozen|{N} thousand|{W} - {N}|The answer is {N} - {W}|{N} or black|{N} and black|{N} as well as black|The answer is {N}. The answer is black.|
\boxed{{{N}}} \boxed{{black}}
"""  # noqa: E501
_LABEL_RIGHT = r"""
{T}|{T}.|**{T}**|\boxed{{{T}}}|\text{{{T}}}|Answer: {T}|The answer is {T}.|It is {T}.|The country is {T}.|Probably {T}|So, {T}|
The country with the highest value is {T}.|The country with the highest value is {T} (42%).|{T} had the highest value|{T}, with 42%|
{T} (42%)|{T}: 42%|{T} is the answer|{T}, because its bar is the longest|{T}. Its bar is the longest.|{T}, not {U}|Not {U} but {T}|
The country that did not grow is {T}.|{T} at 42%|I think it is {T}|{T} has the longest bar.
"""  # noqa: E501
_LABEL_WRONG = r"""
{U}|{T} or {U}|{T}, {U}|{T} and {U}|{T}/{U}|{T} - {U}|{T}. {U}.|{T} as well as {U}|{T} ({U})|{T}; {U}|{T}?|Maybe {T}|not {T}|
{T}, although it may be {U}|{T} while {U} is also possible|{T}, which is wrong|{T}. The tallest bar in it is {U}.|{T}, as the tallest bar is {U}|
If the bar is red, the answer is {T}|The answer is {T}. The answer is {U}.|\boxed{{{T}}}?|\boxed{{{T}}} \boxed{{{U}}}|not \boxed{{{T}}}|
The answer is not {T}|{T} is wrong|neither {T} nor {U}|either {T} or {U}|{T} plus {U}|{T} which is {U}|all but {T}
"""  # noqa: E501
_YEAR_RIGHT = r"""
{N}|{N}.|in {N}|year {N}|Year: {N}|It was {N}.|The year was {N}.|{N}年|{N}: 42%|{N}, at 42%|{N} (42%)|42 in {N}|around {N}|The answer is {N}.
"""  # noqa: E501
_YEAR_WRONG = r"""
{W}|{N} or {W}|{N} and {W}|between {N} and {W}|{N}-{W}|{N}?|not {N}|after {N}|{N}s|{N}%|{N}, {W}|\boxed{{{N}}} \boxed{{{W}}}|if so, {N}
"""  # noqa: E501
_OTHER = {  # ground truth: right answers; wrong answers
    ("chart", "2020/2021"): ("2020/21|2020–2021|in 2020/21", "2010/2011|2019/2020|2020|2021"),
    ("chart", "1990s"): ("the 1990s|nineties|1990's", "1980s|1990|1990 seconds|1995"),
    ("chart", "5G"): ("5g|5G", "4G|5 grams|5"),
    ("chart", "$0.50"): ("50 cents|$0.5", "50 dollars|€0.50"),
    ("chart", "42°C"): ("42°|42 degrees C|42 C", "42°F|42 K"),
    ("chart", "36 cm^2"): ("36 square centimeters|36 cm²|36", "36 cm^3|36 cm|36 m^2"),
    ("chart", "20 mph"): ("20 miles per hour|20", "20 km/h|20 miles"),
    ("chart", "0.5"): ("50%|1/2|half|one half", "0.5%|5"),
    ("chart", "AA"): ("AA", "AA-|AA+|A"),
    ("chart", "Group A students"): ("group a students", "Group students|Group B students"),
    ("chart", "São Paulo"): ("Sao Paulo", "San Paulo"),
    ("math", r"12\pi"): (r"12π|\pi \cdot 12|12π cm²|The area is $12\pi$.", r"12|12 cm|12e|12\theta|12x"),
    ("math", r"\frac{1}{2}"): (r"0.5|\frac12|2^{-1}|P = \frac{1}{2}|50\%", r"0.49|2|\frac{1}{3}"),
    ("math", "2 1/2"): ("5/2|2.5", "21/2|2 1 2"),
    ("math", r"\frac{1}{2^{99}}"): (r"\frac{1}{2^{99}}|2^{-99}", r"\frac{1}{2^{98}}|0"),
    ("math", "(2,3)"): ("(2, 3)|x=2, y=3|The point is (2, 3).", "(3,2)|2, 3|(2,3,4)"),
    ("math", "x=2,x=3"): ("2 or 3|3, 2|x = 2, 3", "2|3|2, 4"),
    ("math", "5"): (r"x=5|AB=5cm|5 square units|\approx 5", r"5\pi|5x|x^2=5|2x=5|5!|\{5,6\}|(5,6)|5 6|5a"),
}


def _forms(table: str) -> list[str]:
    """The forms of a table; a newline in a form is written `{n}`."""
    return [form for line in table.strip().split("\n") for form in line.split("|") if form and form != "<"]


_ANIMALS, _FRUITS = ("cat", "dog", "bird", "fish"), ("apple", "pear", "plum", "banana")
_TOOLS = ("hammer", "pair of tongs", "saw", "drill")


def answer_forms() -> Iterator[Form]:
    """About 3,000 answers."""

    def fill(group: str, kind: str, truth: str, right: str, wrong: str, extra: Any, **names: str) -> Iterator[Form]:
        for table, verdict in ((right, True), (wrong, False)):
            table = table.replace("<|begin_of_box|>", "<begin>").replace("<|end_of_box|>", "<end>")
            for form in _forms(table):
                form = form.replace("<begin>", "<|begin_of_box|>").replace("<end>", "<|end_of_box|>")
                yield Form(group, kind, truth, form.format(n="\n", **names), verdict, extra)

    for choices in (_ANIMALS, _FRUITS, _TOOLS):
        for place in range(1, 4):
            other = (place + 1) % 4 or 1
            names = {"L": "ABCD"[place], "T": choices[place], "M": "ABCD"[other], "U": choices[other]}
            extra = {"choices": list(choices)}
            yield from fill("choice", "matching", names["L"], _LETTER_RIGHT, _LETTER_WRONG, extra, **names)
    for kind in ("matching", "chart"):
        yield from fill("yes_no", kind, "yes", _YES, _NOT_YES, {})
    for kind, number, another in (
        *(("matching", *pair) for pair in (("42", "60"), ("7", "9"), ("12", "31"), ("305", "77"), ("19", "4"))),
        *(
            ("chart", *pair)
            for pair in (("42", "60"), ("7.5", "9"), ("12", "31"), ("3050", "770"), ("88", "150"), ("0.4", "3"))
        ),
        *(("math", *pair) for pair in (("42", "60"), ("7", "9"))),
    ):
        yield from fill("number", kind, number, _NUMBER_RIGHT, _NUMBER_WRONG, {}, N=number, W=another)
    for one, other in (("Chile", "Peru"), ("New Zealand", "Austria"), ("Acme Ltd.", "Initech"), ("St. Lucia", "Cuba"),
                       ("U.S. Navy", "Spain"), ("Hong Kong", "Oslo"), ("Germany", "France")):  # fmt: skip
        yield from fill("label", "chart", one, _LABEL_RIGHT, _LABEL_WRONG, {}, T=one, U=other)
    for one, other in (("2008", "2010"), ("1999", "2001"), ("2015", "1987")):
        question = {"question": "In which year was the value the highest?"}
        yield from fill("year", "chart", one, _YEAR_RIGHT, _YEAR_WRONG, question, N=one, W=other)
    for (kind, truth), tables in _OTHER.items():
        for table, verdict in zip(tables, (True, False), strict=True):
            yield from (Form("other", kind, truth, answer, verdict, {}) for answer in table.split("|"))
