"""About 3,000 short answers as models write them, each with its verdict."""

from collections import Counter

import pytest
from answer_forms import Form, answer_forms

from mixed_r1_verl import compute_score

FORMS = list(answer_forms())
GROUPS = sorted({form.group for form in FORMS})


def acc(form: Form) -> float:
    extra_info = {"reward": form.kind, **form.extra_info}
    return float(compute_score("forms", f"<answer>{form.answer}</answer>", form.truth, extra_info)["acc"])


@pytest.mark.parametrize("group", GROUPS)
def test_every_form_has_its_verdict(group: str) -> None:
    wrong = [form for form in FORMS if form.group == group and acc(form) != form.right]
    assert [(form.kind, form.truth, form.answer, form.right) for form in wrong] == []


def test_there_are_enough_of_both() -> None:
    verdicts = Counter(form.right for form in FORMS)
    assert verdicts[True] > 1100
    assert verdicts[False] > 1500
