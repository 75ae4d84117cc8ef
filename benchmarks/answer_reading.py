"""Wrong answers paid and right ones refused, of about 3,000 short answers, beside what one would run instead.

    python benchmarks/answer_reading.py

The answers and their verdicts are those of the tests (tests/helpers/answer_forms.py). Beside `compute_score` stand
math-verify, relaxed accuracy as pix2struct computes it, and a regular expression for the last letter, word or number.
"""

import logging
import re
import sys
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "helpers"))

from answer_forms import Form, answer_forms

from mixed_r1_verl import compute_score


def ours(form: Form) -> bool:
    """This package."""
    extra_info = {"reward": form.kind, **form.extra_info}
    return bool(compute_score("forms", f"<answer>{form.answer}</answer>", form.truth, extra_info)["acc"])


def math_verify(form: Form) -> bool:
    """math-verify with its own extraction, as R1-style recipes call it."""
    from math_verify import parse, verify

    truth, answer = (parse(text, parsing_timeout=None) for text in (f"${form.truth}$", form.answer))
    return bool(verify(truth, answer, timeout_seconds=None))


def relaxed(form: Form) -> bool:
    """Relaxed accuracy of the whole answer: a number within 5 %, else the same text."""
    try:
        value, target = (float(text.rstrip("%")) / (100 if "%" in text else 1) for text in (form.answer, form.truth))
    except ValueError:
        return form.answer.strip().lower() == form.truth.strip().lower()
    return abs(value - target) <= 0.05 * abs(target)


def pattern(form: Form) -> bool:
    """The last letter, yes or no, or number of an answer; a label anywhere in it."""
    if form.extra_info.get("choices"):
        found = re.findall(r"\b[A-D]\b", form.answer)
    elif form.truth in ("yes", "no"):
        found = re.findall(r"\b(?:yes|no)\b", form.answer.lower())
    elif re.fullmatch(r"[\d.]+", form.truth):
        found = re.findall(r"\d+(?:\.\d+)?", form.answer)
    else:
        return form.truth.lower() in form.answer.lower()
    return bool(found) and found[-1] == form.truth


def main() -> None:
    """Print the two rates of each reader, by group and over all."""
    logging.getLogger("math_verify").setLevel(logging.ERROR)
    forms = list(answer_forms())
    readers: tuple[Callable[[Form], bool], ...] = (ours, math_verify, relaxed, pattern)
    print(
        f"{len(forms)} answers, {sum(form.right for form in forms)} of them right; wrong ones paid / right ones refused"
    )
    print(f"{'':8}" + "".join(f"{reader.__name__:>20}" for reader in readers))
    paid = {(place, reader): reader(form) for reader in readers for place, form in enumerate(forms)}
    for group in (*sorted({form.group for form in forms}), "all"):
        places = [place for place, form in enumerate(forms) if group in ("all", form.group)]
        right = [place for place in places if forms[place].right]
        wrong = [place for place in places if not forms[place].right]
        cells = []
        for reader in readers:
            false = sum(paid[place, reader] for place in wrong) / len(wrong)
            missed = sum(not paid[place, reader] for place in right) / len(right)
            cells.append(f"{false:>10.1%} /{missed:>7.1%}")
        print(f"{group:8}" + "".join(f"{cell:>20}" for cell in cells))


if __name__ == "__main__":
    main()
